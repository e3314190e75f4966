"""What happened in a fit, pass by pass; and who may stop it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.training.objective import SoftmaxRegression, Vector, without_common
from luce.training.solver import Interruption

History: TypeAlias = NDArray[Any]

ROW = np.dtype([("seconds", np.float64), ("objective", np.float64), ("gap", np.float64)])


@dataclass(frozen=True, eq=False)
class Progress:
    """State of a fit after a pass: what a progress line shows.

    Attributes
    ----------
    passes : int
        Readings of all training rows so far.
    value : float
        The least value of the objective so far.
    gap : float
        Certified bound on its relative gap; while products are in float32, up to their rounding.
    seconds : float
        Since the fit began.
    fitted : callable
        Gives ``(coef, intercept)`` of that value, shapes (k, d) and (k,). Copies: for now only.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.training import Progress
    >>> Progress(1, 0.69, 0.5, 0.01, lambda: (np.zeros((2, 1)), np.zeros(2))).passes
    1
    """

    passes: int
    value: float
    gap: float
    seconds: float
    fitted: Callable[[], tuple[Vector, Vector]]


class Record:
    """Takes note of the passes of a fit, tells of them, and stops the fit where its time is over.

    Parameters
    ----------
    max_seconds : float
    on_pass : callable or None
        Given a `Progress` after every pass; the fit stops if it returns True.
    """

    def __init__(self, max_seconds: float, on_pass: Callable[[Progress], object] | None) -> None:
        self.began = time.monotonic()
        self.max_seconds, self.on_pass = max_seconds, on_pass
        self.rows: list[tuple[float, float, float]] = []

    def add(self, objective: SoftmaxRegression, point: Vector, value: float, gap: float) -> None:
        """Take note of a pass; raises `Interruption` where the fit should stop."""
        seconds = time.monotonic() - self.began
        self.rows.append((seconds, value, gap))
        if self.on_pass is not None:
            progress = Progress(
                len(self.rows), value, gap, seconds, lambda: finished(objective, point)
            )
            if self.on_pass(progress) is True:
                raise Interruption("callback")
        self.watch_time()

    def watch_time(self) -> None:
        """Raise `Interruption` where the time is over."""
        if time.monotonic() - self.began > self.max_seconds:
            raise Interruption("max_seconds")

    def history(self) -> History:
        """A row per pass."""
        return np.array(self.rows, ROW)


def finished(objective: SoftmaxRegression, parameters: Vector) -> tuple[Vector, Vector]:
    """Coef and intercept for features as they were given, summing to 0 over the classes."""
    parameters = without_common(parameters)
    coef = np.ascontiguousarray(parameters[:, :-1])
    intercept = parameters[:, -1].copy()
    if objective.centre is not None:
        intercept -= coef @ objective.centre
    return coef, intercept
