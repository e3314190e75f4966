"""Training to the optimum: luce against scikit-learn's solvers and torch's L-BFGS.

For every problem, raw and standardised, and C of 0.01, 1 and 100: the time until the objective,
evaluated in float64 by one independent function, is within 1e-3 and 1e-6 (relative) of the best
that anybody reached. luce's is the time of a whole fit with that tol. scikit-learn's solvers are
fitted afresh with more and more iterations until they arrive; torch is one run, watched. Both have
one thread where that is faster. All but luce have 100 times its time to 1e-6, at least half a
second and at most 300 seconds, and count at that limit where they have not arrived. A process of
its own makes the fits, and is ended where one takes longer.
"""

import argparse
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks import report
from benchmarks.goals import goals
from benchmarks.problems import PROBLEMS, Problem
from benchmarks.results import Case, Curve, Memory, Results, allowed_memory, case_name
from benchmarks.search import Limits, arrive, watch
from benchmarks.tables import print_cases, print_goals, print_memory, write_pages
from benchmarks.trainers import PEERS, Point, Request, applies
from benchmarks.workers import Worker, fitter, peak_memory

CS = (0.01, 1.0, 100.0)
TOLS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)  # 1e-6 is the default, and the last
REFERENCE_TOL = 1e-10
PATIENCE = 900.0  # seconds for luce itself
QUICK = ("iris", "wine", "digits", "satimage", "scaled", "imbalanced")
QUICK_CAP = 3.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train",
        description=__doc__,
        epilog=report.HELP.format(name="train").partition("The exit")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"few problems, C = 1, peers {QUICK_CAP:g} s at most"
    )
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        default="*",
        help="problems, or cases, of this name, * allowed: 'letter', '*/standardised/C=1'",
    )
    parser.add_argument(
        "--peers",
        default=",".join(PEERS),
        help="contestants beside luce, commas between; empty for none (%(default)s)",
    )
    parser.add_argument("--threads", type=int, default=2, help="of everybody (%(default)s)")
    parser.add_argument(
        "--cap", type=float, help="the longest limit in seconds (300; with --quick 3)"
    )
    parser.add_argument(
        "--factor", type=float, default=100.0, help="a limit is so many times luce's time (100)"
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
        "--docs", metavar="FOLDER", type=Path, help="write training.md and its pictures there"
    )
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]
    unknown = set(options.peers) - set(PEERS)
    if unknown:
        parser.error(f"--peers: {', '.join(sorted(unknown))} is none of {', '.join(PEERS)}")
    if options.report and (options.results is None or not options.results.exists()):
        parser.error("--report needs --results with a file that exists")
    return options


def chosen(options: argparse.Namespace) -> Iterator[tuple[Problem, str, list[float]]]:
    """Problem, variant, and the values of C to run it with."""
    for problem in PROBLEMS.values():
        if options.quick and problem.name not in QUICK:
            continue
        for variant in problem.variants:
            values = [
                C
                for C in (CS[1:2] if options.quick else CS)
                if fnmatchcase(problem.name, options.only)
                or fnmatchcase(case_name(problem.name, variant, C), options.only)
            ]
            if values:
                yield problem, variant, values


def run_case(
    worker: Worker, problem: Problem, variant: str, C: float, results: Results, limits: Limits
) -> Iterator[str]:
    """Add what is missing of a case to the results; yields the name of each contestant first."""
    name = case_name(problem.name, variant, C)
    facts = vars(worker.facts)

    def curve(
        contestant: str, points: list[Point], limit: float, ended: str, **rest: float
    ) -> Curve:
        return Curve(
            **facts, problem=problem.name, variant=variant, C=C, contestant=contestant,
            points=points, limit=limit, ended=ended, **{"threads": limits.threads, **rest},
        )  # fmt: skip

    yield "luce"
    if not results.has(name, "luce"):
        answers = []
        for tol in TOLS:
            repeat_for = 1.0 if tol in limits.targets else 0.1
            answers.append(
                worker.ask(Request("luce", C, tol, limits.threads, repeat_for), PATIENCE)
            )
        last = answers[-1]
        if last is None or last.failure:
            reason = "no end" if last is None else last.failure
            raise RuntimeError(f"luce on {name}: {reason}")
        points = [point for answer in answers if answer for point in answer.points]
        limit = limits.for_time(last.points[0].seconds)
        ours = curve("luce", points, limit, "", iterations=last.iterations, gap=last.gap)
        results.add(ours)
    yield "reference"
    if not results.has(name, "reference"):
        answer = worker.ask(Request("reference", C, REFERENCE_TOL, limits.threads), PATIENCE)
        points = answer.points if answer else []
        ended = "no end" if answer is None else answer.failure or ""
        rest = {"iterations": answer.iterations, "gap": answer.gap} if answer else {}
        results.add(curve("reference", points, PATIENCE, ended, **rest))
    case: Case = results.cases[name]
    limit = case.curves["luce"].limit
    for peer in limits.peers:
        shape = worker.facts
        fits = applies(peer, d=shape.d, classes=shape.k, sparse=shape.sparse)
        yield peer
        if fits and not results.has(name, peer):
            search = watch if peer == "torch" else arrive
            found = search(worker, peer, C, case.best, limit, limits)
            results.add(
                curve(
                    peer,
                    found.points,
                    limit,
                    found.ended,
                    iterations=found.iterations,
                    threads=found.threads,
                )
            )


def run(options: argparse.Namespace, results: Results, console: Console) -> None:
    """Run what is chosen and missing."""
    cap = options.cap or (QUICK_CAP if options.quick else 300.0)
    limits = Limits(cap, options.threads, options.factor, peers=tuple(options.peers))
    plan = list(chosen(options))
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=sum(len(values) for _, _, values in plan))
        for problem, variant, values in plan:
            if not problem.available:
                console.print(f"{problem.name}: skipped; to have it: {problem.install}")
                bar.advance(task, len(values))
                continue
            missing = [C for C in values if not _complete(results, problem, variant, C, limits)]
            bar.advance(task, len(values) - len(missing))
            if (problem.name, variant) not in results.memory:
                bar.update(task, description=f"{problem.name}/{variant} memory")
                _add_memory(results, problem, variant, options.threads)
            if not missing:
                continue
            worker = fitter(problem.name, variant)
            try:
                worker.start()
                for C in missing:
                    case = case_name(problem.name, variant, C)
                    for step in run_case(worker, problem, variant, C, results, limits):
                        bar.update(task, description=f"{case} {step}")
                    bar.advance(task)
            except (RuntimeError, EOFError) as error:
                what = str(error) or f"{problem.name}/{variant}: its process died"
                console.print(f"[bold red]{what}", highlight=False)
            finally:
                worker.close()


def _complete(results: Results, problem: Problem, variant: str, C: float, limits: Limits) -> bool:
    name = case_name(problem.name, variant, C)
    if not (results.has(name, "luce") and results.has(name, "reference")):
        return False
    facts = results.cases[name].facts
    return all(
        results.has(name, peer)
        or not applies(peer, d=facts.d, classes=facts.k, sparse=facts.sparse)
        for peer in limits.peers
    )


def _add_memory(results: Results, problem: Problem, variant: str, threads: int) -> None:
    measured = peak_memory(problem.name, variant, 1.0, threads)
    if measured is not None:
        peak, facts = measured
        # none is dense where the features are sparse, or more than the rows
        dense = not facts.sparse and facts.d <= facts.n
        allowed = allowed_memory(facts.k, facts.d, dense=dense)
        results.add(Memory(problem.name, variant, 1.0, peak, allowed))


def main() -> int:
    options = arguments()
    out, console = report.console(), Console(stderr=True)
    results = Results(options.results)
    names = {case_name(p.name, variant, C) for p, variant, Cs in chosen(options) for C in Cs}
    if not options.report:
        facts = report.machine() | {"threads": str(options.threads)}
        if facts != results.machine:
            results.describe(facts)
        run(options, results, console)
    report.print_facts(out, results.machine)
    cases = results.chosen(names)
    if not cases:
        out.print("no problem has the name of --only")
        return 1
    print_cases(out, cases, list(results.contestants()))
    print_memory(out, cases, results)
    print_goals(out, goals(cases, results))
    if options.docs:
        write_pages(options.docs, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
