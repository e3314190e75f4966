"""The training benchmark's tables, in a terminal and as the page docs/training.md."""

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.goals import Goal, goals, verdict
from benchmarks.report import duration, times
from benchmarks.results import TARGETS, Case, Memory, Results, Time
from benchmarks.trainers import SKLEARN

HEADING = """# Training

```text
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE \\
    python -m benchmarks.train --results training.jsonl --docs docs
```

The time of training from nothing until the objective, evaluated in float64 by one independent
function, is within 1e-3 and 1e-6 (relative) of the least that anybody reached; luce's reference
at tol 1e-10 in float64 is among them. luce's is the time of a whole fit with that tol, its
certificate included. scikit-learn's solvers are fitted with as many iterations as they need and no
more; torch is L-BFGS on the full batch with strong Wolfe searches. Everybody has the same data in
the same dtype and as many threads; a peer that is faster on one thread has one.
`>` marks who had not arrived after 100 times luce's
time (at least 0.5 s, at most 300 s) and counts at that limit; `stopped` marks who ended earlier by
themselves; a dash marks who cannot be asked.

"""
PICTURES = """
## Pictures

![Time to 1e-6: luce against the best scikit-learn solver](training-times.png)

![Distance from the optimum against time, on four problems](training-curves.png)
"""
GOAL_HEADERS = ("goal", "reached", "figure", "worst, or behind it")
HEADERS = ("problem", "n", "d", "k", "dtype")


def header(name: str) -> str:
    return "torch L-BFGS" if name == "torch" else name


def identity(case: Case) -> list[str]:
    facts = case.facts
    dtype = facts.dtype + (" sparse" if facts.sparse else "")
    return [case.name, str(facts.n), str(facts.d), str(facts.k), dtype]


def time_cell(case: Case, contestant: str, target: float) -> str:
    """A time, > the limit, "stopped", or a dash."""
    time = case.time(contestant, target)
    if time is None:
        return "–"
    if time.arrived:
        return duration(time.seconds) or ""
    ended = case.curves[contestant].ended
    if ended in ("limit", "arrived", ""):
        return f"> {duration(time.seconds)}"
    return "stopped" if ended == "stopped" else "failed"


def ratio_cell(case: Case, target: float, contestants: Sequence[str]) -> str:
    ours: Time | None = case.time("luce", target)
    theirs = case.best_time(contestants, target)
    if ours is None or theirs is None:
        return "–"
    return ("" if theirs[1].arrived else "> ") + (times(theirs[1].seconds / ours.seconds) or "")


def rows(cases: Sequence[Case], peers: Sequence[str], target: float) -> list[list[str]]:
    """One row a case: what it is, everybody's times, and two ratios."""
    return [
        [
            *identity(case),
            time_cell(case, "luce", target),
            *_certificate(case),
            *(time_cell(case, name, target) for name in peers),
            ratio_cell(case, target, SKLEARN),
            *([ratio_cell(case, target, ["torch"])] if "torch" in peers else []),
        ]
        for case in cases
    ]


def _certificate(case: Case) -> list[str]:
    """Passes and certified gap of luce at its default tol."""
    luce = case.curves["luce"]
    return [str(luce.iterations), "–" if luce.gap is None else f"{luce.gap:.0e}"]


def columns(peers: Sequence[str]) -> list[str]:
    ratios = ["best sklearn / luce", *(["torch / luce"] if "torch" in peers else [])]
    return [*HEADERS, "luce", "passes", "gap", *map(header, peers), *ratios]


def print_cases(out: Console, cases: Sequence[Case], peers: Sequence[str]) -> None:
    """A table of times for each target, and what is odd."""
    for target in TARGETS:
        table = Table(
            title=f"Time to {target:g}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False
        )
        for name in columns(peers):
            left = name in ("problem", "dtype")
            table.add_column(name.replace(" / ", "\n/ "), justify="left" if left else "right")
        for row in rows(cases, peers, target):
            table.add_row(*row)
        out.print(table)
    for remark in remarks(cases):
        out.print(remark, highlight=False, soft_wrap=True)


def remarks(cases: Sequence[Case]) -> list[str]:
    """Where luce misses its tol, a peer failed, or somebody is below what was certified."""
    found = []
    for case in cases:
        luce, best = case.curves["luce"], case.best
        default = min(luce.points, key=lambda point: point.effort)
        real = case.gap(default.objective)
        if luce.gap is not None and luce.gap > default.effort:
            found.append(f"{case.name}: certified only to {luce.gap:.1e}, really at {real:.1e}")
        elif luce.gap is not None and real > luce.gap + 1e-12:
            found.append(f"{case.name}: certified to {luce.gap:.1e}, but really at {real:.1e}")
        for name, curve in case.curves.items():
            if curve.ended not in ("limit", "arrived", "stopped", ""):
                found.append(f"{case.name}: {name}: {curve.ended}")
            elif curve.ended == "stopped":
                least = min(point.objective for point in curve.points)
                found.append(
                    f"{case.name}: {name} stopped by itself at {case.gap(least):.1e} after "
                    f"{curve.iterations} iterations"
                )
        reference = case.curves.get("reference")
        if reference and reference.points and reference.gap is not None:
            value = reference.points[0].objective
            if (value - best) / best > max(reference.gap, 0.0) + 1e-12:
                found.append(
                    f"{case.name}: the reference is certified to {reference.gap:.1e}, but somebody "
                    f"is {(value - best) / best:.1e} below"
                )
    return found


def memory_rows(memories: Sequence[Memory]) -> list[list[str]]:
    return [
        [
            f"{m.problem}/{m.variant}",
            f"{m.peak / 1e6:.1f} MB",
            f"{m.allowed / 1e6:.1f} MB",
            "yes" if m.peak <= m.allowed else "no",
        ]
        for m in memories
    ]


MEMORY_HEADERS = ("problem", "peak beyond X", "allowed", "within")


def print_memory(out: Console, cases: Sequence[Case], results: Results) -> None:
    table = Table(title="Memory", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in MEMORY_HEADERS:
        table.add_column(name, justify="left" if name == "problem" else "right")
    run = {(case.facts.problem, case.facts.variant) for case in cases}
    for row in memory_rows([m for key, m in results.memory.items() if key in run]):
        table.add_row(*row)
    if table.row_count:
        out.print(table)


def print_goals(out: Console, found: Sequence[Goal]) -> None:
    table = Table(title="Goals", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in GOAL_HEADERS:
        table.add_column(name, justify="right" if name == "figure" else "left")
    for goal in found:
        mark = verdict(goal, lambda yes: "[green]yes[/]" if yes else "[red]no[/]")
        table.add_row(goal.text, mark, goal.figure, goal.behind)
    out.print(table)


def markdown_goals(found: Sequence[Goal]) -> str:
    rows = [
        [goal.text, verdict(goal, lambda yes: "yes" if yes else "no"), goal.figure, goal.behind]
        for goal in found
    ]
    return markdown_table(GOAL_HEADERS, rows, 4)


def markdown_table(header: Sequence[str], body: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table of GitHub's kind, its columns aligned in the source as well."""
    widths = [max(3, *(len(row[i]) for row in [header, *body])) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join(
        ("-" * (w + 2)) if i < left else ("-" * (w + 1) + ":") for i, w in enumerate(widths)
    )
    return "\n".join([line(header), f"|{rule}|", *map(line, body)]) + "\n"


def page(results: Results) -> str:
    """All of docs/training.md."""
    cases, peers = results.chosen(), list(results.contestants())
    facts = "\n".join(f"- {name}: {fact}" for name, fact in results.machine.items())
    parts = [HEADING, facts, "\n\n## Goals\n\n"]
    parts.append(markdown_goals(goals(cases, results)))
    parts.append(PICTURES)
    for target in TARGETS:
        parts.append(f"\n## Time to {target:g}\n\n")
        parts.append(markdown_table(columns(peers), rows(cases, peers, target)))
    if results.memory:
        parts.append("\n## Memory\n\nPeak of a fit with C = 1 beyond the features.\n\n")
        parts.append(markdown_table(MEMORY_HEADERS, memory_rows(list(results.memory.values()))))
    odd = remarks(cases)
    if odd:
        parts += ["\n## Remarks\n\n", "\n".join(f"- {remark}" for remark in odd), "\n"]
    return "".join(parts)


def write_pages(folder: Path, results: Results) -> None:
    """training.md and its pictures."""
    from benchmarks.plots import draw_curves, draw_times

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.md").write_text(page(results))
    draw_times(results.chosen(), folder / "training-times.png")
    draw_curves(results.chosen(), folder / "training-curves.png")
