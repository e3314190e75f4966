"""The loss of `softmax`: minus the logarithm of the probability given to the truth."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.losses import _checks as checks
from luce.maps._rows import threads_for

Array = NDArray[Any]
Reduction = Literal["mean", "sum", "none"]
ClassWeight = ArrayLike | Mapping[int, float]


def cross_entropy(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    class_weight: ClassWeight | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Any:
    """-sum_c t_ic log softmax(scores_i / temperature)_c for every row i, or their mean or sum.

    In full, with z = scores / temperature, the loss of row i is

        s_i [ -sum_c v_c t_ic log softmax(z_i)_c  +  z_loss u_i logsumexp(z_i)^2 ]

    where s are the sample weights, v the class weights, y_i the one-hot label or the soft target,
    t_ic = (1 - label_smoothing) y_ic + label_smoothing / m_i on the m_i classes that can happen
    (score above -inf), and u_i = sum_c v_c y_ic, which is v of the label.

    Parameters
    ----------
    scores : array_like of real numbers, shape (n, k)
        float32 and float64 as they are; integers are computed in float64, float16 and bfloat16 in
        float32.
    labels : array_like, shape (n,) or (n, k)
        Class indices from 0 to k - 1, or soft targets: every row non-negative with sum 1, computed
        in the precision of the scores.
    class_weight : array_like, shape (k,), or mapping from class index to weight, optional
        v, finite and not negative; 1 when absent, and for a class that the mapping does not name.
        With labels and no smoothing it is a further weight of the row.
    sample_weight : array_like, shape (n,), optional
        s, finite and not negative; 1 when absent.
    label_smoothing : float, default 0.0
        From 0 to 1: how much of every target is shared out equally.
    ignore_index : int, optional
        Rows with this label have weight 0; it need not be a class. Not for soft targets.
    z_loss : float, default 0.0
        At least 0: how much the logarithm of softmax's denominator is drawn towards 0.
    temperature : float, default 1.0
        Above 0 and finite: the gradient is divided by it, so at 0, where softmax is argmax, there
        is none, and at infinity it is 0 whatever the scores.
    reduction : {"mean", "sum", "none"}, default "mean"
        "mean" divides by the sum of s_i u_i, the weights of the rows. Where that is 0 (every row
        ignored, or none there) the mean is 0 and so is its gradient: there is nothing to learn.

    Returns
    -------
    numpy.float64, or ndarray of float64 of shape (n,) for "none"
        Never negative, and free of cancellation: a loss of 1e-30 has all its digits. Infinite
        where the truth is a class that cannot happen (score -inf), and NaN where a score is. A row
        of weight 0 is left out, 0 whatever its scores.

    Raises
    ------
    DataError
        A label that is no class, or targets, weights or shapes that do not fit: the message names
        the row. An option out of its range. Weights whose sum overflows.

    See Also
    --------
    cross_entropy_gradient : the value and its gradient in one pass.

    Notes
    -----
    Without z_loss this is what torch.nn.functional.cross_entropy computes, but for the mean over
    soft targets with class weights, which torch divides by n, and the mean over no weight, which is
    NaN there; and torch smooths over classes that cannot happen too.

    References
    ----------
    C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016
    (label smoothing). A. Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways",
    JMLR 24, 2023, section 5 (z_loss).

    Examples
    --------
    >>> from luce.losses import cross_entropy
    >>> float(cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, 0]).round(6))
    1.587758
    >>> cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, 0], reduction="none").round(6)
    array([0.126928, 3.048587])
    >>> float(cross_entropy([[2.0, 0.0], [0.0, 3.0]], [0, -1], ignore_index=-1).round(6))
    0.126928
    """
    return _evaluate(
        scores,
        labels,
        class_weight,
        sample_weight,
        label_smoothing,
        ignore_index,
        z_loss,
        temperature,
        reduction,
        with_gradient=False,
    )[0]


def cross_entropy_gradient(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    class_weight: ClassWeight | None = None,
    sample_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    z_loss: float = 0.0,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
    out: Array | None = None,
) -> tuple[Any, Array]:
    """`cross_entropy` and its gradient, softmax(scores_i) - y_i when no option is set, in one pass.

    In full, in the letters of `cross_entropy` and before the reduction:

        s_i / temperature [ (sum_c v_c t_ic + 2 z_loss u_i logsumexp(z_i)) softmax(z_i) - v * t_i ]

    Parameters
    ----------
    scores, labels, class_weight, sample_weight, label_smoothing, ignore_index
        As for `cross_entropy`.
    z_loss, temperature, reduction
        As for `cross_entropy`.
    out : ndarray, shape (n, k), optional
        Takes the gradient; may be `scores` itself. Of the gradient's dtype. Nothing is written to
        it when an error is raised.

    Returns
    -------
    value : numpy.float64, or ndarray of float64 of shape (n,) for "none"
        As `cross_entropy` returns it.
    gradient : ndarray, shape (n, k)
        With respect to the scores, and of their dtype (float64 for integers); `out` if given. For
        "none" that of the sum. The entry of the label keeps its digits also where its probability
        is nearly 1. What would be subnormal in the dtype computed in is 0. A row without a possible
        class and a row of weight 0 have gradient 0, a row with NaN or +inf has NaN.

    Raises
    ------
    DataError
        As `cross_entropy`; and when `out` does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.losses import cross_entropy_gradient
    >>> value, gradient = cross_entropy_gradient([[0.0, 0.0], [0.0, 0.0]], [0, 1])
    >>> gradient
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    >>> scores = np.zeros((1, 2))
    >>> value, gradient = cross_entropy_gradient(scores, [0], out=scores)
    >>> scores
    array([[-0.5,  0.5]])
    """
    return _evaluate(
        scores,
        labels,
        class_weight,
        sample_weight,
        label_smoothing,
        ignore_index,
        z_loss,
        temperature,
        reduction,
        with_gradient=True,
        out=out,
    )


def _evaluate(
    scores: ArrayLike,
    labels: ArrayLike,
    class_weight: ClassWeight | None,
    sample_weight: ArrayLike | None,
    label_smoothing: float,
    ignore_index: int | None,
    z_loss: float,
    temperature: float,
    reduction: str,
    *,
    with_gradient: bool,
    out: Array | None = None,
) -> tuple[Any, Array]:
    """Check everything, make the kernels' weights and targets, run one, hand out its results."""
    if reduction not in ("mean", "sum", "none"):
        raise DataError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")
    smoothing = checks.checked_number(label_smoothing, "label_smoothing", "a number from 0 to 1", 1)
    z_loss = checks.checked_number(z_loss, "z_loss", "a finite number of at least 0")
    temperature = checks.checked_temperature(temperature)
    matrix, dtype, owned = checks.checked_scores(scores)
    rows, classes = matrix.shape
    if out is not None:
        checks.checked_out(out, matrix.shape, dtype)
    targets = checks.checked_labels(labels, matrix.shape)
    weights = None
    if sample_weight is not None:
        weights = checks.checked_sample_weight(sample_weight, rows)
    if ignore_index is not None:
        ignored = checks.ignored_rows(ignore_index, targets)
        targets[ignored] = 0
        weights = np.where(ignored, 0.0, 1.0 if weights is None else weights)
        if not classes and ignored.all():  # then not even the 0 is in range
            nothing, empty = np.zeros(rows), np.empty(matrix.shape, dtype) if out is None else out
            return (nothing if reduction == "none" else nothing.sum()), empty

    losses = np.empty(rows)
    gradient = None
    if with_gradient:
        gradient = matrix if owned else _place(out, matrix, targets, weights)
    by_class = None
    if class_weight is not None:
        by_class = checks.checked_class_weight(class_weight, classes)
    of = checks.kernel_weights(targets, weights, by_class, smoothing, reduction)
    options = {"temperature": temperature, "z_loss": z_loss, "label_smoothing": smoothing}
    threads = threads_for(matrix.size)
    if targets.ndim == 1:
        given = targets.astype(np.int64, copy=False)
    else:
        given = np.require(targets, matrix.dtype, ["A"])
    if targets.ndim == 1 and of.classes is None:
        row = kernels.cross_entropy(
            matrix, given, of.rows, losses, gradient, threads=threads, **options
        )
        if row >= 0:
            raise checks.label_out_of_range(row, int(targets[row]), classes)
    else:
        kernels.cross_entropy_soft(
            matrix,
            given,
            of.rows,
            losses,
            gradient,
            class_weights=of.classes,
            masses=of.masses if z_loss else None,
            threads=threads,
            **options,
        )
    value = losses if reduction == "none" else np.add.reduce(losses)
    return value, losses if gradient is None else _handed_out(gradient, out, dtype)


def _place(out: Array | None, matrix: Array, *others: Array | None) -> Array:
    """Where the kernel writes the gradient: `out`, unless that would disturb what is yet unread."""
    if out is None or out.dtype != matrix.dtype or not out.flags.aligned:
        return np.empty(matrix.shape, matrix.dtype)
    same = out is matrix or (
        out.strides == matrix.strides
        and out.__array_interface__["data"][0] == matrix.__array_interface__["data"][0]
    )
    read = others if same else (matrix, *others)
    if any(array is not None and np.may_share_memory(out, array) for array in read):
        return np.empty(matrix.shape, matrix.dtype)
    return out


def _handed_out(gradient: Array, out: Array | None, dtype: np.dtype[Any]) -> Array:
    """The gradient in its dtype, in `out` when there is one."""
    if gradient is out or (out is None and gradient.dtype == dtype):
        return gradient
    with np.errstate(under="ignore", over="ignore"):
        if out is None:
            return gradient.astype(dtype)
        out[...] = gradient
    return out
