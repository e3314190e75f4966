"""A text file as a stream of UTF-8: unpacked, decoded, and within bounds."""

import codecs
from pathlib import PurePath

import charset_normalizer
import pyarrow as pa

from luce.errors import DataError
from luce.tables.sources import File

UNPACKED_RATIO = 100
UNPACKED_ALLOWANCE = 256 << 20
"""A packed file may unpack to `UNPACKED_RATIO` times its size and this many bytes, no more."""

HEAD = 1 << 20
"""How many bytes of a file are looked at for its encoding and its delimiter."""

LONGEST_ROW = 16 << 20
"""How many bytes one row of a text file may have."""

CODECS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
TELL_ENCODING = "tell its encoding (--encoding, or in Python Reading(encoding=...))"


class Unpacked:
    """The bytes of a file, unpacked if its name says that it is packed."""

    def __init__(self, file: File) -> None:
        codec = CODECS.get(PurePath(file.name).suffix.lower())
        self._file = file
        self._stream = file.open()
        if codec:
            self._stream = pa.CompressedInputStream(self._stream, codec)
        self._left = UNPACKED_RATIO * file.size + UNPACKED_ALLOWANCE if codec else None

    def read(self, count: int) -> bytes:
        """Return the next bytes, at most `count`; none at the end."""
        piece: bytes = self._stream.read(count)
        if self._left is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise DataError(
                    f"{self._file.name}: the file unpacks to more than {UNPACKED_RATIO} times its "
                    f"size and {UNPACKED_ALLOWANCE >> 20} MiB, as a file does that was made to "
                    "fill memory; unpack it first if you trust it"
                )
        return piece

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class Utf8Stream:
    """A text file as UTF-8, with the face that `pyarrow.PythonFile` needs.

    A byte order mark and the line breaks before the text are left out. What is UTF-8 already is
    handed on unchecked.
    """

    closed = False

    def __init__(self, file: File, encoding: str) -> None:
        self.tail = b""
        self._file, self._encoding = file, encoding
        self._bytes = Unpacked(file)
        self._decoder = None
        if encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(encoding)()
        self._position = 0
        self._begun = False
        self._left = b""

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes, at most `count`; none at the end."""
        count = HEAD if count < 0 else count
        while not self._left:
            self._left = self._next(count)
            if not self._left:
                return b""
            if b"\0" in self._left:
                raise DataError(
                    f"{self._file.name}: there is a NUL character near byte {self._position}: "
                    f"this is no text, or UTF-16; {TELL_ENCODING}"
                )
            if not self._begun:
                self._left = self._left.lstrip(b"\r\n")
                self._begun = bool(self._left)
        piece, self._left = self._left[:count], self._left[count:]
        self.tail = (self.tail + piece)[-1000:]
        return piece

    def _next(self, count: int) -> bytes:
        piece = self._bytes.read(count)
        start, self._position = self._position, self._position + len(piece)
        if self._decoder is None:
            return piece.removeprefix(codecs.BOM_UTF8) if start == 0 else piece
        text = b""
        while not text:
            text = decode(self._decoder, piece, self._file.name, self._encoding, start)
            if not piece:
                break
            if not text:
                piece = self._bytes.read(count)
                start, self._position = self._position, self._position + len(piece)
        return text.removeprefix(codecs.BOM_UTF8) if start == 0 else text

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it is read once, from its beginning."""
        return False

    def close(self) -> None:
        """Close the file."""
        self._bytes.close()


def decode(
    decoder: codecs.IncrementalDecoder, piece: bytes, name: str, encoding: str, start: int
) -> bytes:
    """Return a piece of text as UTF-8; an empty piece says that the text ends."""
    try:
        return decoder.decode(piece, final=not piece).encode("utf-8")
    except UnicodeError as error:
        byte = start + error.start if isinstance(error, UnicodeDecodeError) else start
        raise DataError(
            f"{name}: near byte {byte + 1} the text is not {shown(encoding)}; {TELL_ENCODING}"
        ) from error


def head(file: File) -> tuple[bytes, bool]:
    """Return the first bytes of a text file, unpacked, and whether these are all.

    They are `HEAD` bytes, or more where the first line that is not blank is longer.
    """
    stream = Unpacked(file)
    try:
        content = b""
        while len(content) < LONGEST_ROW:
            piece = stream.read(HEAD)
            content += piece
            if not piece:
                return content, True
            begun = content.lstrip(codecs.BOM_UTF8 + b"\r\n")
            if len(content) >= HEAD and (b"\n" in begun or b"\r" in begun):
                break
        return content, False
    finally:
        stream.close()


def find_encoding(
    content: bytes, is_whole: bool, told: str | None, name: str
) -> tuple[str, str | None]:
    """Return a text file's encoding, and a note if it was guessed."""
    if told is not None:
        return check_encoding(told), None
    for mark, marked in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return marked, None if marked == "utf-8" else shown(marked)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content, final=is_whole)
    except UnicodeDecodeError as error:
        encoding = _guess_encoding(content, error.start)
        if encoding is None:
            raise DataError(
                f"{name}: byte {error.start + 1} is not UTF-8, and of no encoding that can be "
                f"guessed: is it a text file? If so save it as UTF-8, or {TELL_ENCODING}"
            ) from error
        return encoding, shown(encoding)
    return "utf-8", None


def check_encoding(told: str) -> str:
    """Return Python's name of a text encoding."""
    try:
        "".encode(told)
        name = codecs.lookup(told).name
        codecs.getincrementaldecoder(name)().decode(b"a")
    except (LookupError, UnicodeError, ValueError, TypeError) as error:
        raise DataError(
            f"there is no text encoding {told!r}; name one such as utf-8, utf-16 or cp1252"
        ) from error
    return "utf-8" if name == "utf-8-sig" else name


_SAMPLE = 64 << 10
_COMMON = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
)
"""Encodings that are guessed, those first that win where the text says no more."""


def _guess_encoding(content: bytes, first: int) -> str | None:
    """Guess from the lines that are not ASCII, of which there is at least one."""
    start = content.rfind(b"\n", 0, first) + 1
    lines = content[start : start + 8 * _SAMPLE].split(b"\n")
    sample = b"\n".join(line for line in lines if not line.isascii())[:_SAMPLE]
    matches = charset_normalizer.from_bytes(sample, cp_isolation=list(_COMMON))
    best = matches.best()
    as_good = [
        match.encoding
        for match in matches
        if best and (match.chaos, match.coherence) == (best.chaos, best.coherence)
    ]
    as_good += best.could_be_from_charset if best else []
    for encoding in (*sorted(as_good, key=_COMMON.index), _COMMON[0]):
        if _decodes(content, encoding):
            return codecs.lookup(encoding).name
    return None


def _decodes(content: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(content)
    except UnicodeError:
        return False
    return True


def shown(encoding: str) -> str:
    """Return an encoding's name as people write it."""
    if encoding == "cp932":
        return "Shift JIS"
    if encoding.startswith("cp125"):
        return f"Windows-{encoding[2:]}"
    return encoding.upper()
