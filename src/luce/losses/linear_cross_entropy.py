"""The cross-entropy of a linear classifier and its gradients, without its scores in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.sparse import csr_arrays, csr_matrix
from luce.kernels.threads import num_threads
from luce.losses import _checks as checks

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix

    Sparse: TypeAlias = sparray | spmatrix

Array = NDArray[Any]
Csr = tuple[Array, Array, Array]
ClassWeight = ArrayLike | Mapping[int, float]

MOST_WIDE = 1 << 22  # coefficients whose gradient is summed up in float64: it takes 32 MB


@dataclass(frozen=True)
class LinearCrossEntropy:
    """What `linear_cross_entropy` found.

    Attributes
    ----------
    value : float
    coef : ndarray of shape (k, d)
        Gradient with respect to the coefficients, in their dtype.
    intercept : float64 ndarray of shape (k,)
        Gradient with respect to the intercept, also where none was given.
    features : ndarray of shape (n, d), or None
        Gradient with respect to the features, in the dtype of the coefficients, if asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.losses import linear_cross_entropy
    >>> linear_cross_entropy(np.eye(2), np.zeros((2, 2)), [0, 1]).intercept
    array([0., 0.])
    """

    value: float
    coef: Array
    intercept: NDArray[np.float64]
    features: Array | None


def linear_cross_entropy(
    features: "ArrayLike | Sparse",
    coef: ArrayLike,
    labels: ArrayLike,
    intercept: ArrayLike | None = None,
    *,
    class_weight: ClassWeight | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "sum"] = "mean",
    features_gradient: bool | None = None,
) -> LinearCrossEntropy:
    """``cross_entropy(features @ coef.T + intercept, labels)`` and all its gradients in one pass.

    With residuals r_i = s_i (softmax(scores_i) - t_i), s the sample weights and t the targets,
    and divided by the sum of s for "mean", the gradients are ``r.T @ features`` for the
    coefficients, the sum of r over the rows for the intercept, and ``r @ coef`` for the features.
    With class weights v it is r_i = s_i ((sum_c v_c t_ic) softmax(scores_i) - v * t_i), as in
    `cross_entropy`. Only some rows have scores at a time: beside its results the call takes some
    tens of MB, whatever n and k, and of sparse features it goes through the entries alone.

    In float32 the gradients are those of the scores, themselves rounded to float32, up to 1e-6 of
    what they are sums of: of ``abs(r).T @ abs(features)``, the sum of abs(r), and
    ``abs(r) @ abs(coef)``. (That is what random data show; of more than 4 million coefficients the
    gradient is summed up over stretches of rows in float32, and grows less exact with n.) Scores
    off by e change p - y by about e p, in a row of its own direction: with few rows to a class that
    shows first.

    Parameters
    ----------
    features : array_like or sparse matrix of shape (n, d), float32 or float64
        In any layout; other real numbers become float64. A CSR matrix is used as it is, with its
        indices in any order and repeated ones added up; a CSC or other one is converted for the
        call.
    coef : array_like of shape (k, d)
        Products are computed in float32 if features and coef both are, in float64 otherwise.
    labels : array_like of shape (n,) or (n, k)
        Class indices from 0 to k - 1, or soft targets: every row non-negative with sum 1.
    intercept : array_like of shape (k,), optional
        0 when absent.
    class_weight : array_like of shape (k,), or mapping from class index to weight, optional
        v, finite and not negative; 1 when absent, and for a class that the mapping does not name.
        With labels and no smoothing it is a further weight of the row.
    sample_weight : array_like of shape (n,), optional
        s, finite and not negative; 1 when absent.
    label_smoothing : float, default 0.0
        From 0 to 1: how much of every target is shared out equally.
    reduction : {"mean", "sum"}, default "mean"
        The mean is over the sum of the rows' weights, s_i times sum_c v_c y_ic, which is v of the
        label; over rows of no weight it is 0.
    features_gradient : bool, optional
        Whether the gradient with respect to the features is wanted: a third of the work. By
        default it is, but for sparse features, whose gradient would be dense and is not to be had.

    Returns
    -------
    LinearCrossEntropy
        The value and the gradients; not finite where features or coefficients are not, or
        scores overflow.

    Raises
    ------
    DataError
        A label that is no class, weights or shapes that do not fit, an option out of its range;
        a sparse matrix with an index outside its shape.

    See Also
    --------
    cross_entropy_gradient : of scores that are there already.

    References
    ----------
    E. Wijmans et al., "Cut Your Losses in Large-Vocabulary Language Models", ICLR 2025.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.losses import linear_cross_entropy
    >>> found = linear_cross_entropy([[1.0, 2.0], [3.0, 4.0]], np.zeros((2, 2)), [0, 1])
    >>> round(found.value, 6)
    0.693147
    >>> found.coef
    array([[ 0.5,  0.5],
           [-0.5, -0.5]])
    """
    if reduction not in ("mean", "sum"):
        raise DataError(f"reduction is {reduction!r}; expected 'mean' or 'sum'")
    smoothing = checks.checked_number(label_smoothing, "label_smoothing", "a number from 0 to 1", 1)
    is_sparse = hasattr(features, "tocsr")
    rows: Array | Csr
    if is_sparse:
        rows, (n, d) = _csr_arrays(features)
    else:
        rows = _real_matrix(features, "features")
        n, d = rows.shape
    coef = _real_matrix(coef, "coef")
    k = len(coef)
    if coef.shape[1] != d or not k:
        raise DataError(
            f"coef has shape {coef.shape}; expected (classes, {d}), a row for each class and a "
            "column for each of the features"
        )
    if features_gradient and is_sparse:
        raise DataError(
            "features_gradient is True and the features are sparse, but their gradient is dense: "
            "leave it out, or give features.toarray()"
        )
    real = np.result_type(rows if isinstance(rows, np.ndarray) else rows[0], coef)
    coef = np.ascontiguousarray(coef, real)
    if intercept is not None:
        intercept = np.asarray(intercept)
        if intercept.shape != (k,) or intercept.dtype.kind not in "iuf":
            raise DataError(
                f"intercept is {intercept.dtype} {intercept.shape}; expected {k} real numbers, "
                "one a class"
            )
        intercept = np.ascontiguousarray(intercept, real)
    targets = checks.checked_labels(labels, (n, k))
    if targets.ndim == 2:
        targets = np.require(targets, real, ["A"])
    else:
        outside = (targets < 0) | (targets >= k)
        if outside.any():
            row = int(outside.argmax())
            raise checks.label_out_of_range(row, int(targets[row]), k)
        targets = targets.astype(np.int64, copy=False)
    weights = None if sample_weight is None else checks.checked_sample_weight(sample_weight, n)
    by_class = None if class_weight is None else checks.checked_class_weight(class_weight, k)
    of = checks.kernel_weights(targets, weights, by_class, smoothing, reduction)
    wants_back = not is_sparse and features_gradient is not False
    return _pass(rows, targets, of, coef, intercept, smoothing, wants_back)


def _pass(
    rows: Array | Csr,
    targets: Array,
    of: checks.KernelWeights,
    coef: Array,
    intercept: Array | None,
    smoothing: float,
    wants_back: bool,
) -> LinearCrossEntropy:
    """The kernel for dense features or the one for CSR."""
    bias, threads = np.empty(len(coef)), num_threads()
    if isinstance(rows, np.ndarray):
        gradient = np.empty(coef.shape, np.float64 if coef.size <= MOST_WIDE else coef.dtype)
        back = np.empty(rows.shape, coef.dtype) if wants_back else None
        value = kernels.linear_cross_entropy(
            rows, targets, of.rows, coef, intercept, gradient, bias, back,
            class_weights=of.classes, label_smoothing=smoothing, threads=threads,
        )  # fmt: skip
    else:
        gradient, back = np.empty(coef.shape), None
        try:
            value = kernels.sparse_linear_cross_entropy(
                *rows, targets, of.rows, coef, intercept, gradient, bias,
                class_weights=of.classes, label_smoothing=smoothing, threads=threads,
            )  # fmt: skip
        except ValueError as error:
            raise DataError(f"features are not a sound CSR matrix: {error}") from error
    with np.errstate(over="ignore", under="ignore"):
        return LinearCrossEntropy(value, gradient.astype(coef.dtype, copy=False), bias, back)


def _csr_arrays(given: Any) -> tuple[Csr, tuple[int, int]]:
    """Data, indices and indptr of a sparse matrix, and its shape."""
    if len(given.shape) != 2:
        raise DataError(f"features have shape {given.shape}; expected two axes")
    try:
        data, indices, indptr = csr_arrays(csr_matrix(given))
    except ValueError as error:
        raise DataError(f"features are not a sound CSC matrix: {error}") from error
    data = data.astype(_working_dtype(data.dtype, "features"), copy=False)
    return (data, indices, indptr), given.shape


def _real_matrix(given: ArrayLike, name: str) -> Array:
    array = np.asarray(given)
    if array.ndim != 2:
        raise DataError(f"{name} have shape {array.shape}; expected two axes")
    dtype = _working_dtype(array.dtype, name)
    if array.dtype == dtype and array.flags.aligned:
        return array
    return np.array(array, dtype, order="C")


def _working_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise DataError(f"{name} have dtype {dtype}; expected float32, float64 or integers")
    is_wide = dtype.kind != "f" or dtype.itemsize == 8
    return np.dtype(np.float64 if is_wide else np.float32)
