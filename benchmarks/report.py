"""What a benchmark says: the machine, a table of times and ratios, a JSON file."""

import argparse
import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_info

from benchmarks.timing import Case, Contest, Row, all_cpus, hold
from luce import kernels

PACKAGES = ("luce", "numpy", "scipy", "scikit-learn", "torch", "jax", "ml_dtypes")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
HELP = """
Run it on a quiet machine, with the BLAS free to choose its kernel:

  env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE python -m benchmarks.{name}

The exit status is 1 if an answer was wrong. Targets that are missed do not change it.
"""

Column = tuple[str, Callable[[Row], str | None]]


def present(
    name: str,
    about: str,
    cases: Callable[[bool], Iterable[Case]],
    contest: Callable[[Case], Contest],
    columns: Sequence[Column],
    closing: Callable[[Console, list[Row]], list[dict[str, Any]]] = lambda out, rows: [],
) -> int:
    """Hold the contests, print a table for every operation, and close; gives the exit status.

    `cases` is told whether to be quick; `closing` prints what comes after the tables, and gives
    the figures reached.
    """
    options = arguments(name, about)
    out, facts = console(), machine()
    print_facts(out, facts)
    rows = run(options, chosen(cases(options.quick), options.only), contest)
    for operation in dict.fromkeys(row.case.operation for row in rows):
        mine = [row for row in rows if row.case.operation == operation]
        print_rows(out, operation, mine, columns)
    return finish(options, out, facts, rows, closing(out, rows))


def arguments(name: str, about: str) -> argparse.Namespace:
    """The command line that the benchmarks share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=about,
        epilog=HELP.format(name=name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer shapes and rounds")
    parser.add_argument(
        "--only",
        metavar="TEXT",
        default="",
        help="rows that have all these words, * allowed: 'softmax 100000x* float32 threads=1'",
    )
    parser.add_argument("--json", metavar="PATH", type=Path, help="write all figures there")
    parser.add_argument("--rounds", type=int, help="turns of every contestant (9; 3 with --quick)")
    return parser.parse_args()


def chosen(cases: Iterable[Case], only: str) -> list[Case]:
    """The cases with all the words of `only`."""

    def wanted(case: Case) -> bool:
        words = str(case).split()
        return all(any(fnmatchcase(word, text) for word in words) for text in only.split())

    return [case for case in cases if wanted(case)]


def run(
    options: argparse.Namespace, cases: Iterable[Case], contest: Callable[[Case], Contest]
) -> list[Row]:
    """Hold the contest of every case."""
    rounds = options.rounds or (3 if options.quick else 9)
    sample = 0.0005 if options.quick else 0.002
    progress = Console(stderr=True)
    rows = []
    for case in track(list(cases), "timing", console=progress, transient=True):
        row = hold(case, contest(case), rounds, sample)
        for failure in row.failures:
            progress.print(f"[bold red]WRONG[/] {failure}", highlight=False, soft_wrap=True)
        rows.append(row)
    return rows


def console() -> Console:
    """A console wide enough for the tables when it is no terminal."""
    standard = Console()
    return standard if standard.is_terminal else Console(width=200)


def machine() -> dict[str, str]:
    """Machine, instruction set, versions, BLAS and caches."""
    facts = {
        "machine": f"{_processor()}, {platform.system()} {platform.machine()}",
        "instruction set": f"{kernels.isa()} of {', '.join(kernels.supported_isas())}",
        "CPUs": str(all_cpus()),
        "L2, L3 cache": ", ".join(f"{cache_bytes(level) / 1024:.0f} KiB" for level in (2, 3)),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_installed(name)}" for name in PACKAGES),
    }
    for library in threadpool_info():
        if library["user_api"] == "blas":
            owner = Path(library["filepath"]).parent.name
            kernel = library.get("architecture", "unknown kernel")
            facts[f"BLAS in {owner}"] = f"{library['internal_api']} {library['version']}, {kernel}"
    return facts


def cache_bytes(level: int) -> int:
    """Size of a cache, as Linux tells it; otherwise 1 MiB for the second and 32 for the third."""
    for folder in sorted(CACHES.glob("index*")):
        kind = (folder / "type").read_text().strip()
        if kind != "Instruction" and int((folder / "level").read_text()) == level:
            return int((folder / "size").read_text().strip().removesuffix("K")) * 1024
    return 2**20 if level == 2 else 2**25


def print_facts(out: Console, facts: dict[str, str]) -> None:
    """One line a fact."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        table.add_row(name, value)
    out.print(table)


def print_rows(out: Console, title: str, rows: Sequence[Row], columns: Sequence[Column]) -> None:
    """A table of these rows, without the columns that nobody fills."""
    cells = [[text(row) for _, text in columns] for row in rows]
    used = [i for i in range(len(columns)) if any(line[i] for line in cells)]
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("shape", "axis", "dtype", "threads"):
        table.add_column(name, justify="right" if name != "dtype" else "left", no_wrap=True)
    for i in used:
        table.add_column(columns[i][0].replace("/", "\n/"), justify="right")
    for row, line in zip(rows, cells, strict=True):
        case = row.case
        identity = (case.size, str(case.axis), case.dtype, str(case.threads))
        table.add_row(*identity, *(line[i] or "–" for i in used))
    out.print(table)


def finish(
    options: argparse.Namespace,
    out: Console,
    facts: dict[str, str],
    rows: Sequence[Row],
    reach: list[dict[str, Any]],
) -> int:
    """Write the JSON file, repeat what was wrong, and give the exit status."""
    if options.json:
        figures = [asdict(row) | {"best": row.ours} for row in rows]
        document = {"machine": facts, "rows": figures, "reach": reach}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    failures = [failure for row in rows for failure in row.failures]
    for failure in failures:
        out.print(f"[bold red]WRONG[/] {failure}", highlight=False, soft_wrap=True)
    if not rows:
        out.print("no row has all the words of --only")
    return 1 if failures or not rows else 0


def time_of(*names: str) -> Callable[[Row], str | None]:
    """A cell: the least time among these contestants."""
    return lambda row: duration(row.best(*names))


def times(figure: float | None) -> str | None:
    """A cell: a ratio."""
    return None if figure is None else f"{figure:.2f}" if figure < 10 else f"{figure:.1f}"


def ratio(above: float | None, below: float | None) -> float | None:
    """One time by another, where both were measured."""
    return None if above is None or below is None else above / below


def duration(seconds: float | None) -> str | None:
    """A time with three digits and its unit."""
    if seconds is None:
        return None
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        value = seconds * factor
        if value < 999.5:
            return f"{value:#.3g}".rstrip(".") + f" {unit}"
    return f"{seconds:#.3g} s"


def _processor() -> str:
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        for line in lines.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(none)"
