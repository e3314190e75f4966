"""L-BFGS for a smooth convex objective that says at every point how far the optimum can be."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from luce.errors import DataError
from luce.training.memory import CurvatureAt, Memory, Vector

Stopped: TypeAlias = Literal[
    "certified", "max_iter", "max_seconds", "callback", "interrupted", "separable", "precision"
]

FLATTENING = 0.9  # a step is accepted when the slope along it has fallen to this share,
OVERSHOOT = 0.8  # or has turned upward to no more than this one
LONGEST_SEARCH = 25  # evaluations along one direction
HIDDEN = 100  # roundings of values, which may hide the gap where it is attained
NEARLY = 0.8  # of what is enough: a gap that small is worth attaining
STAYS = 2  # evaluations for which an end of the bracket may stay
PATIENCE, BETWEEN_FLATTENINGS = 100, 5  # passes before and between looks for a flatter point
WITHIN_REACH = 1e5  # of what is wanted: a gap beyond is not flattened away
ROUNDING = 2.0**-48  # relative, of a value: no certificate claims more


class Evaluation(NamedTuple):
    """An objective at one point; `gap` bounds value minus minimum."""

    value: float
    gradient: Vector
    gap: float


class Found(NamedTuple):
    """How far along a direction to step, in lengths of it, and what is there."""

    length: float
    evaluation: Evaluation


class Interruption(Exception):  # noqa: N818 - nothing has gone wrong
    """Raised where a pass is reported, to stop there; the best point so far is kept."""

    def __init__(self, reason: Stopped) -> None:
        super().__init__(reason)
        self.reason: Stopped = reason


@dataclass(frozen=True)
class Solution:
    """Where a solver stopped, and why.

    Attributes
    ----------
    point : array
        The evaluated point of least value.
    value : float
    gap : float
        Certified bound on the relative gap, (value - lower bound) / max(|lower bound|, smallest).
    passes : int
    stopped : str
        "certified": the gap is at most `tol`. "max_iter": the passes were used up. "precision":
        neither value nor gap fall any further, in the arithmetic in which the objective is
        computed. "interrupted": by Ctrl-C. Or the reason of an `Interruption`.
    onward : array
        Where to begin in better arithmetic: the point, or one near it where the gap is less.
    """

    point: Vector
    value: float
    gap: float
    passes: int
    stopped: Stopped
    onward: Vector


def lbfgs(
    objective: Callable[[Vector], Evaluation],
    start: Vector,
    *,
    curvature: CurvatureAt,
    attainable: Callable[[Vector], float],
    recentre: Callable[[Vector, Vector, bool], Vector],
    tol: float,
    smallest: float,
    enough: float,
    rounding: float,
    stalled: int,
    is_last: bool,
    memory: Memory,
    max_iter: int,
    on_pass: Callable[[Vector, float, float], None],
) -> Solution:
    """Minimise a convex objective until its certified relative gap is at most `tol`.

    Parameters
    ----------
    objective : callable
        point -> Evaluation.
    start : array
    curvature : callable
        (point, passes that it may cost, damping) -> Curvature there, on which the steps rest. It
        is asked for at the start, and anew when the last one has lasted long enough.
    attainable : callable
        Gradient -> what the gap would be near a point that has it, after `recentre`.
    recentre : callable
        (point, gradient there, whether exactly) -> a point nearby where the gap is about the
        attainable one. It is asked for where that would be enough to stop, roughly first.
    tol : float
        Largest accepted (value - lower bound) / max(|lower bound|, smallest).
    smallest : float
        Positive; bounds below it count as zero.
    enough : float
        Least fall of the objective that a step must promise; may be negative.
    rounding : float
        Relative rounding of the objective's values: smaller falls are no progress.
    stalled : int
        So many passes without progress are the end.
    is_last : bool
        Then the best curvature at any price is tried before giving up. Otherwise somebody goes on
        from here in better arithmetic: steps that promise less than rounding are taken only while
        each halves the attainable gap, and where that is enough but rounding may hide it, the point
        is moved by `recentre` and left to them.
    memory : Memory
        What is known of the curvature, perhaps from another run; it is added to.
    max_iter : int
        Most evaluations of the objective.
    on_pass : callable
        Given the best point, its value and its relative gap after every evaluation. It may raise
        `Interruption`.

    Notes
    -----
    D. C. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Math. Programming 45 (1989). Every evaluation bounds the minimum from below; the best bound
    is kept. The line search goes by slopes: those of a convex objective say all that values say,
    and are still exact where values differ by less than their rounding. Values only keep it from
    ending further up.
    """
    passes, lower = 0, -np.inf
    best_point, best_value = start, np.inf
    onward: Vector | None = None

    def relative_gap() -> float:
        gap = max(best_value - lower, ROUNDING * abs(best_value))
        return float(gap / max(abs(lower), smallest))

    def evaluate(point: Vector) -> Evaluation:
        nonlocal passes, lower, best_point, best_value
        evaluation = objective(point)
        passes += 1
        lower = max(lower, evaluation.value - evaluation.gap)
        if evaluation.value < best_value:
            best_point, best_value = point, evaluation.value
        on_pass(best_point, best_value, relative_gap())
        return evaluation

    def recentred(point: Vector, here: Evaluation) -> tuple[Vector, Evaluation]:
        for exactly in (False, True):
            if passes >= max_iter or relative_gap() <= tol:
                break
            if attainable(here.gradient) > tol * abs(here.value):  # it has moved away
                break
            moved = recentre(point, here.gradient, exactly)
            there = evaluate(moved)
            memory.remember(moved - point, there.gradient - here.gradient)
            point, here = moved, there
        return point, here

    def descend() -> Stopped:
        nonlocal onward
        resort = is_last
        point, here = start, evaluate(start)
        if not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
            raise DataError("the features are so large that the scores overflow: scale them down.")
        marked, marked_value, marked_gap = passes, best_value, relative_gap()
        hoped = gap_before = np.inf
        renewed = False
        flattening_due = PATIENCE
        while not (gap := relative_gap()) <= tol:
            if best_value < marked_value - rounding * abs(best_value) or gap < marked_gap / 2:
                marked, marked_value, marked_gap = passes, best_value, gap
            if passes >= max_iter:
                return "max_iter"
            if passes - marked > stalled:
                if not resort:
                    return "precision"
                resort, marked = False, passes
                memory.rest_on(curvature, point, price=np.inf)
            wanted = min(hoped / 2, NEARLY * tol * abs(here.value))
            if (gap_here := attainable(here.gradient)) < wanted:
                if not is_last and tol < HIDDEN * rounding:
                    onward = recentre(point, here.gradient, False)
                    return "precision"
                hoped = gap_here
                point, here = recentred(point, here)
                continue
            if passes >= flattening_due and gap_here < WITHIN_REACH * wanted and len(memory.places):
                flattening_due = passes + BETWEEN_FLATTENINGS
                step, gradient = memory.flattened(here.gradient)
                if attainable(gradient) < wanted:
                    there = evaluate(point + step)
                    if attainable(there.gradient) < wanted:
                        point, here = point + step, there
                        continue
            if memory.passes >= memory.due:
                memory.rest_on(curvature, point)
            direction = -memory.inverse_hessian_product(here.gradient)
            promised = -float(np.vdot(direction, here.gradient)) / 2
            is_hidden = not is_last and promised < rounding / 8 * abs(here.value)
            if promised < enough or (is_hidden and gap_here > gap_before / 2):
                onward = point  # rounding decides which value is the best
                return "precision"
            gap_before = gap_here
            before = passes
            found = search(
                evaluate,
                point,
                direction,
                here,
                most=max_iter - passes,
                slack=rounding * abs(here.value),
                first=memory.first_length,
            )
            memory.took(passes - before, 0.0 if found is None else found.length)
            if found is None:
                if len(memory.places):
                    memory.forget()
                elif renewed:
                    return "max_iter" if passes >= max_iter else "precision"
                else:
                    renewed, memory.due = True, memory.passes
                continue
            renewed = False
            step, there = found.length * direction, found.evaluation
            memory.remember(step, there.gradient - here.gradient)
            point, here = point + step, there
        return "certified"

    try:
        stopped = descend()
    except Interruption as interruption:
        stopped = interruption.reason
    except KeyboardInterrupt:
        if not passes:
            raise
        stopped = "interrupted"
    if onward is None:
        onward = best_point
    return Solution(best_point, best_value, relative_gap(), passes, stopped, onward)


def search(
    evaluate: Callable[[Vector], Evaluation],
    point: Vector,
    direction: Vector,
    here: Evaluation,
    *,
    most: int,
    slack: float,
    first: float,
) -> Found | None:
    """Step along a descent direction to where the slope has flattened; None if there is none.

    Begins at `first`, keeps a bracket [low, high] of step lengths with falling and rising slopes,
    and moves by the secant of the slopes, kept away from the bracket's ends. Where one end stays
    for long, its slope counts half as much each time: slopes hardly change over most of a step that
    is far too long.
    """
    slope = float(np.vdot(direction, here.gradient))
    if not slope < 0:
        return None
    low, low_slope, high, high_slope, length = 0.0, slope, np.inf, np.nan, first
    shortened = lengthened = 0
    for _ in range(min(LONGEST_SEARCH, most)):
        there = evaluate(point + length * direction)
        new_slope = float(np.vdot(direction, there.gradient))
        lower = there.value <= here.value + slack
        if lower and FLATTENING * slope <= new_slope <= -OVERSHOOT * slope:
            return Found(length, there)
        if lower and new_slope < 0:
            low, low_slope = length, new_slope
            shortened, lengthened = 0, lengthened + 1
            high_slope /= 2 if lengthened > STAYS else 1
        else:
            high, high_slope = length, new_slope
            shortened, lengthened = shortened + 1, 0
            low_slope /= 2 if shortened > STAYS else 1
        if np.isinf(high):
            secant = length * slope / (slope - new_slope) if new_slope > slope else np.inf
            length = float(np.clip(secant, 2 * low, 10 * low))
        else:
            share = low_slope / (low_slope - high_slope) if np.isfinite(high_slope) else 0.5
            length = low + (high - low) * float(np.clip(share, 0.1, 0.9))
    return None
