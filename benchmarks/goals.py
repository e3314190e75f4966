"""The goals of the training: each a figure, whether it is reached, and where it is worst."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, log

from benchmarks.report import duration
from benchmarks.results import Case, Results

LARGE = 1e5  # n * d of the problems that the first goals are about
TIMES = 20.0
TARGET = 1e-6
SMALL_SETS = ("iris", "wine")
SMALL_SECONDS = 0.005
TOL = 1e-6


@dataclass(frozen=True)
class Goal:
    """A goal, the figure found, and what is behind it; `reached` is None if nothing was run."""

    text: str
    figure: str
    behind: str
    reached: bool | None


def goals(cases: Sequence[Case], results: Results) -> list[Goal]:
    """Every goal, judged over these cases."""
    large = [case for case in cases if case.numbers > LARGE]
    return [
        _faster(large),
        _never_slower(large),
        *(_small(name, cases) for name in SMALL_SETS),
        _certified(cases),
        _arrived(cases),
        _memory(cases, results),
    ]


def geometric_mean(figures: Sequence[float]) -> float:
    return exp(sum(map(log, figures)) / len(figures))


def _faster(large: Sequence[Case]) -> Goal:
    text = f"geometric mean of best scikit-learn / luce, n d > 1e5, at least {TIMES:g}"
    ratios = [ratio for case in large if (ratio := case.ratio(TARGET)) is not None]
    if not ratios:
        return not_run(text)
    mean = geometric_mean([figure for figure, _ in ratios])
    late = sum(not arrived for _, arrived in ratios)
    behind = f"{len(ratios)} problems; on {late} of them no solver arrived, counted at the limit"
    return Goal(text, f"{mean:.1f}", behind, mean >= TIMES)


def _never_slower(large: Sequence[Case]) -> Goal:
    text = "never slower than the best scikit-learn solver, n d > 1e5"
    ratios = [(ratio[0], case.name) for case in large if (ratio := case.ratio(TARGET)) is not None]
    if not ratios:
        return not_run(text)
    least, where = min(ratios)
    slower = sum(figure < 1 for figure, _ in ratios)
    return Goal(text, f"{least:.2f}", f"{where}; slower on {slower} of {len(ratios)}", not slower)


def _small(name: str, cases: Sequence[Case]) -> Goal:
    text = f"{name} in under {SMALL_SECONDS * 1e3:g} ms"
    times = [
        (time.seconds, case.name)
        for case in cases
        if case.facts.problem == name and (time := case.time("luce", TARGET)) is not None
    ]
    if not times:
        return not_run(text)
    longest, where = max(times)
    return Goal(text, duration(longest) or "", where, longest < SMALL_SECONDS)


def _certified(cases: Sequence[Case]) -> Goal:
    gaps = [(case.curves["luce"].gap, case.name) for case in cases]
    known = [(gap, name) for gap, name in gaps if gap is not None]
    worst, where = max(known, default=(0.0, ""))
    failing = sum(gap > TOL for gap, _ in known)
    behind = f"{where}; above on {failing} of {len(gaps)}"
    return Goal("certificate at the default tol of 1e-6", f"{worst:.1e}", behind, failing == 0)


def _arrived(cases: Sequence[Case]) -> Goal:
    """The certificate checked: the objective of the fit against the best that anybody reached."""
    found = [
        (case.gap(point.objective), case.name)
        for case in cases
        for point in case.curves["luce"].points
        if point.effort == TOL
    ]
    worst, where = max(found, default=(0.0, ""))
    failing = sum(gap > TOL for gap, _ in found)
    behind = f"{where}; beyond on {failing} of {len(found)}"
    return Goal("truly within 1e-6 of the best known", f"{worst:.1e}", behind, failing == 0)


def _memory(cases: Sequence[Case], results: Results) -> Goal:
    text = "peak memory beyond X within the allowance"
    run = {(case.facts.problem, case.facts.variant) for case in cases}
    shares = [
        (memory.peak / memory.allowed, f"{memory.problem}/{memory.variant}")
        for key, memory in results.memory.items()
        if key in run
    ]
    if not shares:
        return not_run(text)
    worst, where = max(shares)
    above = sum(share > 1 for share, _ in shares)
    return Goal(text, f"{worst:.0%}", f"{where}; above on {above} of {len(shares)}", above == 0)


def not_run(text: str) -> Goal:
    return Goal(text, "", "not run", None)


def verdict(goal: Goal, mark: Callable[[bool], str]) -> str:
    return "not run" if goal.reached is None else mark(goal.reached)
