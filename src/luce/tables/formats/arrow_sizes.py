"""How much memory an Arrow file unpacks to, from its messages' headers, before it is unpacked.

The layout is that of Arrow's columnar format: "Serialization and Interprocess Communication", and
its Message.fbs, Schema.fbs and File.fbs; that of a header is FlatBuffers'.
"""

import struct
from collections.abc import Iterator
from typing import IO

MAGIC = b"ARROW1"

_DICTIONARY, _RECORDS = 2, 3
_CONTINUED = -1
_LONGEST_HEADER = 256 << 20


def unpacked_size(stream: IO[bytes], size: int) -> int:
    """Return how many bytes the largest batch of rows and all dictionaries take together, unpacked.

    Raises
    ------
    ValueError
        The file does not hold what it says.
    """
    dictionaries = largest = 0
    stream.seek(0)
    is_file = stream.read(len(MAGIC)) == MAGIC
    try:
        for start, body in (_in_footer if is_file else _in_order)(stream, size):
            header = _Header(_read_header(stream, start))
            message = header.root
            records = header.table(message, 2)
            if (kind := header.number(message, 1, "B")) == _DICTIONARY:
                records = header.table(records, 1)
                dictionaries += _unpacked(stream, header, records, body)
            elif kind == _RECORDS:
                largest = max(largest, _unpacked(stream, header, records, body))
    except struct.error as error:
        raise ValueError(f"a header points out of itself: {error}") from error
    return dictionaries + largest


class _Header:
    """A FlatBuffer: tables whose fields are found by number; one that is absent is 0."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.root = self.at(0, "I")

    def at(self, place: int, code: str) -> int:
        number: int = struct.unpack_from(f"<{code}", self.content, place)[0]
        return number

    def field(self, table: int, number: int) -> int:
        fields = table - self.at(table, "i")
        if 4 + 2 * number >= self.at(fields, "H"):
            return 0
        offset = self.at(fields + 4 + 2 * number, "H")
        return table + offset if offset else 0

    def number(self, table: int, number: int, code: str) -> int:
        place = self.field(table, number)
        return self.at(place, code) if place else 0

    def table(self, table: int, number: int) -> int:
        place = self.field(table, number)
        return place + self.at(place, "I") if place else 0

    def structs(self, table: int, number: int, code: str) -> Iterator[tuple[int, ...]]:
        """The structs in a vector."""
        if not (vector := self.table(table, number)):
            return
        width = struct.calcsize(f"<{code}")
        for place in range(self.at(vector, "I")):
            yield struct.unpack_from(f"<{code}", self.content, vector + 4 + place * width)


def _unpacked(stream: IO[bytes], header: _Header, records: int, body: int) -> int:
    is_packed = header.field(records, 3) != 0
    total = 0
    for offset, length in header.structs(records, 2, "qq"):
        total += max(length, 0)
        if is_packed and length > 0:
            (stated,) = struct.unpack("<q", _read(stream, body + offset, 8))
            total += max(stated, 0)
    return total


def _in_order(stream: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Where the messages of a stream begin, and their bodies."""
    start = 0
    while start + 4 <= size:
        content = _read_header(stream, start)
        if not content:
            return
        body = stream.tell()
        yield start, body
        header = _Header(content)
        start = body + max(header.number(header.root, 3, "q"), 0)


def _in_footer(stream: IO[bytes], size: int) -> Iterator[tuple[int, int]]:
    """Where the messages that a file's footer lists begin, and their bodies."""
    tail = 4 + len(MAGIC)
    (length,) = struct.unpack("<i", _read(stream, size - tail, 4))
    footer = _Header(_read(stream, size - tail - length, length))
    for number in (2, 3):
        for start, before, _, _ in footer.structs(footer.root, number, "qiiq"):
            yield start, start + before


def _read_header(stream: IO[bytes], start: int) -> bytes:
    (length,) = struct.unpack("<i", _read(stream, start, 4))
    if length == _CONTINUED:
        (length,) = struct.unpack("<i", _read(stream, start + 4, 4))
        start += 4
    return _read(stream, start + 4, length) if length else b""


def _read(stream: IO[bytes], start: int, count: int) -> bytes:
    if start < 0 or not 0 <= count <= _LONGEST_HEADER:
        raise ValueError("a length or place in it is negative or too large")
    stream.seek(start)
    return stream.read(count)
