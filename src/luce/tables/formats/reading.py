"""What the user says about a file, and what every opened file can do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

Types = Mapping[str, pa.DataType]


@dataclass(frozen=True)
class Reading:
    """How text files are read where it shall not be guessed.

    Attributes
    ----------
    delimiter
        What stands between the values of a CSV file, one ASCII character.
    decimal
        What stands before the decimals of the numbers in a CSV file.
    encoding
        Python's name of the text's encoding.

    Examples
    --------
    >>> Reading(delimiter=";", decimal=",", encoding="cp1252").delimiter
    ';'
    """

    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None


AS_FOUND = Reading()
"""Everything about a text file is guessed."""


@dataclass(frozen=True)
class Request:
    """What is wanted of a table's files: how they are read, which columns (None: all), as what."""

    reading: Reading
    columns: frozenset[str] | None
    types: Types

    def wants(self, name: str) -> bool:
        """Whether a column of that name is to be read."""
        return self.columns is None or name in self.columns


class OpenedFile(Protocol):
    """One file of any format."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all its columns."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed, in plain words."""

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types that the values of each of these columns have, the best first.

        A file whose columns have no types of their own is gone through for those not told.
        """

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows in order, as tables of any size that have this schema."""
