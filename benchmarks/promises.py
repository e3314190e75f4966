"""Promises as promises, for longer than the tests: `python -m benchmarks.promises --docs docs`.

Over many simulated and resampled data sets: how often prediction sets hold the true class of a row
to come, and how often an abstaining rule's error rate is above what was allowed. Each count is held
against the binomial distribution that it would have if the promise just held; what is passed by
chance once in a million is a broken promise, and the exit status 1.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from rich.console import Console
from scipy.stats import binom
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import luce
from benchmarks.tables import markdown_table
from luce import DecisionClassifier, SoftmaxClassifier
from luce.decisions import Abstain, PredictionSet
from luce.errors import DataError

CHANCE = 1e-6
MOST_NUMBERS = 2e7
SCORES = [("lac", False), *((s, r) for s in ("aps", "raps", "saps") for r in (False, True))]
HEADER = ["problem", "rule", "rows", "data sets", "promised", "found", "kept", "also"]
PAGE = """# Promises, tested as promises

```text
python -m benchmarks.promises --docs docs
```

What [prediction sets and abstention](decisions.md) promise, over many data sets of so many rows
each. A promise is kept if what was found has a chance of more than one in a million where the
promise just holds, by the binomial distribution of independent data sets.

"""

Problem = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Row:
    """A promise: that a share of `trials` is at least (or at most) what was promised."""

    problem: str
    rule: str
    n: int
    trials: int
    promised: float
    count: int
    at_least: bool
    also: str

    @property
    def kept(self) -> bool:
        """Whether the count could be chance where the promise just holds."""
        if self.at_least:
            return bool(self.count >= binom.ppf(CHANCE, self.trials, self.promised))
        return bool(self.count <= binom.ppf(1 - CHANCE, self.trials, self.promised))

    def cells(self) -> list[str]:
        """What stands in the table."""
        sign = "≥" if self.at_least else "≤"
        found = f"{self.count / self.trials:.4f}"
        kept = "yes" if self.kept else "NO"
        promised = f"{sign} {self.promised:g}"
        return [
            self.problem,
            self.rule,
            str(self.n),
            str(self.trials),
            promised,
            found,
            kept,
            self.also,
        ]


def generator(name: str, rule: object, n: int) -> np.random.Generator:
    """Of the numbers of a row of the table, which no other row has."""
    return np.random.default_rng(crc32(f"{name} {rule!r} {n}".encode()))


def simulated(
    k: int, random: np.random.Generator, n: int, *, sharpness: float = 1.5, wrong: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels drawn from them, or from others than they say."""
    probabilities = luce.softmax(random.normal(size=(n, k)) * sharpness)
    labels = (probabilities.cumsum(axis=1) < random.uniform(size=(n, 1))).sum(axis=1)
    if wrong:
        labels = np.where(random.uniform(size=n) < 0.3, k - 1, labels)
        probabilities = probabilities**2 / (probabilities**2).sum(axis=1, keepdims=True)
    return probabilities, labels.clip(max=k - 1)


def tied(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a few levels."""
    probabilities, labels = simulated(3, random, n)
    rounded = np.round(probabilities, 1) + 0.1
    return rounded / rounded.sum(axis=1, keepdims=True), labels


def with_rare_classes(random: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes of which the rows of a fit may have none, and probabilities that say nothing."""
    labels = random.choice(4, p=[0.6, 0.3, 0.08, 0.02], size=n)
    return random.dirichlet(np.ones(4), size=n), labels


def drawn_from(
    population: tuple[np.ndarray, np.ndarray], random: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows with replacement."""
    rows = random.integers(len(population[1]), size=n)
    return population[0][rows], population[1][rows]


def held_out(
    load: Callable[..., tuple[np.ndarray, np.ndarray]], train: int, C: float
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of rows that a small model has not seen."""
    X, y = load(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    model = SoftmaxClassifier(C=C).fit(X[:train], y[:train])
    return model.predict_proba(X[train:]), y[train:]


def coverage(name: str, problem: Problem, n: int, sets: int, rule: PredictionSet) -> Row:
    """Of many data sets of n rows, fitted as groups of one rule, the rows to come covered."""
    random = generator(name, rule, n)
    rule = replace(rule, conditional="group")
    hits, size, done = 0, 0.0, 0
    k = problem(random, 1)[0].shape[1]
    step = max(1, int(MOST_NUMBERS / (n + 1) / k))
    while done < sets:
        some = min(step, sets - done)
        probabilities, labels = problem(random, some * (n + 1))
        groups = np.repeat(np.arange(some), n + 1)
        new = np.tile(np.arange(n + 1) == n, some)
        fitted = rule.fit(probabilities[~new], labels[~new], groups=groups[~new])
        decided = fitted.decide(probabilities[new], groups=groups[new]).sets
        assert decided is not None
        hits += int(decided[np.arange(some), labels[new]].sum())
        size += float(decided.sum())
        done += some
    told = rule.score + (" randomised" if rule.randomised else "")
    return Row(name, told, n, sets, rule.coverage, hits, True, f"{size / sets:.3g} of {k} classes")


def coverage_of_classes(
    name: str, problem: Problem, n: int, sets: int, rule: PredictionSet
) -> Iterator[Row]:
    """The first new row of each class in each data set."""
    random = generator(name, rule, n)
    k = problem(random, 1)[0].shape[1]
    hits, trials = np.zeros(k, int), np.zeros(k, int)
    for _ in range(sets):
        probabilities, labels = problem(random, n + 50)
        fitted = rule.fit(probabilities[:n], labels[:n])
        decided = fitted.decide(probabilities[n:]).sets
        assert decided is not None
        for c in range(k):
            of_class = np.flatnonzero(labels[n:] == c)[:1]
            hits[c] += decided[of_class, c].sum()
            trials[c] += len(of_class)
    for c in range(k):
        told = f"{rule.score} by class"
        yield Row(
            f"{name}, class {c}", told, n, int(trials[c]), rule.coverage, int(hits[c]), True, ""
        )


def cross_fitted_coverage(n: int, sets: int) -> Row:
    """A new row's set from a model of all rows, and a rule of cross-fitted scores."""
    random = np.random.default_rng(3)
    rule = PredictionSet(0.9, allow_empty=True)
    classifier = DecisionClassifier(SoftmaxClassifier(), rule, cv=5)
    hits = 0
    for _ in range(sets):
        y = np.arange(n + 1) % 3
        random.shuffle(y)
        X = random.normal(size=(n + 1, 10)) + 0.8 * np.eye(10)[y]
        classifier.fit(X[:n], y[:n])
        decided = classifier.decide(X[n:]).sets
        assert decided is not None
        hits += int(decided[0, y[n]])
    return Row("Gaussian classes", "lac, 5 folds", n, sets, 0.8, hits, True, "asked: 0.9")


def risk(
    name: str,
    problem: Problem,
    true_risk: Callable[[Abstain], float],
    n: int,
    sets: int,
    rule: Abstain,
) -> Row:
    """Data sets whose fitted rule has an error rate above the risk, over all rows to come."""
    random = generator(name, rule, n)
    exceeded, refused, answered = 0, 0, 0.0
    for _ in range(sets):
        try:
            fitted = rule.fit(*problem(random, n))
        except DataError:
            refused += 1
            continue
        exceeded += true_risk(fitted) > rule.risk
        answered += fitted.answers[0]
    told = f"risk {rule.risk:g}" + (" by class" if rule.by_class else "")
    told += "" if rule.score == "confidence" else f", {rule.score}"
    also = f"answers {answered / sets:.0%}, refused {refused / sets:.0%}"
    return Row(name, told, n, sets, round(1 - rule.confidence, 6), exceeded, False, also)


def graded(
    shares: np.ndarray, rates: np.ndarray, random: np.random.Generator, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a few confidences, with an error rate for each."""
    place = random.choice(len(shares), p=shares, size=n)
    confidence = np.linspace(0.99, 0.55, len(shares))[place]
    wrong = random.uniform(size=n) < rates[place]
    return np.stack([confidence, 1 - confidence], axis=1), wrong.astype(int)


def risk_of_graded(shares: np.ndarray, rates: np.ndarray, rule: Abstain) -> float:
    assert rule.thresholds is not None
    answered = np.linspace(0.99, 0.55, len(shares)) >= rule.thresholds[0]
    return float((shares * rates)[answered].sum() / shares[answered].sum())


def risk_over(population: tuple[np.ndarray, np.ndarray], rule: Abstain) -> float:
    """The largest of the classes' error rates with a rule by class, otherwise that of all."""
    probabilities, labels = population
    decision = rule.decide(probabilities)
    wrong = decision.labels != labels
    parts = range(probabilities.shape[1]) if rule.by_class else [None]
    answers = [decision.answered & (True if c is None else decision.labels == c) for c in parts]
    return max(float(wrong[a].mean()) if a.any() else 0.0 for a in answers)


HARD = {
    "all alike, just above": ([1.0], [0.0501]),
    "20 levels, just above": ([0.05] * 20, [0.0501] * 20),
    "above with the last step": ([0.4, 0.2, 0.2, 0.2], [0.01, 0.01, 0.01, 0.2105]),
    "the surest are the worst": ([0.1, 0.3, 0.3, 0.3], [0.2, 0.034, 0.034, 0.034]),
    "above, below, above": ([0.1, 0.2, 0.3, 0.4], [0.06, 0.044, 0.053, 0.053]),
    "falling errors": ([0.1] * 10, np.linspace(0, 0.25, 10) ** 1.5),
}


def coverages(sets: int) -> Iterator[Row]:
    populations = {
        "digits": held_out(load_digits, 300, 1e-4),
        "breast cancer": held_out(load_breast_cancer, 100, 1e-3),
        "wine": held_out(load_wine, 30, 1e-3),
    }
    problems: dict[str, tuple[Problem, tuple[int, ...], int]] = {
        "2 classes": (partial(simulated, 2), (20, 500), sets),
        "3 classes": (partial(simulated, 3), (20, 57), sets),
        "3 classes, ties": (tied, (20,), sets),
        "4 classes, some missing": (with_rare_classes, (20,), sets),
        "5 classes, wrong probabilities": (partial(simulated, 5, wrong=True), (20, 100), sets),
        "50 classes": (partial(simulated, 50), (20, 100), sets // 2),
        "1000 classes": (partial(simulated, 1000), (20,), sets // 10),
        **{name: (partial(drawn_from, some), (30,), sets) for name, some in populations.items()},
    }
    for name, (problem, sizes, many) in problems.items():
        for n in sizes:
            for score, randomised in SCORES:
                yield coverage(name, problem, n, many, PredictionSet(0.9, score, None, randomised))
    for score in ("lac", "aps"):
        rule = PredictionSet(0.8, score, "class")
        yield from coverage_of_classes("rare classes", with_rare_classes, 100, sets // 4, rule)
    yield cross_fitted_coverage(60, sets // 20)


def risks(sets: int) -> Iterator[Row]:
    for name, (shares, rates) in HARD.items():
        parts = np.asarray(shares), np.asarray(rates)
        for n in (92, 400, 3000):
            yield risk(
                name,
                partial(graded, *parts),
                partial(risk_of_graded, *parts),
                n,
                sets,
                Abstain(0.05, 0.9),
            )
    digits = held_out(load_digits, 300, 1e-4)
    four = simulated(4, np.random.default_rng(5), 4000, sharpness=2.0)
    cases = [
        ("digits", digits, Abstain(0.05)),
        ("digits", digits, Abstain(0.1, by_class=True)),
        ("4 classes", four, Abstain(0.15, 0.9, score="margin")),
        ("4 classes", four, Abstain(0.15, 0.9, score="entropy")),
        ("4 classes", four, Abstain(0.25, 0.8, by_class=True)),
    ]
    wine = held_out(load_wine, 30, 1e-3)
    cancer = held_out(load_breast_cancer, 100, 1e-3)
    seed = np.random.default_rng(6)
    few = [
        ("breast cancer", cancer, Abstain(0.2, 0.9), 20),
        ("wine", wine, Abstain(0.2, 0.9), 20),
        ("2 classes", simulated(2, seed, 3000, sharpness=6.0), Abstain(0.2, 0.9), 20),
        ("3 classes, ties", tied(seed, 3000), Abstain(0.3, 0.9), 60),
        ("4 classes, some missing", with_rare_classes(seed, 3000), Abstain(0.7, 0.9), 20),
        ("1000 classes", simulated(1000, seed, 2000, sharpness=20.0), Abstain(0.2, 0.9), 20),
    ]
    for name, population, rule, n in [(*case, 600) for case in cases] + few:
        yield risk(
            name,
            partial(drawn_from, population),
            partial(risk_over, population),
            n,
            sets // 4,
            rule,
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=10_000, help="data sets for a promise")
    parser.add_argument("--docs", type=Path, help="folder to write promises.md to")
    options = parser.parse_args()
    out = Console()
    found: dict[str, list[Row]] = {}
    for title, rows in (("Coverage", coverages), ("Risk", risks)):
        out.print(title)
        found[title] = []
        for row in rows(options.sets):
            found[title].append(row)
            out.print("  ".join(row.cells()), highlight=False, soft_wrap=True)
    explained = {
        "Coverage": "Found: the share of data sets whose next row's set holds its class.",
        "Risk": "Found: the share of data sets whose rule errs more often than allowed among the\n"
        "answers. Refused: it would not be fitted, and answers none.",
    }
    if options.docs:
        parts = [
            f"## {title}\n\n{explained[title]}\n\n"
            + markdown_table(HEADER, [row.cells() for row in rows], 2)
            for title, rows in found.items()
        ]
        (options.docs / "promises.md").write_text(PAGE + "\n".join(parts), encoding="utf-8")
    return 0 if all(row.kept for rows in found.values() for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
