"""Tables larger than memory: luce against pandas and scikit-learn doing the same.

Three parts: `predict` writes the predictions of a large CSV file to another one; `rates` reads,
encodes and predicts the same rows; `train` trains from a table that the memory allowed cannot hold.
Commands run as processes of their own. Answers are compared.
"""

import argparse
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks import bigtable, report, size_rates
from benchmarks.bigtable import TARGET, WIDE
from benchmarks.measured import Run, measure
from benchmarks.tables import markdown_table

ROWS = 5_000_000
TRAINED_ROWS = 200_000
RATED_ROWS = 1_000_000

PREDICTING_GOAL = 500e6
WIDE_ROWS = 2_000_000
ALLOWED_BYTES = 1_500_000_000
MEMORY_OPTION = "500MB"

LUCE = shutil.which("luce", path=sysconfig.get_path("scripts")) or "luce"
PEER = (sys.executable, "-m", "benchmarks.size_peer")
PEER_NAME = "pandas + scikit-learn"


@dataclass
class Found:
    """A part's table, what there is to say about it, and what was wrong."""

    title: str
    header: Sequence[str]
    rows: list[list[str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Files:
    """The files of a folder; each is made where it is not there yet."""

    folder: Path
    rows: int

    def table(self, rows: int) -> Path:
        """The first rows of the table, as CSV."""
        return self._made(f"table-{rows}.csv", bigtable.write_csv, rows)

    def wide(self, rows: int) -> Path:
        """The first rows of the wide table, as Parquet."""
        return self._made(f"wide-{rows}.parquet", bigtable.write_wide, rows)

    def _made(self, name: str, write: Callable[[Path, int], None], rows: int) -> Path:
        path = self.folder / name
        if not path.exists():
            part = path.with_suffix(".part")
            write(part, rows)
            part.replace(path)
        return path

    @property
    def trained(self) -> Path:
        """What the models are trained on."""
        return self.table(min(TRAINED_ROWS, self.rows))

    @property
    def luce_model(self) -> Path:
        """What `luce train` makes of them."""
        path = self.folder / f"{self.trained.stem}.luce"
        if not path.exists():
            succeed([LUCE, "train", self.trained, "--target", TARGET, "--out", path, "--quiet"])
        return path

    @property
    def peer_model(self) -> Path:
        """The same features and optimum by scikit-learn."""
        path = self.folder / f"{self.trained.stem}.joblib"
        if not path.exists():
            succeed([*PEER, "train", self.trained, path])
        return path


def succeed(command: Sequence[object]) -> Run:
    """Run a command that has to end well."""
    run = measure(list(map(str, command)))
    if run.code:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {run.code}\n{run.said}")
    return run


def megabytes(amount: float) -> str:
    return f"{amount / 1e6:,.0f} MB"


def predicting(files: Files) -> Found:
    """Predictions of the whole table, and the memory that they took."""
    data = files.table(files.rows)
    commands = {
        "luce": ([LUCE, "predict", files.luce_model, data, "--out"], files.folder / "luce.csv"),
        PEER_NAME: ([*PEER, "predict", files.peer_model, data], files.folder / "peer.csv"),
    }
    found = Found(
        f"Predicting {files.rows:,} rows of CSV ({megabytes(data.stat().st_size)}) to CSV",
        ("", "peak memory", "time", "CPU time", "rows/s"),
    )
    runs = {name: succeed([*command, out]) for name, (command, out) in commands.items()}
    for name, run in runs.items():
        times = (f"{run.seconds:.1f} s", f"{run.processor:.1f} s")
        rate = f"{files.rows / run.seconds:,.0f}"
        found.rows.append([name, megabytes(run.peak), *times, rate])
    luce, peer = runs["luce"], runs[PEER_NAME]
    reached = "reached" if luce.peak <= PREDICTING_GOAL else "missed"
    found.remarks.append(f"Goal of at most {megabytes(PREDICTING_GOAL)} for luce: {reached}.")
    found.remarks.append(
        f"{PEER_NAME} takes {peer.seconds / luce.seconds:.1f} times luce's time and "
        f"{peer.peak / luce.peak:.2f} times its memory."
    )
    compare_predictions(found, files.rows, *(out for _, out in commands.values()))
    return found


def compare_predictions(found: Found, rows: int, ours: Path, theirs: Path) -> None:
    """Both have the same optimum, theirs to their tolerance: nearly all labels must be equal."""
    equal = seen = 0
    furthest = 0.0
    for one, other in zip(same_rows(ours), same_rows(theirs), strict=True):
        agree = pc.equal(one[TARGET], other[TARGET])
        apart = pc.abs(pc.subtract(one["confidence"], other["confidence"])).filter(agree)
        equal += pc.sum(agree).as_py()
        seen += len(agree)
        furthest = max(furthest, pc.max(apart).as_py() or 0.0)
    found.remarks.append(
        f"{equal / seen:.3%} of the labels are the same; where they are, confidences differ by at "
        f"most {furthest:.1g}."
    )
    if seen != rows or equal < 0.99 * seen or furthest > 0.02:
        found.failures.append(f"{seen:,} of {rows:,} rows, {equal:,} labels are the same")


def same_rows(path: Path, rows: int = 100_000) -> Iterator[pa.Table]:
    """A CSV file in tables of so many rows."""
    waiting: list[pa.RecordBatch] = []
    with pa_csv.open_csv(path) as batches:
        for batch in batches:
            waiting.append(batch)
            table = pa.Table.from_batches(waiting)
            while table.num_rows >= rows:
                yield table.slice(0, rows)
                table = table.slice(rows)
            waiting = table.to_batches()
        if waiting:
            yield pa.Table.from_batches(waiting)


def rates(files: Files) -> Found:
    """Rows per second of reading, encoding and predicting each."""
    rows = min(RATED_ROWS, files.rows)
    measured = size_rates.rates(files.table(rows), files.luce_model, files.peer_model)
    found = Found(f"{rows:,} rows, step by step", ("step", "who", "time", "rows/s", "luce is"))
    for step, seconds in measured.seconds.items():
        ours = min(each for name, each in seconds.items() if name.startswith("luce"))
        for name, each in seconds.items():
            faster = "" if name.startswith("luce") else f"{each / ours:.1f} times as fast"
            found.rows.append([step, name, f"{each:.2f} s", f"{rows / each:,.0f}", faster])
    found.remarks += measured.remarks
    found.failures += measured.failures
    return found


def training(files: Files) -> Found:
    """Training on a table that is larger than the memory allowed, as its features are."""
    rows = round(files.rows / ROWS * WIDE_ROWS)
    data = files.wide(rows)
    found = Found(
        f"Training on {rows:,} rows of Parquet ({megabytes(data.stat().st_size)}), {WIDE} columns: "
        f"{megabytes(4 * rows * WIDE)}, as much again encoded in float32",
        ("data limit", "--memory", "ended", "peak memory", "anonymous", "time", "CPU time"),
    )
    command = [LUCE, "train", str(data), "--target", TARGET, "--out", str(files.folder / "t.luce")]
    for limit, memory in ((ALLOWED_BYTES, MEMORY_OPTION), (ALLOWED_BYTES, None), (None, None)):
        options = [] if memory is None else ["--memory", memory]
        run = measure([*command, *options], limit)
        found.rows.append(
            [
                "none" if limit is None else megabytes(limit),
                memory or "not given",
                "well" if run.code == 0 else f"with exit code {run.code}",
                megabytes(run.peak),
                megabytes(run.anonymous),
                f"{run.seconds:.1f} s",
                f"{run.processor:.1f} s",
            ]
        )
        last = next(reversed(run.said.strip().splitlines()), "nothing")
        if run.code:
            found.failures.append(
                f"training with --memory {memory or 'not given'} ended in: {last}"
            )
    found.remarks.append(
        "The limit is RLIMIT_DATA. The peak counts pages of mapped files too, which the system "
        "takes back when it needs them; anonymous memory is what the process itself holds."
    )
    return found


PARTS: dict[str, Callable[[Files], Found]] = {
    "predict": predicting,
    "rates": rates,
    "train": training,
}


def print_found(out: Console, found: Found) -> None:
    table = Table(title=found.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(found.header):
        table.add_column(name, justify="left" if place == 0 else "right")
    for row in found.rows:
        table.add_row(*row)
    out.print(table)
    for remark in found.remarks:
        out.print(remark, highlight=False, soft_wrap=True)
    for failure in found.failures:
        out.print(f"[bold red]WRONG[/] {failure}", highlight=False, soft_wrap=True)
    out.print()


def page(facts: dict[str, str], parts: Sequence[Found]) -> str:
    """All of docs/size.md."""
    lines = [
        "# Size\n\n```text\npython -m benchmarks.size --docs docs\n```\n\n",
        "The table has 8 numeric columns and 2 of categories, with gaps, and 10 classes; the "
        f"models are trained on its first {TRAINED_ROWS:,} rows. Commands are processes of their "
        "own; memory is the peak of their resident sets.\n\n",
        *(f"- {name}: {fact}\n" for name, fact in facts.items()),
    ]
    for found in parts:
        lines.append(f"\n## {found.title}\n\n{markdown_table(found.header, found.rows)}\n")
        lines += [f"- {remark}\n" for remark in (*found.remarks, *found.failures)]
    return "".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.size",
        description=__doc__,
        epilog="The exit status is 1 if an answer was wrong, or a training failed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=int, default=ROWS, help=f"of the large table ({ROWS:,})")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; repeatable")
    parser.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="make the files there, or use those that are"
    )
    parser.add_argument("--docs", metavar="FOLDER", type=Path, help="write size.md there")
    return parser.parse_args()


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep


def main() -> int:
    options = arguments()
    out, facts = report.console(), report.machine()
    report.print_facts(out, facts)
    parts = []
    with folder_of(options.keep) as folder:
        files = Files(folder, options.rows)
        for name in options.only or PARTS:
            parts.append(PARTS[name](files))
            print_found(out, parts[-1])
    if options.docs:
        (options.docs / "size.md").write_text(page(facts, parts))
    return 1 if any(found.failures for found in parts) else 0


if __name__ == "__main__":
    sys.exit(main())
