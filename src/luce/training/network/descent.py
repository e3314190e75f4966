"""A network on its way down: what an epoch of steps changes, one batch after the other."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isinf, sqrt
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.scorers.chain import backward, count_parameters, forward, split
from luce.scorers.ending import end
from luce.scorers.network import Network
from luce.training.network.batches import Batch, Batches
from luce.training.network.optimisers import Optimiser, Vector
from luce.training.network.result import NetworkState
from luce.training.network.schedules import Schedule
from luce.training.network.stopping import Patience
from luce.training.network.together import Pace, Together, together

KEPT_BYTES = (1 << 25) - (1 << 13)  # the most that glibc learns to keep


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

    Attributes
    ----------
    current : Network
        As of now: a view, which changes with the next step.
    """

    def __init__(self, network: Network, how: Steps, state: NetworkState | None) -> None:
        self.network, self.how = network, how
        self.parameters = (network if state is None else state).parameters.copy()
        self.gradient = np.empty_like(self.parameters)
        self.moments = how.optimiser.start(self.parameters)
        self.average: Vector | None = None
        self.averaged = self.steps = self.rows = 0
        self.together: Together | None = None
        self.pace = Pace(num_threads())
        if state is not None:
            self.moments = tuple(moment.copy() for moment in state.moments)
            self.steps, self.rows = state.steps, state.rows
        if how.averaging is not None:
            self.average = np.zeros_like(self.parameters)
            if state is not None and state.average is not None:
                self.average, self.averaged = state.average.copy(), state.averaged
        shown = self.parameters if self.average is None else self.average
        self.current = Network(network.layers, shown, network.map)

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

    def epoch(
        self,
        batches: Batches,
        random: np.random.Generator,
        *,
        shuffle: bool,
        plateaus: int,
        until: float,
    ) -> float:
        """One step for each batch, until they or the time are over.

        Returns the mean over the rows of loss and penalty, each as of the step that saw the row.
        """
        if self.together is None and not self.how.label_smoothing and self.how.max_norm is None:
            self.together = together(self.network, batches, self.how.optimiser)
        if self.together is not None:
            order = batches.order(random if shuffle else None)
            mean = self._by_kernel(self.together, batches, order, plateaus, until)
        else:
            cut = batches.gathered(batches.order(random)) if shuffle else batches.in_order()
            mean = self._layer_by_layer(cut, random, plateaus, until)
        for vector in (self.parameters, *self.moments):
            if not is_finite(vector):
                self._refuse("the parameters are not finite")
        return mean

    def _by_kernel(
        self,
        known: Together,
        batches: Batches,
        order: NDArray[np.int64],
        plateaus: int,
        until: float,
    ) -> float:
        how, rows_before = self.how, self.rows
        if self.pace.threads != (threads := num_threads()):
            self.pace = Pace(threads)
        total = seen = 0.0
        at, now = 0, time.monotonic()
        while at < len(order):
            threads, seconds = self.pace.next()
            steps = self.pace.steps(threads, min(seconds, until - now))
            rows = order[at : at + steps * batches.size]
            at += len(rows)
            weights = batches.weights_of(rows)
            losses = np.empty(len(weights))
            before, shares = self.steps, self._shares(len(weights))
            rates = [
                self._rate(step, rows_before, plateaus)
                for step in range(before, before + len(weights))
            ]
            began = time.monotonic()
            self.count(len(weights), len(rows))  # Ctrl-C is heard after the call
            done = kernels.perceptron_steps(
                known.layers,
                self.parameters,
                self.moments,
                batches.features,
                batches.targets,
                batches.weights,
                rows,
                batches.size,
                np.array(rates),
                np.array(weights),
                losses,
                known.memory,
                done=before,
                penalty=how.penalty,
                average=self.average,
                shares=shares,
                threads=threads,
                **known.constants,
            )
            if done < len(weights):
                self.steps = before + done
                self._refuse("the loss is not finite")
            for loss, weight in zip(losses.tolist(), weights, strict=True):
                total += loss
                seen += weight
            now = time.monotonic()
            self.pace.took(threads, len(weights), now - began)
            if now > until:
                break
        return total / seen

    @np.errstate(all="ignore")  # What is not finite is refused.
    def _layer_by_layer(
        self, batches: Iterable[Batch], random: np.random.Generator, plateaus: int, until: float
    ) -> float:
        how, step_of = self.how, self.how.optimiser.step
        layers, map = self.network.layers, self.network.map
        parameters, gradient, moments = self.parameters, self.gradient, self.moments
        views, slopes = split(layers, parameters), split(layers, gradient)
        penalised = count_parameters(layers)[1]
        matrices = parameters[:penalised]
        threads, rows_before = num_threads(), self.rows
        keep_freed_memory()
        total = seen = 0.0
        for features, targets, weights, weight in batches:
            scores, kept = forward(layers, views, features, random, threads=threads)
            loss = end(map, scores, targets, weights, how.label_smoothing, threads=threads)
            backward(layers, views, kept, scores, slopes, threads=threads)
            if how.penalty:
                loss += how.penalty / 2 * kernels.squares(matrices, threads=threads)
            if not isfinite(loss):
                self._refuse("the loss is not finite")
            scale = 1 / weight
            if how.max_norm is not None:
                scale = how.max_norm / max(norm(gradient, threads), how.max_norm * weight)
            rate, shares = self._rate(self.steps, rows_before, plateaus), self._shares(1)
            self.count(1, len(targets))
            step_of(
                parameters,
                gradient,
                moments,
                step=self.steps,
                rate=rate,
                penalty=how.penalty / weight,
                penalised=penalised,
                scale=scale,
                threads=threads,
            )
            if self.average is not None and shares is not None:
                kernels.approach(parameters, shares[0], self.average, threads=threads)
            total += loss
            seen += weight
            if time.monotonic() > until:
                break
        return total / seen

    def _rate(self, step: int, rows: int, plateaus: int) -> float:
        return self.how.learning_rate * self.how.schedule.factor(step, rows, plateaus)

    def _shares(self, steps: int) -> NDArray[np.float64] | None:
        """Of the parameters after the next steps in their average.

        average = sum of decay^(t - i) parameters_i / sum of decay^(t - i), i = 1 to t.
        """
        decay = self.how.averaging
        if decay is None:
            return None
        counts = range(self.averaged + 1, self.averaged + steps + 1)
        return np.array([(1 - decay) / (1 - decay**count) for count in counts])

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


def is_finite(vector: Vector) -> bool:
    """Whether all elements are; their squares may overflow."""
    return isfinite(kernels.squares(vector)) or bool(np.isfinite(vector).all())


def norm(vector: Vector, threads: int = 1) -> float:
    """Euclidean norm, also where squares overflow."""
    total = kernels.squares(vector, threads=threads)
    if not isinf(total):
        return sqrt(total)
    largest = float(abs(vector).max())
    return largest * sqrt(kernels.squares(vector / largest, threads=threads))
