"""What is too large for memory: kept in files without a name, and used as if it were in memory.

The files lie in the folder for temporary files (the environment's TMPDIR) and vanish with the
process, however it ends.
"""

import io
import os
import re
import resource
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.errors import DataError

if TYPE_CHECKING:
    from luce.scorers.linear import Features

SHARE = 0.5
"""Of the memory that is available, what a table and its features may take unless told."""

RESERVED = 300 * 2**20
"""Bytes that are not to be had: a fit takes about so much."""

HARDLY_USED = 600 * 2**20
"""What the limits of a process count though it is hardly used: of threads and BLAS, as measured."""


def available_memory() -> int:
    """Bytes that this process can still take, as far as the system says.

    The least of what is free on the machine, what the control group leaves, and what the limits of
    the process (`ulimit -d`, `ulimit -v`) leave.
    """
    bounds = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    if found := _number("/proc/meminfo", r"MemAvailable:\s+(\d+) kB"):
        bounds.append(1024 * found)
    group = f"/sys/fs/cgroup{_own_group()}"
    if limit := _number(f"{group}/memory.max", r"(\d+)"):
        bounds.append(limit - (_number(f"{group}/memory.stat", r"anon (\d+)") or 0))
    for kind, used in ((resource.RLIMIT_DATA, "VmData"), (resource.RLIMIT_AS, "VmSize")):
        limit, _ = resource.getrlimit(kind)
        if limit != resource.RLIM_INFINITY:
            taken = _number("/proc/self/status", rf"{used}:\s+(\d+) kB") or 0
            bounds.append(limit - 1024 * taken - HARDLY_USED)
    return max(min(bounds), 0)


def memory_to_use(told: int | None) -> int:
    """The bytes told, or `SHARE` of those available beyond `RESERVED`.

    Raises
    ------
    DataError
        Told is no positive number.
    """
    if told is None:
        return int(SHARE * max(available_memory() - RESERVED, 0))
    if isinstance(told, bool) or not isinstance(told, int | np.integer) or told <= 0:
        raise DataError(f"memory is a positive number of bytes, not {told!r}")
    return int(told)


@dataclass(frozen=True, eq=False)
class StoredTable:
    """All rows of a table, to use at will, and whether they lie in a file."""

    table: pa.Table
    in_file: bool


def stored(schema: pa.Schema, blocks: Iterator[pa.Table], memory: float) -> StoredTable:
    """Keep the blocks of a table: in memory up to so many bytes, else in a file mapped into it.

    Raises
    ------
    OSError
        The folder for temporary files has no room.
    """
    held: list[pa.Table] = []
    size = 0
    for block in blocks:
        held.append(block)
        size += block.nbytes
        if size > memory:
            table = _from_file(schema, chain(_handed_over(held), blocks))
            pa.default_memory_pool().release_unused()
            return StoredTable(table, True)
    return StoredTable(pa.concat_tables(held) if held else schema.empty_table(), False)


def is_in_file(features: "Features") -> bool:
    """Whether features that were stored lie in a file."""
    array: Any = features if isinstance(features, np.ndarray) else features.data
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return array is not None


def stored_features(
    blocks: "Iterable[Features]", rows: int, width: int, *, sparse: bool, memory: int
) -> "Features":
    """Blocks of encoded rows as one matrix: in memory up to so many bytes, else mapped from a file.

    Parameters
    ----------
    blocks
        float32, C-contiguous arrays or CSR arrays as `sparse` says, with `rows` rows in all.
    rows, width
        Shape of the whole.

    Raises
    ------
    OSError
        The folder for temporary files has no room.
    """
    if sparse:
        return _stored_csr(blocks, width, memory)
    if 4 * rows * width > memory:
        spool = Spool(0)
        for block in blocks:
            spool.write(block)
        return spool.array(np.float32).reshape(rows, width)
    features = np.empty((rows, width), np.float32)
    first = 0
    for block in blocks:
        features[first : first + len(block)] = block
        first += len(block)
    return features


class Spool:
    """Numbers of one kind, written one block after another: in memory at first, then in a file."""

    def __init__(self, memory: int) -> None:
        self.memory, self.size = memory, 0
        self.file: BinaryIO = io.BytesIO() if memory else _unnamed_file()

    def write(self, block: NDArray[Any]) -> None:
        """Add the block's numbers, in C order."""
        self.size += block.nbytes
        if self.size > self.memory and isinstance(self.file, io.BytesIO):
            file = _unnamed_file()
            with _room_wanted():
                file.write(self.file.getbuffer())
            self.file = file
        with _room_wanted():
            self.file.write(np.ascontiguousarray(block).data.cast("B"))

    def array(self, dtype: Any) -> NDArray[Any]:
        """All numbers, shape (n,), read-only if in a file; nothing more can be added."""
        if isinstance(self.file, io.BytesIO):
            return np.frombuffer(self.file.getbuffer(), dtype)
        with _room_wanted(), self.file as file:
            file.flush()
            return np.memmap(file, dtype, "r") if self.size else np.empty(0, dtype)


def _stored_csr(blocks: Iterable[Any], width: int, memory: int) -> "Features":
    from scipy.sparse import csr_array

    data, indices = Spool(memory // 2), Spool(memory // 2)
    ends = [np.zeros(1, np.int64)]
    for block in blocks:
        data.write(block.data)
        indices.write(block.indices.astype(np.int32, copy=False))
        ends.append(block.indptr[1:] + ends[-1][-1])
    indptr = np.concatenate(ends)
    if indptr[-1] <= np.iinfo(np.int32).max:  # else SciPy copies the indices as int64
        indptr = indptr.astype(np.int32)
    parts = (data.array(np.float32), indices.array(np.int32), indptr)
    return csr_array(parts, shape=(len(indptr) - 1, width))


def _from_file(schema: pa.Schema, blocks: Iterable[pa.Table]) -> pa.Table:
    with _room_wanted(), _unnamed_file() as file:
        with pa.ipc.new_stream(file, schema) as writer:  # A file has one dictionary for all.
            for block in blocks:
                writer.write_table(block)
        file.flush()
        return pa.ipc.open_stream(pa.py_buffer(np.memmap(file, np.uint8, "r"))).read_all()


def _handed_over(held: list[pa.Table]) -> Iterator[pa.Table]:
    while held:
        yield held.pop(0)


def _unnamed_file() -> BinaryIO:
    with _room_wanted():
        return cast("BinaryIO", tempfile.TemporaryFile(prefix="luce-"))


@contextmanager
def _room_wanted() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror or error}: the rows do not fit in memory, and are kept in this "
            "folder; name one with more room in the environment's TMPDIR",
            tempfile.gettempdir(),
        ) from error


def _own_group() -> str:
    try:
        return Path("/proc/self/cgroup").read_text().partition("0::")[2].split("\n")[0].rstrip("/")
    except OSError:
        return ""


def _number(path: str, pattern: str) -> int | None:
    try:
        found = re.search(pattern, Path(path).read_text())
    except OSError:
        return None
    return int(found[1]) if found else None
