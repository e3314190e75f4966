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


def csr_matrix(matrix: Any) -> Any:
    """Any sparse matrix as CSR; the matrix itself if it is.

    Raises ValueError where the indices of a CSC matrix are not rows: SciPy would trust them.
    """
    if getattr(matrix, "format", None) == "csc":
        rows, columns = matrix.shape
        indices, indptr = matrix.indices, matrix.indptr
        entries = min(len(indices), len(matrix.data))
        if len(indptr) != columns + 1 or indptr[0] != 0 or indptr[-1] > entries:
            raise ValueError("indptr does not fit the number of columns and entries")
        if (np.diff(indptr) < 0).any():
            raise ValueError("indptr descends")
        used = indices[: indptr[-1]]
        outside = (used < 0) | (used >= rows)
        if outside.any():
            at = int(outside.argmax())
            raise ValueError(f"indices[{at}] is {used[at]}; expected a row from 0 to {rows - 1}")
    return matrix.tocsr()
