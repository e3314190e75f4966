"""Runs of numbered columns, e0 to e767, that are the numbers of one vector: named "e0..e767"."""

from collections.abc import Iterable

FEWEST_IN_RUN = 64
"""Shorter runs of floating-point columns are taken for columns of their own."""

_MOST_IN_RUN = 1_000_000
_DIGITS = "0123456789"


def find_runs(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the runs among these names, each under its own name.

    A run has a prefix followed by 0, 1, 2, ... or 1, 2, 3, ..., without gaps, without leading
    zeros, and at least `FEWEST_IN_RUN` numbers; in any order, and other names between them.
    """
    numbered: dict[str, set[int]] = {}
    for name in names:
        if (split := _split(name)) is not None:
            numbered.setdefault(split[0], set()).add(split[1])
    runs = {}
    for prefix, numbers in numbered.items():
        first = 0 if 0 in numbers else 1
        end = first
        while end in numbers:
            end += 1
        if end - first >= FEWEST_IN_RUN:
            name = f"{prefix}{first}..{prefix}{end - 1}"
            runs[name] = tuple(f"{prefix}{number}" for number in range(first, end))
    return runs


def columns_of_run(name: str) -> tuple[str, ...]:
    """Return the names of a run's columns; () where it is no run's name.

    Examples
    --------
    >>> columns_of_run("e0..e2")
    ('e0', 'e1', 'e2')
    """
    digits = len(name) - len(name.rstrip(_DIGITS))
    prefix = name[: (len(name) - len("0..") - digits) // 2]
    last = _split(name)
    if last is None or not last[1] < _MOST_IN_RUN:
        return ()
    for first in (0, 1):
        if first < last[1] and name == f"{prefix}{first}..{prefix}{last[1]}":
            return tuple(f"{prefix}{number}" for number in range(first, last[1] + 1))
    return ()


def _split(name: str) -> tuple[str, int] | None:
    """A name's prefix and number; None if it does not end in a number as one writes it."""
    prefix = name.rstrip(_DIGITS)
    digits = name[len(prefix) :]
    if not 0 < len(digits) < 10 or (digits[0] == "0" and len(digits) > 1):
        return None
    return prefix, int(digits)
