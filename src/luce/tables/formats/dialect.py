"""How the values of a CSV file are set apart: found by parsing its first rows in every way."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from luce.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
"""What is tried between values, in the order of preference."""

_ROWS = 500
_NAMES = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
COMMA_NUMBER = re.compile(r"\s*[-+]?\d*,\d+\s*")
_POINT_NUMBER = re.compile(r"\s*[-+]?\d*\.\d+\s*")


@dataclass(frozen=True)
class Dialect:
    """What stands between the values of a CSV file, and what before a number's decimals."""

    delimiter: str
    decimal: str


def find_dialect(
    text: str, delimiter: str | None, decimal: str | None, name: str
) -> tuple[Dialect, list[str]]:
    """Return the dialect of a CSV file that begins with this text, and what of it was guessed."""
    notes = []
    if delimiter is None:
        delimiter = _find_delimiter(text)
        if delimiter != ",":
            notes.append(f"{_NAMES[delimiter]} between values")
    elif len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
        raise DataError(
            f"{delimiter!r} cannot stand between values: name one ASCII character, "
            "not a quotation mark or the end of a line"
        )
    if decimal is None:
        decimal = "." if delimiter == "," else _find_decimal(text, delimiter)
        if decimal == ",":
            notes.append("decimal comma")
    elif decimal not in {".", ","}:
        raise DataError(f'{decimal!r} cannot stand before decimals: only "." and "," can')
    if decimal == delimiter:
        raise DataError(
            f"{name}: {delimiter!r} cannot stand both between values and before decimals; "
            "tell the delimiter"
        )
    return Dialect(delimiter, decimal), notes


def _find_delimiter(text: str) -> str:
    """The one that gives most rows the width of the first; of several the one of widest rows."""

    def merit(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in islice(_rows(text, delimiter), _ROWS)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return widths.count(widths[0]) / len(widths), widths[0]

    return max(DELIMITERS, key=merit)


def _find_decimal(text: str, delimiter: str) -> str:
    values = [value for row in islice(_rows(text, delimiter), 1, _ROWS) for value in row]
    if any(_POINT_NUMBER.fullmatch(value) for value in values):
        return "."
    return "," if any(COMMA_NUMBER.fullmatch(value) for value in values) else "."


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """Rows that have values, until one cannot be parsed."""
    try:
        for row in csv.reader(io.StringIO(text, newline=None), delimiter=delimiter):
            if row:
                yield row
    except csv.Error:
        return
