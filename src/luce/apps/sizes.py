"""Amounts of memory in words."""

import re

from luce.errors import DataError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}I": 2 ** (10 * power) for power, unit in enumerate("KMGT", 1)}


def bytes_of(text: str) -> int:
    """Bytes of a size in words.

    Raises
    ------
    DataError
        It is no size.

    Examples
    --------
    >>> bytes_of("300MB"), bytes_of("1.5 GiB"), bytes_of("2e9")
    (300000000, 1610612736, 2000000000)
    """
    found = re.fullmatch(r"([\d.]+(?:e\d+)?)\s*([KMGT]?I?)B?", text.strip(), re.IGNORECASE)
    try:
        size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    except (ValueError, OverflowError, KeyError):
        size = 0
    if size <= 0:
        raise DataError(f"{text!r} is no amount of memory; write it as 500MB or 2GB")
    return size
