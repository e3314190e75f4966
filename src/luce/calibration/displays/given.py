"""What displays are given, in scikit-learn's convention: labels as users have them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from luce.calibration.rows import Integers
from luce.errors import DataError


def as_indices(
    y_true: npt.ArrayLike, y_prob: npt.ArrayLike, classes: npt.ArrayLike | None
) -> tuple[Integers, npt.NDArray[Any], list[Any]]:
    """Class indices, probabilities (n, k), and the classes' names.

    Raises
    ------
    DataError
        A label that is none of the classes, or not as many classes as columns.
    """
    table = np.asarray(y_prob)
    if table.ndim == 1 and table.dtype.kind == "f":
        table = np.stack([1 - table, table], axis=1)
    labels = np.asarray(y_true)
    if table.ndim != 2 or labels.ndim != 1:
        raise DataError(
            f"y_true has shape {labels.shape} and y_prob {table.shape}; expected (n,) and (n, k), "
            "or of two classes (n,), the probability of the second"
        )
    if classes is None:
        if labels.dtype.kind not in "iu":
            raise DataError(
                f"y_true has dtype {labels.dtype}; expected class indices, or classes=, the name "
                "of each column of y_prob"
            )
        return labels, table, list(range(table.shape[1]))
    names = np.asarray(classes).tolist()
    if len(names) != table.shape[1]:
        raise DataError(f"there are {len(names)} classes; y_prob has {table.shape[1]} columns")
    index = {name: place for place, name in enumerate(names)}
    found = np.array([index.get(name, -1) for name in labels.tolist()], np.intp)
    if (found < 0).any():
        row = int((found < 0).argmax())
        raise DataError(f"row {row}: the label {labels[row]!r} is none of the classes")
    return found, table, names


def predicted_by(estimator: Any, X: Any) -> tuple[npt.NDArray[Any], Any, str]:
    """The probabilities of a fitted classifier, its classes, and the name of its type."""
    return estimator.predict_proba(X), estimator.classes_, type(estimator).__name__
