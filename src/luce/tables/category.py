"""Category columns: one feature a level, one for the rare levels, one for missing values."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.tables.features import FeatureName, missing_feature
from luce.tables.values import ColumnBlock, levels, shortened

RARE_BELOW = 5
"""A level with fewer training rows than this has no feature of its own."""

MOST_LEVELS = 255
"""At most this many levels of a column, the most frequent, have a feature of their own."""


@dataclass(frozen=True, kw_only=True)
class CategoryColumn:
    """How one category column becomes features: 1 for the row's level, 0 for the others.

    `type` is the Arrow type that the training table had. `levels` have a feature each, in the
    order of their text, which does not depend on the order of the rows. `rare` are the other levels
    of the training rows; if there are any they share one feature, also with levels never seen.
    `missing` says whether missing values have a feature; if not they count as never seen.

    Examples
    --------
    >>> column = CategoryColumn(
    ...     name="sex", type="string", levels=("female", "male"), rare=(), missing=False)
    >>> column.kind
    'category'
    """

    name: str
    type: str
    levels: tuple[str, ...]
    rare: tuple[str, ...]
    missing: bool

    @property
    def kind(self) -> Literal["category"]:
        """The column's kind."""
        return "category"

    @cached_property
    def codes(self) -> Mapping[str, int]:
        """Position of each level of the training rows: in `levels`, or after them if rare."""
        return {level: code for code, level in enumerate(self.levels + self.rare)}


def count_levels(values: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the distinct levels, most frequent first and then by their text, and their counts."""
    counts = pa.Table.from_struct_array(pc.value_counts(values.drop_null()))
    counts = counts.sort_by([("counts", "descending"), ("values", "ascending")])
    return counts["values"].combine_chunks(), counts["counts"].to_numpy()


def fit_category(block: ColumnBlock) -> CategoryColumn:
    """Return which levels of a column have a feature of their own, and which are rare."""
    values = levels(block)
    distinct, counts = count_levels(values)
    kept = min(int((counts >= RARE_BELOW).sum()), MOST_LEVELS)
    return CategoryColumn(
        name=block.name,
        type=str(block.values.type),
        levels=tuple(sorted(distinct[:kept].to_pylist())),
        rare=tuple(sorted(distinct[kept:].to_pylist())),
        missing=values.null_count > 0,
    )


def category_width(column: CategoryColumn) -> int:
    """Return how many features the column becomes."""
    return width_of_levels(len(column.levels), len(column.rare), missing=column.missing)


def width_of_levels(levels: int, rare: int, *, missing: bool) -> int:
    """Return how many features a column of so many levels, and rare ones, becomes."""
    return levels + (rare > 0) + missing


def category_places(column: CategoryColumn, block: ColumnBlock) -> tuple[NDArray[np.int64], int]:
    """Return which of the column's features is 1 in each row, and how many levels were never seen.

    (rows,), -1 where none is 1. A feature's position is its level's position in `levels`; then
    come the rare levels' feature and the missing values' feature, where the column has them.
    """
    encoded = levels(block).combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_numpy(zero_copy_only=False)
    missing = len(found)
    rows = encoded.indices.fill_null(missing).to_numpy()
    rare = len(column.levels)
    codes = np.array([*(column.codes.get(level, -1) for level in found), -1])
    unseen = codes < 0
    places = np.minimum(codes, rare)
    if column.rare:
        places[unseen] = rare
    if column.missing:
        places[missing], unseen[missing] = category_width(column) - 1, False
    return places[rows], int(unseen[rows].sum())


def write_category(column: CategoryColumn, block: ColumnBlock, out: NDArray[np.float32]) -> int:
    """Write the block's features into `out`, (rows, d); return how many levels were never seen."""
    places, unseen = category_places(column, block)
    out[:] = 0
    rows = np.flatnonzero(places >= 0)
    out[rows, places[rows]] = 1
    return unseen


def name_category(column: CategoryColumn, place: int) -> FeatureName:
    """Return the name of one of the features that `write_category` writes."""
    if place < len(column.levels):
        level = column.levels[place]
        unit = f"when {shortened(column.name)} = {shortened(level)}"
        return FeatureName(column.name, "level", level, unit)
    if column.rare and place == len(column.levels):
        rare = f"one of {len(column.rare)} rare levels"
        unit = f"when {shortened(column.name)} is {rare}, or was never seen"
        return FeatureName(column.name, "rare", None, unit)
    return missing_feature(column.name)
