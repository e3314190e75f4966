"""Plain twins of the kernels of a linear classifier: same names, signatures and results.

All of it is computed in float64.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from luce.kernels.reference import (
    argmax,
    cross_entropy,
    cross_entropy_soft,
    log_softmax,
    softmax,
)


def linear(
    features: NDArray[Any],
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    out: NDArray[Any],
    *,
    answer: str = "scores",
    threads: int = 1,
) -> bool:
    """``features @ coef.T + intercept``, or what is asked about it, in float64."""
    return _answered(_linear(features, coef, intercept, None)[1], answer, out)


def sparse_linear(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    out: NDArray[Any],
    *,
    answer: str = "scores",
    threads: int = 1,
) -> bool:
    """`linear` of the rows of a CSR matrix; indices may be unsorted and repeat."""
    return _answered(_sparse_linear(data, indices, indptr, coef, intercept), answer, out)


def linear_cross_entropy(
    features: NDArray[Any],
    labels: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    gradient: NDArray[Any],
    intercept_gradient: NDArray[np.float64],
    features_gradient: NDArray[Any] | None = None,
    *,
    centre: NDArray[Any] | None = None,
    class_weights: NDArray[np.float64] | None = None,
    label_smoothing: float = 0.0,
    threads: int = 1,
) -> float:
    """Sum of the cross-entropies of linear scores, and its gradients, in float64."""
    rows, scores = _linear(features, coef, intercept, centre)
    value = _to_residuals(scores, labels, weights, class_weights, label_smoothing)
    gradient[...] = scores.T @ rows
    intercept_gradient[...] = scores.sum(axis=0)
    if features_gradient is not None:
        features_gradient[...] = scores @ coef.astype(np.float64)
    return value


def linear_hessian_vector(
    features: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    direction: NDArray[Any],
    direction_intercept: NDArray[Any] | None,
    product: NDArray[Any],
    intercept_product: NDArray[np.float64],
    *,
    centre: NDArray[Any] | None = None,
    threads: int = 1,
) -> None:
    """Product of that sum's Hessian with a direction, in float64."""
    rows, scores = _linear(features, coef, intercept, centre)
    _, tangents = _linear(features, direction, direction_intercept, centre)
    change = _change_of_residuals(scores, tangents, weights)
    product[...] = change.T @ rows
    intercept_product[...] = change.sum(axis=0)


def linear_second_moments(
    features: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    damping: NDArray[np.float64] | None,
    moments: NDArray[np.float64] | None,
    class_moments: NDArray[np.float64] | None,
    *,
    curvature: str,
    last: float = 1.0,
    centre: NDArray[Any] | None = None,
    threads: int = 1,
) -> None:
    """Add the sums over rows of ``weight (curvature + damping) x x'`` and of ``weight p p'``.

    x has one feature more, `last`, and p one probability more, 1.
    """
    rows, scores = _linear(features, coef, intercept, centre)
    p = np.empty_like(scores)
    softmax(scores, 1.0, p)
    weight = np.ones(len(rows)) if weights is None else weights
    if moments is not None:
        left, right = np.triu_indices(p.shape[1], 1)
        of_rows = {
            "classes": p * (1 - p),
            "pairs": p[:, left] * p[:, right],
            "all": 1 - np.einsum("ij,ij->i", p, p)[:, None],
        }[curvature]
        x = np.column_stack([rows, np.full(len(rows), last)])
        for moment, curvatures in zip(moments, (of_rows + damping).T, strict=True):
            moment += x.T @ ((weight * curvatures)[:, None] * x)
    if class_moments is not None:
        wider = np.column_stack([p, np.ones(len(p))])
        class_moments += (wider * weight[:, None]).T @ wider


def sparse_linear_cross_entropy(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    labels: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    gradient: NDArray[np.float64],
    intercept_gradient: NDArray[np.float64],
    *,
    class_weights: NDArray[np.float64] | None = None,
    label_smoothing: float = 0.0,
    threads: int = 1,
) -> float:
    """`linear_cross_entropy` of the rows of a CSR matrix; indices may be unsorted and repeat."""
    scores = _sparse_linear(data, indices, indptr, coef, intercept)
    value = _to_residuals(scores, labels, weights, class_weights, label_smoothing)
    _sparse_vjp(data, indices, indptr, scores, gradient)
    intercept_gradient[...] = scores.sum(axis=0)
    return value


def sparse_linear_hessian_vector(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    direction: NDArray[Any],
    direction_intercept: NDArray[Any] | None,
    product: NDArray[np.float64],
    intercept_product: NDArray[np.float64],
    *,
    threads: int = 1,
) -> None:
    """Product of that sum's Hessian with a direction, in float64."""
    scores = _sparse_linear(data, indices, indptr, coef, intercept)
    tangents = _sparse_linear(data, indices, indptr, direction, direction_intercept)
    change = _change_of_residuals(scores, tangents, weights)
    _sparse_vjp(data, indices, indptr, change, product)
    intercept_product[...] = change.sum(axis=0)


def _answered(scores: NDArray[np.float64], answer: str, out: NDArray[Any]) -> bool:
    """Whether the scores of the first class are finite."""
    are_finite = bool(np.isfinite(scores[:, 0]).all())
    if answer == "argmax":
        argmax(scores, out)
    elif answer != "scores":
        {"softmax": softmax, "log_softmax": log_softmax}[answer](scores, 1.0, scores)
    if answer != "argmax":
        out[...] = scores
    return are_finite


def _to_residuals(
    scores: NDArray[np.float64],
    labels: NDArray[Any],
    weights: NDArray[np.float64] | None,
    class_weights: NDArray[np.float64] | None,
    label_smoothing: float,
) -> float:
    """The sum of the losses; scores become their gradient."""
    losses = np.empty(len(scores))
    if labels.ndim == 1 and class_weights is None:
        cross_entropy(scores, labels, weights, losses, scores, label_smoothing=label_smoothing)
    else:
        cross_entropy_soft(
            scores,
            labels,
            weights,
            losses,
            scores,
            class_weights=class_weights,
            label_smoothing=label_smoothing,
        )
    return float(losses.sum())


def _change_of_residuals(
    scores: NDArray[np.float64],
    tangents: NDArray[np.float64],
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Weighted derivative of the probabilities of `scores` along `tangents`."""
    softmax(scores, 1.0, scores)
    change: NDArray[np.float64] = tangents - (scores * tangents).sum(axis=1, keepdims=True)
    change *= scores
    if weights is not None:
        change *= weights[:, None]
    return change


def _linear(
    features: NDArray[Any],
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
    centre: NDArray[Any] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centred features, and their scores."""
    rows = features.astype(np.float64) - (0.0 if centre is None else centre.astype(np.float64))
    bias = 0.0 if intercept is None else intercept.astype(np.float64)
    return rows, rows @ coef.T.astype(np.float64) + bias


def _sparse_linear(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    coef: NDArray[Any],
    intercept: NDArray[Any] | None,
) -> NDArray[np.float64]:
    """Scores of the rows of a CSR matrix."""
    scores: NDArray[np.float64] = _csr(data, indices, indptr, coef.shape[1]) @ coef.T
    scores += 0.0 if intercept is None else intercept
    return scores


def _sparse_vjp(
    data: NDArray[Any],
    indices: NDArray[Any],
    indptr: NDArray[Any],
    residuals: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> None:
    """``residuals.T @ features`` into `gradient`."""
    gradient[...] = (_csr(data, indices, indptr, gradient.shape[1]).T @ residuals).T


def _csr(
    data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], columns: int
) -> csr_array[Any]:
    """The CSR matrix of float64."""
    used = slice(0, indptr[-1])
    parts = data[used].astype(np.float64), indices[used], indptr
    return csr_array(parts, shape=(len(indptr) - 1, columns))
