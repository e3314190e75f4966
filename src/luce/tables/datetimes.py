"""Columns of dates and times: the time elapsed, and the parts of day, week and year as circles."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.features import FeatureName, missing_feature
from luce.tables.numeric import standardised
from luce.tables.values import (
    ColumnBlock,
    casts,
    first_bad,
    is_moment,
    is_text,
    quoted,
    shortened,
    texts,
    without_markers,
)

Part = Literal["time of day", "day of week", "day of year"]

DAY = 86_400_000_000
"""Microseconds."""

_MICROSECONDS_IN: Mapping[str, float] = {
    "date32[day]": DAY,
    "date64[ms]": 1000,
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
    "ns": 0.001,
}
_MICROSECONDS = pa.timestamp("us")
_ZONED = pa.timestamp("us", "UTC")
_ZONE = r"\d[Tt ].*([Zz]|[-+]\d\d(:?\d\d)?)$"
_FINER_THAN_MICROSECONDS = r"(\.\d{6})\d{1,3}"


class DatetimeColumn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="datetime",
):
    """How one column of dates or times becomes features.

    The first feature is the time elapsed, (moment - mean) / scale. Each of `parts` is two more: the
    sine and the cosine of the share of the day, week or year that is over, so that 23:59 is next
    to 0:00. Parts are those of UTC; a time without a zone is taken as it is. Last comes whether
    the value is missing, if any training value was.

    `type` is the Arrow type that the training table had. `median`, `mean` and `scale` are in
    microseconds, the former two since 1970 began, of the training values with the median in place
    of missing ones; `scale` is 1 where the deviation is 0.

    Examples
    --------
    >>> column = DatetimeColumn(
    ...     name="seen", type="date32[day]", median=0, mean=0.0, scale=8.64e10,
    ...     parts=("day of week",), missing_indicator=False)
    >>> column.kind
    'datetime'
    """

    name: str
    type: str
    median: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    parts: tuple[Part, ...]
    missing_indicator: bool

    @property
    def kind(self) -> Literal["datetime"]:
        """The column's kind."""
        return "datetime"


def moments(block: ColumnBlock) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return microseconds since 1970 began, (rows,), rounded down, and where there are none.

    Text is ISO 8601: a date, or date and time, with a zone or without one.

    Raises
    ------
    DataError
        The column holds neither dates nor text; a text is no such moment, or a moment is more than
        290,000 years away (row and value are named).
    """
    values = block.values
    if pa.types.is_null(values.type):
        values = values.cast(_MICROSECONDS)
    elif not is_moment(values.type):
        values = _parse(block)
    missing = values.is_null().to_numpy()
    integer = pa.int32() if pa.types.is_date32(values.type) else pa.int64()
    ticks = values.cast(integer).fill_null(0).to_numpy().astype(np.int64)
    unit = _MICROSECONDS_IN[str(values.type.unit if hasattr(values.type, "unit") else values.type)]
    if unit < 1:
        return ticks // 1000, missing
    too_far = (ticks > (2**63 - 1) // unit) | (ticks < -(2**63 // unit))
    if too_far.any():
        raise DataError(
            f"{block.at(int(too_far.argmax()))}: the date is more than 290,000 years from 1970; "
            "correct it or leave it empty"
        )
    return ticks * int(unit), missing


def fit_datetime(block: ColumnBlock) -> DatetimeColumn:
    """Return the median, mean and scale of a column with at least one value, and what varies."""
    values, missing = moments(block)
    present = values[~missing]
    middle = (len(present) - 1) // 2
    median = int(np.partition(present, middle)[middle])
    values[missing] = median
    times = values.astype(np.float64)
    return DatetimeColumn(
        name=block.name,
        type=str(block.values.type),
        median=median,
        mean=float(times.mean()),
        scale=float(times.std()) or 1.0,
        parts=tuple(part for part, share in _SHARES.items() if np.ptp(share(present))),
        missing_indicator=bool(missing.any()),
    )


def datetime_width(column: DatetimeColumn) -> int:
    """Return how many features the column becomes."""
    return 1 + 2 * len(column.parts) + column.missing_indicator


def write_datetime(column: DatetimeColumn, block: ColumnBlock, out: NDArray[np.float32]) -> None:
    """Write the block's features into `out`, (rows, d)."""
    values, missing = moments(block)
    values[missing] = column.median
    out[:, 0] = standardised(values, column.mean, column.scale, block)
    for place, part in enumerate(column.parts):
        angle = 2 * np.pi * _SHARES[part](values)
        out[:, 1 + 2 * place] = np.sin(angle)
        out[:, 2 + 2 * place] = np.cos(angle)
    if column.missing_indicator:
        out[:, -1] = missing


def name_datetime(column: DatetimeColumn, place: int) -> FeatureName:
    """Return the name of one of the features that `write_datetime` writes."""
    if place == 0:
        unit = f"per standard deviation ({column.scale / DAY:.3g} days)"
        return FeatureName(column.name, "value", None, unit)
    if place > 2 * len(column.parts):
        return missing_feature(column.name)
    part = column.parts[(place - 1) // 2]
    wave = f"{'sine' if place % 2 else 'cosine'} of the {part}"
    unit = f"per 1 in the {wave} of {shortened(column.name)} (UTC)"
    return FeatureName(column.name, "part", wave, unit)


def _share_of_day(moments: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.mod(moments, DAY) / DAY


def _share_of_week(moments: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.mod(moments // DAY + 3, 7) / 7  # 1970 began on a Thursday.


def _share_of_year(moments: NDArray[np.int64]) -> NDArray[np.float64]:
    days = (moments // DAY).astype("datetime64[D]")
    years = days.astype("datetime64[Y]")
    length = (years + 1).astype("datetime64[D]") - years.astype("datetime64[D]")
    return np.asarray((days - years.astype("datetime64[D]")) / length, np.float64)


_SHARES: Mapping[Part, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
    "time of day": _share_of_day,
    "day of week": _share_of_week,
    "day of year": _share_of_year,
}


def _parse(block: ColumnBlock) -> pa.ChunkedArray:
    """Text as timestamps in UTC: with a zone, or as it is."""
    type = block.values.type
    if not is_text(type.value_type if pa.types.is_dictionary(type) else type):
        raise DataError(
            f"column {quoted(block.name)} has the type {type}, which holds no dates: choose "
            "another kind, or leave the column out"
        )
    text = without_markers(texts(block))
    text = pc.replace_substring_regex(text, _FINER_THAN_MICROSECONDS, r"\1")
    zoned = pc.match_substring_regex(text, _ZONE)
    nothing = pa.scalar(None, text.type)
    naive, with_zone = pc.if_else(zoned, nothing, text), pc.if_else(zoned, text, nothing)
    try:
        return pc.coalesce(naive.cast(_MICROSECONDS), with_zone.cast(_ZONED).cast(_MICROSECONDS))
    except pa.ArrowInvalid:
        fits = (casts(naive, _MICROSECONDS), casts(with_zone, _ZONED))
        row = min(first_bad(len(text), fit) for fit in fits)
        raise DataError(
            f"{block.at(row)}: {quoted(text[row].as_py())} is not a date or time as ISO 8601 "
            "writes it (2026-01-31, 2026-01-31 09:30:00, 2026-01-31T09:30:00+01:00), between the "
            "years 0 and 9999; correct it, leave it empty, or choose another kind"
        ) from None
