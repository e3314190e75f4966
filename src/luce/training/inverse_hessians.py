"""Inverse Hessians of softmax regression, as products with a gradient: exact ones, and cheaper.

With features x, a last one of 1 for the intercept, and probabilities p, the Hessian of the loss is
the mean over rows of ``(diag(p) - p p') kron x x'``; the penalty adds l2 for coef. Each form here
is symmetric and positive definite on gradients that sum to 0 over the classes.

The cheap forms add `damping` times the same at probabilities f, the class frequencies: where
probabilities have nearly saturated, the Hessian of a point says little of the next one's.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.training.memory import Product
from luce.training.moments import Columns
from luce.training.objective import Vector, dense, without_common
from luce.training.point import Point

if TYPE_CHECKING:
    from luce.scorers.linear import Features

FEATURES_TOGETHER, ROWS_TOGETHER = 256, 256
NUMBERS_INVERTED = 1 << 17  # of blocks at a time: what that takes in memory
SMALLEST_SHARE = 1e-12  # of the largest curvature of the classes, below which all count as that
ENTRIES_OF_COLUMNS = 10  # of a sparse feature: so much is its column worth beside a sample


def whole(point: Point) -> Product:
    """The exact inverse, from the root of the Hessian: k^2 d^2 numbers.

    For one row the loss has blocks ``-p_a p_b x x'`` off the diagonal, and as ``p_a (1 - p_a)`` is
    the sum of ``p_a p_b`` over all others, minus the sum of those in the same row on it.
    """
    objective = point.sample.objective
    k, width = shape = objective.shape
    left, right = np.nonzero(np.less.outer(np.arange(k), np.arange(k)))
    moments = point.second_moments("pairs", np.zeros(len(left))).features
    hessian = np.zeros((k * width, k * width))
    blocks = hessian.reshape(k, width, k, width).swapaxes(1, 2)
    blocks[left, right] = blocks[right, left] = np.negative(moments, out=moments)
    np.einsum("aaij->aij", blocks)[...] = -blocks.sum(axis=1)
    penalty = np.full(shape, objective.l2)
    penalty[:, -1] = 0.0 if objective.fit_intercept else 1.0
    hessian[np.diag_indices(k * width)] += penalty.ravel()
    # A constant added to all intercepts changes nothing: give that direction some curvature.
    intercepts = blocks[:, :, -1, -1]
    intercepts += np.trace(intercepts) / k
    scale = _unit_diagonal(hessian)
    root = _cholesky(hessian)

    def product(gradient: Vector) -> Vector:
        step = (_solved(root, gradient.ravel() * scale) * scale).reshape(shape)
        return without_common(step)

    return product


def whole_of_two_classes(point: Point) -> Product:
    """`whole` for two classes, whose gradients are opposite: d^2 numbers.

    Along opposite coefficients the Hessian is ``2 p (1 - p) x x' + l2``.
    """
    objective = point.sample.objective
    width = objective.shape[1]

    hessian = 2 * point.second_moments("pairs", np.zeros(1)).features[0]
    hessian[np.diag_indices(width - 1)] += objective.l2
    if not objective.fit_intercept:
        hessian[-1, -1] = 1.0
    scale = _unit_diagonal(hessian)
    root = _cholesky(hessian)

    def product(gradient: Vector) -> Vector:
        opposite = (gradient[0] - gradient[1]) / 2 * scale
        step = _solved(root, opposite) * scale
        return np.stack([step, -step])

    return product


def class_blocks(point: Point) -> Product:
    """The inverse of the Hessian's blocks on the diagonal, one a class: k d^2 numbers."""
    from scipy.linalg.lapack import dpotri

    objective = point.sample.objective
    of_frequencies = point.damping * point.frequencies * (1 - point.frequencies)
    blocks = point.second_moments("classes", of_frequencies).features
    width = objective.shape[1]
    together = max(NUMBERS_INVERTED // width**2, 1)
    for first in range(0, objective.classes, together):
        some = blocks[first : first + together]
        diagonals = np.einsum("iaa->ia", some)
        diagonals[:, :-1] += objective.l2
        if not objective.fit_intercept:
            diagonals[:, -1] = 1.0
        scale = _unit_diagonal(some)
        for block, root in zip(some, _cholesky(some), strict=True):
            block[...] = dpotri(root.T, lower=False, overwrite_c=True)[0].T
        some += np.swapaxes(np.tril(some, -1), 1, 2)
        some *= scale[:, :, None] * scale[:, None, :]

    def product(gradient: Vector) -> Vector:
        step = (blocks @ gradient[:, :, None])[:, :, 0]
        return without_common(step)

    return product


def kronecker(point: Point) -> Product:
    """The inverse of ``A kron S + l2``, in the eigenvectors of A and S: k^2 + k d + d^2 numbers.

    A is the mean of diag(p) - p p', S that of h x x' over that of h, where h = 1 - p'p: the
    nearest product with the right trace, exact where all rows have the same probabilities. What an
    intercept has to do with its class's coefficients is taken out before: see `_in_eigenvectors`.
    """
    l2 = point.sample.objective.l2
    are_alike = not point.parameters[:, :-1].any()  # all rows, in their probabilities
    centres = None if are_alike else _centres(point)  # first, while nothing else takes memory
    of_frequencies = point.damping * (1 - point.frequencies @ point.frequencies)
    (moments,), of_classes = point.second_moments("all", np.array([of_frequencies]))
    curvatures, classes = _classes(point, of_classes[:-1, :-1], of_classes[-1, :-1])
    moments /= curvatures.sum()
    centre = moments[-1, :-1]
    if centres is None:
        centres = np.tile(centre, (len(classes), 1))
    variances, rotation = _eigenvectors(moments[:-1, :-1] - np.outer(centre, centre))
    inverse = 1 / (np.outer(curvatures, np.maximum(variances, 0.0)) + l2)

    def solve(coef: Vector) -> Vector:
        rotated = coef @ rotation
        rotated *= inverse
        return np.asarray(rotated @ rotation.T)

    return _in_eigenvectors(curvatures, classes, centres, solve)


def kronecker_of_few_rows(point: Point) -> Product:
    """`kronecker` where all rows are fewer than the features: n d + n^2 + k^2 numbers.

    The eigenvectors of S come from the n x n products of the rows with each other; where no row
    reaches, only the penalty is. The rows are kept in float32, near 1.
    """
    sample = point.sample
    l2 = sample.objective.l2
    given, weights = sample.take(slice(0, len(sample)))
    p = sample.objective.probabilities(given, point.parameters)
    features = dense(given)
    weighted = p * weights[:, None]
    curvatures, classes = _classes(point, weighted.T @ p / len(p), weighted.mean(axis=0))
    spread = 1 - np.einsum("ij,ij->i", p, p, dtype=np.float64)
    spread += point.damping * (1 - point.frequencies @ point.frequencies)
    roots = np.sqrt(np.maximum(spread, 0.0) * weights / (len(p) * curvatures.sum())).astype(p.dtype)
    centre = np.zeros(sample.objective.shape[1] - 1)
    if sample.objective.fit_intercept:
        centre += (roots * roots) @ features
    largest = float(max(features.max(), -features.min())) or 1.0
    rows = np.empty((len(p), len(centre)), np.float32)
    for row, given, root in zip(rows, features, roots, strict=True):
        row[:] = (given - centre) * (root / largest)
    products = np.zeros((len(rows), len(rows)))
    for first in range(0, len(centre), FEATURES_TOGETHER):
        some = rows[:, first : first + FEATURES_TOGETHER].astype(np.float64)
        add_product(products, some.T, some.T)
    variances, directions = _eigenvectors(products)
    first = np.searchsorted(variances, variances[-1] * np.finfo(np.float32).eps, side="right")
    variances = variances[first:]
    vectors = directions[:, first:].astype(np.float32)
    vectors /= np.sqrt(variances, dtype=np.float32)
    inverse = 1 / (np.outer(curvatures, variances * largest**2) + l2)
    centres = np.zeros((len(classes), len(centre)))
    if sample.objective.fit_intercept:
        spreads = _class_curvatures(point, p, weights)
        centres += (spreads.T @ features) / _no_zeros(spreads.sum(axis=0))[:, None]

    def along(coef: Vector) -> Vector:
        return np.asarray((coef.astype(np.float32) @ rows.T) @ vectors, np.float64)

    def back(seen: Vector) -> Vector:
        return np.asarray((seen.astype(np.float32) @ vectors.T) @ rows, np.float64)

    def solve(coef: Vector) -> Vector:
        seen = along(coef)
        outside = coef - back(seen)
        outside -= back(along(outside))  # once more: what rounding left inside would be enlarged
        return np.asarray(outside / l2 + back(seen * inverse))

    return _in_eigenvectors(curvatures, classes, centres, solve)


def diagonal(point: Point, columns: Columns | None = None) -> Product:
    """Inverse root of the Hessian's diagonal, for features centred by class: k d numbers.

    Half way, on a logarithmic scale, between the inverse of the diagonal and none: where features
    are many and correlated, the diagonal alone takes their common directions for far flatter than
    they are. Its scale means nothing.

    A sample holds few entries of a rare feature, or none. What it says of one is therefore mixed,
    as if by `ENTRIES_OF_COLUMNS` entries more, with what `columns` would say if the feature had
    nothing to do with a row's curvature.
    """
    objective = point.sample.objective
    k, d = objective.classes, objective.shape[1] - 1

    def add(total: Vector, features: "Features", weights: Vector, p: NDArray[Any]) -> None:
        squares, sums, spreads = np.split(total, [d * k, 2 * d * k])
        spread = _class_curvatures(point, p, weights)
        squared = features**2 if isinstance(features, np.ndarray) else features.multiply(features)
        squares += (squared.T @ spread).ravel()
        sums += (features.T @ spread).ravel()
        spreads += spread.sum(axis=0, dtype=np.float64)

    total = point.total(2 * k * d + k, add)
    squares, sums = total[: 2 * k * d].reshape(2, d, k).swapaxes(1, 2)
    spreads = _no_zeros(total[2 * k * d :])[:, None]
    if columns is not None:
        seen = columns.entries * (len(point.sample) / objective.rows)
        unseen = ENTRIES_OF_COLUMNS / (seen + ENTRIES_OF_COLUMNS)
        for of_sample, mean in (squares, columns.mean_square), (sums, columns.mean):
            of_sample *= 1 - unseen
            of_sample += spreads * (mean * unseen)
    centres = np.ascontiguousarray(sums)
    centres *= float(objective.fit_intercept) / spreads
    inverse = np.empty((k, d + 1))
    curvature, inverse[:, -1:] = inverse[:, :-1], spreads
    curvature[...] = squares
    curvature -= spreads * centres**2
    np.maximum(curvature, 0.0, out=curvature)
    curvature += objective.l2
    np.reciprocal(np.sqrt(inverse, out=inverse), out=inverse)

    def product(gradient: Vector) -> Vector:
        step = gradient.copy()
        step[:, :-1] -= gradient[:, -1:] * centres
        step *= inverse
        step[:, -1] -= (step[:, :-1] * centres).sum(axis=1)
        return without_common(step)

    return product


def _classes(point: Point, products: Vector, sums: Vector) -> tuple[Vector, Vector]:
    """Eigenvalues, all positive, and eigenvectors of A, from the means of p p' and p."""
    f = point.frequencies
    of_classes = np.negative(products)
    of_classes -= np.outer(point.damping * f, f)
    of_classes[np.diag_indices(len(f))] += sums + point.damping * f
    curvatures, classes = _eigenvectors(of_classes)
    return _no_zeros(curvatures), classes


def _centres(point: Point) -> Vector:
    """Of each class the mean of the features, weighted by its curvatures p (1 - p)."""
    objective = point.sample.objective
    k, width = objective.shape

    def add(total: Vector, features: "Features", weights: Vector, p: NDArray[Any]) -> None:
        sums, spreads = np.split(total, [k * (width - 1)])
        spread = _class_curvatures(point, p, weights)
        sums += np.asarray(spread.T @ features).ravel()
        spreads += spread.sum(axis=0, dtype=np.float64)

    if not objective.fit_intercept:
        return np.zeros((k, width - 1))
    sums, spreads = np.split(point.total(k * width, add), [k * (width - 1)])
    return np.asarray(sums.reshape(k, -1) / _no_zeros(spreads)[:, None])


def _class_curvatures(point: Point, p: NDArray[Any], weights: Vector) -> NDArray[Any]:
    """Of rows with probabilities p, and of the classes' frequencies by the damping: (rows, k)."""
    f = point.frequencies
    curvatures = p * (1 - p) + point.damping * f * (1 - f)
    curvatures *= weights[:, None]
    return np.asarray(curvatures, p.dtype)


def _no_zeros(curvatures: Vector) -> Vector:
    """The same, with what is too small beside the largest raised to where it counts."""
    least = SMALLEST_SHARE * max(float(curvatures.max()), SMALLEST_SHARE)
    return np.maximum(curvatures, least)


def _in_eigenvectors(
    curvatures: Vector, classes: Vector, centres: Vector, solve: Product
) -> Product:
    """Product with an inverse that `solve` gives for coef, among the eigenvectors of A.

    It stands in other parameters, ``score = coef (x - centre) + intercept``, with a centre for each
    class: where that is `_centres`, the Hessian has nothing that joins a class's coef with its
    intercept. What all classes have in common is no direction there, as it is none before.
    """

    def product(gradient: Vector) -> Vector:
        of_coef = gradient[:, -1:] * centres
        np.subtract(gradient[:, :-1], of_coef, out=of_coef)
        of_coef -= of_coef.mean(axis=0)
        of_coef = solve(classes.T @ of_coef)
        step = np.empty_like(gradient)
        np.matmul(classes, of_coef, out=step[:, :-1])
        step[:, -1] = classes @ ((classes.T @ gradient[:, -1]) / curvatures)
        step[:, -1] -= np.einsum("ij,ij->i", step[:, :-1], centres)
        return without_common(step)

    return product


def add_product(total: Vector, left: NDArray[Any], right: NDArray[Any]) -> None:
    """Add ``left.T @ right`` to a total, a few rows of it at a time, which saves its memory."""
    for first in range(0, len(total), ROWS_TOGETHER):
        some = slice(first, first + ROWS_TOGETHER)
        total[some] += left[:, some].T @ right


def _eigenvectors(symmetric: Vector) -> tuple[Vector, Vector]:
    """Eigenvalues, rising, and eigenvectors of a matrix, which is overwritten."""
    from scipy.linalg import eigh

    values, vectors = eigh(symmetric.T, overwrite_a=True, check_finite=False, driver="evr")
    return values, vectors


def _unit_diagonal(hessians: Vector) -> Vector:
    """Scale symmetric matrices in place to ones on their diagonals; returns the factors."""
    scale = 1 / np.sqrt(np.maximum(np.einsum("...aa->...a", hessians), np.finfo(np.float64).tiny))
    hessians *= scale[..., :, None] * scale[..., None, :]
    return np.asarray(scale)


def _cholesky(hessians: Vector) -> Vector:
    """Roots of matrices that rounding may have made indefinite, with the least ridge that helps."""
    ridge = SMALLEST_SHARE
    while True:
        np.einsum("...aa->...a", hessians)[...] += ridge
        try:
            return np.asarray(np.linalg.cholesky(hessians), np.float64)
        except np.linalg.LinAlgError:
            if not np.isfinite(ridge):
                raise
            ridge *= 10


def _solved(root: Vector, vector: Vector) -> Vector:
    """Product of the inverse of ``root @ root.T`` with a vector."""
    from scipy.linalg.lapack import dpotrs

    return np.asarray(dpotrs(root.T, vector, lower=False)[0])
