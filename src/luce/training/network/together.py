"""Which fits take many steps in one call of a kernel, and what they need for it."""

import mmap
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.scorers.activations import Gelu, Identity, Logistic, Relu, Tanh
from luce.scorers.chain import count_parameters
from luce.scorers.ending import SOFTMAX
from luce.scorers.layers import Dense
from luce.scorers.network import Network
from luce.training.network.batches import Batches
from luce.training.network.optimisers import Adam, Momentum, Optimiser

CALL_SECONDS = 0.02  # then Ctrl-C is heard, and the time looked at
TRIAL_SECONDS = 0.003
CALLS_BETWEEN_TRIALS = 50
MOST_PRODUCTS = 1 << 31  # of a step; in one that has more Ctrl-C is heard on the way
ACTIVATIONS = (Identity, Relu, Gelu, Tanh, Logistic)


@dataclass(frozen=True)
class Together:
    """What `kernels.perceptron_steps` is told in each call of a fit.

    Attributes
    ----------
    layers : list of (inputs, outputs, name of the activation)
    constants : mapping
        Of the optimiser.
    memory : uint8 array
        To work in, whatever it holds.
    """

    layers: list[tuple[int, int, str]]
    constants: dict[str, Any]
    memory: NDArray[np.uint8]


class Pace:
    """How many steps a call takes, and on how many threads, learnt from the calls before it.

    Threads that wait for each other twice a step gain nothing where the CPUs are far from each
    other, or others are busy on them. As the results do not depend on their number, it is tried
    out: all threads, half of them, and so on, each twice in short calls, now and then.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.candidates = [threads >> i for i in range(threads.bit_length())]
        self.seconds: dict[int, float] = {}  # of a step
        self.calls = 0

    @property
    def trial(self) -> int | None:
        """Which trial the next call is, if it is one; the first call of all warms up."""
        place = (self.calls - 1) % CALLS_BETWEEN_TRIALS
        return place if place < 2 * len(self.candidates) else None

    def next(self) -> tuple[int, float]:
        """The number of threads for a call, and how long it should take."""
        if self.trial is not None:
            return self.candidates[self.trial % len(self.candidates)], TRIAL_SECONDS
        return min(self.seconds, key=self.seconds.__getitem__, default=self.threads), CALL_SECONDS

    def steps(self, threads: int, seconds: float) -> int:
        """So many of them take about so long; at least one."""
        known = self.seconds.get(threads) or max(self.seconds.values(), default=seconds)
        return max(1, int(seconds / known))

    def took(self, threads: int, steps: int, seconds: float) -> None:
        """A call has been made."""
        now = max(seconds, 1e-7) / steps
        if self.trial == 0:
            self.seconds.clear()
        before = self.seconds.get(threads, now)
        self.seconds[threads] = (before + now) / 2 if self.trial is None else min(before, now)
        self.calls += 1


def together(network: Network, batches: Batches, optimiser: Optimiser) -> Together | None:
    """None where each step is to be taken layer by layer; the results have the same bits.

    The kernel knows dense layers that end in softmax cross-entropy with labels.
    """
    layers = []
    for layer in network.layers:
        if type(layer) is not Dense or type(layer.activation) not in ACTIVATIONS:
            return None
        layers.append((layer.inputs, layer.outputs, layer.activation.name))
    constants = constants_of(optimiser)
    is_known = network.map == SOFTMAX and isinstance(batches.features, np.ndarray)
    products = 3 * batches.size * count_parameters(network.layers)[1]
    if constants is None or not is_known or batches.targets.ndim > 1 or products > MOST_PRODUCTS:
        return None
    size = kernels.perceptron_bytes(layers, batches.size, batches.features.itemsize)
    return Together(layers, constants, pages(size))


def constants_of(optimiser: Optimiser) -> dict[str, Any] | None:
    """As arguments of the kernel; None of an optimiser that it does not know."""
    if type(optimiser) is Adam:
        return {
            "beta_1": optimiser.beta_1,
            "beta_2": optimiser.beta_2,
            "epsilon": optimiser.epsilon,
            "decay": optimiser.weight_decay,
        }
    if type(optimiser) is Momentum:
        return {"momentum": optimiser.momentum, "nesterov": optimiser.nesterov}
    return None


def pages(size: int) -> NDArray[np.uint8]:
    """So many bytes of memory of its own, if possible in pages so large that few are looked up.

    What an allocator gives again was cut into small ones long ago, all over the memory, and some of
    them want the same places in a cache.
    """
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = mmap.mmap(-1, size, **({"flags": private} if private else {}))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.uint8)
