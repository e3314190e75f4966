"""A text file as blocks of whole lines."""

from collections.abc import Iterator
from contextlib import closing

from luce.errors import DataError
from luce.tables.formats.text import LONGEST_ROW, TELL_ENCODING, Utf8Stream
from luce.tables.sources import File

_BLOCK = 4 << 20


def line_blocks(file: File, encoding: str) -> Iterator[bytes]:
    """Return the text of a file as UTF-8, in pieces of about `_BLOCK` bytes that end with a line.

    Raises
    ------
    DataError
        A line is longer than `LONGEST_ROW`, or the text cannot be decoded.
    """
    with closing(Utf8Stream(file, encoding)) as stream:
        rest: list[bytes] = []
        size = 0
        while piece := stream.read(_BLOCK):
            end = piece.rfind(b"\n") + 1
            if end:
                yield _checked(b"".join([*rest, piece[:end]]), file)
                rest, size = [], 0
            rest.append(piece[end:])
            size += len(piece) - end
            if size > LONGEST_ROW:
                raise DataError(f"{file.name}: a line is longer than {LONGEST_ROW >> 20} MiB")
        if last := b"".join(rest):
            yield _checked(last + b"\n", file)


def _checked(text: bytes, file: File) -> bytes:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[text.rfind(b"\n", 0, error.start) + 1 :].split(b"\n", 1)[0][:80]
        raise DataError(
            f"{file.name}: the line that begins with {line.decode('utf-8', 'replace')!r} is not "
            f"UTF-8; save the file as UTF-8, or {TELL_ENCODING}"
        ) from error
    return text
