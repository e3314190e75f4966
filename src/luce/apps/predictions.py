"""Predictions as a table, and that table as a file."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from luce.decisions import Argmax
from luce.errors import DataError
from luce.files import replacing
from luce.maps import topk
from luce.model import Model
from luce.tables.roles import target_labels


def predictions(
    model: Model, data: Path, *, probabilities: bool, top: int | None
) -> tuple[pa.Table, Mapping[str, int]]:
    """One row for each of the data's, in order; and the rows with unseen levels, by column."""
    target = model.document.target
    if top is not None and top > len(target.classes):
        raise DataError(f"--top {top}: the model has {len(target.classes)} classes only")
    encoded = model.encode(data)
    of_class = model.probabilities(encoded.features)
    winners = Argmax().decide(of_class).labels
    columns: dict[str, object] = {target.column: target_labels(target, winners)}

    def add(name: str, values: object) -> None:
        while name in columns:
            name += "_"
        columns[name] = values

    add("confidence", of_class[np.arange(len(winners)), winners])
    if probabilities:
        for label, column in zip(target.classes, of_class.T, strict=True):
            add(f"probability_{label}", np.ascontiguousarray(column))
    if top is not None:
        values, indices = topk(of_class, top)
        for rank in range(top):
            add(f"top_{rank + 1}", target_labels(target, indices[:, rank]))
            add(f"top_{rank + 1}_probability", np.ascontiguousarray(values[:, rank]))
    return pa.table(columns), encoded.unseen


def write(table: pa.Table, path: Path | None) -> None:
    """Write a table by its file name's ending, whole or not at all; to standard output as CSV."""
    if path is None:
        text = pa.BufferOutputStream()
        pa_csv.write_csv(table, text)
        rest = memoryview(text.getvalue())
        while rest:  # Where PYTHONUNBUFFERED is set, a write may take a part only.
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
        return
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise DataError(
            f"{path}: cannot write {path.suffix or 'a file without ending'}; the endings are "
            f"{', '.join(WRITERS)}"
        )
    with replacing(path) as file:
        writer(table, file)


def _write_json_lines(table: pa.Table, file: IO[bytes]) -> None:
    for batch in table.to_batches(max_chunksize=8192):
        columns = [_json_values(column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            line = json.dumps(dict(zip(table.column_names, row, strict=True)), ensure_ascii=False)
            file.write(f"{line}\n".encode())


def _json_values(column: pa.Array) -> list[object]:
    """Values for JSON, float32 by its shortest decimal and not by its 53-bit neighbour."""
    if pa.types.is_float32(column.type):
        return [float(text) for text in column.cast(pa.string()).to_pylist()]
    values: list[object] = column.to_pylist()
    return values


WRITERS: dict[str, Callable[[pa.Table, IO[bytes]], None]] = {
    ".csv": pa_csv.write_csv,
    ".parquet": pa_parquet.write_table,
    ".jsonl": _write_json_lines,
    ".ndjson": _write_json_lines,
}
