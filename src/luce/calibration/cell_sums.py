"""Sums over the rows of each cell of one way to cut, and the same of drawn labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from luce.calibration import draws
from luce.calibration.bins import Strategy, bins_of_classes, quantile_edges, uniform_edges
from luce.calibration.gaps import mean_square_gap
from luce.calibration.labelled import Labelled
from luce.calibration.rows import Block, Float64s, Integers

_LEAST_TIMES, _MOST_TIMES = 32, 200
_DRAWN_LABELS = 2**24
_DRAWN_SUMS = 2**23


@dataclass(frozen=True, eq=False)
class Cut:
    """Inner edges of the bins of confidence (bins - 1, 1), or of each class (bins - 1, k)."""

    edges: Float64s
    classwise: bool

    @property
    def cells(self) -> int:
        """All bins."""
        return (len(self.edges) + 1) * int(self.edges.shape[1])

    def places(self, block: Block) -> tuple[Integers, Float64s, Float64s]:
        """The cell of each row, or of each row and class; what it predicts there; what came."""
        probabilities, every = block.probabilities, np.arange(len(block.rows))
        if not self.classwise:
            top = probabilities.argmax(axis=1)
            confidence = probabilities[every, top]
            cell = np.searchsorted(self.edges[:, 0], confidence)
            return cell[:, None], confidence[:, None], (top == block.labels)[:, None] * 1.0
        outcome = np.zeros_like(probabilities)
        outcome[every, block.labels] = 1.0
        cells = bins_of_classes(probabilities, self.edges)
        cells += (len(self.edges) + 1) * np.arange(probabilities.shape[1])
        return cells, probabilities, outcome


@dataclass(frozen=True, eq=False)
class CellSums:
    """Sums of each cell (cells, 1), and of drawn labels (cells, times), of which may be none.

    Attributes
    ----------
    weight, excess : of weights, and of weight times (probability minus outcome)
    weight_squares, excess_squares : of the squares of what each row adds to these
    calibrated : `excess` of labels drawn from the probabilities
    """

    weight: Float64s
    excess: Float64s
    weight_squares: Float64s
    excess_squares: Float64s
    calibrated: Float64s

    def mean_square(self) -> float:
        """The mean square of the gaps, without bias."""
        square = mean_square_gap(self.weight, self.excess, self.weight_squares, self.excess_squares)
        return float(square[0])

    def beyond_calibration(self, error: Callable[[Float64s], Float64s]) -> float:
        """The error of the excess, minus its mean over those drawn, if any."""
        bias = error(self.calibrated).mean() if self.calibrated.size else 0.0
        return float(error(self.excess)[0] - bias)


def cut_into(labelled: Labelled, bins: int, strategy: Strategy, *, classwise: bool) -> Cut:
    """Bins of confidence or of every class, of equal width or of equal counts."""
    classes = labelled.classes if classwise else 1
    if strategy == "uniform":
        return Cut(np.repeat(uniform_edges(bins)[:, None], classes, axis=1), classwise)
    sample = labelled.sample(np.random.default_rng(0))
    return Cut(
        quantile_edges(sample if classwise else sample.max(axis=1, keepdims=True), bins), classwise
    )


def summed(labelled: Labelled, cut: Cut, *, draw: bool) -> CellSums:
    """Read all rows once, and draw labels if asked to.

    Raises
    ------
    DataError
        A row that is no distribution.
    """
    random = np.random.default_rng(0)
    times = min(_DRAWN_LABELS // len(labelled), _DRAWN_SUMS // cut.cells, _MOST_TIMES)
    times = max(_LEAST_TIMES, times) if draw else 0
    weight, excess, weight_squares, excess_squares, expected = np.zeros((5, cut.cells, 1))
    drawn = np.zeros((cut.cells, times))
    with np.errstate(over="ignore", invalid="ignore"):
        for block in labelled.blocks():
            cells, predicted, outcome = cut.places(block)
            weights = np.broadcast_to(block.weights[:, None], cells.shape)
            added = weights * (predicted - outcome)
            for table, values in (
                (weight, weights),
                (excess, added),
                (weight_squares, np.square(weights)),
                (excess_squares, np.square(added)),
                (expected, weights * predicted),
            ):
                np.add.at(table[:, 0], cells.ravel(), values.ravel())
            for part, labels in draws.drawn(block, times, random) if times else ():
                if cut.classwise:
                    draws.add_classes(drawn, cells[part], labels, block.weights[part])
                else:
                    top = block.probabilities[part].argmax(axis=1)
                    draws.add_correct(drawn, cells[part, 0], top, labels, block.weights[part])
    return CellSums(weight, excess, weight_squares, excess_squares, expected - drawn)
