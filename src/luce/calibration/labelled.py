"""Rows with their labels, all of them or some, to be read in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.calibration import rows, units
from luce.calibration.rows import Block, Float64s, Integers

_SAMPLE_ELEMENTS = 2**22
_LEAST_SAMPLE = 2**12


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows as they were handed in, of which `chosen` are meant, or all."""

    values: npt.NDArray[Any]
    labels: npt.NDArray[Any]
    weights: npt.NDArray[Any] | None
    groups: npt.NDArray[Any] | None
    logarithmic: bool
    chosen: Integers | None = None

    def __len__(self) -> int:
        return len(self.labels if self.chosen is None else self.chosen)

    @property
    def classes(self) -> int:
        """The number of columns, k."""
        return int(self.values.shape[1])

    def of(self, places: Integers) -> "Labelled":
        """Some of these rows."""
        groups = None if self.groups is None else self.groups[places]
        return replace(self, chosen=self._handed_in(places), groups=groups)

    def blocks(self) -> Iterator[Block]:
        """Rows of positive weight, checked; `Block.rows` are places among the rows meant."""
        step = rows.rows_at_once(self.classes)
        for start in range(0, len(self), step):
            part = slice(start, start + step) if self.chosen is None else self.chosen[start:][:step]
            for block in rows.blocks(
                self.values[part],
                self.labels[part],
                None if self.weights is None else self.weights[part],
                logarithmic=self.logarithmic,
                first_row=start,
            ):
                if len(block.rows):
                    yield replace(block, rows=block.rows + start)

    def logarithms(self, block: Block) -> Float64s:
        """Logarithms of a block's probabilities; -inf where one is 0."""
        if self.logarithmic:
            return block.values
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(block.values))

    def some(self, random: np.random.Generator) -> Integers:
        """Places of all rows, or of some at random where they are many."""
        n, most = len(self), max(_LEAST_SAMPLE, _SAMPLE_ELEMENTS // self.classes)
        return np.arange(n) if n <= most else np.sort(random.choice(n, most, replace=False))

    def sample(self, random: np.random.Generator) -> Float64s:
        """Probabilities of `some` rows, unchecked."""
        values = self.values[self._handed_in(self.some(random))].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(np.exp(values)) if self.logarithmic else values

    def _handed_in(self, places: Integers) -> Integers:
        return places if self.chosen is None else self.chosen[places]


def labelled(
    values: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None,
    groups: npt.ArrayLike | None,
    *,
    logarithmic: bool,
) -> Labelled:
    """Everything but the probabilities themselves checked, which `Labelled.blocks` does.

    Raises
    ------
    DataError
        A wrong shape or dtype, no rows, a label that is no class, an unusable weight or group,
        weights that sum to 0 or overflow.
    """
    table = rows.as_table(values)
    n, k = table.shape
    return Labelled(
        table,
        rows.checked_labels(np.asarray(labels), n, k, 0),
        None if sample_weight is None else _about_1(rows.checked_weights(sample_weight, n, 0)),
        None if groups is None else units.checked_groups(groups, n, 0),
        logarithmic,
    )


def _about_1(weights: Float64s) -> Float64s:
    """The weights by a power of 2, so that their squares are numbers too."""
    with np.errstate(over="ignore"):
        rows.check_total_weight(float(weights.sum()))
    return np.asarray(np.ldexp(weights, -int(np.frexp(weights.max())[1])))
