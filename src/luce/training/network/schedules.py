"""Schedules: the learning rate on its way, as a factor of the one that the fit begins with.

A factor is a function of how far the fit is, and of nothing else: of the `step`, counted from 0
since the optimiser began, of the `rows` that were gone through before this epoch, and of the
`plateaus` so far, see `Adaptive`.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Protocol

from luce.errors import DataError


class Schedule(Protocol):
    """How far the fit is -> what the learning rate is multiplied by."""

    def factor(self, step: int, rows: int, plateaus: int) -> float:
        """Of the learning rate of one step."""


@dataclass(frozen=True)
class Constant:
    """The same rate for all steps.

    Examples
    --------
    >>> Constant().factor(step=7, rows=1000, plateaus=0)
    1.0
    """

    def factor(self, step: int, rows: int, plateaus: int) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True)
class InverseScaling:
    """(rows + 1) ** -power_t: the same for all steps of an epoch.

    Attributes
    ----------
    power_t : float
        At least 0.

    Examples
    --------
    >>> [InverseScaling(0.5).factor(step, rows, 0) for step, rows in [(0, 0), (1, 99), (2, 399)]]
    [1.0, 0.1, 0.05]
    """

    power_t: float = 0.5

    def __post_init__(self) -> None:
        if not self.power_t >= 0:
            raise DataError(f"power_t must be at least 0, got {self.power_t!r}.")

    def factor(self, step: int, rows: int, plateaus: int) -> float:
        """Falls from 1 with the rows gone through."""
        return float((rows + 1) ** -self.power_t)


@dataclass(frozen=True)
class Adaptive:
    """The rate is divided on every plateau: a number of successive epochs that improve too little.

    What is too little is said by the fit's `tol`. The fit ends on a plateau with a rate that has
    fallen to `smallest`; its `patience` is not used.

    Attributes
    ----------
    epochs : int
        So many make a plateau; scikit-learn's code waits for n_iter_no_change + 1.
    divisor : float
        Above 1.
    smallest : float
        A rate, not a factor.

    Examples
    --------
    >>> [Adaptive().factor(step=0, rows=0, plateaus=plateaus) for plateaus in range(3)]
    [1.0, 0.2, 0.04]
    """

    epochs: int = 2
    divisor: float = 5.0
    smallest: float = 1e-6

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise DataError(f"epochs must be at least 1, got {self.epochs!r}.")
        if not self.divisor > 1:
            raise DataError(f"divisor must be above 1, got {self.divisor!r}: 5 is usual.")
        if not self.smallest > 0:
            raise DataError(f"smallest must be positive, got {self.smallest!r}.")

    def factor(self, step: int, rows: int, plateaus: int) -> float:
        """Falls with the plateaus."""
        return float(1 / self.divisor**plateaus)


@dataclass(frozen=True)
class Cosine:
    """From 1 to 0 along half a wave, after a rise in equal steps.

    Attributes
    ----------
    steps : int or None
        From the first to the last; None for all steps that the fit may take.
    warmup : float
        The share of them in which the rate rises, from 0 to below 1.
    first : int
        The step with which it begins; where `steps` is None it begins with the fit.

    Notes
    -----
    I. Loshchilov, F. Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.

    Examples
    --------
    >>> schedule = Cosine(steps=6, warmup=1 / 3)
    >>> [round(schedule.factor(step, rows=0, plateaus=0), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    steps: int | None = None
    warmup: float = 0.0
    first: int = 0

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise DataError(f"steps must be at least 1, got {self.steps!r}.")
        if not 0 <= self.warmup < 1:
            raise DataError(
                f"warmup must be a share of all steps, from 0 to below 1, got {self.warmup!r}."
            )

    def factor(self, step: int, rows: int, plateaus: int) -> float:
        """Rises to 1, then falls to 0."""
        assert self.steps is not None
        step -= self.first
        rise = self.warmup * self.steps
        if step + 1 < rise:
            return (step + 1) / rise
        way = (step - rise) / (self.steps - rise)
        return (1 + cos(pi * min(max(way, 0.0), 1.0))) / 2
