"""How measured figures are shown: beside those of the guess, and who was taken for whom."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from luce.apps.layout import (
    MOST_CLASSES,
    Right,
    add,
    counted,
    listing,
    new_table,
    number,
    plain,
)
from luce.model.record import Figure, Figures

FIGURES = {
    "accuracy": "accuracy",
    "log_loss": "log loss (nats)",
    "brier_score": "Brier score (0 to 2)",
    "expected_calibration_error": "expected calibration error",
}


def print_figures(out: Console, model: Figures, baseline: Figures, rows: int) -> None:
    """Figures of a model beside those of the guess, on so many rows."""
    listed = new_table("figure", Right("model"), "95 % interval", Right("guess"), "95 % interval")
    for name, title in FIGURES.items():
        ours, theirs = getattr(model, name), getattr(baseline, name)
        add(listed, title, *_figure(ours), *_figure(theirs))
    out.print(listed)
    out.print("guess: always the class frequencies of the training rows")
    if model.accuracy.value == 1:
        worst = 1 - 0.05 ** (1 / rows)
        out.print(
            f"No error in {counted(rows, 'row')} shows an error rate below {worst:.1%}, no more "
            "(95 % confidence)."
        )
    if _at_worst(model.log_loss) >= _at_worst(baseline.log_loss):
        out.print(
            "[bold yellow]No better than the guess on these rows[/]: the probabilities are not "
            "worth using."
        )
    out.print()


def print_confusion(
    out: Console, classes: Sequence[Any], confusion: Any, *, weighted: bool
) -> None:
    """Which class was taken for which, as far as the screen is wide enough."""
    if confusion is None:
        out.print(f"confusion matrix of {len(classes)} classes: not kept\n")
        return
    if len(classes) > MOST_CLASSES:
        out.print(f"confusion matrix of {len(classes)} classes: see --json")
    else:
        corner = "true \\ predicted" + (" (weight)" if weighted else "")
        listed = new_table(corner, *(Right(label) for label in classes), Right("found"))
        for position, (label, row) in enumerate(zip(classes, confusion, strict=True)):
            found = f"{row[position] / row.sum():.0%}" if row.sum() else "-"
            add(listed, label, *map(number, row), found)
        unbounded = out.options.update(max_width=10_000)
        fits = Measurement.get(out, unbounded, listed).maximum <= out.width
        out.print(listed if fits else _mistakes(classes, confusion, weighted=weighted))
    unmeasured = [str(c) for c, row in zip(classes, confusion, strict=True) if not row.any()]
    if unmeasured:
        out.print(f"Not measured, for want of rows: {plain(listing(unmeasured))}")
    out.print()


def _mistakes(classes: Sequence[Any], confusion: Any, *, weighted: bool) -> Table:
    """What a confusion matrix says first, where the screen is too narrow for all of it."""
    listed = new_table(
        "true", Right("weight" if weighted else "rows"), Right("found"), "most often taken for"
    )
    for position, (label, row) in enumerate(zip(classes, confusion, strict=True)):
        total, others = row.sum(), row.copy()
        others[position] = 0
        worst = int(others.argmax())
        found = f"{row[position] / total:.0%}" if total else "-"
        taken = f"{classes[worst]} ({others[worst] / total:.0%})" if others[worst] else "-"
        add(listed, label, number(total), found, taken)
    return listed


def _at_worst(figure: Figure) -> float:
    return math.inf if figure.value is None else figure.value


def _figure(figure: Figure) -> tuple[str, str]:
    value, low, high = (
        "-" if x is None else f"{x:.3f}" for x in (figure.value, figure.low, figure.high)
    )
    return value, "-" if figure.low is None else f"{low} to {high}"
