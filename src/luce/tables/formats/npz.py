"""NumPy's .npz files: an array `X` of features and, where there is one, `y` of labels."""

import math
import sys
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
from numpy.lib import format as npy
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.formats.columnar import BLOCK_BYTES, fit_table
from luce.tables.formats.reading import Request, Types
from luce.tables.formats.text import UNPACKED_ALLOWANCE, UNPACKED_RATIO
from luce.tables.sources import File, file_errors, spooled
from luce.tables.values import MOST_FEATURES

_LONGEST_HEADER = 10_000
_MOST_ARRAYS = 10_000
_LABEL_BYTES = 8


@dataclass(frozen=True)
class _Array:
    """What the header of an array says, checked against the size of its content."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])


@dataclass(frozen=True)
class NpzFile:
    """An opened .npz file: the columns X, lists of float32, and y."""

    file: File
    arrays: Mapping[str, _Array]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """X, and y if there is one."""
        return tuple(self.arrays)

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the arrays' own types."""
        return {name: (_arrow_type(name, self.arrays[name]),) for name in columns}

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows, so many at a time that they take about `BLOCK_BYTES`."""
        arrays = {name: self.arrays[name] for name in schema.names}
        total = next(iter(arrays.values())).shape[0]
        rows = max(1, BLOCK_BYTES // sum(max(a.row_bytes, 1) for a in arrays.values()))
        with (
            file_errors(self.file),
            _as_data_error(self.file),
            _unzipped(self.file) as archive,
            ExitStack() as stack,
        ):
            readers = {}
            for name, array in arrays.items():
                content = stack.enter_context(archive.open(f"{name}.npy"))
                _read_header(content)
                if array.is_fortran:
                    what = f"{self.file.name}: {name}, in Fortran's order,"
                    spool = spooled(content, what, f"save numpy.ascontiguousarray({name})")
                    readers[name] = _rows_of_columns(stack.enter_context(spool), array, rows)
                else:
                    readers[name] = _rows(content, array, rows)
            for done in range(0, total, rows):
                columns = {name: _to_arrow(next(reader)) for name, reader in readers.items()}
                yield fit_table(pa.table(columns), schema, self.file.name, done)


def open_npz(file: File, request: Request) -> NpzFile:
    """Read the headers of X and y, and check that they can be what they say."""
    with file_errors(file), _as_data_error(file), _unzipped(file) as archive:
        infos = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        if "X" not in infos:
            raise DataError(
                f"{file.name}: there is no array X of features, but "
                f"{', '.join(sorted(infos)[:20]) or 'nothing'}; save it as "
                "numpy.savez(path, X=features, y=labels)"
            )
        wanted: list[str] = ["X", "y"]
        arrays = {name: _header(archive, infos[name], file) for name in wanted if name in infos}
        features = arrays["X"]
        if len(features.shape) != 2 or features.dtype.kind not in "biuf":
            raise DataError(
                f"{file.name}: X has the shape {features.shape} and the type {features.dtype}; "
                "features are numbers of the shape (rows, features)"
            )
        if not 0 < features.shape[1] <= MOST_FEATURES:
            raise DataError(f"{file.name}: X has {features.shape[1]} features")
        if "y" in arrays and arrays["y"].shape != features.shape[:1]:
            raise DataError(
                f"{file.name}: y has the shape {arrays['y'].shape}, and X {features.shape}; y "
                "should have one value for each row of X"
            )
        if "y" in arrays and not _is_label(arrays["y"].dtype):
            raise DataError(
                f"{file.name}: y has the type {arrays['y'].dtype}; labels are numbers of up to "
                "64 bits, true or false, or text of NumPy's type str (dtype U)"
            )
        others = sorted(infos.keys() - arrays.keys())
        notes = (f"arrays other than X and y left out: {', '.join(others[:20])}",) if others else ()
        return NpzFile(file, arrays, notes)


def _is_label(type: np.dtype) -> bool:
    return type.kind == "U" or (type.kind in "biuf" and type.itemsize <= _LABEL_BYTES)


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: File) -> _Array:
    with archive.open(info) as content:
        array = _read_header(content)
        start = content.tell()
    if array.dtype.hasobject:
        raise DataError(
            f"{file.name}: the array {info.filename} holds Python objects, which can run code when "
            "they are loaded; save it with a type of numbers or text, as array.astype(str)"
        )
    if not array.dtype.itemsize or info.file_size - start != math.prod(
        (array.dtype.itemsize, *array.shape)
    ):
        raise DataError(
            f"{file.name}: the array {info.filename} of shape {array.shape} and type {array.dtype} "
            f"does not fill its {info.file_size - start} bytes: the file is damaged"
        )
    return array


def _read_header(content: IO[bytes]) -> _Array:
    version = npy.read_magic(content)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"version {version} of the .npy format")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        with warnings.catch_warnings():  # NumPy minds headers that Python 2 wrote.
            warnings.simplefilter("ignore")
            shape, is_fortran, dtype = read(content, max_header_size=_LONGEST_HEADER)
    except Exception as error:  # The header is Python source: whatever its parser raises.
        raise ValueError(f"the header of an array cannot be read: {error}") from error
    if any(not isinstance(size, int) or size < 0 for size in shape):
        raise ValueError(f"the shape {shape}")
    return _Array(shape, is_fortran and len(shape) > 1, dtype)


def _rows(content: IO[bytes], array: _Array, rows: int) -> Iterator[NDArray[np.generic]]:
    """Return an array in C's order in blocks of rows."""
    for start in range(0, array.shape[0], rows):
        count = min(rows, array.shape[0] - start)
        block = np.frombuffer(_exactly(content, count * array.row_bytes), array.dtype)
        yield block.reshape(count, *array.shape[1:])


def _rows_of_columns(content: IO[bytes], array: _Array, rows: int) -> Iterator[NDArray[np.generic]]:
    """Return an array in Fortran's order, of random access, in blocks of rows."""
    total, columns = array.shape
    size = array.dtype.itemsize
    for start in range(0, total, rows):
        count = min(rows, total - start)
        block = np.empty((count, columns), array.dtype)
        for column in range(columns):
            content.seek((column * total + start) * size)
            block[:, column] = np.frombuffer(_exactly(content, count * size), array.dtype)
        yield block


def _exactly(content: IO[bytes], size: int) -> bytes:
    block = content.read(size)
    if len(block) < size:
        raise ValueError("an array ends too early")
    return block


def _arrow_type(name: str, array: _Array) -> pa.DataType:
    if name == "X":
        return pa.list_(pa.float32(), array.shape[1])
    if array.dtype.kind == "U":
        return pa.string()
    return pa.from_numpy_dtype(array.dtype.newbyteorder("="))


def _to_arrow(block: NDArray[np.generic]) -> pa.Array:
    if block.ndim == 1:
        native = block.astype(block.dtype.newbyteorder("="))
        if native.dtype.kind != "U":
            return pa.array(native)
        if native.view(np.uint32).max(initial=0) > sys.maxunicode:
            raise UnicodeError("y holds a character beyond Unicode")
        return pa.array(native.tolist(), pa.string())
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(block, np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), block.shape[1])


@contextmanager
def _unzipped(file: File) -> Iterator[zipfile.ZipFile]:
    with file.open() as stream, zipfile.ZipFile(stream) as archive:
        infos = archive.infolist()
        unpacked = sum(info.file_size for info in infos)
        if len(infos) > _MOST_ARRAYS:
            raise DataError(f"{file.name}: there are more than {_MOST_ARRAYS} arrays in it")
        if unpacked > UNPACKED_RATIO * file.size + UNPACKED_ALLOWANCE:
            raise DataError(
                f"{file.name}: the file unpacks to more than {UNPACKED_RATIO} times its size and "
                f"{UNPACKED_ALLOWANCE >> 20} MiB; save it with numpy.savez if you trust it"
            )
        yield archive


@contextmanager
def _as_data_error(file: File) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, SyntaxError) as error:
        raise DataError(f"{file.name}: the file is damaged or not an .npz file: {error}") from error
    except (NotImplementedError, RuntimeError, OverflowError, RecursionError) as error:
        raise DataError(f"{file.name}: the file cannot be unpacked: {error}") from error
