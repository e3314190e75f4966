"""The type of a column of text: the narrowest one that every value in all of its rows has."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CANDIDATES: tuple[pa.DataType, ...] = (
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
)
"""Types that text is tried as, the narrowest first; dates and times are ISO 8601."""

TEXT = pa.string()
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LOOKS = {
    pa.int64(): re.compile(r"-?\d+$", re.ASCII),
    pa.float64(): re.compile(r"[-+.,\din]", re.ASCII | re.IGNORECASE),
    pa.bool_(): re.compile(r"(true|false|1|0)$", re.IGNORECASE),
    pa.date32(): _DATE,
    pa.timestamp("us"): _DATE,
    pa.timestamp("us", "UTC"): _DATE,
}
"""How values begin that can have each type, not only those."""
_DIGITS_OF_INT64 = 19


class TypeGuess:
    """The types that a column's values can have, given those seen so far.

    Digits after a leading zero (`00123`) make the column text, and so do whole numbers too large
    for int64: they are codes, not numbers.

    Examples
    --------
    >>> guess = TypeGuess()
    >>> for values in (["1", None], ["2.5"]):
    ...     guess.see(pa.chunked_array([values]))
    >>> guess.survivors[0]
    DataType(double)
    """

    def __init__(self, *, decimal: str = ".") -> None:
        self.decimal = decimal
        self.is_empty = True
        self._candidates = CANDIDATES

    @property
    def survivors(self) -> tuple[pa.DataType, ...]:
        """The types that all values seen have, the narrowest first."""
        if self.is_empty:
            return (pa.null(), *CANDIDATES, TEXT)
        return (*self._candidates, TEXT)

    def see(self, values: pa.ChunkedArray) -> None:
        """Take note of a block of values: text, trimmed, with null for what is missing."""
        if not self._candidates or values.null_count == len(values):
            return
        text = pc.drop_null(values) if values.null_count else values
        if any(has_codes(chunk) for chunk in text.chunks):
            self.is_empty, self._candidates = False, ()
            return
        self.is_empty, self._candidates = False, self._fitting(text)

    def _fitting(self, text: pa.ChunkedArray) -> tuple[pa.DataType, ...]:
        first = text[0].as_py()
        # A cast that fails is slow: most are known from the first value.
        tried = [type for type in self._candidates if _LOOKS[type].match(first)]
        fitting: list[pa.DataType] = []
        for type in tried:
            if (type == pa.float64() and pa.int64() in fitting) or (
                parse(text, type, self.decimal) is not None
            ):
                fitting.append(type)
        if fitting == [pa.float64()] and has_too_long_numbers(text):
            return ()
        return tuple(fitting)


def parse(text: pa.ChunkedArray, type: pa.DataType, decimal: str = ".") -> pa.ChunkedArray | None:
    """Return text as values of a type, or None where it is not."""
    if pa.types.is_null(type):
        whole = text.null_count == len(text)
        return pa.chunked_array([pa.nulls(len(text))]) if whole else None
    if decimal != "." and pa.types.is_floating(type):
        if pc.any(pc.match_substring(text, ".")).as_py():
            return None
        text = pc.replace_substring(text, decimal, ".")
    try:
        return text.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def has_codes(text: pa.Array) -> bool:
    """Whether a value consists of digits after a leading zero, or is a hexadecimal number."""
    offsets = np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]
    content = text.buffers()[2]
    if content is None or not len(text):
        return False
    characters = np.frombuffer(content, np.uint8)
    starts = offsets[:-1][np.diff(offsets) > 1]
    second = characters[starts + 1]
    suspicious = (characters[starts] == ord("0")) & (second != ord("."))
    if not suspicious.any():
        return False
    return bool(pc.any(pc.match_substring_regex(text, r"^0(\d+|[xX].*)$")).as_py())


def has_too_long_numbers(text: pa.ChunkedArray) -> bool:
    """Whether a value is a whole number that a float cannot tell from its neighbours."""
    if pc.max(pc.binary_length(text)).as_py() < _DIGITS_OF_INT64:
        return False
    pattern = rf"^[-+]?\d{{{_DIGITS_OF_INT64},}}$"
    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())


def agree(one: tuple[pa.DataType, ...], other: tuple[pa.DataType, ...]) -> tuple[pa.DataType, ...]:
    """Return the types that can hold the values of two blocks, each given by all that hold its own.

    Where no type is in both, it is one that both can be changed to without loss, if there is one.
    """
    if common := tuple(type for type in one if type in other):
        return common
    schemas = [pa.schema([("", types[0])]) for types in (one, other)]
    try:
        unified = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException:
        return ()
    return (unified.field(0).type,)
