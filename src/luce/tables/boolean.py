"""Boolean columns: 0 or 1, with an indicator of what was missing."""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from luce.tables.features import FeatureName, missing_feature
from luce.tables.values import ColumnBlock, shortened, truths


class BooleanColumn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="boolean",
):
    """How one boolean column becomes features: 1 where it is true, and whether it is missing.

    `type` is the Arrow type that the training table had; `most_frequent` stands in for a missing
    value, and is false when both occur equally often.

    Examples
    --------
    >>> column = BooleanColumn(name="wet", type="bool", most_frequent=True, missing_indicator=False)
    >>> column.kind
    'boolean'
    """

    name: str
    type: str
    most_frequent: bool
    missing_indicator: bool

    @property
    def kind(self) -> Literal["boolean"]:
        """The column's kind."""
        return "boolean"


def fit_boolean(block: ColumnBlock) -> BooleanColumn:
    """Return the more frequent value of a column, and whether any is missing."""
    values = truths(block)
    return BooleanColumn(
        name=block.name,
        type=str(block.values.type),
        most_frequent=bool((values == 1).sum() > (values == 0).sum()),
        missing_indicator=bool(np.isnan(values).any()),
    )


def boolean_width(column: BooleanColumn) -> int:
    """Return how many features the column becomes."""
    return 1 + column.missing_indicator


def write_boolean(column: BooleanColumn, block: ColumnBlock, out: NDArray[np.float32]) -> None:
    """Write the block's features into `out`, (rows, 1 or 2)."""
    values = truths(block)
    missing = np.isnan(values)
    out[:, 0] = np.where(missing, column.most_frequent, values)
    if column.missing_indicator:
        out[:, 1] = missing


def name_boolean(column: BooleanColumn, place: int) -> FeatureName:
    """Return the name of one of the features that `write_boolean` writes."""
    if place:
        return missing_feature(column.name)
    return FeatureName(column.name, "value", None, f"when {shortened(column.name)} is true")
