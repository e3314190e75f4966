"""Numeric columns: imputed by the median, standardised, with an indicator of what was missing."""

from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.features import FeatureName, missing_feature
from luce.tables.values import ColumnBlock, numbers


class NumericColumn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="numeric",
):
    """How one numeric column becomes features: (value - mean) / scale, and whether it is missing.

    `type` is the Arrow type that the training table had. `mean` and `scale` are the mean and the
    population standard deviation of the training values with the median in place of missing ones;
    `scale` is 1 where that deviation is 0.

    Examples
    --------
    >>> column = NumericColumn(
    ...     name="depth", type="double", median=17.3, mean=17.2, scale=2.0, missing_indicator=True)
    >>> column.kind
    'numeric'
    """

    name: str
    type: str
    median: float
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    missing_indicator: bool

    @property
    def kind(self) -> Literal["numeric"]:
        """The column's kind."""
        return "numeric"


def fit_numeric(block: ColumnBlock) -> NumericColumn:
    """Return the median, mean and scale of a column with at least one value.

    Computed in float64 on values divided by a power of two above the largest magnitude, which is
    exact and cannot overflow.
    """
    values = numbers(block)
    missing = np.isnan(values)
    exponent = int(np.frexp(np.nanmax(np.abs(values)))[1])
    unit = np.ldexp(values, -exponent)
    median = np.median(unit[~missing])
    unit[missing] = median
    median, mean, scale = (
        float(np.ldexp(number, exponent)) for number in (median, unit.mean(), unit.std())
    )
    return NumericColumn(
        name=block.name,
        type=str(block.values.type),
        median=median,
        mean=mean,
        scale=scale or 1.0,
        missing_indicator=bool(missing.any()),
    )


def numeric_width(column: NumericColumn) -> int:
    """Return how many features the column becomes."""
    return 1 + column.missing_indicator


def write_numeric(column: NumericColumn, block: ColumnBlock, out: NDArray[np.float32]) -> None:
    """Write the block's features into `out`, (rows, 1 or 2)."""
    values = numbers(block)
    missing = np.isnan(values)
    values = np.where(missing, column.median, values)
    out[:, 0] = standardised(values, column.mean, column.scale, block)
    if column.missing_indicator:
        out[:, 1] = missing


def standardised(
    values: NDArray[np.float64] | NDArray[np.int64], mean: float, scale: float, block: ColumnBlock
) -> NDArray[np.float32]:
    """Return (values - mean) / scale of the block's rows, (rows,); DataError if one overflows."""
    with np.errstate(over="ignore"):
        result = ((values - mean) / scale).astype(np.float32)
    too_far = ~np.isfinite(result)
    if too_far.any():
        row = int(too_far.argmax())
        raise DataError(
            f"{block.at(row)}: {values[row]:g} is too far from the training values "
            f"({mean:.3g} with standard deviation {scale:.3g}) for float32; "
            "correct it or leave it empty"
        )
    return result


def name_numeric(column: NumericColumn, place: int) -> FeatureName:
    """Return the name of one of the features that `write_numeric` writes."""
    if place:
        return missing_feature(column.name)
    return FeatureName(column.name, "value", None, f"per standard deviation ({column.scale:.3g})")
