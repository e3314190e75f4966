"""What a `Network` is made of and takes, refused where it does not fit."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce.errors import DataError
from luce.losses import _checks as checks
from luce.maps.map import Map
from luce.maps.softmax_map import Softmax
from luce.scorers.chain import width
from luce.scorers.layer import Array, Features, Layers
from luce.scorers.layers import Dense


def check_layers(layers: object) -> None:
    """A tuple of layers that fit their neighbours, the last of which gives scores."""
    if not isinstance(layers, tuple) or not layers:
        raise DataError(f"layers is {layers!r}; expected a tuple of at least one layer")
    last = layers[-1]
    # The gradient of the scores takes their place: no layer may have kept them.
    if not isinstance(last, Dense) or last.activation.name != "identity":
        raise DataError(
            f"the last layer is {last!r}; expected a Dense one without an activation, whose "
            "outputs are the scores"
        )
    width(layers)


def check_parameters(parameters: object, count: int) -> None:
    """One vector of `count` floats, side by side."""
    if not isinstance(parameters, np.ndarray) or parameters.dtype.char not in "fd":
        found = getattr(parameters, "dtype", type(parameters).__name__)
        raise DataError(f"parameters are {found}; expected an array of float32 or float64")
    if parameters.shape != (count,):
        raise DataError(
            f"parameters have shape {parameters.shape}; expected ({count},), as many as the "
            "layers have together"
        )
    plain = parameters.flags.c_contiguous and parameters.flags.aligned
    if not (plain and parameters.dtype.isnative):
        raise DataError(
            "parameters do not lie side by side in the machine's own order; pass "
            "numpy.ascontiguousarray(parameters, dtype) of them"
        )


def check_map(map: object) -> None:
    """A map of rows with one temperature for all of them."""
    # A protocol is asked attribute by attribute: that takes longer than a small batch.
    if not isinstance(map, Softmax) and (isinstance(map, type) or not isinstance(map, Map)):
        raise DataError(f"map is {map!r}; expected a value such as luce.Softmax()")
    if getattr(map, "axis", -1) not in (-1, 1) or np.ndim(getattr(map, "temperature", 1.0)):
        raise DataError(f"map is {map!r}; expected one temperature, and classes in the last axis")


def check_features(features: Features, layers: Layers, dtype: np.dtype[Any]) -> None:
    """An array or a CSR matrix of the parameters' dtype, as wide as the layers take."""
    dense = isinstance(features, np.ndarray)
    if not dense and getattr(features, "format", None) != "csr":
        found = type(features).__name__
        raise DataError(f"features are a {found}; expected an array or a CSR matrix")
    if features.ndim != 2 or features.dtype != dtype:
        raise DataError(
            f"features have shape {features.shape} and dtype {features.dtype}; expected (rows, "
            f"features) in {dtype}, the dtype of the parameters"
        )
    try:
        width(layers, features.shape[1])
    except DataError as error:
        raise DataError(f"features of shape {features.shape} do not fit {error}") from None
    if not dense:
        _check_csr(features, layers[0])


def _check_csr(features: Any, first: object) -> None:
    if not isinstance(first, Dense):
        raise DataError(f"the first layer is {first!r}; CSR features need a Dense one")
    # SciPy's product trusts the indices.
    indices = features.indices
    if len(indices) and (indices.min() < 0 or indices.max() >= features.shape[1]):
        raise DataError(
            f"the CSR features have indices from {indices.min()} to {indices.max()}; expected "
            f"columns from 0 to {features.shape[1] - 1}"
        )


def checked_targets(targets: ArrayLike, rows: int, classes: int, dtype: np.dtype[Any]) -> Array:
    """Labels as int64, each a class; or distributions in the scores' dtype."""
    aims = checks.checked_labels(targets, (rows, classes))
    if aims.ndim == 2:
        return np.ascontiguousarray(aims, dtype)
    outside = (aims < 0) | (aims >= classes)
    if outside.any():
        row = int(outside.argmax())
        raise checks.label_out_of_range(row, int(aims[row]), classes)
    return aims.astype(np.int64, copy=False)


def checked_weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float64]:
    """Weights of the rows, divided by their sum."""
    if sample_weight is None:
        return np.full(rows, 1 / max(rows, 1))
    weights = checks.checked_sample_weight(sample_weight, rows)
    return weights / checks.divisor_of(weights, rows, "mean")


def checked_smoothing(label_smoothing: object) -> float:
    """A number from 0 to 1."""
    return checks.checked_number(label_smoothing, "label_smoothing", "a number from 0 to 1", 1)
