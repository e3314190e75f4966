"""Category columns: one feature a level, one for the rare levels, one for missing values."""

from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.tables.features import FeatureName, missing_feature
from luce.tables.values import ColumnBlock, levels

RARE_BELOW = 5
"""A level with fewer training rows than this has no feature of its own."""

MOST_LEVELS = 255
"""At most this many levels of a column, the most frequent, have a feature of their own."""


class CategoryColumn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="category",
):
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


def write_category(column: CategoryColumn, block: ColumnBlock, out: NDArray[np.float32]) -> int:
    """Write the block's features into `out`, (rows, d); return how many rows have no known level.

    A feature's position is its level's position in `levels`; then come the rare levels' feature
    and the missing values' feature, where the column has them.
    """
    values = levels(block)
    known = pa.array(column.levels + column.rare, pa.large_string())
    codes = pc.index_in(values, value_set=known).fill_null(-1).to_numpy()
    missing = values.is_null().to_numpy() & column.missing
    unseen = (codes < 0) & ~missing
    rare = len(column.levels)
    places = np.minimum(codes, rare)
    if column.rare:
        places[unseen] = rare
    places[missing] = out.shape[1] - 1
    out[:] = 0
    rows = np.flatnonzero(places >= 0)
    out[rows, places[rows]] = 1
    return int(unseen.sum())


def name_category(column: CategoryColumn) -> tuple[FeatureName, ...]:
    """Return the names of the features that `write_category` writes."""
    names = [
        FeatureName(column.name, "level", level, f"when {column.name} = {level}")
        for level in column.levels
    ]
    if column.rare:
        unit = f"when {column.name} is one of {len(column.rare)} rare levels, or was never seen"
        names.append(FeatureName(column.name, "rare", None, unit))
    if column.missing:
        names.append(missing_feature(column.name))
    return tuple(names)
