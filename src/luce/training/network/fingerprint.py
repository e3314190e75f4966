"""What fit it is: settings in words, and data by their shape, dtype and checksum."""

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.kernels.sparse import csr_arrays
from luce.scorers.network import Network
from luce.training.network.result import NetworkState

if TYPE_CHECKING:
    from luce.scorers.layer import Features


def fit_description(
    network: Network,
    features: "Features",
    targets: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    state: NetworkState,
    **settings: object,
) -> dict[str, str]:
    """Words that are equal for fits which go the same way, however often they are begun.

    The data are read once, at some GB/s: their checksum (CRC-32) tells other data apart, unless
    somebody means to deceive.
    """
    return {
        **{name: repr(value) for name, value in settings.items()},
        "layers": repr(network.layers),
        "map": repr(network.map),
        "features": _described(features),
        "targets": _described(targets),
        "sample_weight": "None" if sample_weight is None else _described(sample_weight),
        "start": _start(state),
    }


def _described(array: "Features") -> str:
    parts = [array] if isinstance(array, np.ndarray) else csr_arrays(array)
    kind = "array" if isinstance(array, np.ndarray) else "CSR matrix"
    return f"{array.dtype} {kind} of shape {array.shape} and checksum {_checksum(*parts)}"


def _start(state: NetworkState) -> str:
    arrays = [state.parameters, *state.moments]
    if state.average is not None:
        arrays.append(state.average)
    numbers = (state.averaged, state.steps, state.rows, state.patience, state.random)
    checksum = _checksum(*arrays, np.frombuffer(repr(numbers).encode(), np.uint8))
    return f"weights and random numbers of checksum {checksum}"


def _checksum(*arrays: NDArray[Any]) -> str:
    checksum = 0
    for array in arrays:
        checksum = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, checksum)
    return f"{checksum:08x}"
