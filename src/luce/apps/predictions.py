"""Predictions as tables, block after block."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luce.decisions import Argmax, Decision, MinimumCost, PredictionSet
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
    random = next((r.generator() for r in model.rules if isinstance(r, PredictionSet)), None)
    for block in model.stream(data, reading, report):
        table = predictions(
            model, block.probabilities, probabilities=probabilities, top=top, random=random
        )
        yield table, block.unseen


def predictions(
    model: Model,
    of_class: NDArray[np.float32],
    *,
    probabilities: bool,
    top: int | None,
    random: np.random.Generator | None = None,
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
    if model.rules:
        decision = model.decision(of_class, random)
        add("decision", _decided(model, decision))
        add("answered", decision.answered)
        if decision.sets is not None:
            add("set", _lists(decision.sets, target.labels))
    if probabilities:
        for label, column in zip(target.classes, of_class.T, strict=True):
            add(f"probability_{label}", np.ascontiguousarray(column))
    if top is not None:
        values, indices = topk(of_class, top)
        for rank in range(top):
            add(f"top_{rank + 1}", target.labels.take(indices[:, rank]))
            add(f"top_{rank + 1}_probability", np.ascontiguousarray(values[:, rank]))
    return pa.table(columns)


def _decided(model: Model, decision: Decision) -> pa.Array:
    """What was decided for each row: a class or an action, null where there is no answer."""
    costs = next((rule for rule in model.rules if isinstance(rule, MinimumCost)), None)
    if costs is None:
        unanswered = ~decision.answered
        return model.document.target.labels.take(pa.array(decision.labels, mask=unanswered))
    chosen = decision.labels
    if costs.ask is not None:
        chosen = np.where(decision.answered, chosen, costs.ask)
    names = pa.array(model.actions)
    nameless = chosen >= len(names)  # to ask, where the other actions are the classes
    return names.take(pa.array(chosen, mask=nameless))


def _lists(sets: NDArray[np.bool_], labels: pa.Array) -> pa.Array:
    """The labels in each row's set, ascending: a list array of shape (m,) from sets (m, k)."""
    ends = np.cumsum(np.count_nonzero(sets, axis=1), dtype=np.int32)
    places = pa.array(np.nonzero(sets)[1])
    return pa.ListArray.from_arrays(np.append(np.int32(0), ends), labels.take(places))
