"""The network benchmark's tables, in a terminal and as the page docs/network-speed.md."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.network.cases import Case
from benchmarks.network.contestants import COMPILED, ESTIMATOR, FIRST, LUCE, PEERS
from benchmarks.network.goals import goals
from benchmarks.network.results import LIMITS, NEAR, ROUNDING, Figures, Results
from benchmarks.network.serving import Answer
from benchmarks.report import duration, times
from benchmarks.tables import markdown_goals, markdown_table, print_goals

MOST, MOST_64 = (f"{LIMITS[dtype]:g}" for dtype in ("float32", "float64"))
HEADING = f"""# Training networks

```text
env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE \\
    python -m benchmarks.network --results network.jsonl --docs docs
```

luce's `fit_network` against torch and scikit-learn's MLPClassifier: relu, Adam with a rate of 1e-3,
no penalty. Everybody has the same standardised rows in the same dtype, the same first weights, and
the same order of rows in every epoch, drawn in the time that is measured. `apart` is the largest
relative distance of anybody's losses of the first {FIRST} steps from those of plain NumPy in the
same dtype; it is `WRONG` above {MOST} (in float64 {MOST_64}), or above {ROUNDING:g} times what
rounding makes of plain NumPy's own, if that is more.

- `torch eager`: a sequential module, autograd, `Adam(fused=True)`.
- `torch compiled`: the whole step, Adam included, as one graph of `torch.compile` with its
  `cpp_wrapper`, on parameters that are one vector. The time of compiling is not counted, but told.
- Both try precision "medium" where products are large, in which oneDNN takes the place of MKL, and
  keep what is faster, if it is as exact.
- `scikit-learn`: `partial_fit` on rows that are gathered at once; its Adam's epsilon is put where
  everybody else has it.
- `products`: no contestant, but the matrix products of an epoch alone, at the rate of a large one
  in NumPy's BLAS.

In cases of two threads a peer that is faster on one has one. luce's times are those of a whole
call, with all that it checks and draws.

"""


@dataclass
class Part:
    """A table with its title, and what is to be said of it."""

    title: str
    header: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    left: int = 1
    about: str = ""


Wanted = Collection[tuple[str, Case]]
IDENTITY = ("problem", "hidden", "batch", "threads", "dtype")


def identity(case: Case) -> list[str]:
    return [case.problem, case.units, str(case.batch), str(case.threads), case.dtype]


def of_epochs(results: Results, cases: Sequence[Case]) -> Part:
    header = (*IDENTITY, LUCE, *PEERS, "products", "best peer / luce", "goal", "reached", "apart")
    part = Part("Seconds an epoch", header, left=2)
    for case in cases:
        figures = Figures(results, case)
        part.rows.append(
            [
                *identity(case),
                *(duration(figures.epoch(name)) or "–" for name in (LUCE, *PEERS)),
                duration(results.products(case)) or "–",
                *judged(figures.epoch_ratio, case.goal),
                apart_cell(figures),
            ]
        )
    return part


def of_arrivals(results: Results, cases: Sequence[Case]) -> Part:
    header = (*IDENTITY, "loss", LUCE, *PEERS, "best peer / luce", "goal", "reached", "compiling")
    part = Part(
        "Seconds to the same validation loss",
        header,
        left=2,
        about=f"The loss is {NEAR:g} times the least that anybody reached, or the least of whoever "
        "did not reach that; between two epochs time is counted in proportion.",
    )
    for case in cases:
        figures = Figures(results, case)
        target, compiled = figures.target, results.find("fit", COMPILED, case)
        part.rows.append(
            [
                *identity(case),
                "–" if target is None else f"{target:.4f}",
                *(duration(figures.arrival(name)) or "–" for name in (LUCE, *PEERS)),
                *judged(figures.arrival_ratio, case.goal),
                compiling(compiled),
            ]
        )
    return part


def compiling(answer: Answer | None) -> str:
    return "–" if answer is None or answer.failure else duration(answer.compile_seconds) or ""


def judged(ratio: float | None, goal: float) -> list[str]:
    if ratio is None:
        return ["–", f"{goal:g}", "not run"]
    return [times(ratio) or "", f"{goal:g}", "yes" if ratio >= goal else "no"]


def apart_cell(figures: Figures) -> str:
    distances = [d for name in (LUCE, *PEERS) if (d := figures.apart(name)) is not None]
    mark = "WRONG " if figures.wrong() else ""
    return f"{mark}{max(distances):.0e}" if distances else "–"


def of_estimator(results: Results, cases: Sequence[Case]) -> Part:
    part = Part(
        "What the estimator adds",
        (*IDENTITY, "epochs", "fit_network", "NetworkClassifier.fit", "added"),
        left=2,
    )
    for case in cases:
        inner = results.find("fit", LUCE, case)
        outer = results.find("fit", ESTIMATOR, case)
        if inner and outer and not (inner.failure or outer.failure):
            added = outer.seconds[-1] / inner.seconds[-1] - 1
            part.rows.append(
                [
                    *identity(case),
                    str(len(inner.seconds)),
                    duration(inner.seconds[-1]) or "",
                    duration(outer.seconds[-1]) or "",
                    f"{added:+.1%}",
                ]
            )
    return part


def of_memory(results: Results, cases: Sequence[Case]) -> Part:
    part = Part(
        "Memory of a fit",
        (*IDENTITY, "peak", "allowed", "within"),
        left=2,
        about="The peak of luce's fit beyond the rows and the parameters that it begins with.",
    )
    for case in cases:
        found = results.memory[case]
        part.rows.append(
            [
                *identity(case),
                megabytes(found.peak),
                megabytes(found.allowed),
                "yes" if found.peak <= found.allowed else "no",
            ]
        )
    return part


def of_predicting(results: Results, cases: Sequence[Case]) -> Part:
    part = Part(
        "Predicting",
        ("hidden", "threads", "who", "rows/s", "time / luce", "memory", "how"),
        left=1,
        about="Labels of all 200,000 rows of `synthetic`, luce's by `NetworkClassifier.predict`; "
        "memory is the peak beyond the rows, labels included. torch has the batch and the "
        "precision that are its best.",
    )
    for case in cases:
        ours = results.find("predict", LUCE, case)
        for name in (LUCE, *PEERS):
            answer = results.find("predict", name, case)
            if answer is None or answer.failure:
                continue
            known = ours is not None and not ours.failure
            part.rows.append(
                [
                    case.units,
                    str(case.threads),
                    name,
                    f"{results.rows(case) / answer.seconds[0]:,.0f}",
                    (times(answer.seconds[0] / ours.seconds[0]) or "") if known else "–",
                    megabytes(answer.peak),
                    answer.remark,
                ]
            )
    return part


def megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def parts_of(results: Results, wanted: Wanted | None = None) -> list[Part]:
    """All tables that have rows."""

    def chosen(what: str, every: Sequence[Case]) -> list[Case]:
        return [case for case in every if wanted is None or (what, case) in wanted]

    fits = chosen("fit", results.cases("fit"))
    parts = [
        of_epochs(results, fits),
        of_arrivals(results, fits),
        of_estimator(results, fits),
        of_memory(results, chosen("memory", list(results.memory))),
        of_predicting(results, chosen("predict", results.cases("predict"))),
    ]
    return [part for part in parts if part.rows]


def print_all(out: Console, results: Results, wanted: Wanted) -> None:
    """The tables of what is wanted, the goals, and what went wrong."""
    for part in parts_of(results, wanted):
        table = Table(title=part.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for place, name in enumerate(part.header):
            left = place < part.left or name in ("dtype", "who", "how")
            table.add_column(name.replace(" / ", "\n/ "), justify="left" if left else "right")
        for row in part.rows:
            table.add_row(*map(coloured, row))
        out.print(table)
    fits = [case for what, case in wanted if what == "fit" and case in results.cases("fit")]
    predicted = [case for what, case in wanted if what == "predict"]
    print_goals(out, goals(fits, results, predicted))
    for text in results.failures():
        out.print(f"failed: {text}", highlight=False, markup=False, soft_wrap=True)
    for text in wrong(results):
        out.print(f"[bold red]WRONG[/] {text}", highlight=False, soft_wrap=True)


def coloured(cell: str) -> str:
    colour = {"yes": "green", "no": "red"}.get(cell, "bold red" if "WRONG" in cell else "")
    return f"[{colour}]{cell}[/]" if colour else cell


def wrong(results: Results) -> list[str]:
    """Answers that are wrong, and luce's that are missing."""
    found = [text for case in results.cases("fit") for text in Figures(results, case).wrong()]
    for (what, name, case), record in results.records.items():
        if record.answer.wrong:
            found.append(f"{what} {case}: {name}: {record.answer.wrong} labels are wrong")
        if record.answer.failure and name in (LUCE, ESTIMATOR):
            found.append(f"{what} {case}: {name}: {record.answer.failure}")
    return found


def page(results: Results) -> str:
    """All of docs/network-speed.md."""
    facts = "\n".join(f"- {name}: {fact}" for name, fact in results.machine.items())
    found = goals(results.cases("fit"), results, results.cases("predict"))
    lines = [HEADING, facts, "\n\n## Goals\n\n", markdown_goals(found), PICTURES]
    for part in parts_of(results):
        about = f"{part.about}\n\n" if part.about else ""
        lines.append(f"\n## {part.title}\n\n{about}")
        lines.append(markdown_table(part.header, part.rows, part.left))
    remarks = [*wrong(results), *results.failures(), *settings(results)]
    if remarks:
        lines += ["\n## Remarks\n\n", "\n".join(f"- {remark}" for remark in remarks), "\n"]
    return "".join(lines)


def settings(results: Results) -> list[str]:
    """Where a peer had another setting than usual."""
    cases: dict[tuple[str, str], list[Case]] = {}
    for (what, name, case), record in results.records.items():
        if what == "fit" and record.answer.remark:
            cases.setdefault((name, record.answer.remark), []).append(case)
    return [
        f"{name} had {remark} in {len(found)} cases: {', '.join(map(str, found))}"
        for (name, remark), found in cases.items()
    ]


PICTURES = """
## Pictures

![Time of an epoch of the best peer by luce's](network-speed.png)

![Loss of rows held out against time, four cases](network-curves.png)
"""


def write(folder: Path, results: Results) -> None:
    """network-speed.md and its pictures."""
    from benchmarks.network.plots import draw_curves, draw_ratios

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network-speed.md").write_text(page(results))
    draw_ratios(results, folder / "network-speed.png")
    draw_curves(results, folder / "network-curves.png")
