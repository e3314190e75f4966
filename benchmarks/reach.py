"""The figures to reach, each a ratio of medians taken in one contest, and whether they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.report import cache_bytes, ratio
from benchmarks.timing import Row

L2, L3 = cache_bytes(2), cache_bytes(3)


@dataclass(frozen=True)
class Target:
    """A figure to reach; `measure` gives None for the rows it does not concern."""

    text: str
    limit: float
    measure: Callable[[Row], float | None]
    at_most: bool = False
    unit: str = "x"

    def reached(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure <= self.limit if self.at_most else figure >= self.limit


def print_targets(
    out: Console, targets: Sequence[Target], rows: Sequence[Row]
) -> list[dict[str, Any]]:
    """Every target, for each number of threads: the worst row, and in how many rows it is met."""
    table = Table(title="Reach", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("target", "threads", "limit", "worst", "where", "rows", "reached"):
        table.add_column(name, justify="left" if name in ("target", "where") else "right")
    found = []
    for target in targets:
        figures = [(figure, row) for row in rows if (figure := target.measure(row)) is not None]
        if not figures:
            table.add_row(target.text, "", _limit(target), "", "", "", "not measured")
        for threads in sorted({row.case.threads for _, row in figures}):
            mine = [(figure, row) for figure, row in figures if row.case.threads == threads]
            pick = max if target.at_most else min
            worst, row = pick(mine, key=lambda pair: pair[0])
            met = sum(target.reached(figure) for figure, _ in mine)
            yes = met == len(mine)
            where = str(row.case).rsplit(" ", 1)[0]
            table.add_row(
                target.text,
                str(threads),
                _limit(target),
                f"{worst:.2f} {target.unit}",
                where,
                f"{met} of {len(mine)}",
                "[green]yes[/]" if yes else "[red]no[/]",
            )
            found.append(
                {
                    "target": target.text,
                    "limit": _limit(target),
                    "threads": threads,
                    "worst": worst,
                    "where": where,
                    "rows": len(mine),
                    "rows_met": met,
                    "reached": yes,
                }
            )
    out.print(table)
    return found


def is_map(row: Row) -> bool:
    return row.case.operation in ("softmax", "log_softmax") and row.case.dtype == "float32"


def is_streamed(row: Row) -> bool:
    """Long rows that lie in memory, not in a cache."""
    case = row.case
    in_memory = case.inner and 2 * case.bytes > L3
    return case.dtype == "float32" and in_memory and case.classes >= 1000


def has_short_rows(row: Row) -> bool:
    return is_map(row) and row.case.inner and row.case.classes <= 64 and row.case.shape[0] > 1


def measure(
    concerned: Callable[[Row], bool], figure: Callable[[Row], float | None]
) -> Callable[[Row], float | None]:
    return lambda row: figure(row) if concerned(row) else None


def over_copy(row: Row) -> float | None:
    return ratio(row.ours, row.copy)


def torch_over(row: Row) -> float | None:
    return ratio(row.torch, row.ours)


def scipy_over(row: Row) -> float | None:
    return ratio(row.best("scipy"), row.ours)


def numpy_over(row: Row) -> float | None:
    return ratio(row.best("numpy", "numpy out"), row.ours)


def above_empty(row: Row) -> float | None:
    if row.best("empty") is None or row.best("luce out") is None:
        return None
    return (row.seconds["luce out"] - row.seconds["empty"]) * 1e6


def map_targets() -> list[Target]:
    """What the maps are to reach."""

    def streamed(twice: bool) -> Callable[[Row], bool]:
        return lambda row: is_map(row) and is_streamed(row) and (row.case.classes * 4 > L2) == twice

    def classes(wanted: Callable[[int], bool]) -> Callable[[Row], bool]:
        return lambda row: has_short_rows(row) and wanted(row.case.classes)

    def argmax(row: Row) -> bool:
        return row.case.operation == "argmax"

    return [
        Target(
            "map, k >= 1000 out of cache, to a copy",
            1.15,
            measure(streamed(False), over_copy),
            at_most=True,
        ),
        Target(
            "map, rows longer than L2, to a copy",
            1.5,
            measure(streamed(True), over_copy),
            at_most=True,
        ),
        Target(
            "torch out to map, k >= 1000 out of cache",
            1.5,
            measure(lambda row: is_map(row) and is_streamed(row), torch_over),
        ),
        Target(
            "torch out to map, in cache",
            2.2,
            measure(lambda row: is_map(row) and row.case.size == "1000x1024", torch_over),
        ),
        Target("SciPy to map, everywhere", 5, measure(is_map, scipy_over)),
        Target(
            "torch out to map, k < 16 but 8",
            10,
            measure(classes(lambda k: k < 16 and k != 8), torch_over),
        ),
        Target(
            "torch out to map, k 17 to 64 but 16 m",
            2,
            measure(classes(lambda k: k > 16 and k % 16 > 0), torch_over),
        ),
        Target(
            "torch out to map, k 16 to 64, 16 m",
            1.5,
            measure(classes(lambda k: k % 16 == 0), torch_over),
        ),
        Target("SciPy to map, k = 10", 12, measure(classes(lambda k: k == 10), scipy_over)),
        Target(
            "map, outer axis, to the inner axis",
            1.5,
            measure(is_map, lambda row: ratio(row.ours, row.best("inner"))),
            at_most=True,
        ),
        Target(
            "logsumexp, k >= 1000 out of cache, to a read",
            1.3,
            measure(
                lambda row: row.case.operation == "logsumexp" and is_streamed(row),
                lambda row: ratio(row.ours, row.read),
            ),
            at_most=True,
        ),
        Target(
            "NumPy to argmax, more than one row",
            1,
            measure(lambda row: argmax(row) and row.case.size != "1x10", numpy_over),
        ),
        Target(
            "NumPy to argmax, one row of 10",
            1,
            measure(lambda row: argmax(row) and row.case.size == "1x10", numpy_over),
        ),
        Target(
            "NumPy to argmax, outer axes",
            5,
            measure(lambda row: argmax(row) and not row.case.inner, numpy_over),
        ),
        Target(
            "softmax of one row above an empty call",
            1.5,
            above_empty,
            at_most=True,
            unit="µs",
        ),
    ]


def loss_targets() -> list[Target]:
    """What the losses are to reach."""

    def concerned(row: Row) -> bool:
        return row.case.operation == "cross_entropy_gradient" and is_streamed(row)

    return [
        Target(
            "value and gradient, k >= 1000 out of cache, to a copy",
            1.3,
            measure(concerned, over_copy),
            at_most=True,
        ),
        Target(
            "value and gradient in place, the same, to a copy",
            1.3,
            measure(concerned, lambda row: ratio(row.best("luce in place"), row.copy)),
            at_most=True,
        ),
        Target(
            "torch forward and backward to value and gradient, the same",
            10,
            measure(concerned, lambda row: ratio(row.best("torch"), row.ours)),
        ),
    ]


def _limit(target: Target) -> str:
    return f"{'≤' if target.at_most else '≥'} {target.limit:g} {target.unit}"
