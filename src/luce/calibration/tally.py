"""Sums over labelled rows, apart by unit, and the same of labels drawn from the probabilities.

A unit is a row, a group of rows that belong together, or a bundle of either where they are many.
All figures are functions of the sums over units, so that a bootstrap resample, which counts how
often each unit was drawn, is a matrix product.

What a calibrated model would give is found by drawing labels: exactly what calibration means, for
rows that do not depend on each other. Where they come in groups the excesses of all groups together
vary more than those of draws. By how much is told from the groups themselves, and the draws are
stretched by it (Rao and Scott's correction).
"""

from dataclasses import dataclass

import numpy as np

from luce.calibration import rows, units
from luce.calibration.cells import Cells, cells_from
from luce.calibration.draws import add_classes, add_correct, drawn
from luce.calibration.labelled import Labelled
from luce.calibration.rows import Block, Float64s, Integers
from luce.training.blas import single_threaded_blas

MOST_TESTED = 2**16
_LEAST_TIMES, _LEAST_TIMES_OF_MANY, _MOST_TIMES = 199, 20, 999
_DRAWN_LABELS = 2**24
_DRAWN_SUMS = 2**23
_LEAST_UNITS = 64
_UNIT_SUMS = 2**22
_MOST_SURPRISED = 1e3


@dataclass(frozen=True, eq=False)
class Excess:
    """What was expected minus what came true: of each unit, or of all rows many times over.

    Attributes
    ----------
    surprise : (r,) the entropy of the probabilities minus the log loss
    confidence : (finest, r) confidence minus correctness, in each cell of confidence
    classes : (of_classes, r) probability minus outcome, in each cell of each class
    """

    surprise: Float64s
    confidence: Float64s
    classes: Float64s

    def times(self, factors: Float64s) -> "Excess":
        """Sums over (units, r) factors."""
        with single_threaded_blas():
            return Excess(
                self.surprise @ factors, self.confidence @ factors, self.classes @ factors
            )


@dataclass(frozen=True, eq=False)
class Tally:
    """The sums of all rows, apart by those units that have weight.

    Attributes
    ----------
    rows : how many have weight
    mean_square_weight : of these
    unit : (n,) the unit of each row, meaningless for a row without weight
    weight, loss, impossible, distance : (units,)
        Weights, log losses where finite, weights where not, Brier scores.
    confidence_weight, class_weight : (cells, units)
    seen : Excess of each unit
    calibrated : Excess of all rows, of each draw
    stretch : of the variance of `calibrated`; 1 without groups
    """

    cells: Cells
    rows: int
    mean_square_weight: float
    unit: Integers
    weight: Float64s
    loss: Float64s
    impossible: Float64s
    distance: Float64s
    confidence_weight: Float64s
    class_weight: Float64s
    seen: Excess
    calibrated: Excess
    stretch: float


def tallied(labelled: Labelled, random: np.random.Generator, *, apart: bool) -> Tally:
    """Read all rows once; not `apart` leaves independent rows in one unit.

    Raises
    ------
    DataError
        A row that is no distribution.
    """
    n = len(labelled)
    cells = cells_from(labelled.sample(random))
    most = min(units.MOST, _UNIT_SUMS // (cells.finest + cells.of_classes))
    most = max(_LEAST_UNITS, most) if apart or labelled.groups is not None else 1
    unit = units.dealt(n, labelled.groups, most, random)
    times = min(_MOST_TIMES, _DRAWN_SUMS // cells.of_classes, _DRAWN_LABELS // n)
    times = max(_LEAST_TIMES if n <= MOST_TESTED else _LEAST_TIMES_OF_MANY, times)
    sums = _Sums(cells, int(unit.max()) + 1, times)
    with np.errstate(over="ignore", invalid="ignore"):
        for block in labelled.blocks():
            sums.add(block, labelled.logarithms(block), unit[block.rows], random)
    return sums.tally(unit, grouped=labelled.groups is not None)


class _Sums:
    """The sums so far; each array has its units, or its draws, last."""

    def __init__(self, cells: Cells, many: int, times: int) -> None:
        self.cells = cells
        self.rows, self.square_weight = 0, 0.0
        self.weight, self.loss, self.impossible, self.distance = np.zeros((4, many))
        self.confidence_weight = np.zeros((cells.finest, many))
        self.class_weight = np.zeros((cells.of_classes, many))
        self.seen = _none(cells, many)
        self.expected = _none(cells, 1)
        self.came = np.zeros(cells.of_classes)
        self.drawn = _none(cells, times)

    def add(
        self, block: Block, logarithms: Float64s, unit: Integers, random: np.random.Generator
    ) -> None:
        every = np.arange(len(block.rows))
        probabilities, weights = block.probabilities, block.weights
        top = probabilities.argmax(axis=1)
        confidence = probabilities[every, top]
        cell = self.cells.of_confidence(confidence)
        class_cell = self.cells.of_probabilities(probabilities)
        # One number of a cell and a unit, for np.add.at is quick with one.
        place = cell * len(self.weight) + unit
        class_place = (class_cell * len(self.weight) + unit[:, None]).ravel()

        surprise = rows.surprise(logarithms, block.labels)
        impossible = np.isinf(surprise)
        distance = rows.squared_distance(probabilities, block.labels)
        self.rows += len(every)
        self.square_weight += np.square(weights).sum()
        np.add.at(self.weight, unit, weights)
        np.add.at(self.loss, unit, weights * np.where(impossible, 0.0, surprise))
        np.add.at(self.impossible, unit, weights * impossible)
        np.add.at(self.distance, unit, weights * distance)
        np.add.at(self.confidence_weight.reshape(-1), place, weights)
        np.add.at(
            self.class_weight.reshape(-1), class_place, np.repeat(weights, probabilities.shape[1])
        )

        entropy = _entropy(probabilities, logarithms)
        surplus = weights * (entropy - surprise.clip(max=_MOST_SURPRISED))
        excess = weights * (confidence - (top == block.labels))
        excesses = probabilities.copy()
        excesses[every, block.labels] -= 1.0
        excesses *= weights[:, None]
        np.add.at(self.seen.surprise, unit, surplus)
        np.add.at(self.seen.confidence.reshape(-1), place, excess)
        np.add.at(self.seen.classes.reshape(-1), class_place, excesses.ravel())

        self.expected.surprise[0] += weights @ entropy
        np.add.at(self.expected.confidence[:, 0], cell, weights * confidence)
        np.add.at(self.came, class_cell[every, block.labels], weights)
        for part, labels in drawn(block, self.drawn.surprise.size, random):
            surprises = -np.take_along_axis(logarithms[part], labels, axis=1)
            self.drawn.surprise[:] += weights[part] @ surprises.clip(max=_MOST_SURPRISED)
            add_correct(self.drawn.confidence, cell[part], top[part], labels, weights[part])
            add_classes(self.drawn.classes, class_cell[part], labels, weights[part])

    def tally(self, unit: Integers, *, grouped: bool) -> Tally:
        """All sums, and the draws as noisy as groups are."""
        # A unit without weight is no unit; a resample of such alone would be 0 / 0.
        kept = self.weight > 0
        seen = Excess(*(values[..., kept] for values in vars(self.seen).values()))
        self.expected.classes[:, 0] = seen.classes.sum(axis=1) + self.came
        pairs = zip(vars(self.expected).values(), vars(self.drawn).values(), strict=True)
        calibrated = Excess(*(expected - drawn for expected, drawn in pairs))
        stretch = 1.0
        if grouped:
            copies = float(np.square(self.weight).sum() / self.square_weight)
            stretch = _stretch(self.cells, seen, calibrated, most=copies)
            stretched = (np.sqrt(stretch) * drawn for drawn in vars(calibrated).values())
            calibrated = Excess(*stretched)
        return Tally(
            cells=self.cells,
            rows=self.rows,
            mean_square_weight=self.square_weight / self.rows,
            unit=(kept.cumsum() - 1).clip(0)[unit],
            weight=self.weight[kept],
            loss=self.loss[kept],
            impossible=self.impossible[kept],
            distance=self.distance[kept],
            confidence_weight=self.confidence_weight[:, kept],
            class_weight=self.class_weight[:, kept],
            seen=seen,
            calibrated=calibrated,
            stretch=stretch,
        )


def _stretch(cells: Cells, seen: Excess, calibrated: Excess, most: float) -> float:
    """The variance of sums over units, over that of draws, of the kind of sum where it is largest.

    On average over bins of a kind; at least that of independent rows, at most that of copies.
    """
    stretch = 1.0
    for of_units, of_draws in (
        (seen.surprise, calibrated.surprise),
        (
            np.add.reduceat(seen.confidence, cells.quantile, axis=0),
            np.add.reduceat(calibrated.confidence, cells.quantile, axis=0),
        ),
        (seen.classes, calibrated.classes),
        (cells.class_totals(seen.classes), cells.class_totals(calibrated.classes)),
    ):
        variance, expected = np.square(of_units).sum(), np.square(of_draws).mean(axis=-1).sum()
        is_most = variance >= most * expected
        stretch = max(stretch, most if is_most else float(variance / expected))
    return stretch


def _none(cells: Cells, many: int) -> Excess:
    return Excess(
        np.zeros(many), np.zeros((cells.finest, many)), np.zeros((cells.of_classes, many))
    )


def _entropy(probabilities: Float64s, logarithms: Float64s) -> Float64s:
    """-sum p log p of each row, an impossible class adding nothing."""
    terms = np.zeros_like(probabilities)
    np.multiply(probabilities, logarithms, where=probabilities > 0, out=terms)
    return -np.asarray(terms.sum(axis=1))
