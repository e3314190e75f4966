"""The inverse Hessian's class blocks for sparse features: of each class the few rows that matter.

Late in a fit most rows are settled, and of all pairs of a row and a class few have a curvature that
is felt beside the penalty. Where features are too many for d x d blocks, the products of those few
rows with each other are not.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.training.memory import Product
from luce.training.objective import SQUARES_OVERFLOW, Rows, Vector, lanes_for, without_common
from luce.training.point import Point

LEAST_LEVERAGE = 0.05  # of a row that is worth taking
BINS, BINS_OF_AN_OCTAVE = 128, 2  # of leverages
MOST_PRODUCTS = 1 << 27  # of rows with rows, in float32: 512 MB
PRODUCTS_ANYWAY = 1 << 20  # beyond so many, a step takes no longer than a pass
OPERATIONS_OF_AN_ENTRY = 10  # of a sparse row, in a product with another
ROWS_TOGETHER = 256
COMMON = 16  # a column is common if one in so many rows has it
WRONG = 0.55  # residuals beyond which the curvature is that of a chord
RIDGES = 0.0, *(10.0 ** np.arange(-8, 1))  # of a trace
SMALLEST = 1e-30
SMALLEST_SHARE = 1e-12  # of the largest curvature of a class, below which all count as that


def class_blocks_of_few_rows(point: Point, most_operations: float) -> tuple[Product, float]:
    """The inverses of the Hessian's blocks on the diagonal, and what they cost in operations.

    With the curvatures h of all rows for one class, the mean m of the features weighted by them,
    and Z the rows ``sqrt(h / n) (x - m)`` of those that matter, a class's block is taken for

        H = D + Z'Z    so that    H^-1 = D^-1 - D^-1 Z' (1 + Z D^-1 Z')^-1 Z D^-1

    where D is the penalty and the diagonal of what the other rows add. A row matters to a class by
    its leverage ``h |x|^2 / (n l2)``: those of the largest do, as many as `most_operations` and
    memory allow, and as leave a product with the inverse about as quick as a pass: more rows bring
    fewer passes at first, but these blocks are made anew more often.
    """
    threshold, operations = _threshold(point, most_operations)
    block_of = _few_rows(point, threshold)
    shape = point.sample.objective.shape
    blocks: dict[int, _Block] = {}

    def over_classes(each: Callable[[int], None]) -> None:
        def share(lane: list[Rows]) -> Vector:
            for one in lane:
                each(one.start)
            return np.zeros(1)

        point.over_rows(share, [slice(c, c + 1) for c in range(shape[0])])

    def make(c: int) -> None:
        blocks[c] = block_of(c)

    def product(gradient: Vector) -> Vector:
        step = np.empty(shape)

        def solve(c: int) -> None:
            step[c] = blocks[c].solve(gradient[c])

        over_classes(solve)
        return without_common(step)

    over_classes(make)
    return product, operations


def curvatures(p: NDArray[Any], labels: NDArray[np.int64]) -> NDArray[Any]:
    """Curvature of each row's loss along the score of each class: ``p (1 - p)``, or of a chord.

    Far on the wrong side a row has none, but it will have some on its way to the right one: its
    loss lies below a parabola of curvature ``(|p - y| - 1/2) / |log (p / (1 - p))|`` that touches
    it (T. Jaakkola and M. Jordan, A variational approach to Bayesian logistic regression, 1997).
    """
    curvature: NDArray[Any] = p * (1 - p)
    residual = p.copy()
    residual[np.arange(len(p)), labels] -= 1
    np.abs(residual, out=residual)
    wrong = residual > WRONG
    some, limits = p[wrong], np.finfo(p.dtype)
    odds = np.maximum(some, limits.tiny) / np.maximum(1 - some, limits.epsneg)
    curvature[wrong] = (residual[wrong] - 0.5) / np.abs(np.log(odds))
    return curvature


class _Block(NamedTuple):
    """One class's inverse block.

    Attributes
    ----------
    scale : array of shape (d,)
        D^(-1/2).
    centre : array of shape (d,)
        m.
    spread : float
        Mean of h, the intercept's curvature.
    rows : CSR matrix of shape (r, d)
        ``sqrt(h / n) x D^(-1/2)`` of the rows that matter.
    columns : CSC matrix of shape (d, r)
        Its transpose, with the same entries: to make one takes longer than many products.
    roots : array of shape (r,)
        ``sqrt(h / n)`` of those.
    root : array of shape (r, r)
        Upper root of ``1 + Z D^-1 Z'``.
    """

    scale: Vector
    centre: Vector
    spread: float
    rows: Any
    columns: Any
    roots: NDArray[Any]
    root: NDArray[Any]

    def solve(self, gradient: Vector) -> Vector:
        """Product with a gradient of shape (d + 1,)."""
        from scipy.linalg.lapack import strtrs

        coef = (gradient[:-1] - gradient[-1] * self.centre) * self.scale
        if len(self.roots):
            centre = self.centre * self.scale
            seen = self.rows @ coef.astype(np.float32) - self.roots * np.float32(centre @ coef)
            seen = strtrs(self.root, strtrs(self.root, seen, trans=1)[0])[0]
            coef -= self.columns @ seen - centre * (self.roots @ seen)
        coef *= self.scale
        return np.append(coef, gradient[-1] / self.spread - coef @ self.centre)


def _threshold(point: Point, most_operations: float) -> tuple[float, float]:
    """The least leverage at which the products of all rows that matter can be had; their cost."""
    objective = point.sample.objective
    k, width = objective.shape

    def share(lane: list[Rows]) -> Vector:
        counts = np.zeros((k, BINS))
        for block in lane:
            _, curvature, leverages = _curved(point, block)
            leverage = np.maximum(curvature * (leverages / LEAST_LEVERAGE)[:, None], SMALLEST)
            bins = np.floor(BINS_OF_AN_OCTAVE * np.log2(leverage)).astype(np.int64)
            row, column = np.nonzero(bins >= 0)
            place = column * BINS + np.minimum(bins[row, column], BINS - 1)
            counts += np.bincount(place, minlength=k * BINS).reshape(k, BINS)
        return counts

    counts = point.over_rows(share, point.sample.blocks())
    rows = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    products = np.sum(rows**2, axis=0)
    of_a_product = OPERATIONS_OF_AN_ENTRY * objective.features_per_row
    operations = np.sum(rows**3, axis=0) / 3 + of_a_product * products
    of_a_pass = k * objective.rows * (objective.features_per_row + 1)
    most_products = min(MOST_PRODUCTS, 3 * width**2, of_a_pass + PRODUCTS_ANYWAY)
    allowed = (products <= most_products) & (operations <= most_operations)
    first = int(np.argmax(np.append(allowed, True)))
    return LEAST_LEVERAGE * 2 ** (first / BINS_OF_AN_OCTAVE), float(np.append(operations, 0)[first])


def _few_rows(point: Point, threshold: float) -> Callable[[int], _Block]:
    """Gather the rows that matter to each class, and the diagonals of the others."""
    objective = point.sample.objective
    n, k, d = objective.rows, objective.classes, objective.shape[1] - 1
    damping = point.damping * point.frequencies * (1 - point.frequencies)
    damping = damping.astype(objective.dtype)
    pairs: dict[int, tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]] = {}
    ends = np.cumsum([k * d, k * d, k * d, k])

    def share(lane: list[Rows]) -> Vector:
        total = np.zeros(ends[-1] + k)
        sums, other_squares, other_sums, spreads, other_spreads = np.split(total, ends)
        for block in lane:
            features, curvature, leverages = _curved(point, block)
            matters = curvature * leverages[:, None] >= threshold
            row, column = np.nonzero(matters)
            pairs[block.start] = row + block.start, column, np.sqrt(curvature[matters] / n)
            others = np.where(matters, 0, curvature) + damping
            curvature += damping
            sums += (curvature.T @ features).ravel()
            spreads += curvature.sum(axis=0, dtype=np.float64)
            other_squares += (others.T @ features.multiply(features)).ravel()
            other_sums += (others.T @ features).ravel()
            other_spreads += others.sum(axis=0, dtype=np.float64)
        return total

    total = point.over_rows(share, point.sample.blocks(), most_lanes=lanes_for(int(ends[-1]))) / n
    sums, squares, other_sums, spreads, other_spreads = np.split(total, ends)
    spreads = np.maximum(spreads, SMALLEST_SHARE * max(spreads.max(), SMALLEST))
    centres, other_sums = sums.reshape(k, d), other_sums.reshape(k, d)
    centres *= float(objective.fit_intercept) / spreads[:, None]
    diagonals = squares.reshape(k, d)
    diagonals += centres * (other_spreads[:, None] * centres - 2 * other_sums)
    scales = 1 / np.sqrt(np.maximum(diagonals, 0.0, out=diagonals) + objective.l2)
    rows, columns, roots = map(np.concatenate, zip(*(pairs[i] for i in sorted(pairs)), strict=True))
    by_class = np.argsort(columns, kind="stable")
    last = np.cumsum(np.bincount(columns, minlength=k))

    def block(c: int) -> _Block:
        mine = by_class[last[c - 1] if c else 0 : last[c]]
        weighted = objective.features[rows[mine]].astype(np.float64)
        weighted.data *= np.repeat(roots[mine], np.diff(weighted.indptr))
        weighted.data *= scales[c, weighted.indices]
        single = weighted.astype(np.float32)
        few = roots[mine].astype(np.float32)
        root = _root(single, few, centres[c] * scales[c])
        return _Block(scales[c], centres[c], spreads[c], single, single.T, few, root)

    return block


def _root(rows: Any, roots: NDArray[Any], centre: Vector) -> NDArray[Any]:
    """Upper root of ``1 + Z Z'``, ``Z = rows - roots centre'``, with the least ridge that helps."""
    from scipy.linalg import cholesky

    along = rows @ centre.astype(np.float32) - roots * np.float32(centre @ centre / 2)
    for ridge in RIDGES:
        products = _products(rows)
        products -= np.outer(along, roots)
        products -= np.outer(roots, along)
        products[np.diag_indices(len(roots))] += 1 + ridge * np.trace(products)
        try:
            return np.asarray(cholesky(products.T, overwrite_a=True, check_finite=False))
        except np.linalg.LinAlgError:
            pass
    raise DataError(SQUARES_OVERFLOW)


def _products(rows: Any) -> NDArray[Any]:
    """Products of sparse rows with each other: of columns that many of them have, densely."""
    columns = np.bincount(rows.indices, minlength=rows.shape[1])
    are_common = columns * COMMON > rows.shape[0]
    common, rare = rows[:, are_common].toarray(), rows[:, ~are_common]
    products: NDArray[Any] = common @ common.T
    for first in range(0, rows.shape[0], ROWS_TOGETHER):
        some = slice(first, first + ROWS_TOGETHER)
        products[some] += (rare[some] @ rare.T).toarray()
    return products


def _curved(point: Point, block: Rows) -> tuple[Any, NDArray[Any], Vector]:
    """Features of a block, their curvatures with the rows' weights, and leverages for one."""
    features: Any
    objective = point.sample.objective
    features, weights = point.sample.take(block)
    p = objective.probabilities(features, point.parameters)
    curvature = curvatures(p, objective.labels[block]) * weights[:, None].astype(p.dtype)
    squares = np.asarray(features.astype(np.float64).power(2).sum(axis=1)).ravel()
    return features, curvature, squares / (objective.rows * objective.l2)
