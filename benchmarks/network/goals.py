"""The goals of the network: each a figure, whether it is reached, and where it is worst."""

from collections.abc import Callable, Sequence

from benchmarks.goals import Goal, not_run
from benchmarks.network.cases import Case
from benchmarks.network.contestants import LUCE, PEERS
from benchmarks.network.results import Figures, Memory, Results

PREDICTING_MEGABYTES = 8
A_LABEL = 8  # bytes


def goals(cases: Sequence[Case], results: Results, predicted: Sequence[Case]) -> list[Goal]:
    """Every goal, judged over these cases."""
    small = [case for case in cases if case.goal > 2]
    rest = [case for case in cases if case.goal < 2]
    found = []
    for text, figure in (
        ("an epoch", lambda case: Figures(results, case).epoch_ratio),
        ("to the same loss", lambda case: Figures(results, case).arrival_ratio),
    ):
        found.append(
            _at_least(f"{text}: best peer / luce, hidden 100, batch <= 200", small, figure)
        )
        found.append(_at_least(f"{text}: best peer / luce, all others", rest, figure))
    found.append(_memory(list(results.memory.values())))
    found.append(_predicting_memory(results, predicted))
    found.append(_predicting_time(results, predicted))
    return found


def _at_least(text: str, cases: Sequence[Case], figure: Callable[[Case], float | None]) -> Goal:
    if not cases:
        return not_run(text)
    least = cases[0].goal
    text = f"{text}, at least {least:g}"
    ratios = [(ratio, str(case)) for case in cases if (ratio := figure(case)) is not None]
    if not ratios:
        return not_run(text)
    worst, where = min(ratios)
    below = sum(ratio < least for ratio, _ in ratios)
    return Goal(text, f"{worst:.2f}", f"{where}; below on {below} of {len(ratios)}", not below)


def _memory(memories: Sequence[Memory]) -> Goal:
    text = "peak memory of a fit beyond rows and parameters within the allowance"
    if not memories:
        return not_run(text)
    shares = [(memory.peak / memory.allowed, str(memory.case)) for memory in memories]
    worst, where = max(shares)
    above = sum(share > 1 for share, _ in shares)
    return Goal(text, f"{worst:.0%}", f"{where}; above on {above} of {len(shares)}", not above)


def _predicting_memory(results: Results, predicted: Sequence[Case]) -> Goal:
    text = f"peak memory of predicting, at most the labels and {PREDICTING_MEGABYTES} MB"
    peaks = [
        (answer.peak - A_LABEL * results.rows(case), str(case))
        for case in predicted
        if (answer := results.find("predict", LUCE, case)) and not answer.failure
    ]
    if not peaks:
        return not_run(text)
    worst, where = max(peaks)
    reached = worst <= PREDICTING_MEGABYTES * 10**6
    return Goal(text, f"{max(worst, 0) / 1e6:.1f} MB", where, reached)


def _predicting_time(results: Results, predicted: Sequence[Case]) -> Goal:
    text = "predicting: never slower than the best peer"
    ratios = []
    for case in predicted:
        answers = {name: results.find("predict", name, case) for name in (LUCE, *PEERS)}
        times = {name: a.seconds[0] for name, a in answers.items() if a and not a.failure}
        ours = times.pop(LUCE, None)
        if ours is not None and times:
            ratios.append((min(times.values()) / ours, str(case)))
    if not ratios:
        return not_run(text)
    worst, where = min(ratios)
    slower = sum(ratio < 1 for ratio, _ in ratios)
    return Goal(text, f"{worst:.2f}", f"{where}; slower on {slower} of {len(ratios)}", not slower)
