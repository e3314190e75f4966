"""One short text that tells whether two tables hold the same rows."""

import hashlib
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from luce.tables.values import ColumnBlock, column_block, levels


class _HashingFile:
    """A file that keeps nothing of what is written to it but its SHA-256."""

    closed = False

    def __init__(self) -> None:
        self.hash = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


def fingerprint(table: pa.Table) -> str:
    """Return the SHA-256 of a table's names and values, in hexadecimal.

    Hashed are the columns' names and the text of every value, row by row as CSV, so the same rows
    have the same fingerprint whichever file or library they come from. Order matters.

    Raises
    ------
    DataError
        A column's type cannot be used.

    Examples
    --------
    >>> fingerprint(pa.table({"depth": [18.7, None]}))[:12]
    '6cbf0e3cdf25'
    """
    file = _HashingFile()
    texts = {name: levels(_plain_numbers(table, name)) for name in table.column_names}
    pa_csv.write_csv(pa.table(texts), pa.PythonFile(file, mode="w"))
    return file.hash.hexdigest()


def _plain_numbers(table: pa.Table, name: str) -> ColumnBlock:
    """The column, integers as float64: one type spells large numbers in one way."""
    block = column_block(table, name)
    if pa.types.is_integer(block.values.type):
        return ColumnBlock(name, block.values.cast(pa.float64(), safe=False))
    return block
