"""svmlight (libsvm) files: a label and the features that are not 0 in each line."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.formats.columnar import fit_table
from luce.tables.formats.lines import line_blocks
from luce.tables.formats.reading import Request, Types
from luce.tables.sources import File, file_errors
from luce.tables.values import MOST_FEATURES, first_bad

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FEATURES = pa.map_(pa.int32(), pa.float32())


@dataclass(frozen=True)
class SvmlightFile:
    """An opened svmlight file: its columns are `X`, features by their index, and `y`."""

    file: File
    names: tuple[str, ...] = ("X", "y")
    notes: tuple[str, ...] = ()

    def candidates(
        self, columns: Sequence[str], types: Types
    ) -> Mapping[str, tuple[pa.DataType, ...]]:
        """Return the types of X and y; without a word, y is whole numbers if all labels are."""
        types = {"X": FEATURES, **{name: type for name, type in types.items() if name != "X"}}
        if "y" in columns and "y" not in types:
            whole = True
            with file_errors(self.file):
                for _, labels, _ in _blocks(self.file):
                    whole &= bool((np.abs(labels) < 2**53).all() and (labels % 1 == 0).all())
            guessed = (pa.int64(), pa.float64()) if whole else (pa.float64(),)
            return {name: guessed if name == "y" else (types[name],) for name in columns}
        return {name: (types[name],) for name in columns}

    def blocks(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """Return the rows."""
        with file_errors(self.file):
            for features, labels, done in _blocks(self.file):
                maps = pa.MapArray.from_arrays(
                    features.indptr.astype(np.int32),
                    features.indices.astype(np.int32),
                    features.data,
                    type=FEATURES,
                )
                table = pa.table({"X": maps, "y": labels})
                yield fit_table(table, schema, self.file.name, done)


def open_svmlight(file: File, request: Request) -> SvmlightFile:
    """Open an svmlight file; what is in it is seen when it is read."""
    return SvmlightFile(file)


def _blocks(file: File) -> Iterator[tuple["csr_array", NDArray[np.float64], int]]:
    done = 0
    for text in line_blocks(file, "utf-8"):
        try:
            features, labels = _load(text)
        except (ValueError, OverflowError):
            line, error = _first_wrong(text)
            before = len(_load(b"".join(_lines(text)[:line]))[1]) if line else 0
            raise DataError(
                f"{file.name}: row {done + before + 1} (the first row of data is 1): {error}; a "
                "row is a label and index:value pairs, ascending, such as 1 3:0.5 7:2"
            ) from None
        if len(labels):
            yield features, labels, done
        done += len(labels)


def _load(text: bytes) -> tuple["csr_array", NDArray[np.float64]]:
    """Parse lines.

    Raises
    ------
    ValueError
        A line is not what it should be.
    """
    from scipy.sparse import csr_array
    from sklearn.datasets import load_svmlight_file

    if b"qid:" in text:
        raise ValueError("query ids (qid:) are for ranking and not read: remove them")
    if not text.strip():
        return csr_array((0, 1), dtype=np.float32), np.empty(0)
    features, labels = load_svmlight_file(io.BytesIO(text), dtype=np.float32, zero_based=True)
    if len(features.indices) and not 0 <= features.indices.max() < MOST_FEATURES:
        raise ValueError(f"an index is above {MOST_FEATURES - 1}; give features smaller ones")
    if not np.isfinite(labels).all():
        raise ValueError("the label is infinite or not a number")
    return features, labels


def _lines(text: bytes) -> list[bytes]:
    """Return what scikit-learn takes for a line: a carriage return ends none."""
    return io.BytesIO(text).readlines()


def _first_wrong(text: bytes) -> tuple[int, str]:
    """Return the first line that is wrong, counted from 0, and why."""
    lines = _lines(text)
    why = ""

    def fit(start: int, stop: int) -> bool:
        nonlocal why
        try:
            _load(b"".join(lines[start:stop]))
        except (ValueError, OverflowError) as error:
            why = str(error)
            return False
        return True

    first = first_bad(len(lines), fit)
    label = lines[first].split()[0] if first < len(lines) and lines[first].split() else b""
    if b"," in label:
        why = f"several labels ({label[:80].decode('utf-8', 'replace')}) where one is read"
    return first, why
