"""What a fit of a network may be given: looked at once, before the first step."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.scorers.chain import width
from luce.scorers.network import Network

if TYPE_CHECKING:
    from luce.scorers.layer import Features


def check_rows(
    network: Network,
    features: "Features",
    targets: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
) -> None:
    """Refuse features, targets and weights that do not fit the network or each other."""
    dtype = network.parameters.dtype
    is_dense = isinstance(features, np.ndarray)
    if not is_dense and getattr(features, "format", None) != "csr":
        raise DataError(f"features are {type(features).__name__}; expected an array or CSR matrix.")
    if features.ndim != 2 or features.dtype != dtype:
        raise DataError(
            f"features have shape {features.shape} and dtype {features.dtype}; expected (rows, "
            f"features) and {dtype}, that of the network's parameters."
        )
    if isinstance(features, np.ndarray) and not features.flags.c_contiguous:
        raise DataError("features are not C-contiguous: use numpy.ascontiguousarray.")
    width(network.layers, features.shape[1])
    rows, classes = features.shape[0], network.classes
    if targets.ndim == 1:
        good = targets.dtype == np.int64 and targets.shape == (rows,)
    else:
        good = targets.dtype == dtype and targets.shape == (rows, classes)
    if not good:
        raise DataError(
            f"targets have shape {targets.shape} and dtype {targets.dtype}; expected ({rows},) "
            f"labels of int64, or ({rows}, {classes}) distributions of {dtype}."
        )
    if sample_weight is not None:
        if sample_weight.shape != (rows,) or sample_weight.dtype != np.float64:
            raise DataError(
                f"sample_weight has shape {sample_weight.shape} and dtype {sample_weight.dtype}; "
                f"expected ({rows},) and float64."
            )
        if not (np.isfinite(sample_weight) & (sample_weight >= 0)).all():
            raise DataError("sample_weight is negative or not finite; expected numbers from 0 up.")
        with np.errstate(over="ignore"):
            mean = sample_weight.mean() if rows else 0.0
        if mean and not 1e-290 < mean < 1e290:
            raise DataError("sample_weight is beyond all bounds: bring the weights nearer 1.")
    if not (rows if sample_weight is None else sample_weight.any()):
        raise DataError("there are no rows of positive weight to learn from.")
    if targets.ndim == 1 and not (targets.min() >= 0 and targets.max() < classes):
        row = int(np.argmax((targets < 0) | (targets >= classes)))
        raise DataError(
            f"row {row + 1} has label {targets[row]}; expected a class from 0 to {classes - 1}, of "
            "which the network has as many."
        )


def check_numbers(
    *, positive: dict[str, float], counts: dict[str, int], not_negative: dict[str, float]
) -> None:
    """Refuse settings out of range, each by its name."""
    for name, value in positive.items():
        if not value > 0:
            raise DataError(f"{name} must be positive, got {value!r}.")
    for name, count in counts.items():
        if count < 1:
            raise DataError(f"{name} must be at least 1, got {count!r}.")
    for name, value in not_negative.items():
        if not 0 <= value < np.inf:
            raise DataError(f"{name} must be at least 0 and finite, got {value!r}.")
