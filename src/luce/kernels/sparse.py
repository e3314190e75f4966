"""Sparse matrices as the kernels take them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def csr_arrays(matrix: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """``data``, ``indices`` and ``indptr`` of a CSR matrix, copied only where they do not lie well.

    Indices may be in any order and repeat: nothing is sorted or added up, in the matrix or here.
    """
    data, indices, indptr = (
        np.require(array, requirements=["C", "A"])
        for array in (matrix.data, matrix.indices, matrix.indptr)
    )
    return data, indices, indptr
