"""Pictures of the network benchmark."""

from pathlib import Path

import matplotlib

from benchmarks.network.cases import Case
from benchmarks.network.contestants import COMPILED, EAGER, LUCE, PEERS, SKLEARN
from benchmarks.network.results import Figures, Results

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter

COLOURS = {LUCE: "#BB2222", EAGER: "#CCBB44", COMPILED: "#777777", SKLEARN: "#4477AA"}
THREADS = {1: "o", 2: "s"}
TELLING = (
    Case("digits", (100,), 32, 1),
    Case("letter", (100,), 200, 1),
    Case("synthetic", (100,), 200, 2),
    Case("synthetic", (256, 256), 1024, 2),
)


def draw_ratios(results: Results, path: Path) -> None:
    """Each peer's time of an epoch by luce's, one line a case; marked where the goal is."""
    cases = [c for c in results.cases("fit") if c.dtype == "float32"]
    cases = [c for c in cases if Figures(results, c).epoch_ratio is not None]
    if not cases:
        return
    lines = list(dict.fromkeys((c.problem, c.units, c.batch, c.goal) for c in cases))
    figure, axes = plt.subplots(figsize=(10, 0.27 * len(lines) + 2))
    for case in cases:
        figures = Figures(results, case)
        ours = figures.epoch(LUCE)
        assert ours is not None
        y = -lines.index((case.problem, case.units, case.batch, case.goal))
        y += 0.16 if case.threads == 1 else -0.16
        for name in PEERS:
            theirs = figures.epoch(name)
            if theirs is not None:
                axes.plot(theirs / ours, y, THREADS[case.threads], color=COLOURS[name], ms=5)
    for place, (*_, goal) in enumerate(lines):
        axes.plot([goal, goal], [-place - 0.42, -place + 0.42], color="#228833", linewidth=2)
    axes.axvline(1, color="#BB2222", linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.set_xlabel("an epoch's time by luce's")
    axes.set_yticks(
        [-i for i in range(len(lines))],
        [f"{problem}  {units}  {batch}" for problem, units, batch, _ in lines],
        fontsize=8,
    )
    axes.set_ylim(-len(lines) + 0.4, 0.6)
    ticks = (0.5, 1, 1.3, 2.5, 5, 10, 20)
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color="#EEEEEE", zorder=0)
    axes.set_axisbelow(True)
    handles = [_mark("o", COLOURS[name], name) for name in PEERS]
    handles += [_mark(m, "#333333", f"threads: {n}") for n, m in THREADS.items()]
    handles.append(Line2D([], [], color="#228833", linewidth=2, label="goal for the best peer"))
    figure.legend(
        handles=handles, loc="lower center", ncols=len(handles), frameon=False, fontsize=8
    )
    figure.suptitle("Training networks: problem, hidden layers, batch")
    figure.tight_layout(rect=(0, 0.6 / (0.27 * len(lines) + 2), 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _mark(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, linestyle="", label=label)


def draw_curves(results: Results, path: Path) -> None:
    """Loss of the rows held out against time, everybody, in four cases."""
    known = results.cases("fit")
    cases = [case for case in TELLING if case in known]
    cases += [case for case in known if case not in cases]
    cases = cases[:4]
    if not cases:
        return
    figure, grid = plt.subplots(2, 2, figsize=(12, 8.5), squeeze=False)
    for axes, case in zip(grid.flat, cases, strict=False):
        _curves(axes, results, case)
    for axes in grid.flat[len(cases) :]:
        axes.set_visible(False)
    handles = [Line2D([], [], color=c, label=name, linewidth=2) for name, c in COLOURS.items()]
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.suptitle("Loss of rows held out against training time")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _curves(axes: Axes, results: Results, case: Case) -> None:
    for name, colour in COLOURS.items():
        answer = results.find("fit", name, case)
        if answer is None or answer.failure:
            continue
        width = 2.2 if name == LUCE else 1.4
        losses = answer.validation[1:]
        axes.plot(answer.seconds, losses, ".-", color=colour, linewidth=width, markersize=4)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_title(
        f"{case.problem}, hidden {case.units}, batch {case.batch}, threads {case.threads}",
        fontsize=10,
    )
    axes.set_xlabel("seconds")
    axes.set_ylabel("loss")
