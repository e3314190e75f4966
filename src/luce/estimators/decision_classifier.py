"""Any scikit-learn classifier with a rule that decides, learnt on rows of its own."""

from dataclasses import fields, is_dataclass, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import (
    Tags,
    _safe_indexing,
    assert_all_finite,
    check_random_state,
    get_tags,
    indexable,
)
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
)

from luce.calibration.units import checked_groups
from luce.decisions import Decision, MinimumCost, Rule
from luce.errors import DataError
from luce.estimators.cross_fit import fitted_folds

Bools = NDArray[np.bool_]


class DecisionClassifier(ClassifierMixin, BaseEstimator):
    """A classifier's probabilities, and a rule's decisions on them.

    A rule that learns (`Abstain`, `PredictionSet`, a `Threshold` that maximises) does so on rows
    that the classifier was not trained on: a share that is set aside, or all rows, each scored by
    a model of a fold that it was not in. Other rules need none, and the classifier has all rows.

    Parameters
    ----------
    estimator : classifier with `predict_proba`
        A clone of it is trained; a ``sklearn.frozen.FrozenEstimator`` is used as it is, and all
        rows given to `fit` are the rule's, which it must not have been trained on.
    rule : a rule of `luce.decisions`, or anything with its `decide`
        Fitted by `fit` where it learns; it is not changed itself, see ``rule_``. A search may set
        its parameters by name, as in ``{"rule__risk": [0.01, 0.05]}``.
    cv : float, int, cross-validation splitter or iterable, default=0.2
        For rules that learn. A float in (0, 1): the share of rows set aside for the rule, drawn by
        class (each row with this probability; a class keeps at least one row for training). An
        integer of at least 2, or anything of scikit-learn's that holds every row out once: folds
        for cross-fitting, as in `luce.estimators.cross_fit_scores`, after which the estimator is
        trained on all rows; promises are then weaker (`cross_fitted` of the rule is set).
    unanswered : object, default=None
        What `predict` gives for rows that the rule does not answer. Scikit-learn's scorers want a
        value like those of the classes.
    random_state : int, RandomState or None, default=None
        Of the rows that are set aside.

    Attributes
    ----------
    estimator_ : classifier
        Trained, or the frozen one.
    rule_ : rule
        Fitted.
    classes_ : array of shape (k,)
    calibration_rows_ : array of int
        The rows that the rule was fitted on; empty where it needed none.
    n_features_in_ : int, if the estimator has it
    feature_names_in_ : array of shape (d,), if the estimator has it

    Raises
    ------
    DataError
        (by `fit`) For parameters out of range, an estimator without `predict_proba`, labels that a
        frozen estimator does not know, weights that it cannot use, and whatever the rule refuses.
        A `ValueError`, as all of scikit-learn's own complaints about X and y.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from luce import SoftmaxClassifier
    >>> from luce.decisions import PredictionSet
    >>> from luce.estimators import DecisionClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = DecisionClassifier(
    ...     SoftmaxClassifier(), PredictionSet(0.95, "aps"), random_state=0
    ... ).fit(X[:1200], y[:1200])
    >>> decision = classifier.decide(X[1200:])
    >>> bool(decision.sets[range(597), y[1200:]].mean() > 0.9)
    True
    """

    def __init__(
        self,
        estimator: Any,
        rule: Rule,
        *,
        cv: Any = 0.2,
        unanswered: Any = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.rule = rule
        self.cv = cv
        self.unanswered = unanswered
        self.random_state = random_state

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of the estimator and of the rule with their names before; self.

        A rule is a frozen value: ``rule__risk=0.05`` puts another in its place.
        """
        names = [name for name in params if name.startswith("rule__")]
        of_rule = {name.removeprefix("rule__"): params.pop(name) for name in names}
        super().set_params(**params)
        if of_rule:
            rule: Any = self.rule
            known: set[str] = {f.name for f in fields(rule)} if is_dataclass(rule) else set()
            for name in sorted(of_rule.keys() - known):
                raise DataError(f"{name!r} is no parameter of the rule {rule!r}")
            self.rule = replace(rule, **of_rule)
        return self

    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Train the estimator and fit the rule, each on rows of its own; returns self.

        X and y are what the estimator takes. `sample_weight` (n,) is for both; rows of weight 0 are
        left out before rows are set aside, or folds are drawn by number. `groups` (n,) are for a
        ``PredictionSet(conditional="group")``. Raises `ValueError` for bad input.
        """
        if isinstance(self.rule, type) or not hasattr(self.rule, "decide"):
            raise DataError(f"rule is {self.rule!r}; expected a rule, such as Argmax()")
        X, y = indexable(X, y)
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if groups is not None:
            if getattr(self.rule, "conditional", None) != "group":
                raise DataError(
                    "groups are given, but the rule is no PredictionSet(conditional='group')"
                )
            groups = checked_groups(groups, len(labels), 0)
        self.rule_, self.calibration_rows_ = self.rule, np.empty(0, dtype=np.intp)
        if isinstance(self.estimator, FrozenEstimator):
            self._take(self.estimator)
            if _learns(self.rule):
                rows = np.arange(len(labels))
                self._fit_rule(self._probabilities(X), rows, labels, weights, groups)
        elif not _learns(self.rule):
            self._take(self._trained(X, labels, weights))
        else:
            self._fit_both(X, labels, weights, groups)
        return self

    def decide(self, X: Any, groups: ArrayLike | None = None) -> Decision:
        """What the rule decides for X (n, d): labels are indices into ``classes_``, or of actions.

        `groups` (n,) are for a ``PredictionSet(conditional="group")``.
        """
        check_is_fitted(self)
        known = {} if groups is None else {"groups": groups}
        return self.rule_.decide(self._probabilities(X), **known)

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray[Any]:
        """Class, or action, of each row of X (n, d), and `unanswered` where there is no answer.

        The result's dtype is object where `unanswered` is of another kind than the classes and the
        rule may leave rows unanswered.
        """
        decision = self.decide(X, groups)
        names = self.classes_
        if isinstance(self.rule_, MinimumCost):
            names = self.rule_.names(names)
        found: NDArray[Any] = names[decision.labels]
        if decision.answered.all() and not getattr(self.rule_, "abstains", False):
            return found
        if np.asarray(self.unanswered).dtype.kind != found.dtype.kind:
            found = found.astype(object)
        return np.where(decision.answered, found, self.unanswered)

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """The estimator's probabilities for each row of X (n, d): shape (n, k)."""
        check_is_fitted(self)
        return self._probabilities(X)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of rows that are answered, and rightly."""
        right = self.predict(X) == np.asarray(y)
        weights = None if sample_weight is None else np.asarray(sample_weight)
        return float(np.average(right, weights=weights))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = get_tags(self.estimator).input_tags
        return tags

    def _fit_both(
        self,
        X: Any,
        labels: NDArray[Any],
        weights: NDArray[Any] | None,
        groups: NDArray[Any] | None,
    ) -> None:
        """The estimator and a rule that learns, on the rows of weight above 0."""
        is_share = isinstance(self.cv, Real) and not isinstance(self.cv, Integral)
        draws = is_share or isinstance(self.cv, Integral)
        rows = np.arange(len(labels))
        if weights is not None and draws and not weights.all():
            rows = np.flatnonzero(weights)
            X, labels, weights = _safe_indexing(X, rows), labels[rows], weights[rows]
            groups = None if groups is None else groups[rows]
        fit = self._fit_apart if is_share else self._fit_crosswise
        fit(X, labels, weights, groups)
        self.calibration_rows_ = rows[self.calibration_rows_]

    def _fit_apart(
        self,
        X: Any,
        labels: NDArray[Any],
        weights: NDArray[Any] | None,
        groups: NDArray[Any] | None,
    ) -> None:
        if not 0 < self.cv < 1:
            raise DataError(f"cv is {self.cv!r}; expected a share in (0, 1), or folds")
        random = check_random_state(self.random_state)
        apart = set_apart(labels, self.cv, random)
        train, rows = np.flatnonzero(~apart), np.flatnonzero(apart)
        kept = None if weights is None else weights[train]
        self._take(self._trained(_safe_indexing(X, train), labels[train], kept))
        probabilities = self._probabilities(_safe_indexing(X, rows))
        self._fit_rule(probabilities, rows, labels, weights, groups)

    def _fit_crosswise(
        self,
        X: Any,
        labels: NDArray[Any],
        weights: NDArray[Any] | None,
        groups: NDArray[Any] | None,
    ) -> None:
        self._take(self._trained(X, labels, weights))
        probabilities = np.zeros((len(labels), len(self.classes_)))
        for fold in fitted_folds(self.estimator, X, labels, cv=self.cv, sample_weight=weights):
            found = fold.model.predict_proba(fold.features)
            probabilities[np.ix_(fold.held_out, fold.present)] = found
        if hasattr(self.rule, "cross_fitted"):
            self.rule_ = replace(self.rule, cross_fitted=True)  # type: ignore[type-var]
        self._fit_rule(probabilities, np.arange(len(labels)), labels, weights, groups)

    def _trained(self, X: Any, labels: NDArray[Any], weights: NDArray[Any] | None) -> Any:
        return clone(self.estimator).fit(X, labels, **self._parameters(weights))

    def _parameters(self, weights: NDArray[Any] | None) -> dict[str, Any]:
        if weights is None:
            return {}
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise DataError(
                f"{type(self.estimator).__name__} takes no sample_weight; leave it out, or train "
                "the estimator before and hand in FrozenEstimator(estimator)"
            )
        return {"sample_weight": weights}

    def _take(self, estimator: Any) -> None:
        """Keep the trained estimator, and what scikit-learn wants to know of it."""
        if not hasattr(estimator, "predict_proba"):
            raise DataError(
                f"{type(estimator).__name__} has no predict_proba, which a rule decides on; wrap "
                "it in sklearn.calibration.CalibratedClassifierCV"
            )
        self.estimator_ = estimator
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def _fit_rule(
        self,
        probabilities: NDArray[np.floating],
        rows: NDArray[np.intp],
        labels: NDArray[Any],
        weights: NDArray[Any] | None,
        groups: NDArray[Any] | None,
    ) -> None:
        """Fit the rule to these rows and their probabilities."""
        known = np.isin(labels[rows], self.classes_)
        if not known.all():
            row = rows[int((~known).argmax())]
            raise DataError(f"row {row}: the estimator does not know the class {labels[row]}")
        indices = np.searchsorted(self.classes_, labels[rows])
        parts: dict[str, Any] = {} if weights is None else {"sample_weight": weights[rows]}
        if groups is not None:
            parts["groups"] = groups[rows]
        self.rule_ = self.rule_.fit(probabilities, indices, **parts)  # type: ignore[attr-defined]
        self.calibration_rows_ = rows

    def _probabilities(self, X: Any) -> NDArray[np.floating]:
        probabilities: NDArray[np.floating] = self.estimator_.predict_proba(X)
        return probabilities


def set_apart(labels: NDArray[Any], share: float, random: np.random.RandomState) -> Bools:
    """Draw rows with this probability each, in every class nearly this share; (n,) booleans.

    Rows are ordered by class, at random within each, and taken at equal distances. Where that would
    be all rows of a class, it keeps them.
    """
    n = len(labels)
    _, classes = np.unique(labels, return_inverse=True)
    order = np.lexsort((random.uniform(size=n), classes))
    apart = np.empty(n, dtype=bool)
    apart[order] = np.diff(np.floor(np.arange(n + 1) * share + random.uniform())) > 0
    left = np.bincount(classes[~apart], minlength=classes.max() + 1)
    return np.asarray(apart & (left[classes] > 0))


def _learns(rule: Rule) -> bool:
    return bool(getattr(rule, "learns", hasattr(rule, "fit")))
