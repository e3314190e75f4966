"""What every contestant of the network benchmark can do, and what comes of it."""

import time
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.network.cases import Case, Parameters, Split, initial, orders

LUCE = "luce"
ESTIMATOR = "luce estimator"
EAGER, COMPILED = "torch eager", "torch compiled"
SKLEARN = "scikit-learn"
REFERENCE = "reference"
PEERS = (EAGER, COMPILED, SKLEARN)
FIRST = 50  # steps whose losses are compared


@dataclass
class Trained:
    """A fit as it went on: after each epoch the seconds so far, the parameters, and its loss.

    The clock stands still while parameters are copied. The loss is the mean over the rows, as of
    the step that each takes part in.
    """

    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    parameters: list[Parameters] = field(default_factory=list)


class Contestant(Protocol):
    """A library's way to train a case's network; made anew for each case."""

    compile_seconds: float
    remark: str

    def first_losses(self, count: int) -> list[float]:
        """Of the first steps, from the first weights; what is trained later does not know it."""

    def train(self, epochs: int) -> Trained:
        """From the first weights."""


class Stepwise:
    """Trains by epochs that are called one after the other."""

    def __init__(self, case: Case, split: Split) -> None:
        self.case, self.split, self.start = case, split, initial(case, split)
        self.compile_seconds = 0.0
        self.remark = ""

    def reset(self) -> None:
        """Back to the first weights."""
        raise NotImplementedError

    def epoch(self, order: NDArray[np.intp]) -> float:
        """One step for each batch of rows in this order; the mean loss."""
        raise NotImplementedError

    def parameters(self) -> Parameters:
        """A copy of the weights as they are now."""
        raise NotImplementedError

    def train(self, epochs: int) -> Trained:
        """From the first weights; orders of rows are drawn in the time that is measured."""
        self.reset()
        trained, random, seconds = Trained(), orders(), 0.0
        for _ in range(epochs):
            begin = time.perf_counter()
            loss = self.epoch(random.permutation(len(self.split.training)))
            seconds += time.perf_counter() - begin
            trained.seconds.append(seconds)
            trained.losses.append(loss)
            trained.parameters.append(self.parameters())
        return trained
