"""Pictures of the training benchmark."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.report import duration
from benchmarks.results import Case
from benchmarks.trainers import SKLEARN

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

TARGET = 1e-6
LOWEST_GAP = 1e-8
COLOURS = {0.01: "#4477AA", 1.0: "#228833", 100.0: "#CC6677"}
MARKERS = {"raw": "o", "standardised": "s"}
LINES = {
    "luce": ("#BB2222", "luce"),
    "lbfgs": ("#4477AA", "scikit-learn lbfgs"),
    "newton-cg": ("#66CCEE", "scikit-learn newton-cg"),
    "newton-cholesky": ("#228833", "scikit-learn newton-cholesky"),
    "saga": ("#CCBB44", "scikit-learn saga"),
    "torch": ("#777777", "torch L-BFGS"),
}
TELLING = (
    "letter/standardised/C=100",
    "diamonds/raw/C=1",
    "languages/raw/C=1",
    "correlated/raw/C=1",
    "scaled/raw/C=1",
    "digits/raw/C=1",
)


def draw_times(cases: Sequence[Case], path: Path) -> None:
    """How many times longer the best scikit-learn solver takes; one line a problem."""
    compared = [case for case in cases if case.ratio(TARGET) is not None]
    if not compared:
        return
    names = list(dict.fromkeys(case.facts.problem for case in compared))
    middle = {
        name: np.median([_ratio(case) for case in compared if case.facts.problem == name])
        for name in names
    }
    names.sort(key=lambda name: middle[name])
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, max(4.5, 0.32 * len(names) + 1.8)), width_ratios=(1, 1.15)
    )
    _scatter(left, compared)
    for case in compared:
        facts = case.facts
        shift = 0.13 * (list(COLOURS).index(facts.C) - 1) if facts.C in COLOURS else 0.0
        shift += 0.05 if facts.variant == "standardised" else -0.05
        _dot(right, _ratio(case), names.index(facts.problem) + shift, case, "right")
    for ratio in (1, 20, 100):
        right.axvline(ratio, color="#BBBBBB", linewidth=1, zorder=0)
        right.annotate(
            f"{ratio}×",
            (ratio, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color="#777777",
        )
    right.set_xscale("log")
    right.set_yticks(range(len(names)), names)
    right.set_ylim(-0.7, len(names) - 0.3)
    right.set_xlabel("time of the best scikit-learn solver / time of luce")
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    right.xaxis.set_minor_formatter(NullFormatter())
    right.grid(axis="y", color="#EEEEEE", zorder=0)
    right.set_axisbelow(True)
    figure.suptitle("Training to within 1e-6 of the optimum", fontsize=13)
    figure.legend(handles=_legend(), loc="lower center", ncols=6, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _ratio(case: Case) -> float:
    found = case.ratio(TARGET)
    assert found is not None
    return found[0]


def _scatter(axes: Axes, cases: Sequence[Case]) -> None:
    seconds = []
    for case in cases:
        ours, theirs = case.time("luce", TARGET), case.best_time(SKLEARN, TARGET)
        assert ours is not None
        assert theirs is not None
        _dot(axes, ours.seconds, theirs[1].seconds, case, "up")
        seconds += [ours.seconds, theirs[1].seconds]
    ends = np.array([min(seconds) / 2, max(seconds) * 2])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(s for s in seconds[::2]) / 2, max(seconds[::2]) * 2)
    axes.set_ylim(min(seconds[1::2]) / 3, max(seconds[1::2]) * 3)
    for factor in (1, 20, 100):
        axes.plot(ends, ends * factor, color="#BBBBBB", linewidth=1, zorder=0)
        _label_line(axes, factor)
    for axis in (axes.xaxis, axes.yaxis):
        _seconds(axis)
    axes.set_xlabel("time of luce")
    axes.set_ylabel("time of the best scikit-learn solver")


def _label_line(axes: Axes, factor: int) -> None:
    """Name a line of equal ratio where it leaves the picture, if it is in it."""
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    x = min(x_high, y_high / factor)
    if x <= x_low or x * factor <= y_low:
        return
    at_top = x < x_high
    axes.annotate(
        f"{factor}×",
        (x, x * factor),
        xytext=(0, 3) if at_top else (3, 0),
        textcoords="offset points",
        ha="center" if at_top else "left",
        va="bottom" if at_top else "center",
        fontsize=8,
        color="#777777",
        annotation_clip=False,
    )


def _dot(axes: Axes, x: float, y: float, case: Case, direction: str) -> None:
    """A mark, with an arrow from it where no scikit-learn solver arrived."""
    found = case.ratio(TARGET)
    facts = case.facts
    colour = COLOURS.get(facts.C, "#555555")
    axes.plot(x, y, MARKERS[facts.variant], color=colour, markersize=5, alpha=0.85)
    if found is not None and not found[1]:
        away = (0, 12) if direction == "up" else (12, 0)
        axes.annotate(
            "",
            (x, y),
            xytext=away,
            textcoords="offset points",
            arrowprops={"arrowstyle": "<-", "color": colour, "linewidth": 1, "shrinkB": 2},
        )


def _legend() -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=f"C = {C:g}")
        for C, colour in COLOURS.items()
    ]
    handles += [
        Line2D([], [], color="#555555", marker=marker, linestyle="", label=variant)
        for variant, marker in MARKERS.items()
    ]
    arrow = Line2D([], [], color="#555555", marker="$→$", linestyle="", markersize=9)
    arrow.set_label("no solver arrived: at its limit")
    return [*handles, arrow]


def draw_curves(cases: Sequence[Case], path: Path) -> None:
    """Distance from the best known objective against time, everybody, on four problems."""
    named = {case.name: case for case in cases}
    chosen = [named[name] for name in TELLING if name in named]
    others = sorted(cases, key=lambda case: -case.facts.stored * case.facts.k)
    chosen += [case for case in others if case not in chosen]
    chosen = chosen[:4]
    if not chosen:
        return
    figure, grid = plt.subplots(2, 2, figsize=(12, 8.5), squeeze=False)
    for axes, case in zip(grid.flat, chosen, strict=False):
        _curves(axes, case)
    for axes in grid.flat[len(chosen) :]:
        axes.set_visible(False)
    present = [name for name in LINES if any(name in case.curves for case in chosen)]
    handles = [
        Line2D([], [], color=LINES[name][0], label=LINES[name][1], linewidth=2) for name in present
    ]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.suptitle("Distance from the optimum against training time", fontsize=13)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _curves(axes: Axes, case: Case) -> None:
    for name, (colour, _) in LINES.items():
        if name not in case.curves or not case.curves[name].points:
            continue
        points = sorted(case.curves[name].points, key=lambda point: point.seconds)
        seconds = [point.seconds for point in points]
        gaps = np.minimum.accumulate([case.gap(point.objective) for point in points])
        ours = name == "luce"
        axes.plot(
            seconds,
            np.maximum(gaps, LOWEST_GAP),
            marker="." if name != "torch" else "",
            color=colour,
            linewidth=2 if ours else 1.3,
            markersize=9 if ours else 5,
            zorder=3 if ours else 2,
        )
    for target in (1e-3, TARGET):
        axes.axhline(target, color="#BBBBBB", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(LOWEST_GAP / 2, 3)
    _seconds(axes.xaxis)
    facts = case.facts
    axes.set_title(f"{case.name}   ({facts.n:,} × {facts.d:,}, {facts.k} classes)", fontsize=10)
    axes.set_xlabel("time")
    axes.set_ylabel("(F - best) / best")


def _seconds(axis: matplotlib.axis.Axis) -> None:
    """Decades named as times."""
    axis.set_major_locator(LogLocator(10, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axis.set_minor_formatter(NullFormatter())


def _short(seconds: float) -> str:
    number, unit = (duration(seconds) or "").split()
    return f"{float(number):g} {unit}"
