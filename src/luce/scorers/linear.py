"""features -> scores by one matrix: forward and backward side by side."""

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.kernels.sparse import csr_arrays
from luce.kernels.threads import num_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array, csr_matrix

    Features: TypeAlias = "NDArray[np.floating] | csr_array | csr_matrix"

Array: TypeAlias = NDArray[np.floating]
Answer: TypeAlias = Literal["scores", "softmax", "log_softmax", "argmax"]


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
        If the shapes do not fit, or an index of a CSR matrix is not one of a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import linear
    >>> linear(np.array([[1.0, 2.0]]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.0, 0.5]))
    array([[1. , 2.5]])
    """
    scores = np.empty((features.shape[0], len(coef)), features.dtype)
    linear_into(scores, features, coef, intercept)
    return scores


def linear_into(
    out: NDArray[Any],
    features: "Features",
    coef: Array,
    intercept: Array,
    *,
    answer: Answer = "scores",
    threads: int | None = None,
) -> bool:
    """Write `linear`, or what is asked about its scores, into `out`; never are there all scores.

    Parameters
    ----------
    out : array of shape (n, k) in the features' dtype, or of int64 and shape (n,) for "argmax"
    features, coef, intercept
        As for `linear`.
    answer : {"scores", "softmax", "log_softmax", "argmax"}
    threads : int, optional
        How many may share the work, by default `luce.num_threads()`. The bits are the same for any.

    Returns
    -------
    bool
        Whether the scores of the first class are all finite. They are not where a feature is not.

    Raises
    ------
    ValueError
        If the shapes do not fit, or an index of a CSR matrix is not one of a feature.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import linear_into
    >>> winners = np.empty(2, np.int64)
    >>> linear_into(winners, np.eye(2), np.eye(2)[::-1], np.zeros(2), answer="argmax")
    True
    >>> winners
    array([1, 0])
    """
    dtype = features.dtype
    parameters = coef.astype(dtype, copy=False), np.ascontiguousarray(intercept, dtype)
    threads = num_threads() if threads is None else threads
    if isinstance(features, np.ndarray):
        if not features.flags.aligned:
            features = features.copy()
        return kernels.linear(features, *parameters, out, answer=answer, threads=threads)
    arrays = csr_arrays(features)
    return kernels.sparse_linear(*arrays, *parameters, out, answer=answer, threads=threads)


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
