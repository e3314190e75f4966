"""Embeddings: columns whose values are whole vectors, passed through as float32."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables.features import FeatureName, missing_feature
from luce.tables.values import MOST_FEATURES, ColumnBlock, numbers, quoted, shortened

if TYPE_CHECKING:
    from scipy import sparse


class EmbeddingColumn(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="embedding",
):
    """How a vector becomes features: its numbers, as they are, and whether it is missing.

    `columns` are those of the table that it comes from: one of lists or maps, then `name` is its
    name, or a run of numbers. `type` is the Arrow type that the training table had. `length` is how
    many numbers a vector has; for a `sparse` one, of a map from index to number, 1 more than the
    largest index of the training rows. A missing vector is 0 throughout.

    Examples
    --------
    >>> column = EmbeddingColumn(name="e0..e1", type="float", columns=("e0", "e1"), length=2,
    ...     sparse=False, missing_indicator=False)
    >>> column.kind
    'embedding'
    """

    name: str
    type: str
    columns: tuple[str, ...]
    length: Annotated[int, Meta(ge=1, le=MOST_FEATURES)]
    sparse: bool
    missing_indicator: bool

    @property
    def kind(self) -> Literal["embedding"]:
        """The column's kind."""
        return "embedding"


def is_vector(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds lists of numbers, or maps from index to number."""
    if pa.types.is_map(type):
        return bool(pa.types.is_integer(type.key_type)) and _is_number(type.item_type)
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(type) for test in lists) and _is_number(type.value_type)


def is_sparse_vector(type: pa.DataType) -> bool:
    """Whether a column of this Arrow type holds maps."""
    return bool(pa.types.is_map(type))


def lengths_differ(block: ColumnBlock) -> str | None:
    """Say which of a column's lists has another length than the first; None if all have one."""
    if is_sparse_vector(block.values.type):
        return None
    lengths = pc.list_value_length(block.values)
    extremes = pc.min_max(lengths).as_py()
    if extremes["min"] == extremes["max"]:
        return None
    first = lengths.drop_null()[0].as_py()
    row = pc.index(pc.not_equal(lengths, first), value=True).as_py()
    return f"row {block.row_number(row)} has a list of {lengths[row].as_py()}, others have {first}"


def missing_vectors(name: str, blocks: Sequence[ColumnBlock]) -> NDArray[np.bool_]:
    """Return where a column of vectors, or the run of columns of that name, has none, (rows,).

    Raises
    ------
    DataError
        A row of a run has some of its numbers and lacks others, or one is infinite (named), or the
        column's type is no vector.
    """
    if len(blocks) == 1:
        _check_type(blocks[0])
        return np.asarray(blocks[0].values.is_null().to_numpy())
    lacking = np.zeros(len(blocks[0].values), np.int64)
    for block in blocks:
        lacking += np.isnan(numbers(block))
    return _whole_or_missing(name, blocks, lacking)


def fit_embedding(name: str, blocks: Sequence[ColumnBlock]) -> EmbeddingColumn:
    """Return how long the vectors of a column are, or of a run of columns; there is at least one.

    Raises
    ------
    DataError
        A vector cannot be used: see `write_embedding` and `sparse_vectors`.
    """
    type = blocks[0].values.type
    if len(blocks) > 1:
        length = len(blocks)
    elif is_sparse_vector(type):
        length = 1 + max(_largest_index(piece) for piece in blocks[0].pieces())
    else:
        _check_type(blocks[0])
        length = pc.max(pc.list_value_length(blocks[0].values)).as_py()
    if not length:
        raise DataError(f"column {quoted(name)}: its vectors are empty; leave the column out")
    return EmbeddingColumn(
        name=name,
        type=str(type),
        columns=tuple(block.name for block in blocks),
        length=length,
        sparse=is_sparse_vector(type),
        missing_indicator=bool(missing_vectors(name, blocks).any()),
    )


def embedding_width(column: EmbeddingColumn) -> int:
    """Return how many features the column becomes."""
    return column.length + column.missing_indicator


def write_embedding(
    column: EmbeddingColumn, blocks: Sequence[ColumnBlock], out: NDArray[np.float32]
) -> None:
    """Write the blocks' features into `out`, (rows, d).

    Raises
    ------
    DataError
        A vector has another length, or a number that is missing, NaN, or infinite as a float32.
    """
    if len(blocks) > 1:
        lacking = np.zeros(len(out), np.int64)
        for place, block in enumerate(blocks):
            values = numbers(block)
            lacking += np.isnan(values)
            with np.errstate(over="ignore"):
                out[:, place] = values
        missing = _whole_or_missing(column.name, blocks, lacking)
        out[missing] = 0
    else:
        missing = _write_lists(column, blocks[0], out)
    if column.missing_indicator:
        out[:, -1] = missing
    infinite = ~np.isfinite(out)
    if infinite.any():
        row, place = np.argwhere(infinite)[0].tolist()
        where = blocks[place if len(blocks) > 1 else 0].at(row)
        raise DataError(
            f"{where}: number {place + 1} of the vector is {_as_float32(out[row, place])}; "
            "correct it, or leave the whole vector empty"
        )


def sparse_vectors(column: EmbeddingColumn, block: ColumnBlock) -> "tuple[sparse.csr_array, int]":
    """Return the block's features, (rows, d), and how many rows have an index never seen.

    Raises
    ------
    DataError
        An index is negative or occurs twice in a row, or a number is missing, NaN or infinite.
    """
    from scipy import sparse

    missing, rows, indices, values = _entries(block)
    known = indices < column.length
    unseen = len(np.unique(rows[~known]))
    used = known & (values != 0)
    rows, indices, values = rows[used], indices[used], values[used]
    if column.missing_indicator:
        # A missing map has no other entries: rows stay in order.
        lacking = np.flatnonzero(missing)
        places = np.searchsorted(rows, lacking)
        rows = np.insert(rows, places, lacking)
        indices = np.insert(indices, places, column.length)
        values = np.insert(values, places, 1)
    ends = np.searchsorted(rows, np.arange(len(missing) + 1)).astype(np.int32)
    shape = (len(missing), embedding_width(column))
    return sparse.csr_array((values, indices.astype(np.int32), ends), shape=shape), unseen


def name_embedding(column: EmbeddingColumn, place: int) -> FeatureName:
    """Return the name of one of the features that the column becomes."""
    if place == column.length:
        return missing_feature(column.name)
    if len(column.columns) > 1:
        number = column.columns[place]
        return FeatureName(column.name, "value", number, f"per 1 in {shortened(number)}")
    unit = f"per 1 in {shortened(column.name)}[{place}]"
    return FeatureName(column.name, "value", str(place), unit)


def _is_number(type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type) or pa.types.is_floating(type))


def _whole_or_missing(
    name: str, blocks: Sequence[ColumnBlock], lacking: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Where all numbers of a run are lacking; DataError where only some are."""
    incomplete = (lacking > 0) & (lacking < len(blocks))
    if incomplete.any():
        row = int(incomplete.argmax())
        first = next(block for block in blocks if np.isnan(numbers(block.slice(row, 1))).any())
        raise DataError(
            f"{first.at(row)}: the number is missing, and others of the vector {quoted(name)} are "
            f'not; fill it in, empty the vector, or give {quoted(name)} the kind "numeric"'
        )
    return np.asarray(lacking == len(blocks))


def _check_type(block: ColumnBlock) -> None:
    type = block.values.type
    if not is_vector(type) and not pa.types.is_null(type):
        raise DataError(
            f"column {quoted(block.name)} has the type {type}, which is no vector: an "
            "embedding is a list of numbers in every row, or a run of columns such as e0..e767"
        )


def _write_lists(
    column: EmbeddingColumn, block: ColumnBlock, out: NDArray[np.float32]
) -> NDArray[np.bool_]:
    _check_type(block)
    if is_sparse_vector(block.values.type):
        raise DataError(
            f"column {quoted(block.name)} has maps; the training rows had lists of {column.length}"
        )
    missing: NDArray[np.bool_] = block.values.is_null().to_numpy()
    out[:] = 0
    if missing.all():  # Perhaps they are not even lists.
        return missing
    lengths = pc.list_value_length(block.values).fill_null(column.length).to_numpy()
    other = lengths != column.length
    if other.any():
        row = int(other.argmax())
        raise DataError(
            f"{block.at(row)}: the vector has {lengths[row]} numbers, where those of the training "
            f"rows have {column.length}; correct it or leave it empty"
        )
    flat = pc.list_flatten(block.values).cast(pa.float32(), safe=False)
    # What is missing in a list becomes NaN.
    out[~missing, : column.length] = flat.to_numpy().reshape(-1, column.length)
    return missing


def _entries(
    block: ColumnBlock,
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Where the maps are missing; and each entry's row, index and number, by row and index."""
    type = block.values.type
    missing: NDArray[np.bool_] = block.values.is_null().to_numpy()
    if pa.types.is_null(type):
        nothing = np.zeros(0, np.int64)
        return missing, nothing, nothing, nothing.astype(np.float32)
    if not (is_sparse_vector(type) and is_vector(type)):
        raise DataError(
            f"column {quoted(block.name)} has the type {type}; the training rows had maps from "
            "index to number"
        )
    lengths, keys, items = [np.zeros(0, np.int64)], [], []
    for chunk in block.values.chunks:
        ends = chunk.offsets.to_numpy().astype(np.int64)
        lengths.append(np.diff(ends))
        keys.append(chunk.keys[ends[0] : ends[-1]])
        items.append(chunk.items[ends[0] : ends[-1]])
    rows = np.repeat(np.arange(len(missing)), np.concatenate(lengths))
    indices = pa.chunked_array(keys, type.key_type).cast(pa.int64(), safe=False).to_numpy()
    values = pa.chunked_array(items, type.item_type).cast(pa.float32(), safe=False).to_numpy()
    there = ~missing[rows]
    rows, indices, values = rows[there], indices[there], values[there]
    same_row = np.diff(rows) == 0
    if (same_row & (np.diff(indices) < 0)).any():
        order = np.lexsort((indices, rows))
        indices, values = indices[order], values[order]
    for wrong, words in (
        (indices < 0, "is negative"),
        (~np.isfinite(values), "has no finite number"),
        (np.append(same_row & (np.diff(indices) == 0), False), "occurs twice"),
    ):
        _refuse(block, rows, indices, wrong, words)
    return missing, rows, indices, values


def _largest_index(block: ColumnBlock) -> int:
    _, rows, indices, _ = _entries(block)
    _refuse(block, rows, indices, indices >= MOST_FEATURES, f"is above {MOST_FEATURES - 1:,}")
    return int(indices.max(initial=-1))


def _refuse(
    block: ColumnBlock,
    rows: NDArray[np.int64],
    indices: NDArray[np.int64],
    wrong: NDArray[np.bool_],
    words: str,
) -> None:
    if wrong.any():
        entry = int(wrong.argmax())
        raise DataError(
            f"{block.at(int(rows[entry]))}: the index {indices[entry]} {words}; correct it, or "
            "leave it out of the map"
        )


def _as_float32(value: np.float32) -> str:
    return "missing or not a number" if np.isnan(value) else "infinite, or too large for float32"
