"""Frozen values: equal and hashed by what is in their fields, arrays included."""

from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

_MOST_SHOWN = 10


class Value:
    """Base of frozen dataclasses (with eq=False, repr=False) that have arrays in their fields."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(_same(*pair) for pair in zip(_contents(self), _contents(other), strict=True))

    def __hash__(self) -> int:
        return hash((type(self), *map(_hashable, _contents(self))))

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A copied or unpickled array can be written to, whatever the one before could.
        self._set(**{n: frozen(v) if isinstance(v, np.ndarray) else v for n, v in state.items()})

    def __repr__(self) -> str:
        told = [
            f"{field.name}={_shown(value)}"
            for field, value in zip(fields(self), _contents(self), strict=True)  # type: ignore[arg-type]
            if not (value is None or _same(value, field.default))
        ]
        return f"{type(self).__name__}({', '.join(told)})"

    def _set(self, **values: Any) -> None:
        """Store what fields were converted to, while the value is being made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


def frozen(values: npt.ArrayLike, dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """A copy that cannot be written to."""
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


def _contents(value: Value) -> list[Any]:
    return [getattr(value, field.name) for field in fields(value)]  # type: ignore[arg-type]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(_hashable(a) == _hashable(b))
    return bool(a == b)


def _hashable(value: Any) -> Any:
    return (value.shape, *value.ravel().tolist()) if isinstance(value, np.ndarray) else value


def _shown(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size <= _MOST_SHOWN:
        return repr(value.tolist())
    return f"<{' x '.join(map(str, value.shape))} of {value.dtype}>"
