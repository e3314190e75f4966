"""The model file: tensors and one JSON document in one safetensors file.

A safetensors file is 8 bytes of header length (little-endian), a JSON header and the tensors' bytes
end to end. The header of a model file holds two metadata entries, and for each tensor its dtype,
shape and offsets. The entries are `sha256`, the checksum of the whole file with these 64 digits
written as zeros, and `luce`, the document as JSON text. Equal content gives equal bytes.

The checksum detects damage. It is no signature: whoever changes a file on purpose can write the
checksum that belongs to it, so everything is checked as if there were none.

The document is a `msgspec.Struct` or a dataclass with a field `format: Literal[n]`. From format 2
on, files have the checksum; every later format will keep it, and in its document the field
`readable_since`, the first version of luce that reads the format.
"""

import hashlib
import json
import math
import os
import re
import reprlib
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Annotated, Any, Generic, NoReturn, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from luce.errors import ModelFileError
from luce.files.atomic import replacing

Document = TypeVar("Document")
Content = TypeVar("Content", covariant=True)
Tensors = Mapping[str, npt.NDArray[Any]]
Shapes = Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]
Header = dict[str, dict[str, str | tuple[int, ...]]]

MAX_HEADER = 2**24
MAX_TENSORS = 2**16
MAX_AXES = 8
MAX_MESSAGE = 500
_METADATA = "__metadata__"
_BEFORE_CHECKSUM = b'{"__metadata__":{"sha256":"'
_DIGITS = slice(len(_BEFORE_CHECKSUM), len(_BEFORE_CHECKSUM) + 64)
_ZEROS = "0" * 64
_DTYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.uint8): "U8",
    np.dtype("<f2"): "F16",
    np.dtype("<f4"): "F32",
    np.dtype("<f8"): "F64",
    np.dtype("<i4"): "I32",
    np.dtype("<i8"): "I64",
}
_DTYPE_NAMED = {name: dtype for dtype, name in _DTYPES.items()}


@dataclass(frozen=True)
class Format(Generic[Document, Content]):
    """How files of one version of the format are read.

    Attributes
    ----------
    document : type
        The `msgspec.Struct` or dataclass to read the document as.
    shapes : callable
        From the document to the name, dtype and shape of every tensor there must be. It is handed a
        document of the right type that may hold any values, and may raise to refuse it.
    content : callable
        From the document and its tensors to what `load` returns; may raise to refuse them.

    Examples
    --------
    >>> Format(_Version, lambda document: {}, lambda document, tensors: document.format).document
    <class 'luce.files.codec._Version'>
    """

    document: type[Document]
    shapes: Callable[[Document], Shapes]
    content: Callable[[Document, Tensors], Content]


class _Version(msgspec.Struct):
    format: int
    readable_since: Any = None


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    dtype: str
    shape: tuple[Annotated[int, msgspec.Meta(ge=0)], ...]
    data_offsets: tuple[int, int]


def save(path: str | os.PathLike[str], document: Any, tensors: Tensors) -> None:
    """Write the document and the tensors to one file, whole or not at all: see `replacing`.

    Parameters
    ----------
    path : path-like
        Where to write.
    document : msgspec.Struct or dataclass instance
        With a field `format`. All that JSON holds, but no NaN and no infinity.
    tensors : mapping of str to ndarray
        uint8, float16, float32, float64, int32 or int64, of any shape and strides; finite.

    Raises
    ------
    ModelFileError
        The content cannot be held.
    DataError
        `path` is something other than a file.
    OSError
        The file could not be written: no space, no permission, no such folder.

    Examples
    --------
    >>> import tempfile
    >>> from typing import Literal
    >>> class Document(msgspec.Struct):
    ...     classes: int
    ...     format: Literal[2] = 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.luce"
    ...     save(path, Document(classes=2), {"intercept": np.array([0.5, -0.5])})
    ...     shapes = lambda document: {"intercept": (float, (document.classes,))}
    ...     load(path, {2: Format(Document, shapes, lambda document, tensors: tensors)})
    {'intercept': array([ 0.5, -0.5])}
    """
    try:
        parts = _encode(document, tensors)
    except ValueError as error:
        raise ModelFileError(f"{path}: not written: {error}") from error

    with replacing(path) as file:
        for part in parts:
            file.write(part)


def load(path: str | os.PathLike[str], formats: Mapping[int, Format[Any, Content]]) -> Content:
    """Read a file that `save` wrote, trusting nothing in it.

    Nothing is executed, and nothing is allocated before it is known to be in the file: the header
    (at most 16 MB) is checked against the file's size, the whole against its checksum, the document
    against its type, the tensors against the document. The bytes are held once: tensors are
    writable views of them.

    Parameters
    ----------
    path : path-like
        The file.
    formats : mapping of int to Format
        How to read each version of the format.

    Returns
    -------
    content
        What the format makes of document and tensors.

    Raises
    ------
    ModelFileError
        Whatever is wrong, with the file's name, what it is, and what to do.

    Examples
    --------
    >>> load("nowhere.luce", {})
    Traceback (most recent call last):
        ...
    luce.errors.ModelFileError: nowhere.luce: no such file; check the path
    """
    try:
        return _read(Path(path), formats)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise ModelFileError(f"{path}: does not fit in memory; use a larger machine") from error
    except _NewerFormatError as error:
        raise ModelFileError(f"{path}: {error}") from error
    except _DamagedError as error:
        raise ModelFileError(
            f"{path}: the file is damaged: its bytes do not have the checksum that it was written "
            "with. Fetch it again, or save the model again"
        ) from error
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        what = str(error)
        what = what if len(what) <= MAX_MESSAGE else f"{what[:MAX_MESSAGE]}..."
        raise ModelFileError(
            f"{path}: not a whole luce model: {what}. Check that this is the right file, fetch it "
            "again, or save the model again"
        ) from error


class _NewerFormatError(Exception):
    pass


class _DamagedError(Exception):
    pass


def _encode(document: Any, tensors: Tensors) -> list[bytes | memoryview]:
    """The file's bytes, in parts; ValueError for whatever `load` would refuse."""
    try:
        # msgspec would write NaN and infinity as null.
        json.dumps(msgspec.to_builtins(document, order="deterministic"), allow_nan=False)
        # Decoding gives each value its field's type (a 1 in a float field becomes 1.0), as loading
        # will.
        typed = msgspec.json.decode(msgspec.json.encode(document), type=type(document))
        text = msgspec.json.encode(typed, order="deterministic").decode()
        msgspec.json.decode(text, type=_Version)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(f"the document cannot be held as JSON: {error}") from error

    dense = {}
    for name, tensor in tensors.items():
        dtype = tensor.dtype.newbyteorder("<")
        if name == _METADATA or dtype not in _DTYPES:
            held = ", ".join(map(str, _DTYPES))
            raise ValueError(f"tensor {name!r} of dtype {tensor.dtype} cannot be held, only {held}")
        dense[name] = np.asarray(tensor, dtype, order="C")
        _check_finite(name, dense[name])
    header: dict[str, Any] = {_METADATA: {"sha256": _ZEROS, "luce": text}}
    data = []
    end = 0
    for name in _in_order({name: _DTYPES[tensor.dtype] for name, tensor in dense.items()}):
        tensor = dense[name]
        header[name] = _place(_DTYPES[tensor.dtype], tensor.shape, end)
        end += tensor.nbytes
        data.append(tensor.reshape(-1).view(np.uint8).data)
    raw = msgspec.json.encode(header)
    raw += b" " * (-len(raw) % 8)
    if len(raw) > MAX_HEADER or len(header) > MAX_TENSORS:
        raise ValueError(f"the document and the tensors' names exceed {MAX_HEADER} bytes")
    return [len(raw).to_bytes(8, "little"), _sealed(raw, data), *data]


def _sealed(raw_header: bytes, data: Iterable[bytes | memoryview]) -> bytes:
    """The header with the checksum of the file that it is the header of."""
    zeroed = raw_header[: _DIGITS.start] + _ZEROS.encode() + raw_header[_DIGITS.stop :]
    digest = hashlib.sha256(len(zeroed).to_bytes(8, "little") + zeroed)
    for part in data:
        digest.update(part)
    return zeroed[: _DIGITS.start] + digest.hexdigest().encode() + zeroed[_DIGITS.stop :]


def _read(path: Path, formats: Mapping[int, Format[Any, Content]]) -> Content:
    # Before opening it: opening a pipe would wait for its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is no regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or length > size - 8:
            raise ValueError(f"a header of {length} bytes is announced in a file of {size} bytes")
        if length > MAX_HEADER:
            raise ValueError(f"the header has {length} bytes; at most {MAX_HEADER} are read")
        raw_header = file.read(length)
        header = _decode_header(raw_header)
        text = _document_text(header)
        version = msgspec.json.decode(text, type=_Version)
        known = formats.get(version.format)
        places = {} if known is None else _places(header, size - 8 - length)
        data = _read_rest(file, size - 8 - length)
    if raw_header.startswith(_BEFORE_CHECKSUM):
        if _sealed(raw_header, [data.data]) != raw_header:
            raise _DamagedError
    elif version.format != 1:
        raise ValueError("it has no checksum")
    if known is None:
        _refuse_format(version, max(formats))
    expected = {"luce": text}
    if version.format > 1:
        expected = {"sha256": raw_header[_DIGITS].decode(), **expected}
    if header[_METADATA] != expected:
        raise ValueError("its metadata are not those of its format")
    document = msgspec.json.decode(text, type=known.document)
    if msgspec.json.encode(document, order="deterministic") != text.encode():
        raise ValueError("the document is not in canonical form")
    _check_tensors(places, _without_trust(lambda: _plain(known.shapes(document))))
    tensors = {name: _tensor(place, data) for name, place in places.items()}
    for name, tensor in tensors.items():
        _check_finite(name, tensor)
    return _without_trust(lambda: known.content(document, tensors))


def _read_rest(file: BufferedReader, size: int) -> npt.NDArray[np.uint8]:
    if size > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise MemoryError  # A hole in a file costs its writer nothing.
    data = np.empty(size, np.uint8)
    if file.readinto(data.data) != size or file.read(1):
        raise ValueError("it changed while it was being read")
    return data


def _decode_header(raw: bytes) -> Header:
    text = raw.rstrip(b" ")
    if len(raw) % 8 or len(raw) - len(text) >= 8:
        raise ValueError("the header is not padded to a multiple of 8 bytes")
    header = msgspec.json.decode(text, type=Header)
    # Equal bytes on encoding again leave one spelling for each content: no duplicate keys, no
    # whitespace, no unknown field, no second way to write a number. The same for the document.
    if msgspec.json.encode(header) != text:
        raise ValueError("the header is not in canonical form")
    if len(header) > MAX_TENSORS:
        raise ValueError(f"there are {len(header)} tensors; at most {MAX_TENSORS} are read")
    return header


def _document_text(header: Header) -> str:
    text = header.get(_METADATA, {}).get("luce")
    if not isinstance(text, str):
        raise ValueError("it has no metadata entry 'luce'")
    return text


def _refuse_format(version: _Version, newest: int) -> NoReturn:
    if version.format < 1:
        raise ValueError(f"the format is {reprlib.repr(version.format)}, below 1")
    since = version.readable_since
    how = "install a newer luce"
    # Shown to people who will type it: nothing but a version.
    if isinstance(since, str) and re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,5}){1,3}", since):
        how = f"pip install 'luce>={since}'"
    raise _NewerFormatError(
        f"a newer luce wrote it (format {reprlib.repr(version.format)}, this luce reads up to "
        f"{newest}). To read it: {how}"
    )


def _in_order(dtypes: Mapping[str, str]) -> list[str]:
    """Names in the order of the bytes: each tensor lies at a multiple of its items' size."""
    return sorted(dtypes, key=lambda name: (-_DTYPE_NAMED[dtypes[name]].itemsize, name))


def _place(dtype: str, shape: tuple[int, ...], start: int) -> _Place:
    size = _DTYPE_NAMED[dtype].itemsize * math.prod(shape)
    return _Place(dtype, shape, (start, start + size))


def _places(header: Header, size: int) -> dict[str, _Place]:
    """Where the tensors lie: end to end in their order, so that they fill `size` bytes."""
    given = {name: entry for name, entry in header.items() if name != _METADATA}
    places = msgspec.convert(given, dict[str, _Place])
    for name, place in places.items():
        if place.dtype not in _DTYPE_NAMED or len(place.shape) > MAX_AXES:
            raise ValueError(f"tensor {reprlib.repr(name)} is {reprlib.repr(given[name])}")
    if list(places) != _in_order({name: place.dtype for name, place in places.items()}):
        raise ValueError("the tensors are not in order")
    end = 0
    for name, place in places.items():
        expected = _place(place.dtype, place.shape, end)
        if place != expected:
            raise ValueError(
                f"tensor {reprlib.repr(name)} is {reprlib.repr(given[name])}, where its place is "
                f"{reprlib.repr(expected.data_offsets)}"
            )
        end = expected.data_offsets[1]
    if end != size:
        raise ValueError(
            f"the tensors take {reprlib.repr(end)} bytes, and the file holds {size} for them"
        )
    return places


def _plain(shapes: Shapes) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Shapes with the file's names of the dtypes."""
    return {
        name: (_DTYPES[np.dtype(dtype)], tuple(map(int, shape)))
        for name, (dtype, shape) in shapes.items()
    }


def _check_tensors(
    places: Mapping[str, _Place], shapes: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """The tensors are those that the document asks for."""
    for name in sorted(shapes.keys() ^ places.keys()):
        wrong = "is missing" if name in shapes else "does not belong"
        raise ValueError(f"the tensor {reprlib.repr(name)} {wrong}")
    for name, expected in shapes.items():
        found = places[name].dtype, places[name].shape
        if found != expected:
            raise ValueError(
                f"tensor {reprlib.repr(name)} is {reprlib.repr(found)}, where the document asks "
                f"for {reprlib.repr(expected)}"
            )


def _tensor(place: _Place, data: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    start, end = place.data_offsets
    return data[start:end].view(_DTYPE_NAMED[place.dtype]).reshape(place.shape)


def _check_finite(name: str, tensor: npt.NDArray[Any]) -> None:
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"tensor {name!r} is {tensor[index]} at {index}; expected finite numbers")


def _without_trust(step: Callable[[], Content]) -> Content:
    """The step's result; ValueError whatever it raises, since a hostile document chooses what."""
    try:
        return step()
    except MemoryError:
        raise
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        raise ValueError(f"its document contradicts itself ({what})") from error
