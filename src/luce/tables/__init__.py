"""A user's table -> features: reading, column kinds, encoding.

In the order of use: `open_table` or `read_table`, `describe_columns`, `fit_encoder`, `encode`.
"""

from luce.tables.boolean import BooleanColumn
from luce.tables.category import CategoryColumn
from luce.tables.columns import ColumnKind, ColumnSummary, describe_columns, types_of_kinds
from luce.tables.encoding import (
    Column,
    Encoded,
    Encoder,
    encode,
    feature_names,
    fit_encoder,
    read_types,
)
from luce.tables.features import FeatureName
from luce.tables.formats.reading import Reading
from luce.tables.numeric import NumericColumn
from luce.tables.read import StreamedTable, open_table, read_table
from luce.tables.values import MISSING_MARKERS

__all__ = [
    "MISSING_MARKERS",
    "BooleanColumn",
    "CategoryColumn",
    "Column",
    "ColumnKind",
    "ColumnSummary",
    "Encoded",
    "Encoder",
    "FeatureName",
    "NumericColumn",
    "Reading",
    "StreamedTable",
    "describe_columns",
    "encode",
    "feature_names",
    "fit_encoder",
    "open_table",
    "read_table",
    "read_types",
    "types_of_kinds",
]
