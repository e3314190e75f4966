"""What is trained: networks, and problems whose rows are for training or for validation."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import PROBLEMS, SEED, Labelled, Problem

HIDDEN = ((100,), (256, 256), (512,))
BATCHES = (32, 200, 1024)
THREADS = (1, 2)
RATE = 1e-3
ORDERS = 4  # seed of the orders of rows: every epoch takes the next permutation of a generator
WEIGHTS = 5  # seed of the first weights

Layer: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
Parameters: TypeAlias = list[Layer]  # weights (inputs, outputs) and bias (outputs,) of each layer


@dataclass(frozen=True)
class Rows:
    """Features (n, d), and labels (n,) from 0."""

    features: NDArray[Any]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Shape:
    """Rows to train with and to validate with, features of a row, classes."""

    training: int
    validation: int
    columns: int
    classes: int

    @property
    def rows(self) -> int:
        """All of them."""
        return self.training + self.validation

    def widths(self, hidden: tuple[int, ...]) -> list[tuple[int, int]]:
        """Inputs and outputs of every layer."""
        every = (self.columns, *hidden, self.classes)
        return list(pairwise(every))


@dataclass(frozen=True)
class Split:
    """A problem's rows in one dtype."""

    training: Rows
    validation: Rows
    classes: int

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        columns = self.training.features.shape[1]
        return Shape(len(self.training), len(self.validation), columns, self.classes)


@dataclass(frozen=True)
class Set:
    """A problem, how many of its rows are for training, and for how many epochs.

    The batches 32 and 200 divide the rows: what is compiled is compiled for each size of a batch,
    and a last small one would cost as much as all others.
    """

    problem: Problem
    training: int
    epochs: int


@dataclass(frozen=True)
class Case:
    """A network with relu, how it is trained, and on what."""

    problem: str
    hidden: tuple[int, ...]
    batch: int
    threads: int
    dtype: str = "float32"

    @property
    def goal(self) -> float:
        """What an epoch of the best peer should take, as a multiple of luce's."""
        return 2.5 if self.hidden == (100,) and self.batch <= 200 else 1.3

    @property
    def units(self) -> str:
        """The hidden layers in one word."""
        return "x".join(map(str, self.hidden))

    def __str__(self) -> str:
        return f"{self.problem}/{self.units}/{self.batch}/threads={self.threads}/{self.dtype}"


def synthetic() -> Labelled:
    """Six clusters a class in a space of 10 dimensions, 5 % of the labels at random; float32.

    The space is turned into 128 dimensions that have noise everywhere. A line separates the classes
    badly.
    """
    rng = np.random.default_rng(SEED + 40)
    n, d, k, clusters, inner = 200_000, 128, 10, 6, 10
    centres = rng.standard_normal((k * clusters, inner)) * 2.2
    turned = centres @ np.linalg.qr(rng.standard_normal((d, inner)))[0].T
    cluster = rng.integers(0, len(centres), n)
    features = rng.standard_normal((n, d), np.float32)
    features += turned.astype(np.float32)[cluster]
    labels = cluster % k
    noisy = rng.random(n) < 0.05
    labels[noisy] = rng.integers(0, k, noisy.sum())
    return features, labels


SETS = {
    "digits": Set(PROBLEMS["digits"], 1600, 50),
    "letter": Set(PROBLEMS["letter"], 17_600, 20),
    "synthetic": Set(
        Problem("synthetic", synthetic, "clusters", variants=("standardised",), real=False),
        179_200,
        5,
    ),
}
QUICK_EPOCHS = 10


def cases(quick: bool) -> Iterator[Case]:
    """All cases, those on the same problem next to each other."""
    if quick:
        for name in ("digits", "letter"):
            for batch in BATCHES if name == "digits" else (200,):
                yield Case(name, (100,), batch, 1)
        return
    for name in SETS:
        for hidden in HIDDEN:
            for batch in BATCHES:
                for threads in THREADS:
                    yield Case(name, hidden, batch, threads)
        if name != "digits":
            for threads in THREADS:
                yield Case(name, (100,), 200, threads, "float64")


@cache
def load(name: str, dtype: str) -> Split:
    """Standardised, always the same."""
    whole = SETS[name].problem.load("standardised")
    order = np.random.default_rng(SEED).permutation(len(whole.labels))

    def rows(chosen: NDArray[np.intp]) -> Rows:
        features = whole.features[chosen].astype(dtype, copy=False)
        return Rows(np.ascontiguousarray(features), whole.labels[chosen])

    training = SETS[name].training
    return Split(rows(order[:training]), rows(order[training:]), whole.classes)


def initial(case: Case, split: Split) -> Parameters:
    """Weights to begin with, uniform (Glorot, Bengio, 2010): for everybody the same."""
    random = np.random.default_rng(WEIGHTS)
    layers = []
    for inputs, outputs in split.shape.widths(case.hidden):
        bound = np.sqrt(6 / (inputs + outputs))
        weights = random.uniform(-bound, bound, (inputs, outputs)).astype(case.dtype)
        layers.append((weights, random.uniform(-bound, bound, outputs).astype(case.dtype)))
    return layers


def orders() -> np.random.Generator:
    """What draws the orders of rows; `permutation(rows)` before every epoch."""
    return np.random.default_rng(ORDERS)


def batches_of(case: Case, rows: int) -> Iterator[NDArray[np.intp]]:
    """The rows of one batch after the other, for ever."""
    random = orders()
    while True:
        order = random.permutation(rows)
        for start in range(0, rows, case.batch):
            yield order[start : start + case.batch]


def parameters_of(case: Case, shape: Shape) -> int:
    """How many there are."""
    return sum((inputs + 1) * outputs for inputs, outputs in shape.widths(case.hidden))


def operations(case: Case, shape: Shape) -> int:
    """Multiplications and additions of an epoch's matrix products.

    Three for each layer (outputs, gradient of the weights, gradient of the features), but two for
    the first.
    """
    products = [inputs * outputs for inputs, outputs in shape.widths(case.hidden)]
    return 2 * shape.training * (3 * sum(products) - products[0])
