"""Training networks: luce against torch, eager and compiled, and scikit-learn's MLPClassifier.

For every problem, hidden layers, batch and number of threads: seconds an epoch, and seconds until
the same loss of rows that were held out. All have the same rows, first weights, order of rows in
every epoch, and Adam with a rate of 1e-3 and no penalty; the losses of the first 50 steps are
compared with those of plain NumPy. luce is `fit_network`, the whole call; what
NetworkClassifier adds is shown. The time of compiling is not counted. Every library has a process
of its own, which is ended where it takes longer than --limit. A peer that is faster on one thread
has one. Then: the memory of luce's fits, and predicting all rows.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.network import pages
from benchmarks.network.cases import HIDDEN, QUICK_EPOCHS, SETS, THREADS, Case, cases, operations
from benchmarks.network.contestants import ESTIMATOR, LUCE, PEERS, REFERENCE, SKLEARN
from benchmarks.network.results import (
    Memory,
    Record,
    Results,
    allowed_memory,
    rate_case,
    with_threads,
)
from benchmarks.network.serving import LIBRARIES, Answer, Request, peak_memory, worker
from benchmarks.workers import Worker

LARGE = "synthetic"  # the problem whose rows are predicted, and whose fits' memory is measured
MEASURED_BATCHES = (32, 1024)

Workers = dict[tuple[str, str], Worker]  # by problem and library


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.network",
        description=__doc__,
        epilog=report.HELP.format(name="network"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"few cases, one thread, {QUICK_EPOCHS} epochs"
    )
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="*",
        help="cases of this name, * allowed: 'letter/100/32/threads=1/*', 'predict/*', 'memory/*'",
    )
    parser.add_argument(
        "--peers",
        default=",".join(PEERS),
        help="contestants beside luce, commas between; empty for none (%(default)s)",
    )
    parser.add_argument(
        "--limit", type=float, default=300.0, help="seconds that a fit may take (%(default)g)"
    )
    parser.add_argument(
        "--results",
        metavar="PATH",
        type=Path,
        help="JSON lines: what is there is not run again, what is run is appended",
    )
    parser.add_argument(
        "--report", action="store_true", help="run nothing, show what --results has"
    )
    parser.add_argument(
        "--docs", metavar="FOLDER", type=Path, help="write network-speed.md and its pictures there"
    )
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))} is none of {', '.join(PEERS)}")
    if options.report and (options.results is None or not options.results.exists()):
        parser.error("--report needs --results with a file that exists")
    return options


def plan(options: argparse.Namespace) -> list[Request]:
    """All that is to be run, that of the same process next to each other."""

    def wanted(what: str, case: Case) -> bool:
        names = [f"{what}/{case}", *([str(case)] if what == "fit" else [])]
        return any(fnmatchcase(name, options.only) for name in names)

    requests = []
    for case in cases(options.quick):
        if not wanted("fit", case):
            continue
        epochs = QUICK_EPOCHS if options.quick else SETS[case.problem].epochs
        requests.append(Request("rate", SKLEARN, rate_case(case)))
        requests.append(Request("fit", REFERENCE, with_threads(case, 1)))
        requests += [Request("fit", name, case, epochs) for name in (LUCE, *options.peers)]
        if case == Case(case.problem, (100,), 200, 1):
            requests.append(Request("fit", ESTIMATOR, case, epochs))
    if not options.quick:
        for hidden in HIDDEN:
            for batch in MEASURED_BATCHES:
                case = Case(LARGE, hidden, batch, max(THREADS))
                if wanted("memory", case):
                    requests.append(Request("memory", LUCE, case))
            for threads in THREADS:
                case = Case(LARGE, hidden, 200, threads)
                if wanted("predict", case):
                    requests += [Request("predict", name, case) for name in (LUCE, *options.peers)]
    problems = list(SETS)

    def order(request: Request) -> tuple[bool, int, str]:
        problem, library = request.case.problem, LIBRARIES[request.contestant]
        return request.what != "rate", problems.index(problem), library

    return list(dict.fromkeys(sorted(requests, key=order)))


def run(requests: list[Request], results: Results, limit: float, console: Console) -> None:
    """Ask for what is missing."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar, TemporaryDirectory() as compiled, closing({}) as workers:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = compiled  # empty, so that compiling takes its time
        task = bar.add_task("", total=len(requests))
        for request in requests:
            what, case = request.what, request.case
            bar.update(task, description=f"{what} {case} {request.contestant}")
            if not has(results, request):
                if what == "memory":
                    measured = peak_memory(case)
                    if measured is not None:
                        peak, shape = measured
                        results.add(Memory(case, peak, allowed_memory(case, shape)))
                else:
                    results.add(asked(workers, request, limit))
            bar.advance(task)


def has(results: Results, request: Request) -> bool:
    if request.what == "memory":
        return request.case in results.memory
    return results.find(request.what, request.contestant, request.case) is not None


def asked(workers: Workers, request: Request, limit: float) -> Record:
    """The answer of the process of this library on this problem.

    No other is alive meanwhile: threads that wait for work in one slow down those of another.
    """
    key = request.case.problem, LIBRARIES[request.contestant]
    if key not in workers:
        close(workers)
        workers[key] = worker(request.case.problem)
        workers[key].start()
    process = workers[key]
    answer = process.ask(request, limit)
    if answer is None:
        answer = Answer(failure=f"no end within {limit:g} s")
    what, case, shape = request.what, request.case, process.facts
    products = operations(case, shape) if what == "fit" else 0
    return Record(what, request.contestant, case, answer, products, shape.rows)


@contextmanager
def closing(workers: Workers) -> Iterator[Workers]:
    try:
        yield workers
    finally:
        close(workers)


def close(workers: Workers) -> None:
    for process in workers.values():
        process.close()
    workers.clear()


def main() -> int:
    options = arguments()
    out, console = report.console(), Console(stderr=True)
    results = Results(options.results)
    requests = plan(options)
    for name, found in SETS.items():
        if not found.problem.available:
            console.print(f"{name}: skipped; to have it: {found.problem.install}")
            requests = [request for request in requests if request.case.problem != name]
    if not options.report:
        facts = report.machine()
        if facts != results.machine:
            results.describe(facts)
        run(requests, results, options.limit, console)
    report.print_facts(out, results.machine)
    wanted = {(request.what, request.case) for request in requests}
    pages.print_all(out, results, wanted)
    if options.docs:
        pages.write(options.docs, results)
    return 1 if pages.wrong(results) or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
