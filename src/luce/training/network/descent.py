"""A network on its way down: what an epoch of steps changes, one batch after the other."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isinf, sqrt
from typing import NoReturn

import numpy as np

from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.scorers.chain import backward, count_parameters, forward, split
from luce.scorers.ending import end
from luce.scorers.network import Network
from luce.training.network.batches import Batch
from luce.training.network.optimisers import Optimiser, Vector
from luce.training.network.result import NetworkState
from luce.training.network.schedules import Schedule
from luce.training.network.stopping import Patience

KEPT_BYTES = (1 << 25) - (1 << 13)  # the most that glibc learns to keep
UNSHARED = 8192  # numbers: a BLAS sums no more of them than this on several threads


@dataclass(frozen=True)
class Steps:
    """How steps are taken: the arguments of `fit_network` that they depend on."""

    optimiser: Optimiser
    schedule: Schedule
    learning_rate: float
    penalty: float
    label_smoothing: float
    max_norm: float | None
    averaging: float | None


class Descent:
    """The parameters, the gradient and what the optimiser remembers, changed in place.

    Parameters
    ----------
    network : Network
    how : Steps
    state : NetworkState, optional
        Its arrays are copied; by default the parameters are the network's, and all else begins.
    """

    def __init__(self, network: Network, how: Steps, state: NetworkState | None) -> None:
        self.network, self.how = network, how
        self.parameters = (network if state is None else state).parameters.copy()
        self.gradient = np.empty_like(self.parameters)
        self.views = split(network.layers, self.parameters)
        self.slopes = split(network.layers, self.gradient)
        self.moments = how.optimiser.start(self.parameters)
        self.average: Vector | None = None
        self.averaged = self.steps = self.rows = 0
        if state is not None:
            self.moments = tuple(moment.copy() for moment in state.moments)
            self.steps, self.rows = state.steps, state.rows
        if how.averaging is not None:
            self.average = np.zeros_like(self.parameters)
            if state is not None and state.average is not None:
                self.average, self.averaged = state.average.copy(), state.averaged

    def state(self, patience: Patience, random: np.random.Generator) -> NetworkState:
        """All of it, for another fit; the arrays are not copied."""
        return NetworkState(
            parameters=self.parameters,
            moments=self.moments,
            average=self.average,
            averaged=self.averaged,
            steps=self.steps,
            rows=self.rows,
            patience=patience,
            random=random.bit_generator.state,
        )

    def count(self, steps: int, rows: int) -> None:
        """Take steps as done, and rows as gone through."""
        self.steps += steps
        self.rows += rows
        if self.average is not None:
            self.averaged += steps

    def current(self) -> Network:
        """The network as of now: a view, which changes with the next step."""
        parameters = self.parameters if self.average is None else self.average
        return Network(self.network.layers, parameters, self.network.map)

    @np.errstate(all="ignore")  # What is not finite is refused.
    def epoch(
        self, batches: Iterable[Batch], random: np.random.Generator, plateaus: int, until: float
    ) -> float:
        """One step for each batch, until they or the time are over.

        Returns the mean over the rows of loss and penalty, each as of the step that saw the row.
        """
        how, step_of = self.how, self.how.optimiser.step
        layers, map = self.network.layers, self.network.map
        parameters, gradient, moments = self.parameters, self.gradient, self.moments
        views, slopes = self.views, self.slopes
        penalised = count_parameters(layers)[1]
        matrices = pieces(parameters[:penalised]) if how.penalty else []
        every = pieces(gradient)
        threads, rows_before = num_threads(), self.rows
        keep_freed_memory()
        total = seen = 0.0
        for features, targets, weights, weight in batches:
            scores, kept = forward(layers, views, features, random, threads=threads)
            loss = end(map, scores, targets, weights, how.label_smoothing, threads=threads)
            backward(layers, views, kept, scores, slopes, threads=threads)
            loss += how.penalty / 2 * square(matrices)
            if not isfinite(loss):
                self._refuse("the loss is not finite")
            scale = 1 / weight
            if how.max_norm is not None:
                scale = how.max_norm / max(norm(every), how.max_norm * weight)
            factor = how.schedule.factor(self.steps, rows_before, plateaus)
            self.steps += 1
            step_of(
                parameters,
                gradient,
                moments,
                step=self.steps,
                rate=how.learning_rate * factor,
                penalty=how.penalty / weight,
                penalised=penalised,
                scale=scale,
                threads=threads,
            )
            if self.average is not None:
                self._add_to(self.average)
            total += loss
            seen += weight
            self.rows += len(targets)
            if time.monotonic() > until:
                break
        for array in (parameters, *moments):
            if not np.isfinite(array).all():
                self._refuse("the parameters are not finite")
        return total / seen

    def _add_to(self, average: Vector) -> None:
        """Take the parameters into their moving average, whose weights sum to 1 from the start.

        average = sum of decay^(t - i) parameters_i / sum of decay^(t - i), i = 1 to t.
        """
        assert self.how.averaging is not None
        self.averaged += 1
        share = (1 - self.how.averaging) / (1 - self.how.averaging**self.averaged)
        # The gradient has done its work.
        np.subtract(self.parameters, average, out=self.gradient)
        np.multiply(self.gradient, share, out=self.gradient)
        np.add(average, self.gradient, out=average)

    def _refuse(self, what: str) -> NoReturn:
        raise DataError(
            f"{what} after step {self.steps}: the features are too large, or the steps too long. "
            f"Scale the features (to a mean of 0 and a deviation of 1), lower learning_rate "
            f"({self.how.learning_rate:g}), or limit the gradient by max_norm."
        )


def keep_freed_memory() -> None:
    """Let what a step frees be there for the next one, without a page fault for every 4 kB.

    glibc gives freed memory back to the system at once, unless it has seen as large a piece come
    and go. Nothing is written to this one, so it costs nothing. Elsewhere nothing happens.
    """
    np.empty(KEPT_BYTES, np.uint8)


def pieces(vector: Vector) -> list[Vector]:
    """The vector in pieces whose sums have the same bits for any number of BLAS threads."""
    return [vector[at : at + UNSHARED] for at in range(0, len(vector), UNSHARED)]


def square(pieces: list[Vector]) -> float:
    """Sum of all squares; infinite where one is too large for the dtype."""
    return sum(float(piece.dot(piece)) for piece in pieces)


def norm(pieces: list[Vector]) -> float:
    """Euclidean norm, also where squares overflow."""
    total = square(pieces)
    if not isinf(total):
        return sqrt(total)
    largest = max(float(abs(piece).max()) for piece in pieces)
    return largest * sqrt(square([piece / largest for piece in pieces]))
