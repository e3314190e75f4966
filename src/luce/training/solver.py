"""L-BFGS for a smooth convex objective that says at every point how far the optimum can be."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError

Vector: TypeAlias = NDArray[np.float64]
Product: TypeAlias = Callable[[Vector], Vector]
Stopped: TypeAlias = Literal["certified", "max_iter", "precision"]

PAIRS = 30  # of steps and gradient changes that are remembered
NEAR = 1e-3  # relative gap below which the curvature is worth computing at once
FLATTENING = 0.9  # a step is accepted when the slope along it has fallen to this share,
OVERSHOOT = 0.8  # or has turned upward to no more than this one
LONGEST_SEARCH = 25  # evaluations along one direction
ROUNDING = 2.0**-48  # relative, of a value: no certificate claims more


class Evaluation(NamedTuple):
    """An objective at one point.

    `gap` bounds value minus minimum; `attainable` is what it would be near a point that costs
    little to find, see `recentre` of `lbfgs`.
    """

    value: float
    gradient: Vector
    gap: float
    attainable: float


class Curvature(NamedTuple):
    """Where the inverse Hessian can be had, and after how many passes it has paid for itself."""

    inverse_hessian: Callable[[Vector], Product]
    every: int


@dataclass(frozen=True)
class Progress:
    """State of a fit after a pass: what a progress line shows.

    Attributes
    ----------
    passes : int
        Readings of all training rows so far.
    value : float
        The least value of the objective so far.
    gap : float
        Certified bound on its relative gap.

    Examples
    --------
    >>> from luce.training import Progress
    >>> Progress(passes=1, value=0.69, gap=0.5).passes
    1
    """

    passes: int
    value: float
    gap: float


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
    stopped : {"certified", "max_iter", "precision"}
        The gap is at most `tol`; or the passes were used up; or neither value nor gap fall any
        further, in the arithmetic in which the objective is computed.
    """

    point: Vector
    value: float
    gap: float
    passes: int
    stopped: Stopped


def lbfgs(
    objective: Callable[[Vector], Evaluation],
    start: Vector,
    *,
    curvature: Curvature | None,
    recentre: Callable[[Vector], Vector],
    tol: float,
    smallest: float,
    rounding: float,
    stalled: int,
    memory: "Memory",
    max_iter: int,
    on_pass: Callable[[Progress], None],
) -> Solution:
    """Minimise a convex objective until its certified relative gap is at most `tol`.

    Parameters
    ----------
    objective : callable
        point -> Evaluation. It should be nearly round: see `luce.training.preconditioner`.
    start : array
    curvature : Curvature or None
        The steps then start from the inverse Hessian, computed anew along the way.
    recentre : callable
        point -> a point nearby where the gap is about the attainable one. It is asked for where
        that would be enough to stop.
    tol : float
        Largest accepted (value - lower bound) / max(|lower bound|, smallest).
    smallest : float
        Positive; bounds below it count as zero.
    rounding : float
        Relative rounding of the objective's values: smaller falls are no progress.
    stalled : int
        So many passes without progress, on curvature computed anew, are the end.
    memory : Memory
        What is known of the curvature, perhaps from another run; it is added to.
    max_iter : int
        Most evaluations of the objective.
    on_pass : callable
        Given a `Progress` after every evaluation.

    Notes
    -----
    D. C. Liu and J. Nocedal, On the limited memory BFGS method for large scale optimization,
    Math. Programming 45 (1989). Every evaluation bounds the minimum from below; the best bound
    is kept. The line search looks at slopes only: those of a convex objective say all that values
    say, and are still exact where values differ by less than their rounding.
    """
    passes, lower = 0, -np.inf
    best_point, best_value = start, np.inf

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
        on_pass(Progress(passes, best_value, relative_gap()))
        return evaluation

    def solution(stopped: Stopped) -> Solution:
        return Solution(best_point, best_value, relative_gap(), passes, stopped)

    point, here = start, evaluate(start)
    if not (np.isfinite(here.value) and np.isfinite(here.gradient).all()):
        raise DataError("the features are so large that the scores overflow: scale them down.")
    computed = 0
    marked, marked_value, marked_gap = passes, best_value, relative_gap()
    patience = stalled + (curvature.every if curvature is not None else 0)
    hoped = np.inf
    while not (gap := relative_gap()) <= tol:
        if best_value < marked_value - rounding * abs(best_value) or gap < marked_gap / 2:
            marked, marked_value, marked_gap = passes, best_value, gap
        if passes >= max_iter:
            return solution("max_iter")
        if passes - marked > patience:
            return solution("precision")
        if here.attainable < min(hoped, tol * abs(here.value)) / 2:
            hoped = here.attainable
            evaluate(recentre(point))
            continue
        if curvature is not None and (
            passes - computed >= curvature.every or (gap < NEAR and not computed)
        ):
            computed = passes
            memory.rest_on(curvature.inverse_hessian(point))
        direction = -memory.inverse_hessian_product(here.gradient)
        found = search(evaluate, point, direction, here, most=max_iter - passes)
        if found is None:
            if memory.is_empty:
                return solution("max_iter" if passes >= max_iter else "precision")
            memory.forget()
            continue
        step, there = found
        memory.remember(step, there.gradient - here.gradient)
        point, here = point + step, there
    return solution("certified")


class Memory:
    """What L-BFGS knows of the curvature: a base, and the last steps with their changes."""

    def __init__(self) -> None:
        self.base: Product | None = None
        self.pairs: deque[tuple[Vector, Vector]] = deque(maxlen=PAIRS)

    def rest_on(self, base: Product) -> None:
        """Begin anew from an inverse Hessian."""
        self.forget()
        self.base = base

    def forget(self) -> None:
        """Begin anew from nothing."""
        self.base = None
        self.pairs.clear()

    @property
    def is_empty(self) -> bool:
        """Whether the direction would be the plain negative gradient."""
        return self.base is None and not self.pairs

    def remember(self, step: Vector, change: Vector) -> None:
        """Take up a step and the gradient's change along it, if that shows any curvature."""
        if np.vdot(step, change) > 0:
            self.pairs.append((step, change))

    def inverse_hessian_product(self, gradient: Vector) -> Vector:
        """Product of the remembered inverse Hessian with a gradient: the two-loop recursion."""
        result = gradient.copy()
        weights = []
        for step, change in reversed(self.pairs):
            weight = np.vdot(step, result) / np.vdot(step, change)
            result -= weight * change
            weights.append(weight)
        if self.base is not None:
            result = self.base(result)
        elif self.pairs:
            step, change = self.pairs[-1]
            result *= np.vdot(step, change) / np.vdot(change, change)
        for (step, change), weight in zip(self.pairs, reversed(weights), strict=True):
            result += (weight - np.vdot(change, result) / np.vdot(step, change)) * step
        return result


def search(
    evaluate: Callable[[Vector], Evaluation],
    point: Vector,
    direction: Vector,
    here: Evaluation,
    *,
    most: int,
) -> tuple[Vector, Evaluation] | None:
    """Step along a descent direction to where the slope has flattened; None if there is none.

    Keeps a bracket [low, high] of step lengths with falling and rising slopes, and moves by the
    secant of the slopes, kept away from the bracket's ends.
    """
    slope = float(np.vdot(direction, here.gradient))
    if not slope < 0:
        return None
    low, low_slope, high, high_slope, length = 0.0, slope, np.inf, np.nan, 1.0
    for _ in range(min(LONGEST_SEARCH, most)):
        there = evaluate(point + length * direction)
        new_slope = float(np.vdot(direction, there.gradient))
        if FLATTENING * slope <= new_slope <= -OVERSHOOT * slope:
            return length * direction, there
        if new_slope < 0:
            low, low_slope = length, new_slope
        else:
            high, high_slope = length, new_slope
        if np.isinf(high):
            secant = length * slope / (slope - new_slope) if new_slope > slope else np.inf
            length = float(np.clip(secant, 2 * low, 10 * low))
        else:
            share = low_slope / (low_slope - high_slope) if np.isfinite(high_slope) else 0.5
            length = low + (high - low) * float(np.clip(share, 0.1, 0.9))
    return None
