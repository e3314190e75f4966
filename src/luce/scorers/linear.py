"""features -> scores by one matrix: forward and backward side by side."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array, csr_matrix

    Features: TypeAlias = "NDArray[np.floating] | csr_array | csr_matrix"

Array: TypeAlias = NDArray[np.floating]


def linear(features: "Features", coef: Array, intercept: Array) -> Array:
    """Scores of a linear classifier, ``scores = features @ coef.T + intercept``.

    Parameters
    ----------
    features : array or CSR matrix of shape (n, d), float32 or float64
    coef : array of shape (k, d)
        Cast to the features' dtype, in which the product is computed.
    intercept : array of shape (k,)

    Returns
    -------
    array of shape (n, k), in the features' dtype
        Freshly allocated, C-contiguous: the caller may overwrite it.

    Raises
    ------
    ValueError
        If the shapes do not fit (from NumPy's or SciPy's product).

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import linear
    >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.0, 0.5]))
    array([[1. , 2.5]])
    """
    scores = np.ascontiguousarray(features @ coef.T.astype(features.dtype, copy=False))
    scores += intercept.astype(features.dtype, copy=False)
    return scores


def linear_vjp(features: "Features", cotangent: Array) -> tuple[Array, NDArray[np.float64]]:
    """Backward pass of `linear`: how a change of the scores is felt by the parameters.

    ``coef_gradient = cotangent.T @ features`` and ``intercept_gradient = sum over rows of
    cotangent``. With the cotangent ``p - y`` of a cross-entropy these are its gradients.

    Parameters
    ----------
    features : array or CSR matrix of shape (n, d), float32 or float64
        What `linear` was given.
    cotangent : array of shape (n, k)
        Derivative of a scalar with respect to the scores.

    Returns
    -------
    coef_gradient : array of shape (k, d), in the features' dtype
    intercept_gradient : float64 array of shape (k,)

    Raises
    ------
    ValueError
        If the numbers of rows differ (from NumPy's or SciPy's product).

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import linear_vjp
    >>> linear_vjp(np.array([[1.0, 2.0]]), np.array([[0.5, -0.5]]))
    (array([[ 0.5,  1. ],
           [-0.5, -1. ]]), array([ 0.5, -0.5]))
    """
    return cotangent.T @ features, cotangent.sum(axis=0, dtype=np.float64)
