"""What a bootstrap draws: rows or groups, in at most 16384 units however many there are.

Up to 16384 rows or groups are a unit each. Once there are more, all of them are dealt at random
into 16384 units, also those that had one of their own: did they keep it, they would be spread over
the units more evenly than by chance, and the intervals of rows that come sorted be too narrow.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.calibration.rows import Integers
from luce.errors import DataError

MOST = 2**14


@dataclass(frozen=True, eq=False)
class Part:
    """Units of some of the rows; if `moved`, unit i of all rows before becomes unit moved[i]."""

    rows: slice
    units: Integers
    moved: Integers | None = None


class Units:
    """Numbers the units of rows that come block after block, 0 to at most MOST - 1.

    A row is dealt by a generator, a group by a fixed hash of its name: it stays together without
    being remembered. How the rows are cut into blocks does not show in the numbers.
    """

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 1])
        self._rows = 0
        self._known: dict[Any, int] = {}
        self._dealt_known: list[int] = []
        self._dealt = False

    def of_rows(self, n: int) -> list[Part]:
        """Units of the next n rows, each by itself."""
        first, self._rows = self._rows, self._rows + n
        alone = min(n, max(0, MOST - first))
        parts = [Part(slice(alone), np.arange(first, first + alone))]
        if alone < n:
            moved = None if self._dealt else self._random.integers(MOST, size=MOST)
            self._dealt = True
            dealt = self._random.integers(MOST, size=n - alone)
            parts.append(Part(slice(alone, n), dealt, moved))
        return parts

    def of_groups(self, groups: npt.NDArray[Any]) -> list[Part]:
        """Units of the next rows, equal where the groups are equal."""
        try:
            names, first, number = np.unique(groups, return_index=True, return_inverse=True)
        except TypeError as error:
            raise _no_order() from error
        dealt = (_hashed(names) % np.uint64(MOST)).astype(np.intp)
        if self._dealt:
            return [Part(slice(None), dealt[number])]
        listed = names.tolist()
        units = np.array([self._known.get(name, -1) for name in listed], np.intp)
        new = np.flatnonzero(units < 0)
        new = new[np.argsort(first[new])]
        room = MOST - len(self._known)
        for place in new[:room].tolist():
            units[place] = self._known[listed[place]] = len(self._known)
        self._dealt_known += dealt[new[:room]].tolist()
        if len(new) <= room:
            return [Part(slice(None), units[number])]
        self._dealt, self._known = True, {}
        row = int(first[new[room]])
        return [
            Part(slice(row), units[number[:row]]),
            Part(slice(row, None), dealt[number[row:]], np.array(self._dealt_known, np.intp)),
        ]

    def order(self) -> Integers:
        """All units in the order of their groups' names, or of their rows."""
        try:
            names = sorted(self._known)
        except TypeError as error:
            raise _no_order() from error
        return np.array([self._known[name] for name in names] or np.arange(MOST), np.intp)


def dealt(
    n: int, groups: npt.NDArray[Any] | None, most: int, random: np.random.Generator
) -> Integers:
    """The unit of each of n rows that are all at hand; beyond `most`, all are dealt at random."""
    if groups is None:
        return np.arange(n) if n <= most else random.integers(most, size=n)
    number = group_codes(groups, n)
    many = int(number.max()) + 1
    return number if many <= most else random.integers(most, size=many)[number]


def checked_groups(
    groups: npt.ArrayLike, n: int, first_row: int, name: str = "groups"
) -> npt.NDArray[Any]:
    """A group for each of n rows, or a DataError."""
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise DataError(f"{name} have shape {groups.shape}; expected ({n},), one for each row")
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        row = first_row + int(np.isnan(groups).argmax())
        raise DataError(f"row {row}: the group is NaN; give every row a group")
    return groups


def group_codes(groups: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    """Numbers from 0 for the groups of n rows, or a DataError."""
    checked = checked_groups(groups, n, 0)
    try:
        return np.unique(checked, return_inverse=True)[1].astype(np.int64)
    except TypeError:
        raise _no_order() from None


def _hashed(names: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """64 bits of each name, the same in every process; the finaliser is SplitMix64's."""
    if names.dtype.kind in "iu":
        bits = names.astype(np.uint64)
    else:
        texts = (str(name).encode(errors="backslashreplace") for name in names.tolist())
        bits = np.fromiter(map(zlib.crc32, texts), np.uint64, len(names))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return bits ^ (bits >> np.uint64(31))


def _no_order() -> DataError:
    return DataError("groups are of types that have no common order; use one type")
