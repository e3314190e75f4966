"""The rows that a network is fitted to or measured on: read from X, y and weights, and split."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    column_or_1d,
    validate_data,
)

from luce.errors import DataError
from luce.losses._checks import target_sum_tolerance

if TYPE_CHECKING:
    from luce.scorers.linear import Features

FLOATS = (np.float64, np.float32)


@dataclass(frozen=True, eq=False)
class Rows:
    """Features and what they are to be taken for.

    Attributes
    ----------
    features : array or CSR array of shape (n, d)
        float32 or float64; C-contiguous if dense.
    targets : array
        Labels, int64 of shape (n,), or distributions of shape (n, k) in the features' dtype.
    weights : array of shape (n,), optional
        float64; rows of weight 0 are as if they were not there.
    """

    features: "Features"
    targets: NDArray[Any]
    weights: NDArray[np.float64] | None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def are_labelled(self) -> bool:
        """Whether the targets are labels."""
        return self.targets.ndim == 1

    def weighted(self, of_classes: NDArray[np.float64]) -> "Rows":
        """The same rows, their weights times those of their classes, by the most likely class."""
        labels = self.targets if self.are_labelled else self.targets.argmax(axis=1)
        weights = of_classes[labels] if self.weights is None else self.weights * of_classes[labels]
        return Rows(self.features, self.targets, weights)

    def places(self) -> NDArray[np.intp]:
        """Where the rows are that have some weight."""
        weights = self.weights
        return np.arange(len(self)) if weights is None else np.flatnonzero(weights)

    def take(self, places: NDArray[np.intp]) -> "Rows":
        """A copy of some rows."""
        weights = None if self.weights is None else self.weights[places]
        return Rows(self.features[places], self.targets[places], weights)

    def without(self, places: NDArray[np.intp]) -> "Rows":
        """The same rows, of which some have weight 0 now."""
        weights = np.ones(len(self)) if self.weights is None else self.weights.copy()
        weights[places] = 0.0
        return Rows(self.features, self.targets, weights)


def read_rows(
    estimator: Any,
    X: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    *,
    classes: NDArray[Any] | None = None,
    reset: bool = True,
    dtype: DTypeLike | tuple[DTypeLike, ...] = FLOATS,
) -> tuple[Rows, NDArray[Any]]:
    """Rows as scikit-learn validates them, and the classes.

    Without `classes` they are those of `y`. With `reset` the estimator learns the number and the
    names of the features, otherwise X is held against them.

    Raises
    ------
    ValueError
        As scikit-learn raises it for X and y; `DataError` for many labels a row, soft targets that
        are no distributions, a label that is no class, or no weight at all.
    """
    given: Any = y if issparse(y) else np.asarray(y)
    _refuse_many_labels(given)
    like = {"accept_sparse": "csr", "dtype": dtype, "order": "C", "reset": reset}
    if given.ndim == 2 and given.shape[1] > 1 and given.dtype.kind == "f":
        features = validate_data(estimator, X, **like)
        targets = _distributions(given, features)
        classes = np.arange(targets.shape[1]) if classes is None else classes
        if targets.shape[1] != len(classes):
            raise DataError(
                f"y has {targets.shape[1]} columns of soft targets; expected {len(classes)}, one "
                "for each class."
            )
    else:
        features, labels = validate_data(estimator, X, y, **like)
        check_classification_targets(labels)
        classes = np.unique(labels) if classes is None else classes
        targets = _indices(labels, classes)
    if sample_weight is None:
        return Rows(features, targets, None), classes
    weights = _check_sample_weight(
        sample_weight, features, dtype=np.float64, ensure_non_negative=True, copy=True
    )
    if not weights.any():
        raise DataError("all rows have weight 0; give some a positive weight.")
    return Rows(features, targets, weights), classes


def class_weights(
    rows: Rows, classes: NDArray[Any], class_weight: dict[Any, float] | str
) -> NDArray[np.float64]:
    """The weight of each class, "balanced" by the weights of the rows; raises `DataError`."""
    if not rows.are_labelled:
        raise DataError(
            "class_weight is of labels, and y are soft targets; weigh the rows with sample_weight."
        )
    weights: NDArray[np.float64] = compute_class_weight(
        class_weight, classes=classes, y=classes[rows.targets], sample_weight=rows.weights
    )
    if not (weights > 0).all():
        wrong = weights.argmin()
        raise DataError(
            f"class_weight of {_shown(classes, wrong)} is {weights[wrong]}; expected a number "
            "above 0."
        )
    return weights


def require_all_classes(rows: Rows, classes: NDArray[Any]) -> None:
    """Raise `DataError` unless there are two classes or more, each with a row of some weight."""
    _require_two(classes)
    if rows.are_labelled:
        counts = np.bincount(rows.targets, rows.weights, minlength=len(classes))
        if not counts.all():
            raise DataError(
                f"class {_shown(classes, counts.argmin())} has no row of positive weight: give it "
                "some, or leave the class out."
            )


def classes_to_come(given: ArrayLike | None, known: NDArray[Any] | None) -> NDArray[Any] | None:
    """The classes of a call of `partial_fit`, which may tell them once more; raises `DataError`."""
    if given is None:
        return known
    classes = np.unique(column_or_1d(given))
    _require_two(classes)
    if known is not None and not np.array_equal(classes, known):
        raise DataError(
            f"classes are {classes.tolist()}, and were {known.tolist()} in the calls before; they "
            "can not change."
        )
    return classes


def split_off(
    rows: Rows, fraction: float, random_state: np.random.RandomState
) -> tuple[Rows, Rows]:
    """Training rows, and a fraction held out at random: of every class the same, if labelled."""
    places = rows.places()
    try:
        _, held_out = train_test_split(
            places,
            test_size=fraction,
            random_state=random_state,
            stratify=rows.targets[places] if rows.are_labelled else None,
        )
    except ValueError as error:
        raise DataError(
            f"validation_fraction={fraction} of {len(places)} rows cannot be held out: {error}. "
            "Pass validation_data to fit, or set early_stopping=False."
        ) from error
    held_out.sort()
    return rows.without(held_out), rows.take(held_out)


def _refuse_many_labels(y: Any) -> None:
    if issparse(y) or (y.ndim == 2 and y.shape[1] > 1 and y.dtype.kind in "biu"):
        raise DataError(
            f"y has shape {y.shape}: several labels a row (multilabel) are not learnt. Give one "
            "label a row, or soft targets: floats whose rows sum to 1; for multilabel wrap the "
            "classifier in sklearn.multioutput.MultiOutputClassifier."
        )


def _distributions(y: NDArray[Any], features: "Features") -> NDArray[Any]:
    targets: NDArray[Any] = check_array(y, dtype=features.dtype, order="C", input_name="y")
    check_consistent_length(features, targets)
    if targets.min() < 0:
        row, column = np.unravel_index(targets.argmin(), targets.shape)
        raise DataError(
            f"row {row + 1} of y has {targets[row, column]} in column {column + 1}; expected soft "
            "targets from 0 up."
        )
    sums = targets.sum(axis=1, dtype=np.float64)
    wrong = np.abs(sums - 1) > target_sum_tolerance(targets.dtype)
    if wrong.any():
        row = wrong.argmax()
        raise DataError(
            f"row {row + 1} of y sums to {sums[row]:.6g}; expected soft targets whose rows sum to "
            "1 (several labels a row, multilabel, are not learnt)."
        )
    return targets


def _indices(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    places = {label: place for place, label in enumerate(classes.tolist())}
    labels, which = np.unique(y, return_inverse=True)
    indices = np.array([places.get(label, -1) for label in labels.tolist()], np.int64)[which]
    if (indices < 0).any():
        row = indices.argmin()
        raise DataError(
            f"row {row + 1} of y has the label {_shown(y, row)}, which is none of the "
            f"{len(classes)} classes: {', '.join(map(repr, classes[:10].tolist()))}"
            f"{', ...' if len(classes) > 10 else ''}."
        )
    return indices


def _require_two(classes: NDArray[Any]) -> None:
    if len(classes) < 2:
        raise DataError(
            f"y has one class only, {_shown(classes, 0)}: a classifier needs rows of at least two."
        )


def _shown(labels: NDArray[Any], place: Any) -> str:
    return repr(labels[[place]].tolist()[0])
