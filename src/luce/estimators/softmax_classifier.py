"""Softmax regression with scikit-learn's manners."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Tags
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from luce.errors import DataError
from luce.estimators import predictions
from luce.estimators.callbacks import CallbackSupport, Reporter, with_callbacks
from luce.kernels.threads import num_threads, threads
from luce.training import Progress, fit_softmax_regression

if TYPE_CHECKING:
    from luce.scorers.linear import Answer, Features

Array = NDArray[np.floating]
P = ParamSpec("P")

INSTEAD = {
    "solver": "there is one solver, which runs to a certified optimum; leave `solver` out",
    "dual": "the certificate comes from the dual problem already; leave `dual` out",
    "intercept_scaling": "the intercept is not penalised; leave `intercept_scaling` out",
    "penalty": "the penalty is always L2; leave `penalty` out, and make it weak with a large C",
    "l1_ratio": "the penalty is always L2; leave `l1_ratio` out",
    "multi_class": "the model is always multinomial; for one-vs-rest wrap the classifier in "
    "sklearn.multiclass.OneVsRestClassifier",
    "random_state": "nothing in the fit is random; leave `random_state` out",
    "verbose": "look at `n_iter_` and `optimality_gap_` after the fit; leave `verbose` out",
}


REASONS = {  # without a certificate
    "max_iter": "max_iter={self.max_iter} passes were used up: raise max_iter",
    "max_seconds": "max_seconds={self.max_seconds} were over: raise max_seconds",
    "separable": "the classes in `separable_` can be told from the others without an error, so "
    "that no finite coefficients are best: choose a finite C",
    "precision": "rounding hides any further progress: raise tol, or scale the features",
}


def _answering(initialise: Callable[P, None]) -> Callable[P, None]:
    """Answer scikit-learn's parameters that mean nothing here with what to do instead."""

    @wraps(initialise)
    def answer(*args: P.args, **parameters: P.kwargs) -> None:
        for name in parameters:
            if name in INSTEAD:
                raise TypeError(f"SoftmaxClassifier has no {name!r}: {INSTEAD[name]}.")
        initialise(*args, **parameters)

    return answer


class SoftmaxClassifier(CallbackSupport, ClassifierMixin, BaseEstimator):
    """Softmax (multinomial logistic) regression, trained to a certified optimum.

    Minimises, over ``coef_`` and ``intercept_``,

        C * sum_i weight_i * cross_entropy(X_i @ coef_.T + intercept_, y_i) + |coef_|^2 / 2

    which is what scikit-learn's LogisticRegression minimises at the same C, `class_weight`,
    `fit_intercept` and `sample_weight`. Features need no scaling for the solver's sake (the
    penalty still sees their units). Two classes are the usual binary logistic regression:
    ``coef_`` has one row, and C equals that of a two-class softmax at C / 2.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty, positive: larger means weaker. Infinity stands for none;
        the fit then stops if it finds classes that a linear rule can separate.
    tol : float, default=1e-6
        The fit stops when the objective is certified to be within this of its minimum, relative
        to it: see ``optimality_gap_``.
    fit_intercept : bool, default=True
        The intercept is not penalised.
    class_weight : dict or "balanced", optional
        Weight of each class, multiplied with `sample_weight`.
    max_iter : int, default=2000
        Most passes over the rows; a `ConvergenceWarning` tells if they did not suffice.
    max_seconds : float, optional
        The fit stops after the pass in which these are over, with a `ConvergenceWarning`; in
        float32 the certificate takes one more.
    warm_start : bool, default=False
        Start from the last fit's coefficients where the shapes allow it.
    n_jobs : int, optional
        Threads; by default `luce.num_threads()`; -1 means the same. Results do not depend on it.

    Attributes
    ----------
    classes_ : array of shape (k,)
    coef_ : array of shape (k, d), or (1, d) for two classes, in X's dtype
    intercept_ : array of shape (k,), or (1,) for two classes
    optimality_gap_ : float
        Certified: (objective - minimum) / minimum is at most this.
    n_iter_ : int
        Passes over the rows.
    history_ : structured array of shape (n_iter_,)
        A row per pass: `seconds` since the fit began, least `objective` (the mean loss, with its
        penalty) and certified `gap` so far. ``pandas.DataFrame(history_)`` makes a table of it.
    separable_ : array
        Classes that can be told from all others without an error, found with an infinite C:
        without a penalty their coefficients would grow for ever.
    n_features_in_ : int
    feature_names_in_ : array of shape (d,), if X has names

    Raises
    ------
    TypeError
        For parameters of scikit-learn's LogisticRegression that mean nothing here, saying what to
        do instead.
    DataError
        (by `fit`) For C, `max_seconds` or `n_jobs` out of range, one class only, or a class whose
        rows all have weight 0. A `ValueError`, as all of scikit-learn's own complaints about X
        and y.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from luce import SoftmaxClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = SoftmaxClassifier().fit(X, y)
    >>> classifier.predict_proba(X[:1]).round(3)
    array([[0.982, 0.018, 0.   ]])
    >>> classifier.optimality_gap_ <= 1e-6
    True
    """

    @_answering
    def __init__(
        self,
        *,
        C: float = 1.0,
        tol: float = 1e-6,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        max_iter: int = 2000,
        max_seconds: float | None = None,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.C = C
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.max_seconds = max_seconds
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to features X (n, d) and labels y (n,), optionally weighted (n,); returns self.

        X is a dense array or sparse matrix (CSR inside), float32 or float64, which the products
        are computed in; other dtypes become float64. Raises `ValueError` for bad input. Ctrl-C
        raises `KeyboardInterrupt` after the pass, with the best fit so far in the attributes.
        """
        features, y = self._validated(X, y)
        classes, labels = np.unique(y, return_inverse=True)
        if classes.dtype.kind not in "iu" or 2 * len(classes) > len(labels):
            check_classification_targets(y)
        if len(classes) < 2:
            raise DataError(
                f"y has one class only, {classes[0]!r}: a classifier needs rows of at least two."
            )
        weights = self._weights(features, y, classes, labels, sample_weight)
        reporter = Reporter(self, features, y, sample_weight, part="pass")

        def report(progress: Progress) -> bool:
            return reporter.report(
                lambda: _as_fitted(*progress.fitted(), classes, dtype=features.dtype)
            )

        with threads(self._threads()) if self.n_jobs is not None else nullcontext():
            fit = fit_softmax_regression(
                features,
                labels,
                classes=len(classes),
                C=self.C / 2 if len(classes) == 2 else self.C,
                sample_weight=weights,
                fit_intercept=self.fit_intercept,
                tol=self.tol,
                max_iter=self.max_iter,
                max_seconds=np.inf if self.max_seconds is None else self.max_seconds,
                start=self._start(classes, features.shape[1]) if self.warm_start else None,
                on_pass=report if reporter.has_callbacks else None,
            )
        fitted = _as_fitted(fit.coef, fit.intercept, classes, features.dtype)
        for name, value in fitted.items():
            setattr(self, name, value)
        self.n_iter_ = fit.passes
        self.optimality_gap_ = fit.optimality_gap
        self.history_ = fit.history
        self.separable_ = classes[fit.separable]
        reporter.finish()
        if fit.stopped == "interrupted":
            raise KeyboardInterrupt
        if fit.stopped in REASONS:
            reason = REASONS[fit.stopped].format(self=self)
            warnings.warn(
                f"The fit is certified only to a relative gap of {fit.optimality_gap:.1e}, not "
                f"tol={self.tol:.1e}; {reason}.",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def decision_function(self, X: ArrayLike) -> Array:
        """Scores of X (n, d): shape (n, k), or (n,) for two classes (positive: ``classes_[1]``)."""
        scores = self._answer(X, "scores")
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the highest score for each row of X (n, d): shape (n,)."""
        winners = self._answer(X, "argmax")
        labels: NDArray[Any] = self.classes_[winners]
        return labels

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes for each row of X (n, d): shape (n, k), rows sum to 1."""
        return self._answer(X, "softmax")

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities, accurate where they are tiny: shape (n, k)."""
        return self._answer(X, "log_softmax")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _validated(self, X: ArrayLike, y: ArrayLike) -> "tuple[Features, NDArray[Any]]":
        """X and y validated by scikit-learn, unless they are plainly what would come out."""
        if predictions.is_plain_array(X) and type(y) is np.ndarray and y.dtype.kind in "biuU":
            features = np.asarray(X)
            if y.shape == features.shape[:1] and predictions.is_finite(features):
                self.n_features_in_ = features.shape[1]
                self.__dict__.pop("feature_names_in_", None)
                return features, y
        validated: tuple[Features, NDArray[Any]] = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32]
        )
        return validated

    def _answer(self, X: ArrayLike, answer: "Answer") -> NDArray[Any]:
        """Answer for X: validated by scikit-learn, unless it is plainly what would come out."""
        if predictions.is_plain(self, X):
            with suppress(FloatingPointError):  # scikit-learn says what is wrong, or finds nothing
                return self._answer_for(np.asarray(X), answer, check_finite=True)
        check_is_fitted(self)
        features: Features = validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False
        )
        return self._answer_for(features, answer, check_finite=False)

    def _answer_for(
        self, features: "Features", answer: "Answer", *, check_finite: bool
    ) -> NDArray[Any]:
        with threads(self._threads()) if self.n_jobs is not None else nullcontext():
            return predictions.answered(
                answer, features, self.coef_, self.intercept_, check_finite=check_finite
            )

    def _weights(
        self,
        features: "Features",
        y: ArrayLike,
        classes: NDArray[Any],
        labels: NDArray[np.intp],
        sample_weight: ArrayLike | None,
    ) -> NDArray[np.float64] | None:
        if sample_weight is None and self.class_weight is None:
            return None
        weights: NDArray[np.float64] = _check_sample_weight(
            sample_weight, features, dtype=np.float64, ensure_non_negative=True, copy=True
        )
        counts = np.bincount(labels, weights=weights)
        if not counts.all():
            raise DataError(
                f"all rows of class {classes[np.argmin(counts)]!r} have weight 0: give some a "
                "positive weight, or leave the class out."
            )
        weights *= compute_class_weight(
            self.class_weight, classes=classes, y=y, sample_weight=weights
        )[labels]
        return weights

    def _start(self, classes: NDArray[Any], d: int) -> tuple[Array, Array] | None:
        earlier = getattr(self, "coef_", None)
        if earlier is None or earlier.shape[1] != d or not np.array_equal(self.classes_, classes):
            return None
        if len(classes) == 2:
            halves = np.array([[-0.5], [0.5]])
            return halves * self.coef_, halves[:, 0] * self.intercept_
        return self.coef_, self.intercept_

    def _threads(self) -> int:
        if self.n_jobs == -1:
            return num_threads()
        return self.n_jobs or 0


def _as_fitted(
    coef: NDArray[np.float64],
    intercept: NDArray[np.float64],
    classes: NDArray[Any],
    dtype: "np.dtype[Any]",
) -> dict[str, NDArray[Any]]:
    """A fit as scikit-learn's attributes: for two classes one row, the second minus the first."""
    if len(classes) == 2:
        coef, intercept = coef[1:] - coef[:1], intercept[1:] - intercept[:1]
    return {"classes_": classes, "coef_": coef.astype(dtype), "intercept_": intercept.astype(dtype)}
