"""When a fit has got no better for long enough."""

from dataclasses import dataclass, replace
from math import inf

from luce.training.network.schedules import Adaptive, Schedule


@dataclass(frozen=True)
class Patience:
    """The best score so far, larger is better, and what came after it.

    Attributes
    ----------
    best : float
    waited : int
        Successive epochs, up to the last one, with a score below the best before them + tol.
    plateaus : int
        How often the learning rate was divided, see `Adaptive`.
    of_validation : bool
        Whether the scores are those of `validate`, or the negative training losses.
    """

    best: float = -inf
    waited: int = 0
    plateaus: int = 0
    of_validation: bool = False

    def going_on(self, of_validation: bool) -> "Patience":
        """The same for scores of the same kind; for others a new best, at the same rate."""
        if of_validation == self.of_validation:
            return self
        return Patience(plateaus=self.plateaus, of_validation=of_validation)


@dataclass(frozen=True)
class Judge:
    """What is made of the scores of the epochs.

    Attributes
    ----------
    tol : float
        What a score must rise by.
    patience : float
        More successive epochs without a rise are the end.
    schedule : Schedule
    learning_rate : float
    """

    tol: float
    patience: float
    schedule: Schedule
    learning_rate: float

    def after(self, so_far: Patience, score: float) -> Patience:
        """Once more an epoch; a score that is NaN is no rise."""
        waited = 0 if score >= so_far.best + self.tol else so_far.waited + 1
        best = score if score > so_far.best else so_far.best
        now = replace(so_far, best=best, waited=waited)
        if self._is_on_plateau(now) and not self.is_over(now):
            return replace(now, waited=0, plateaus=now.plateaus + 1)
        return now

    def is_over(self, now: Patience) -> bool:
        """Whether waiting longer is not worth it."""
        if not isinstance(self.schedule, Adaptive):
            return now.waited > self.patience
        rate = self.learning_rate * self.schedule.factor(0, 0, now.plateaus)
        return self._is_on_plateau(now) and rate <= self.schedule.smallest

    def _is_on_plateau(self, now: Patience) -> bool:
        return isinstance(self.schedule, Adaptive) and now.waited >= self.schedule.epochs
