"""Predictions as tables, block after block."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.decisions import Argmax
from luce.errors import DataError
from luce.maps import topk
from luce.model import Model
from luce.model.events import Report
from luce.tables import Reading


def predicted_blocks(
    model: Model,
    data: str,
    *,
    probabilities: bool,
    top: int | None,
    reading: Reading,
    report: Report,
) -> Iterator[tuple[pa.Table, Mapping[str, int]]]:
    """One row for each of the data's, in order; and the rows with unseen levels, by column."""
    classes = len(model.document.target.classes)
    if top is not None and top > classes:
        raise DataError(f"--top {top}: the model has {classes} classes only")
    for block in model.stream(data, reading, report):
        table = predictions(model, block.probabilities, probabilities=probabilities, top=top)
        yield table, block.unseen


def predictions(
    model: Model, of_class: NDArray[np.float32], *, probabilities: bool, top: int | None
) -> pa.Table:
    """The rows to write for rows of such probabilities, (m, k)."""
    target = model.document.target
    winners = Argmax().decide(of_class).labels
    columns: dict[str, object] = {target.column: target.labels.take(winners)}

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
            add(f"top_{rank + 1}", target.labels.take(indices[:, rank]))
            add(f"top_{rank + 1}_probability", np.ascontiguousarray(values[:, rank]))
    return pa.table(columns)
