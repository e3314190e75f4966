"""Which inverse Hessian the steps rest on: the best one that the passes so far have paid for."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from luce.training.class_blocks_of_few_rows import class_blocks_of_few_rows
from luce.training.inverse_hessians import (
    class_blocks,
    diagonal,
    kronecker,
    kronecker_of_few_rows,
    whole,
    whole_of_two_classes,
)
from luce.training.memory import Curvature
from luce.training.moments import Columns, columns_of
from luce.training.objective import (
    SoftmaxRegression,
    SumOverRows,
    Vector,
)
from luce.training.point import Point
from luce.training.recentring import recentred
from luce.training.sample import LEAST_OF_A_CLASS, Sample, in_single, sample_of

MOST_PARAMETERS = 1400  # with a whole Hessian: it takes 16 MB, and making it some times that
MOST_IN_BLOCKS, MOST_IN_BLOCKS_LATE = 1 << 20, 1 << 22  # numbers: 8 MB, or 32
MOST_ROTATED = 4096  # features, classes or rows whose eigenvectors can be had
CHEAP = 0.5  # passes: a whole Hessian is then made at once, as quickly as a Kronecker product
AFFORDABLE = 16  # passes that blocks may always cost
AFFORDABLE_IF_SPARSE = 100  # passes that eigenvectors may always cost where passes are cheap
PATIENCE = 100  # passes with forms that are cheaper than blocks
PRICE_OF_SPARSE_READINGS = 20  # passes
QUICKER_IF_DENSE = 8  # operations on dense numbers than on sparse ones
PART = 5  # of the rows: a sample is at most one in so many, if features are not many
LEAST_OF_A_CLASS_TOGETHER = 10  # rows in a sample for a form that classes share
MOST_GATHERED = 1 << 22  # numbers of features in a sample that is gathered in memory
LEAST_BETWEEN, LEAST_BETWEEN_WHOLE = 10, 4  # passes from one inverse Hessian to the next


@dataclass(frozen=True)
class Curvatures:
    """Inverse Hessians of an objective, near any point.

    Attributes
    ----------
    objective : SoftmaxRegression
    cheaper : SoftmaxRegression
        The same, perhaps with features in float32: all but the whole Hessian is made from it.
    frequencies : array of shape (k,)
        Weighted share of each class.
    over_rows : callable
        See `shared_rows`.
    """

    objective: SoftmaxRegression
    cheaper: SoftmaxRegression
    frequencies: Vector
    over_rows: SumOverRows

    def __call__(self, parameters: Vector, passes: float, damping: float) -> Curvature:
        """The best inverse Hessian at `parameters` that costs about so many passes."""
        n, (k, width) = self.objective.rows, self.objective.shape
        numbers, rows = k * width, len(self.sample)
        point = Point(parameters, damping, self.frequencies, self.sample, self.over_rows)

        dense = self.objective.has_dense_blocks
        unknowns = width if k == 2 else numbers
        whole_due = price_of_whole = np.inf
        if dense and unknowns <= MOST_PARAMETERS:
            price_of_whole = self._in_passes((n + unknowns) * unknowns**2)
            whole_due = max(price_of_whole, LEAST_BETWEEN_WHOLE)

        # Probabilities are all the same at the start, where a Kronecker product is exact.
        to_scale = not passes

        def lasting(price: float) -> float:
            return min(max(LEAST_BETWEEN, passes / 4, price), whole_due)

        if whole_due <= passes or (not passes and price_of_whole <= CHEAP):
            everything = replace(self.objective, dtype=np.dtype(np.float64))
            point = replace(point, sample=Sample(everything, None, None))
            form = whole_of_two_classes if k == 2 else whole
            return Curvature(form(point), whole_due, is_exact=True)
        most_in_blocks = MOST_IN_BLOCKS if passes < PATIENCE else MOST_IN_BLOCKS_LATE
        # That of two classes is the whole Hessian, and no dearer than a Kronecker product.
        if dense and (passes or k == 2) and numbers * width <= most_in_blocks:
            price = self._in_passes((2 * rows + 4 * width) * numbers * width)
            if price <= max(AFFORDABLE, passes):
                blocks = whole_of_two_classes if k == 2 else class_blocks
                return Curvature(blocks(point), lasting(price))
        if dense and max(k, width) <= MOST_ROTATED and width <= n:
            together = replace(point, sample=self.sample_together)
            rotating = 25 * (width**3 + k**3)
            of_rows = len(together.sample) * (width**2 + 4 * numbers)
            price = self._in_passes(of_rows + rotating)
            is_sparse = not isinstance(self.objective.features, np.ndarray)
            if not is_sparse or price <= max(AFFORDABLE_IF_SPARSE, passes):
                return Curvature(kronecker(together), lasting(price), to_scale)
        elif dense and max(k, n) <= MOST_ROTATED:
            # a product with this one costs about two passes
            price = self._in_passes(n**2 * width + 10 * (n**3 + k**3)) / 3
            return Curvature(kronecker_of_few_rows(point), lasting(price), to_scale)
        if not dense and passes >= PATIENCE:
            of_a_pass = QUICKER_IF_DENSE / self._in_passes(1.0)
            every = replace(point, sample=Sample(self.objective, None, None))
            most_operations = of_a_pass * (passes - PRICE_OF_SPARSE_READINGS)
            of_few_rows, operations = class_blocks_of_few_rows(every, most_operations)
            return Curvature(
                of_few_rows, lasting(PRICE_OF_SPARSE_READINGS + operations / of_a_pass)
            )
        rough = replace(point, sample=self.rough_sample)
        price = 2 * len(rough.sample) / n
        return Curvature(
            diagonal(rough, self.columns), lasting(price), to_scale=False, is_rough=True
        )

    def recentred(self, parameters: Vector, gradient: Vector, exactly: bool) -> Vector:
        """The same coef with an intercept nearer to the best for it: see `recentred`."""
        rows = Sample(self.cheaper, None, None) if exactly else self.sample
        point = Point(parameters, 0.0, self.frequencies, rows, self.over_rows)
        return recentred(point, gradient)

    @cached_property
    def sample(self) -> Sample:
        """Rows enough for every form but the whole Hessian."""
        return self._sample(LEAST_OF_A_CLASS)

    @cached_property
    def sample_together(self) -> Sample:
        """Rows enough for a form in which all classes share what is known of the features."""
        is_large = len(self.sample) > 2 * self._rows_wanted
        return self._sample(LEAST_OF_A_CLASS_TOGETHER) if is_large else self.sample

    @property
    def _rows_wanted(self) -> int:
        n, d = self.objective.rows, self.objective.shape[1] - 1
        return max(min(20 * n // d, n // PART), 50 * d)

    def _sample(self, of_a_class: int) -> Sample:
        if not self.objective.has_dense_blocks:
            return self.rough_sample
        sample = sample_of(self.cheaper, self._rows_wanted, of_a_class)
        if len(sample) * self.objective.shape[1] <= MOST_GATHERED:
            taken = in_single(sample, self.over_rows) or sample.taken()
            return Sample(taken, None, None)
        return sample

    @cached_property
    def rough_sample(self) -> Sample:
        """Rows enough for a diagonal."""
        return sample_of(self.objective, self.objective.rows // 8)

    @cached_property
    def columns(self) -> Columns | None:
        """What all rows say of sparse features, many of which a sample may never see."""
        everything_seen = self.rough_sample.rows is None
        return None if everything_seen else columns_of(self.objective, self.over_rows)

    def _in_passes(self, operations: float) -> float:
        return operations / self.objective.operations
