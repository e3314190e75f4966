"""A user's table -> features: reading, column kinds, encoding.

In the order of use: `open_table`, `describe_columns`, `fit_encoder`, `encode`.
"""

from luce.tables.boolean import BooleanColumn
from luce.tables.category import CategoryColumn
from luce.tables.columns import ColumnKind, ColumnSummary, describe_columns, types_of_kinds
from luce.tables.datetimes import DatetimeColumn
from luce.tables.embedding import EmbeddingColumn
from luce.tables.encoding import (
    Encoded,
    Encoder,
    encode,
    encoder_columns,
    feature_names,
    fit_encoder,
    is_sparse,
    parts_to_encode,
    read_types,
    width,
)
from luce.tables.features import FeatureName
from luce.tables.formats.reading import AS_FOUND, Reading
from luce.tables.kinds import Column
from luce.tables.numeric import NumericColumn
from luce.tables.read import StreamedTable, open_table
from luce.tables.text import TextColumn
from luce.tables.values import MISSING_MARKERS

__all__ = [
    "AS_FOUND",
    "MISSING_MARKERS",
    "BooleanColumn",
    "CategoryColumn",
    "Column",
    "ColumnKind",
    "ColumnSummary",
    "DatetimeColumn",
    "EmbeddingColumn",
    "Encoded",
    "Encoder",
    "FeatureName",
    "NumericColumn",
    "Reading",
    "StreamedTable",
    "TextColumn",
    "describe_columns",
    "encode",
    "encoder_columns",
    "feature_names",
    "fit_encoder",
    "is_sparse",
    "open_table",
    "parts_to_encode",
    "read_types",
    "types_of_kinds",
    "width",
]
