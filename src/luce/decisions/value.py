"""What the parameters of rules may be, and how shares are told."""

import numpy as np

from luce.errors import DataError


def check_share(name: str, value: object) -> None:
    """Refuse what is no number strictly between 0 and 1."""
    is_number = isinstance(value, float | int | np.floating) and not isinstance(value, bool)
    if not (is_number and 0 < float(value) < 1):  # type: ignore[arg-type]
        raise DataError(f"{name} is {value!r}; expected a number above 0 and below 1")


def check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    """Refuse what is not among the choices."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        raise DataError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")


def check_count(name: str, value: object) -> None:
    """Refuse what is no integer of at least 0."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 0:
        raise DataError(f"{name} is {value!r}; expected an integer of at least 0")


def percent(share: float) -> str:
    """A share in [0, 1], to three digits."""
    return f"{100 * share:.3g}%"
