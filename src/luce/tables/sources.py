"""Which files a path, a URI, a glob, a folder or "-" means."""

import fnmatch
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa
from pyarrow import fs

from luce.errors import DataError
from luce.tables.values import listing

STANDARD_INPUT = "-"

_CREDIBLE_RATIO, _CREDIBLE_ALLOWANCE = 1000, 1 << 30
"""A file that asks for more than so many times its size, and so many bytes, is damaged."""

Signature = tuple[object, ...]


@dataclass(frozen=True)
class File:
    """One file to read, as often as wanted.

    Attributes
    ----------
    name
        What messages call it.
    size
        Its size in bytes.
    open
        Opens it for reading from its beginning, with random access.
    look
        Returns what is different once the file has changed.
    signature
        What `look` returned when the file was found.
    """

    name: str
    size: int
    open: Callable[[], pa.NativeFile]
    look: Callable[[], Signature]
    signature: Signature

    def check_unchanged(self) -> None:
        """Complain if the file is not the one that was found."""
        try:
            now: Signature | None = self.look()
        except OSError:
            now = None
        if now != self.signature:
            raise DataError(
                f"{self.name}: the file was changed while it was being read; "
                "read it when nothing writes to it, or a copy of it"
            )


@contextmanager
def file_errors(file: File) -> Iterator[None]:
    """Turn what goes wrong while the file is read into a DataError or MemoryError that says so."""
    file.check_unchanged()
    try:
        yield
    except GeneratorExit:
        raise
    except DataError:
        file.check_unchanged()
        raise
    except FileNotFoundError as error:
        raise DataError(f"{file.name}: there is no such file") from error
    except PermissionError as error:
        raise DataError(f"{file.name}: there is no permission to read it") from error
    except MemoryError as error:
        asked = re.search(r"alloc of size (\d+)", str(error))
        if asked and int(asked[1]) > _CREDIBLE_RATIO * file.size + _CREDIBLE_ALLOWANCE:
            raise _damaged(file, error) from error
        raise MemoryError(
            f"{file.name}: reading it takes more than there is; write it in smaller row groups or "
            "batches, or with fewer columns, or train with less in memory (--memory, memory=)"
        ) from error
    except (OSError, EOFError, UnicodeError, pa.ArrowException) as error:
        file.check_unchanged()
        raise _damaged(file, error) from error
    file.check_unchanged()


def _damaged(file: File, error: Exception) -> DataError:
    return DataError(f"{file.name}: the file is damaged or of another format: {error}")


@contextmanager
def spooled(content: IO[bytes], name: str, advice: str) -> Iterator[IO[bytes]]:
    """Give what is left to read in a temporary file without a name, to be read in any order."""
    with ExitStack() as stack:
        try:
            spool = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(content, spool)
            spool.flush()
        except OSError as error:
            raise DataError(
                f"{name} cannot be put into a temporary file: {error}; make room for it, name "
                f"another folder (TMPDIR), or {advice}"
            ) from error
        yield spool


def find_files(source: str) -> tuple[File, ...]:
    """Return the files that a path, a URI, a glob or "-" means, at least one.

    A URI may have a query, whose options are pyarrow's: `s3://bucket/*.csv?region=eu-west-1`.
    A folder means the files in it. Files in folders and globs come sorted by name; hidden files and
    those whose name starts with an underscore (`_SUCCESS`) are passed over.

    Raises
    ------
    DataError
        There is no such file, no permission to see it, nothing that the glob matches, a folder that
        is empty or has folders in it, or a URI of an unknown kind.
    """
    if source == STANDARD_INPUT:
        return (_spool(sys.stdin.buffer),)
    try:
        return _find(*split_query(source))
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"{source}: there is no permission to read it") from error
    except (OSError, pa.ArrowException, ValueError) as error:
        raise DataError(f"{source}: it cannot be found: {error}") from error


def split_query(source: str) -> tuple[str, str]:
    """Return a URI without its query, and the query, from its question mark on.

    Examples
    --------
    >>> split_query("s3://bucket/a?.csv?region=eu-west-1&scheme=http")
    ('s3://bucket/a?.csv', '?region=eu-west-1&scheme=http')
    """
    found = re.search(r"\?\w+=", source) if "://" in source else None
    return (source[: found.start()], source[found.start() :]) if found else (source, "")


def _find(source: str, query: str) -> tuple[File, ...]:
    if not source:
        raise DataError("the path of the table is empty")
    if re.search(r"[*?[]", source) and not ("://" not in source and os.path.lexists(source)):
        return _find_glob(source, query)
    system, path = _file_system(source, query)
    info = system.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise DataError(f"{source}: there is no such file")
    if info.type == fs.FileType.Directory:
        return _find_in_folder(system, path, source)
    if info.type != fs.FileType.File:
        raise DataError(f'{source}: this is not a file; a table from a pipe is read with "-"')
    return (_stored(system, info, source),)


def _find_in_folder(system: fs.FileSystem, path: str, source: str) -> tuple[File, ...]:
    found = [info for info in system.get_file_info(fs.FileSelector(path)) if _counts(info)]
    folders = [info.base_name for info in found if info.type == fs.FileType.Directory]
    if folders:
        raise DataError(
            f"{source}: there are folders in this folder: {listing(sorted(folders), 5)}; "
            f"name the files by a glob, such as {source.rstrip('/')}/**/*.csv"
        )
    if not found:
        raise DataError(f"{source}: this is a folder with no file to read in it")
    return _several(system, found, path, source.rstrip("/"))


def _find_glob(source: str, query: str) -> tuple[File, ...]:
    parts = source.split("/")
    first = next(place for place, part in enumerate(parts) if re.search(r"[*?[]", part))
    base, pattern = "/".join(parts[:first]), parts[first:]
    shown = base
    if source.startswith("/") and not base:
        base = "/"
    system, path = _file_system(base or ".", query)
    selector = fs.FileSelector(path, recursive=len(pattern) > 1, allow_not_found=True)
    found = [
        info
        for info in system.get_file_info(selector)
        if info.type == fs.FileType.File
        and _matches(_below(info.path, path).split("/"), pattern)
        and all(not part.startswith((".", "_")) for part in _below(info.path, path).split("/"))
    ]
    if not found:
        raise DataError(f"{source}: no file matches")
    return _several(system, found, path, shown if first else None)


def _matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob: `*` within a name, `**` over any number of folders."""
    if not names or not pattern:
        return not names and not pattern
    if pattern[0] == "**":
        return any(_matches(names[start:], pattern[1:]) for start in range(len(names)))
    return fnmatch.fnmatchcase(names[0], pattern[0]) and _matches(names[1:], pattern[1:])


def _several(
    system: fs.FileSystem, found: list[fs.FileInfo], base: str, shown: str | None
) -> tuple[File, ...]:
    def name(info: fs.FileInfo) -> str:
        below = _below(info.path, base)
        return below if shown is None else f"{shown}/{below}"

    return tuple(_stored(system, info, name(info)) for info in sorted(found, key=lambda i: i.path))


def _below(path: str, base: str) -> str:
    return path.removeprefix(base).lstrip("/") if base != "." else path.removeprefix("./")


def _counts(info: fs.FileInfo) -> bool:
    return not info.base_name.startswith((".", "_"))


def _file_system(source: str, query: str) -> tuple[fs.FileSystem, str]:
    if "://" in source:
        system, path = fs.FileSystem.from_uri(source + query)
        return system, path
    return fs.LocalFileSystem(), source


def _stored(system: fs.FileSystem, info: fs.FileInfo, name: str) -> File:
    path = info.path

    def look() -> Signature:
        now = system.get_file_info(path)
        inode = Path(path).stat().st_ino if isinstance(system, fs.LocalFileSystem) else None
        return now.size, now.mtime_ns, inode

    return File(name, info.size, lambda: system.open_input_file(path), look, look())


def _spool(pipe: IO[bytes]) -> File:
    """Standard input, in a file that can be read twice."""
    name = "standard input"
    with spooled(pipe, name, "give the path of a file") as spool:
        kept, size = _Kept(spool.fileno()), spool.tell()
    return File(name, size, lambda: pa.PythonFile(_Again(kept, size), "r"), tuple, ())


class _Kept:
    """A file that stays open until this object goes."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = os.dup(descriptor)
        weakref.finalize(self, os.close, self.descriptor)


class _Again:
    """A reading of an open file with a position of its own."""

    closed = False

    def __init__(self, file: _Kept, size: int) -> None:
        self._file, self._size, self._position = file, size, 0

    def read(self, count: int = -1) -> bytes:
        count = self._size if count < 0 else count
        piece = os.pread(self._file.descriptor, count, self._position)
        self._position += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """Leave the file open: it may be read again."""
