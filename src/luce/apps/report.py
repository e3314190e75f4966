"""What the commands print, for people and as JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

from luce.apps import classifier, decisions
from luce.apps.columns import becomes, use_of
from luce.apps.figures import print_confusion, print_figures
from luce.apps.layout import (
    Right,
    add,
    bytes_in_words,
    console,
    counted,
    error_console,
    listing,
    new_table,
    number,
    paragraph,
    plain,
)
from luce.model import Comparison, Model
from luce.model.record import Figures, confusion_to_keep, decision_record
from luce.model.understand import TrainingTable

MOST_ROWS = 60  # columns or classes in one table


def print_json(document: Mapping[str, Any]) -> None:
    """One JSON document on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))


def model_as_json(model: Model) -> dict[str, Any]:
    """Everything that `print_model` prints."""
    confusion = None if model.confusion is None else model.confusion.tolist()
    document = _plain_data(model.document)
    columns = [
        {"kind": column.kind, **_plain_data(column)} for column in model.document.encoder.columns
    ]
    return {
        **document,
        "encoder": {"columns": columns},
        **decisions.as_json(model),
        "confusion": confusion,
        **classifier.inside_as_json(model),
    }


def comparison_as_json(model: Model, comparison: Comparison) -> dict[str, Any]:
    """Everything that `print_evaluation` prints."""
    confusion = comparison.model.confusion
    return {
        "kind": model.document.training.fit.kind,
        "rows": comparison.model.rows,
        "unlabelled": comparison.unlabelled,
        "unseen": dict(comparison.unseen),
        "trained_on": comparison.trained_on,
        "classes": list(model.document.target.classes),
        "model": msgspec.to_builtins(Figures.of(comparison.model)),
        "baseline": msgspec.to_builtins(Figures.of(comparison.baseline)),
        "decisions": msgspec.to_builtins(tuple(map(decision_record, comparison.decisions))),
        "confusion": None if confusion is None else confusion.tolist(),
    }


def print_table_understood(source: str, table: TrainingTable, dropped: Sequence[str]) -> None:
    """What luce makes of a table, before it trains."""
    out = console()
    rows = counted(table.rows.table.num_rows, "row")
    columns = counted(table.rows.table.num_columns, "column")
    out.print(f"[bold]{plain(source)}[/]: {rows}, {columns}")
    for note in table.notes:
        out.print(plain(note))
    out.print()
    counts = np.bincount(table.rows.labels)
    classes = dict(zip(map(str, table.roles.target.classes), counts.tolist(), strict=True))
    listed = new_table("column", "kind", Right("missing"), "use")
    add(listed, table.roles.target.column, "target", "", _classes(classes))
    for name, role in ((table.roles.weight, "weight"), (table.roles.group, "group")):
        if name is not None:
            add(listed, name, role, "", f"{role} of each row")
    for column in table.columns[:MOST_ROWS]:
        use = use_of(column) if column.left_out is None else f"left out: {column.left_out}"
        add(listed, column.name, column.kind or column.type, str(column.missing), use)
    for name in dropped:
        add(listed, name, "", "", "left out: dropped")
    out.print(listed)
    _print_rest(out, len(table.columns), "column")
    if table.unlabelled:
        out.print(f"\n{counted(table.unlabelled, 'row')} without a label: not used")
    out.print()


def print_training(model: Model, path: Path) -> None:
    """The result of a training."""
    out = console()
    out.print()
    classifier.print_choices(out, model)
    decisions.print_calibration(out, model)
    _print_validation(out, model)
    out.print(classifier.fitted(model))
    paragraph(out, _refit(model))
    size = bytes_in_words(path.stat().st_size)
    out.print(f"Wrote [bold]{plain(path)}[/] ({size}).\n")
    out.print(f"Next: luce predict {plain(path)} NEW.csv --probabilities")


def print_evaluation(model: Model, source: str, comparison: Comparison) -> None:
    """Figures of a model on labelled rows."""
    out = console()
    passed_over = f", {comparison.unlabelled} without a label passed over"
    out.print(
        f"[bold]{plain(source)}[/]: {counted(comparison.model.rows, 'row')} evaluated"
        f"{passed_over if comparison.unlabelled else ''}, by a {classifier.named(model)}\n"
    )
    _print_unseen(out, comparison.unseen)
    if comparison.trained_on:
        out.print(
            "[bold yellow]These are the rows that the model was trained on[/]: the figures flatter "
            "it.\nBelieve those that `luce inspect` shows.\n"
        )
    print_figures(
        out,
        Figures.of(comparison.model),
        Figures.of(comparison.baseline),
        comparison.model.rows,
    )
    confusion = comparison.model.confusion
    print_confusion(
        out,
        model.document.target.classes,
        confusion_to_keep(comparison.model),
        weighted=confusion is not None and confusion.dtype == np.float64,
    )
    decisions.print_decisions(out, model, tuple(map(decision_record, comparison.decisions)))


def print_model(model: Model, path: Path) -> None:
    """What is in a model file."""
    out = console()
    document, training = model.document, model.document.training
    k, d = model.scorer.shape
    out.print(
        f"[bold]{plain(path)}[/]: {classifier.named(model)}, {counted(k, 'class')}, "
        f"{counted(d, 'feature')}, {counted(classifier.parameters(model), 'parameter')}, "
        f"{bytes_in_words(path.stat().st_size)}"
    )
    out.print(
        f"trained by luce {plain(training.luce)} on {counted(training.rows, 'row')}"
        f"{f', {training.rule_rows:,} more kept for its rules' if training.rule_rows else ''}"
        f"{f' ({training.unlabelled} without a label not used)' if training.unlabelled else ''}, "
        f"{classifier.penalty(model)}, seed {training.seed}"
    )
    classifier.print_choices(out, model)
    decisions.print_calibration(out, model)
    for name, role in ((training.weight, "weighted"), (training.group, "grouped")):
        if name is not None:
            out.print(f"rows {role} by column {plain(name)}")
    out.print(f"training rows' SHA-256: {training.fingerprint}\n")
    weights = map(number, training.class_weights)
    listed = new_table("column", "kind", "becomes")
    add(
        listed,
        document.target.column,
        "target",
        _classes(dict(zip(map(str, document.target.classes), weights, strict=True))),
    )
    for column in document.encoder.columns[:MOST_ROWS]:
        add(listed, column.name, column.kind, becomes(column))
    for left_out in document.left_out[:MOST_ROWS]:
        add(listed, left_out.column, "", f"left out: {left_out.reason}")
    out.print(listed)
    _print_rest(out, len(document.encoder.columns), "column")
    out.print()
    _print_validation(out, model)
    decisions.print_costs(out, model)
    out.print(classifier.fitted(model))
    paragraph(out, _refit(model))
    out.print()
    classifier.print_inside(out, model)


def print_predicted(rows: int, path: Path | None, unseen: Mapping[str, int]) -> None:
    """What became of the predictions, and which values no training row had: on standard error."""
    out = error_console()
    _print_unseen(out, unseen)
    if path is not None:
        out.print(f"Wrote {counted(rows, 'prediction')} to {plain(path)}")


def _print_unseen(out: Console, unseen: Mapping[str, int]) -> None:
    for column, count in unseen.items():
        out.print(
            f"{plain(column)}: {counted(count, 'row')} with a level, or a gap, that no training "
            "row had; treated as rare",
            soft_wrap=True,
        )


def _print_validation(out: Console, model: Model) -> None:
    validation = model.document.validation
    out.print(f"Measured on {plain(validation.source)}\n")
    print_figures(out, validation.model, validation.baseline, validation.rows)
    weighted = model.document.training.weight is not None
    print_confusion(out, model.document.target.classes, model.confusion, weighted=weighted)
    decisions.print_decisions(out, model, validation.decisions)


def _refit(model: Model) -> str:
    training = model.document.training
    rows = counted(training.rows, "row")
    if training.rule_rows:
        rows += " that are not its rules'"
    if training.refitted:
        return (
            f"The saved model is refitted on all {rows}; the figures are those of the fit before, "
            "which had not seen the held-out rows."
        )
    return f"The saved model is the one measured, fitted on all {rows}."


def _classes(classes: Mapping[str, Any]) -> str:
    counts = (f"{label} {count}" for label, count in classes.items())
    return f"{counted(len(classes), 'class')}: {listing(counts)}"


def _print_rest(out: Console, count: int, noun: str) -> None:
    if count > MOST_ROWS:
        out.print(f"and {counted(count - MOST_ROWS, noun)} more: see --json")


def _plain_data(record: object) -> dict[str, Any]:
    """A record as JSON has it; arrays are too large to show."""
    data: dict[str, Any] = msgspec.to_builtins(
        record, enc_hook=lambda array: f"{array.dtype} array of shape {array.shape}"
    )
    return data
