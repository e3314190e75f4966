"""Scores of rows by models that have not seen them: what calibrations and rules are fitted to."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples, column_or_1d

from luce.errors import DataError
from luce.estimators.softmax_classifier import SoftmaxClassifier
from luce.maps import logsumexp

Array = NDArray[np.floating]

ROUGHLY = 1e-2  # relative gap of a fit that others start from


def classifier_scores(estimator: BaseEstimator, X: ArrayLike) -> Array:
    """Scores (n, k) of any fitted classifier: what a softmax makes probabilities of.

    For calibration and for rules, which want one thing of all classifiers. They are the first of
    these that it has: `decision_function` (of two classes, whose only column is the second's score
    less the first's, 0 and that column), `predict_log_proba`, the logarithm of `predict_proba`.
    A calibration makes probabilities of any scores; before it, those of a margin (as of a support
    vector machine) are no probabilities at all.

    Parameters
    ----------
    estimator : classifier
        Fitted.
    X : array_like of shape (n, d), or what else it takes

    Returns
    -------
    float array of shape (n, k)
        Columns in the order of ``estimator.classes_``. -inf where a probability is 0.

    Raises
    ------
    DataError
        It has none of these, or not a column for each class.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.naive_bayes import GaussianNB
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier_scores(GaussianNB().fit(X, y), X).shape
    (150, 3)
    """
    if not hasattr(estimator, "classes_"):
        raise NotFittedError(f"This {type(estimator).__name__} has no classes_: fit it first.")
    classes = len(estimator.classes_)
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    of_pairs = getattr(last, "decision_function_shape", None) == "ovo"
    if hasattr(estimator, "decision_function") and not (of_pairs and classes > 2):
        scores = np.asarray(estimator.decision_function(X))
        if scores.ndim == 1 and classes == 2:
            return np.column_stack([np.zeros_like(scores), scores])
        if scores.ndim == 2 and scores.shape[1] == classes:
            return scores
    with np.errstate(divide="ignore"):
        if hasattr(estimator, "predict_log_proba"):
            scores = np.asarray(estimator.predict_log_proba(X))
        elif hasattr(estimator, "predict_proba"):
            scores = np.log(estimator.predict_proba(X))
        else:
            raise DataError(
                f"{type(estimator).__name__} gives no score for every class: expected "
                "decision_function with a column a class, predict_log_proba or predict_proba"
            )
    if scores.ndim != 2 or scores.shape[1] != classes:
        raise DataError(
            f"{type(estimator).__name__} gives scores of shape {scores.shape}; expected "
            f"({len(scores)}, {classes}), a column for each class"
        )
    return scores


def cross_fit_scores(
    estimator: BaseEstimator,
    X: ArrayLike,
    y: ArrayLike,
    *,
    cv: Any = 5,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Array:
    """`classifier_scores` of every row, by a model fitted to the other folds: none has seen it.

    What a calibration or a decision rule is fitted to where no rows can be spared. A model that is
    then fitted to all rows is a little better than those of the folds: the calibration is that of a
    slightly worse model, and a guarantee of a prediction set at level 1 - alpha is one of
    1 - 2 alpha.

    Parameters
    ----------
    estimator : classifier
        Cloned for every fold. A `luce.SoftmaxClassifier` is warm-started, from rows that the fold
        trains on; anything else is fitted anew, since what a fit that ends before an optimum has
        learnt depends on where it began.
    X : array_like of shape (n, d), sparse matrix, dataframe, or what else it takes
    y : array_like of shape (n,)
        Labels.
    cv : int, splitter or iterable, default 5
        Folds. A number means as many, of shuffled rows, each with its share of every class (and
        whole groups); anything else is scikit-learn's, and must hold every row out exactly once.
    sample_weight : array_like of shape (n,), optional
        Given to each fit.
    groups : array_like of shape (n,), optional
        Rows with equal values (of one patient, of one document) are held out together.

    Returns
    -------
    float array of shape (n, k)
        Columns in the order of ``numpy.unique(y)``, which is that of ``classes_``. A class that the
        m training rows of a fold lack has there the probability 1 / (m + 1), as a class would that
        never came in m rows.

    Raises
    ------
    DataError
        Folds that do not hold every row out once, training rows of one class alone, an estimator
        without scores.

    Notes
    -----
    A model of another fold would be a start that has seen the rows held out now. So the folds are
    taken in two halves, and those of one start from a fit to the rows of the other, on which all of
    them train. With five folds that takes as long as cold starts, with more often less.
    P. Joulani, A. Gyorgy and C. Szepesvari, Fast cross-validation for incremental learning, IJCAI
    (2015), halve further.

    Examples
    --------
    >>> from luce import SoftmaxClassifier
    >>> from luce.calibration import TemperatureScaling
    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> scores = cross_fit_scores(SoftmaxClassifier(C=100), X, y)
    >>> scores.shape
    (178, 3)
    >>> TemperatureScaling.fit(scores, y).temperature > 1
    True
    """
    scores: Array | None = None
    for fold in fitted_folds(estimator, X, y, cv=cv, sample_weight=sample_weight, groups=groups):
        found = classifier_scores(fold.model, fold.features)
        if scores is None:
            shape = fold.rows, fold.classes
            scores = np.empty(shape, np.result_type(found.dtype, np.float32))
        scores[fold.held_out] = _with_absent(found, fold.present, fold.classes, fold.trained_on)
    assert scores is not None
    return scores


@dataclass(frozen=True, eq=False)
class Fold:
    """A model, and rows that it has not seen.

    `held_out` are their numbers of 0 to `rows` - 1, `features` what X has of them; `present` the
    indices of the model's classes among all `classes`; `trained_on` how many rows it has seen.
    """

    model: Any
    held_out: NDArray[np.intp]
    features: Any
    present: NDArray[np.intp]
    trained_on: int
    rows: int
    classes: int


def fitted_folds(
    estimator: BaseEstimator,
    X: Any,
    y: ArrayLike,
    *,
    cv: Any,
    sample_weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
) -> Iterator[Fold]:
    """A model of every fold, with the arguments of `cross_fit_scores`: every row is held out once.

    Raises DataError for folds that do not.
    """
    labels = column_or_1d(y)
    check_classification_targets(labels)
    classes, numbers = np.unique(labels, return_inverse=True)
    X, labels, sample_weight, groups = indexable(X, labels, sample_weight, groups)
    n = _num_samples(X)
    splits = _splits(_folds(cv, groups), X, numbers, groups)

    def fit(model: Any, rows: NDArray[np.intp]) -> Any:
        weights = {}
        if sample_weight is not None:
            weights["sample_weight"] = _safe_indexing(sample_weight, rows)
        return model.fit(_safe_indexing(X, rows), _safe_indexing(labels, rows), **weights)

    for half in (splits[: len(splits) // 2], splits[len(splits) // 2 :]):
        start = None
        if len(half) > 1 and isinstance(estimator, SoftmaxClassifier):
            shared = reduce(np.intersect1d, [train for train, _ in half])
            if len(np.unique(numbers[shared])) == len(classes):
                start = _rough_optimum(estimator, partial(fit, rows=shared))
        for train, held_out in half:
            model = fit(_anew(estimator, start), train)
            features = _safe_indexing(X, held_out)
            present = np.unique(numbers[train])
            yield Fold(model, held_out, features, present, len(train), n, len(classes))


def _splits(
    folds: Any, X: Any, labels: NDArray[np.intp], groups: ArrayLike | None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rows that each fold trains on, and those that it holds out, every row once."""
    splits = [(_places(train), _places(held)) for train, held in folds.split(X, labels, groups)]
    seen = np.zeros(len(labels), np.intp)
    for fold, (train, held_out) in enumerate(splits, 1):
        seen[held_out] += 1
        if np.isin(held_out, train).any():
            raise DataError(f"fold {fold} trains on rows that it holds out; expected other rows")
        if len(np.unique(labels[train])) < 2:
            raise DataError(
                f"fold {fold}: its {len(train)} training rows have one class only; expected two at "
                "least: give more rows, or fewer folds"
            )
    if not (seen == 1).all():
        row = int((seen != 1).argmax())
        raise DataError(
            f"row {row} is held out {seen[row]} times; expected once, as every row: use folds that "
            "partition the rows"
        )
    return splits


def _folds(cv: Any, groups: ArrayLike | None) -> Any:
    if not isinstance(cv, int | np.integer):
        return check_cv(cv)
    if isinstance(cv, bool) or cv < 2:
        raise DataError(f"cv is {cv}; expected 2 folds at least")
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    return _Quiet(kind(int(cv), shuffle=True, random_state=0))


class _Quiet:
    """Folds that do not warn of classes with fewer rows than folds: these are seen to here."""

    def __init__(self, folds: Any) -> None:
        self.folds = folds

    def split(self, X: Any, y: Any, groups: Any) -> list[tuple[Any, Any]]:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The least populated class", UserWarning)
                return list(self.folds.split(np.zeros(len(y)), y, groups))
        except ValueError as error:
            raise DataError(f"the rows cannot be cut into folds: {error}") from error


def _places(rows: ArrayLike) -> NDArray[np.intp]:
    array = np.asarray(rows)
    return np.flatnonzero(array) if array.dtype == np.bool_ else array


def _anew(estimator: BaseEstimator, start: SoftmaxClassifier | None = None) -> Any:
    """A copy that starts from nothing, not from a file either, or from another fit."""
    model = clone(estimator)
    if "checkpoint" in model.get_params(deep=False):
        model.set_params(checkpoint=None)
    if start is not None:
        model.set_params(warm_start=True)
        for name in ("classes_", "coef_", "intercept_"):
            setattr(model, name, getattr(start, name))
    return model


def _rough_optimum(
    estimator: SoftmaxClassifier, fit: Callable[[SoftmaxClassifier], SoftmaxClassifier]
) -> SoftmaxClassifier | None:
    """A fit to start others from; None where these will say why there is none."""
    model = _anew(estimator).set_params(tol=max(estimator.tol, ROUGHLY))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return fit(model)
        except DataError:
            return None


def _with_absent(found: Array, present: NDArray[np.intp], classes: int, rows: int) -> Array:
    if len(present) == classes:
        return found
    scores = np.empty((len(found), classes), found.dtype)
    scores[:] = (logsumexp(found) - np.log(rows))[:, None]
    scores[:, present] = found
    return scores
