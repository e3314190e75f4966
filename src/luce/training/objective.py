"""The objective of softmax regression, evaluated in one pass over the rows.

Conventions of this room: n rows, d features, k classes; ``parameters`` is one float64 array of
shape (k, d + 1), ``coef`` in its first d columns and ``intercept`` in its last; sums over rows
are accumulated in float64; row weights are scaled to a mean of 1.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.kernels.sparse import csr_arrays
from luce.kernels.threads import num_threads
from luce.scorers import linear_into
from luce.training.blas import single_threaded_blas

if TYPE_CHECKING:
    from luce.scorers.linear import Answer, Features

Vector: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = slice

BLOCK_ELEMENTS = 1 << 17  # of features and scores together: a block stays in a core's own cache
LEAST_LANES, MOST_LANES = 4, 16
ROWS_WORTH_SHARING = 256
NUMBERS_IN_LANES = 1 << 21
WORTH_SHARING = 1 << 19  # numbers: fewer are summed before threads have come together
MOST_DENSIFIED = 1024  # features: sparse rows of no more are made dense for curvatures
OVERHEAD = 1e7  # operations that could be done in the time that a pass takes for no rows at all
SQUARES_OVERFLOW = "the features are so large that their squares overflow: scale them down."


def blocks_of_rows(n: int, width: int) -> list[Rows]:
    """Cut n rows into like blocks, some to share; one, `width` numbers a row, fits a cache."""
    rows = int(np.clip(BLOCK_ELEMENTS // max(width, 1), 64, 4096))
    blocks = max(-(-n // rows), min(LEAST_LANES, n // ROWS_WORTH_SHARING), 1)
    return [slice(n * i // blocks, n * (i + 1) // blocks) for i in range(blocks)]


def lanes_for(size: int) -> int:
    """Lanes for totals of so many numbers: all of them together take 16 MB, or one lane more."""
    return max(1, min(MOST_LANES, NUMBERS_IN_LANES // size))


Share: TypeAlias = Callable[[list[Rows]], Vector]


class SumOverRows(Protocol):
    """Sums ``share(lane)`` over lanes of blocks, or combines them by another ufunc."""

    def __call__(
        self,
        share: Share,
        blocks: list[Rows],
        combine: np.ufunc = np.add,
        most_lanes: int = MOST_LANES,
    ) -> Vector:
        """The sum, with the same bits for any number of threads."""


@contextmanager
def shared_rows(numbers: int) -> Iterator[SumOverRows]:
    """Yield a `SumOverRows` over rows of so many numbers, in several threads if that pays.

    The number of lanes does not depend on that of the threads and they are added in a fixed order,
    so the sum has the same bits for any number of threads.
    """

    def over(
        each: Callable[[Share, list[list[Rows]]], Iterable[Vector]],
    ) -> SumOverRows:
        def over_rows(
            share: Share,
            blocks: list[Rows],
            combine: np.ufunc = np.add,
            most_lanes: int = MOST_LANES,
        ) -> Vector:
            lanes = [blocks[i::most_lanes] for i in range(min(most_lanes, len(blocks)))]
            shares = map(share, lanes) if len(lanes) == 1 else each(share, lanes)
            return reduce(lambda so_far, part: combine(so_far, part, out=so_far), shares)

        return over_rows

    with single_threaded_blas():
        if numbers < WORTH_SHARING or num_threads() <= 1:
            yield over(map)
            return
        with ThreadPoolExecutor(num_threads(), thread_name_prefix="luce") as executor:
            yield over(executor.map)


@dataclass(frozen=True)
class SoftmaxRegression:
    """``F = mean of weights * cross_entropy(linear(features - centre), labels) + l2/2 |coef|^2``.

    Attributes
    ----------
    features : array or CSR matrix of shape (n, d), float32 or float64
    centre : array of shape (d,), or None
        Subtracted from dense features block by block, so that a large mean costs no digits.
    labels : int64 array of shape (n,), 0 to k - 1
    weights : float64 array of shape (n,) with mean 1, or None for equal weights
    classes : int
        k, at least 2.
    l2 : float
        Strength of the penalty, positive: 1 / (C * sum of the given weights).
    fit_intercept : bool
        Otherwise the intercept stays 0.
    dtype : numpy dtype, float32 or float64
        In which the products are computed, a block at a time; at least that of the features.
    """

    features: "Features"
    centre: Vector | None
    labels: NDArray[np.int64]
    weights: Vector | None
    classes: int
    l2: float
    fit_intercept: bool
    dtype: "np.dtype[Any]"

    @property
    def rows(self) -> int:
        """Number of rows, n."""
        return int(self.features.shape[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the parameters, (k, d + 1)."""
        return self.classes, int(self.features.shape[1]) + 1

    @property
    def features_per_row(self) -> int:
        """Numbers that a row of features holds, on average where they are sparse."""
        if isinstance(self.features, np.ndarray):
            return int(self.features.shape[1])
        return int(self.features.nnz) // self.rows

    @property
    def operations(self) -> float:
        """Operations that a pass takes, with what could be done while its call is made."""
        return 4.0 * self.classes * self.rows * (self.features_per_row + 1) + OVERHEAD

    @property
    def has_dense_blocks(self) -> bool:
        """Whether blocks of rows are dense, or may be made so: they have few features."""
        return isinstance(self.features, np.ndarray) or self.features.shape[1] <= MOST_DENSIFIED

    def blocks(self) -> list[Rows]:
        """All rows, cut into blocks that stay in a core's own cache."""
        return blocks_of_rows(self.rows, self.classes + self.features_per_row)

    def block(self, block: "Rows | NDArray[np.intp]") -> "Features":
        """Centred features of a block of rows, in `dtype`."""
        features = self.features
        if isinstance(features, np.ndarray) and isinstance(block, np.ndarray):
            features = features.take(block, axis=0)  # in half the time of an index
        else:
            features = features[block]
        features = features.astype(self.dtype, copy=False)
        return features if self.centre is None else features - self.centre.astype(self.dtype)

    def scores(self, features: "Features", parameters: Vector) -> NDArray[Any]:
        """Scores of a block's features, in their dtype."""
        return self._answered("scores", features, parameters)

    def probabilities(self, features: "Features", parameters: Vector) -> NDArray[Any]:
        """Probabilities of a block's features, in their dtype."""
        return self._answered("softmax", features, parameters)

    def _answered(self, answer: "Answer", features: "Features", parameters: Vector) -> NDArray[Any]:
        out = np.empty((features.shape[0], self.classes), features.dtype)
        coef, intercept = parameters[:, :-1], parameters[:, -1]
        linear_into(out, features, coef, intercept, answer=answer, threads=1)
        return out

    def value_and_gradient(self, parameters: Vector) -> tuple[float, Vector]:
        """F and its gradient at `parameters`: one pass over the rows, never an (n, k) array."""
        total, gradient = self._loss(parameters)
        gradient /= self.rows
        if not self.fit_intercept:
            gradient[:, -1] = 0.0
        of_penalty = self.l2 * parameters
        of_penalty[:, -1] = 0.0
        gradient += of_penalty
        return total / self.rows + float(np.vdot(of_penalty, parameters)) / 2, gradient

    def _loss(self, parameters: Vector) -> tuple[float, Vector]:
        gradient, intercept_gradient = np.empty(self.shape), np.empty(self.classes)
        coef = np.ascontiguousarray(parameters[:, :-1], self.dtype)
        intercept = np.ascontiguousarray(parameters[:, -1], self.dtype)
        features, outputs = self.features, (gradient[:, :-1], intercept_gradient)
        if isinstance(features, np.ndarray):
            total = kernels.linear_cross_entropy(
                features, self.labels, self.weights, coef, intercept, *outputs,
                centre=None if self.centre is None else self.centre.astype(self.dtype),
                threads=num_threads(),
            )  # fmt: skip
        else:
            total = kernels.sparse_linear_cross_entropy(
                *csr_arrays(features), self.labels, self.weights, coef, intercept, *outputs,
                threads=num_threads(),
            )  # fmt: skip
        gradient[:, -1] = intercept_gradient
        return total, gradient

    def row_weights(self, block: Rows) -> Vector:
        """Weights of a block of rows, 1 where none were given."""
        if self.weights is None:
            return np.ones(block.stop - block.start)
        return self.weights[block]


def without_common(parameters: Vector) -> Vector:
    """The same less what is common to all classes, which changes no probability."""
    common = np.add.reduce(parameters, axis=0)
    common /= len(parameters)
    return np.asarray(parameters - common)


def dense(features: "Features") -> NDArray[Any]:
    """A block of features as an array."""
    return features if isinstance(features, np.ndarray) else features.toarray()
