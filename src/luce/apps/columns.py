"""What is said of a column: what it is used as, and what it becomes."""

from collections.abc import Mapping

from luce.apps.layout import counted, listing
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Column,
    ColumnKind,
    ColumnSummary,
    DatetimeColumn,
    EmbeddingColumn,
    NumericColumn,
    TextColumn,
)

_USES: Mapping[ColumnKind | None, tuple[str, str]] = {
    "numeric": ("standardised", "missing: median, flagged"),
    "boolean": ("0 or 1", "missing: usual value, flagged"),
    "category": ("levels", "missing is one more"),
    "datetime": ("time elapsed, standardised; parts", "missing: median, flagged"),
    "text": ("hashed words and characters, tf-idf", "missing: as if empty"),
    "embedding": ("numbers, unchanged", "missing: 0, flagged"),
}
"""What a column of each kind is used as, and what stands in for a missing value."""


def use_of(column: ColumnSummary) -> str:
    """What a column is used as, and what stands in for its missing values."""
    use, missing = _USES[column.kind]
    if column.levels is not None:
        use = counted(column.levels, "level")
    return f"{use}; {missing}" if column.missing else use


def becomes(column: Column) -> str:
    """What an encoder makes of a column."""
    match column:
        case NumericColumn():
            sign = "-" if column.mean >= 0 else "+"
            use = f"(value {sign} {abs(column.mean):.4g}) / {column.scale:.4g}"
            missing = f"missing: {column.median:g}, flagged" if column.missing_indicator else ""
        case BooleanColumn():
            use = "1 if true"
            usual = str(column.most_frequent).lower()
            missing = f"missing: {usual}, flagged" if column.missing_indicator else ""
        case CategoryColumn():
            use = listing(column.levels)
            use += f", {counted(len(column.rare), 'rare level')}" if column.rare else ""
            missing = "missing" if column.missing else ""
        case DatetimeColumn():
            use = ", ".join(["time elapsed, standardised", *column.parts])
            missing = _USES[column.kind][1] if column.missing_indicator else ""
        case TextColumn():
            use = f"words and characters in {2**column.bits:,} buckets, tf-idf"
            missing = ""
        case EmbeddingColumn():
            use = f"{counted(column.length, 'number')}, unchanged"
            missing = _USES[column.kind][1] if column.missing_indicator else ""
    return "; ".join(filter(None, [use, missing]))
