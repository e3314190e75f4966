"""Rows cut into batches, copied into the same memory one batch after the other."""

from collections.abc import Iterator
from math import log2
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from luce.scorers.layer import Features


class Batch(NamedTuple):
    """Some rows, until the next batch takes their place; `weight` is the sum of the weights."""

    features: "Features"
    targets: NDArray[Any]
    weights: NDArray[np.float64]
    weight: float


class Batches:
    """The rows of a fit, as often as wanted; rows of weight 0 are none.

    Parameters
    ----------
    features : C-contiguous array or CSR matrix of shape (n, d)
    targets : array of shape (n,) or (n, k)
    weights : float64 array of shape (n,) or None
    size : int
        Of a batch; the last one of an epoch has what is left.

    Attributes
    ----------
    rows : int
    weight : float
        Sum of all weights, in units in which they are about 1: what is multiplied with them stays
        in the range of float32. What is added to weighted losses has to be multiplied with `unit`,
        a power of two.
    """

    def __init__(
        self,
        features: "Features",
        targets: NDArray[Any],
        weights: NDArray[np.float64] | None,
        size: int,
    ) -> None:
        self.features, self.targets = features, targets
        self.places: NDArray[np.int64] | None = None
        self.rows: int = features.shape[0]
        self.weight = float(self.rows)
        self.unit = 1.0
        if weights is not None:
            if not weights.all():
                self.places = np.flatnonzero(weights)
                self.rows = len(self.places)
            self.unit = 2.0 ** -round(log2(float(weights.sum()) / self.rows))
            weights = weights * self.unit
            self.weight = float(weights.sum())
        self.weights = weights
        self.size = min(size, self.rows)

    def __len__(self) -> int:
        return -(-self.rows // self.size)

    def order(self, random: np.random.Generator | None) -> NDArray[np.int64]:
        """The places of the rows, as they lie or as drawn."""
        places = self.rows if self.places is None else self.places
        if random is not None:
            return random.permutation(places)
        return np.arange(places) if isinstance(places, int) else places

    def weights_of(self, order: NDArray[np.int64]) -> list[float]:
        """The sums of the weights of the batches that these rows make."""
        parts = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        if self.weights is None:
            return [float(len(part)) for part in parts]
        return [float(self.weights[part].sum()) for part in parts]

    def in_order(self) -> Iterator[Batch]:
        """The rows as they lie."""
        if self.places is not None:
            yield from self.gathered(self.places)
            return
        ones = np.ones(self.size)
        for start in range(0, self.rows, self.size):
            block = slice(start, min(start + self.size, self.rows))
            features, targets = self.features[block], self.targets[block]
            if self.weights is None:
                yield Batch(features, targets, ones[: len(targets)], float(len(targets)))
            else:
                weights = self.weights[block]
                yield Batch(features, targets, weights, float(weights.sum()))

    def gathered(self, order: NDArray[np.int64]) -> Iterator[Batch]:
        """Rows in this order."""
        features, targets, weights = self.features, self.targets, self.weights
        is_dense = isinstance(features, np.ndarray)
        kept = np.empty((self.size, features.shape[1]), features.dtype) if is_dense else None
        ones = np.ones(self.size)
        for start in range(0, len(order), self.size):
            rows = order[start : start + self.size]
            if kept is None:
                taken = features[rows]
            else:
                # "clip" writes to `out` as it goes: "raise" would copy all of it first.
                taken = kept if len(rows) == self.size else kept[: len(rows)]
                features.take(rows, 0, taken, "clip")
            if weights is None:
                yield Batch(taken, targets[rows], ones[: len(rows)], float(len(rows)))
            else:
                of_rows = weights[rows]
                yield Batch(taken, targets[rows], of_rows, float(of_rows.sum()))
