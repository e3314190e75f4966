"""The model file: tensors and one JSON document in one safetensors file.

A safetensors file is 8 bytes of header length (little-endian), a JSON header and the tensors' bytes
end to end. The header of a model file holds the one metadata entry `luce`, the document as JSON
text, and for each tensor its dtype, shape and offsets. Equal content gives equal bytes.

The document is a `msgspec.Struct` or a dataclass whose first field is `format: int`, with the
newest format as its default.
"""

import json
import math
import os
import reprlib
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from luce.errors import ModelFileError
from luce.files.atomic import replacing

Document = TypeVar("Document")
Shapes = Mapping[str, tuple[npt.DTypeLike, tuple[int, ...]]]
Header = dict[str, dict[str, str | tuple[int, ...]]]

MAX_HEADER = 2**24
_METADATA = "__metadata__"
_DTYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float16): "F16",
    np.dtype(np.float32): "F32",
    np.dtype(np.float64): "F64",
    np.dtype(np.int32): "I32",
    np.dtype(np.int64): "I64",
}


class _Format(msgspec.Struct):
    format: int


def save(
    path: str | os.PathLike[str], document: Any, tensors: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Write the document and the tensors to one file, whole or not at all: see `replacing`.

    Parameters
    ----------
    path : path-like
        Where to write.
    document : msgspec.Struct or dataclass instance
        First field `format`, of the newest format. All that JSON holds, but no NaN and no infinity.
    tensors : mapping of str to ndarray
        float16, float32, float64, int32 or int64, of any shape and strides; finite.

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
    >>> class Document(msgspec.Struct):
    ...     format: int = 1
    ...     classes: int = 2
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.luce"
    ...     save(path, Document(), {"intercept": np.array([0.5, -0.5])})
    ...     load(path, Document, lambda document: {"intercept": (float, (document.classes,))})
    (Document(format=1, classes=2), {'intercept': array([ 0.5, -0.5])})
    """
    try:
        content = _encode(document, tensors)
    except ValueError as error:
        raise ModelFileError(f"{path}: not written: {error}") from error

    with replacing(path) as file:
        file.write(content)


def load(
    path: str | os.PathLike[str],
    document_type: type[Document],
    shapes: Callable[[Document], Shapes],
) -> tuple[Document, dict[str, npt.NDArray[Any]]]:
    """Read a file that `save` wrote, trusting nothing in it.

    Nothing is executed, and nothing is allocated before it is known to be in the file: the header
    (at most 16 MB) is checked against the file's size, the document against its type, the tensors
    against the document.

    Parameters
    ----------
    path : path-like
        The file.
    document_type : type
        The `msgspec.Struct` or dataclass to read the document as.
    shapes : callable
        From the document to the name, dtype and shape of every tensor there must be. It is handed a
        document of the right type that may hold any values, and may raise to refuse it.

    Returns
    -------
    document : document_type
    tensors : dict of str to ndarray
        In the order of `shapes`; each its own memory, and writable.

    Raises
    ------
    ModelFileError
        Whatever is wrong, with the file's name, what it is, and what to do.

    Examples
    --------
    >>> load("nowhere.luce", _Format, lambda document: {})
    Traceback (most recent call last):
        ...
    luce.errors.ModelFileError: nowhere.luce: no such file; check the path
    """
    try:
        return _read(Path(path), document_type, shapes)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path}: no such file; check the path") from error
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror}") from error
    except MemoryError as error:
        raise ModelFileError(f"{path}: does not fit in memory; use a larger machine") from error
    except _NewerFormatError as error:
        raise ModelFileError(f"{path}: {error}; upgrade luce to read it") from error
    except (ValueError, RecursionError, msgspec.MsgspecError, safetensors.SafetensorError) as error:
        raise ModelFileError(
            f"{path}: not a whole luce model: {error}. Check that this is the right file, fetch it "
            "again, or save the model again"
        ) from error


class _NewerFormatError(ValueError):
    pass


def _encode(document: Any, tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The file's bytes; ValueError for whatever `load` would refuse."""
    newest = _newest_format(type(document))
    if document.format != newest:
        raise ValueError(f"its format is {document.format}; this luce writes {newest}")
    try:
        # msgspec would write NaN and infinity as null.
        json.dumps(msgspec.to_builtins(document, order="deterministic"), allow_nan=False)
        # Decoding gives each value its field's type (a 1 in a float field becomes 1.0), as loading
        # will.
        typed = msgspec.json.decode(msgspec.json.encode(document), type=type(document))
        text = msgspec.json.encode(typed, order="deterministic").decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(f"the document cannot be held as JSON: {error}") from error

    dense = {}
    for name in sorted(tensors):
        tensor = tensors[name]
        if name == _METADATA or tensor.dtype.newbyteorder("=") not in _DTYPES:
            held = ", ".join(map(str, _DTYPES))
            raise ValueError(f"tensor {name!r} of dtype {tensor.dtype} cannot be held, only {held}")
        dense[name] = np.asarray(tensor, tensor.dtype.newbyteorder("="), order="C")
        _check_finite(name, dense[name])
    content = safetensors.numpy.save(dense, {"luce": text})
    if int.from_bytes(content[:8], "little") > MAX_HEADER:
        raise ValueError(f"the document and the tensors' names exceed {MAX_HEADER} bytes")
    return content


def _read(
    path: Path, document_type: type[Document], shapes: Callable[[Document], Shapes]
) -> tuple[Document, dict[str, npt.NDArray[Any]]]:
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
        document = _decode_document(header, document_type)
        expected = _expected_shapes(document, shapes)
        _check_tensors(header, expected, size - 8 - length)
        file.seek(0)
        content = file.read(size)
    if len(content) != size or content[8 : 8 + length] != raw_header:
        raise ValueError("it changed while it was being read")
    loaded = safetensors.numpy.load(content)
    for name in expected:
        _check_finite(name, loaded[name])
    return document, {name: loaded[name] for name in expected}


def _decode_header(raw: bytes) -> Header:
    text = raw.rstrip(b" ")
    if len(raw) % 8 or len(raw) - len(text) >= 8:
        raise ValueError("the header is not padded to a multiple of 8 bytes")
    header = msgspec.json.decode(text, type=Header)
    # Equal bytes on encoding again leave one spelling for each content: no duplicate keys, no
    # whitespace, no unknown field, no second way to write a number. The same for the document.
    if msgspec.json.encode(header) != text:
        raise ValueError("the header is not in canonical form")
    return header


def _decode_document(header: Header, document_type: type[Document]) -> Document:
    metadata = header.get(_METADATA, {})
    text = metadata.get("luce")
    if len(metadata) != 1 or not isinstance(text, str):
        raise ValueError("its metadata are not the one text 'luce'")
    newest = _newest_format(document_type)
    found = msgspec.json.decode(text, type=_Format).format
    if found > newest:
        raise _NewerFormatError(
            f"a newer luce wrote it (format {reprlib.repr(found)}, this luce reads up to {newest})"
        )
    if found < 1:
        raise ValueError(f"the format is {reprlib.repr(found)}, below 1")
    document = msgspec.json.decode(text, type=document_type)
    if msgspec.json.encode(document, order="deterministic") != text.encode():
        raise ValueError("the document is not in canonical form")
    return document


def _newest_format(document_type: type) -> int:
    described = msgspec.inspect.type_info(document_type)
    if isinstance(described, msgspec.inspect.StructType | msgspec.inspect.DataclassType):
        first = described.fields[0]
        if first.name == "format" and isinstance(first.default, int):
            return first.default
    raise TypeError(f"{document_type} has no first field `format: int` with the newest as default")


def _expected_shapes(
    document: Document, shapes: Callable[[Document], Shapes]
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors' dtypes, by the file's names for them, and shapes; ValueError if impossible."""
    try:
        expected = {
            name: (_DTYPES[np.dtype(dtype)], tuple(map(int, shape)))
            for name, (dtype, shape) in shapes(document).items()
        }
    # Any exception at all: a hostile document chooses which.
    except Exception as error:
        raise ValueError(f"its document contradicts itself ({reprlib.repr(error)})") from error
    for name, (_, shape) in expected.items():
        if min(shape, default=0) < 0:
            raise ValueError(f"tensor {reprlib.repr(name)} has the shape {reprlib.repr(shape)}")
    return expected


def _check_tensors(
    header: Header, expected: dict[str, tuple[str, tuple[int, ...]]], size: int
) -> None:
    """Exactly the expected tensors, end to end in the header's order, filling `size` bytes."""
    found = header.keys() - {_METADATA}
    for name in sorted(expected.keys() ^ found):
        wrong = "is missing" if name in expected else "does not belong"
        raise ValueError(f"the tensor {reprlib.repr(name)} {wrong}")
    bytes_of = {name: dtype.itemsize for dtype, name in _DTYPES.items()}
    end = 0
    for name in header:
        if name == _METADATA:
            continue
        dtype, shape = expected[name]
        start, end = end, end + bytes_of[dtype] * math.prod(shape)
        entry = {"dtype": dtype, "shape": shape, "data_offsets": (start, end)}
        if header[name] != entry:
            raise ValueError(
                f"tensor {reprlib.repr(name)} is {reprlib.repr(header[name])}, where the document "
                f"asks for {reprlib.repr(entry)}"
            )
    if end != size:
        raise ValueError(f"the tensors take {end} bytes, and the file holds {size} for them")


def _check_finite(name: str, tensor: npt.NDArray[Any]) -> None:
    finite = np.isfinite(tensor)
    if not finite.all():
        index = tuple(map(int, np.argwhere(~finite)[0]))
        raise ValueError(f"tensor {name!r} is {tensor[index]} at {index}; expected finite numbers")
