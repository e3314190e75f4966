"""Do the intervals of calibration figures hold the truth? Asked of data whose truth is known.

    nice python -m benchmarks.calibration --rounds 1000
    python -m benchmarks.calibration --pictures docs

The first prints, for each kind of data, the share of data sets in which an interval of
`calibration_report` holds the true figure, and the share of p-values of `calibration_test` up to
0.05. The second draws the pictures of docs/calibration.md.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from luce import NetworkClassifier
from luce.calibration import (
    ReliabilityDisplay,
    RiskCoverageDisplay,
    TemperatureScaling,
    calibration_report,
)
from luce.calibration.labelled import labelled
from luce.calibration.report import _errors
from luce.calibration.tally import Excess, Tally, tallied

ERRORS = {
    "ECE": "expected_calibration_error",
    "quantile": "quantile_calibration_error",
    "RMS": "root_mean_square_calibration_error",
    "maximum": "maximum_calibration_error",
    "smooth": "smooth_calibration_error",
    "classwise": "classwise_calibration_error",
}


@dataclass(frozen=True)
class Data:
    """Normal scores whose softmax at a temperature, later classes made likelier, is the truth."""

    name: str
    rows: int
    classes: int
    spread: float = 2.0
    temperature: float = 1.0
    bias: float = 0.0
    copies: int = 1

    def draw(self, random):
        """Log-probabilities, labels and true probabilities, each row so many times."""
        scores = self.spread * random.normal(size=(self.rows, self.classes))
        values = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        bias = self.bias * np.arange(self.classes) / self.classes
        truth = np.exp(values / self.temperature + bias)
        truth /= truth.sum(axis=1, keepdims=True)
        ends = truth.cumsum(axis=1)
        labels = (random.random((self.rows, 1)) >= ends / ends[:, -1:]).sum(axis=1)
        return tuple(np.repeat(array, self.copies, axis=0) for array in (values, labels, truth))


KINDS = (
    Data("calibrated", 60, 2),
    Data("calibrated", 500, 3),
    Data("calibrated", 2000, 10),
    Data("calibrated, nearly always sure", 500, 3, spread=10.0),
    Data("calibrated, 100 classes", 1000, 100),
    Data("too sure, a little", 500, 3, temperature=1.1),
    Data("too sure", 500, 3, temperature=1.5),
    Data("too sure, nearly always", 500, 3, spread=8.0, temperature=2.0),
    Data("not sure enough", 500, 3, temperature=0.7),
    Data("biased classes", 1000, 10, bias=1.0),
    Data("calibrated, 100 groups of 4 copies", 100, 3, copies=4),
    Data("too sure, 100 groups of 4 copies", 100, 3, temperature=1.5, copies=4),
)


def truths(tally: Tally, values, truth):
    """What the figures estimate: with the true probabilities in the place of outcomes."""
    p, every = np.exp(values), np.arange(len(truth))
    top = p.argmax(axis=1)
    gap = p[every, top] - truth[every, top]
    cells = tally.cells
    excess = Excess(np.zeros(1), np.zeros((cells.finest, 1)), np.zeros((cells.of_classes, 1)))
    np.add.at(excess.confidence[:, 0], cells.of_confidence(p[every, top]), gap)
    np.add.at(excess.classes[:, 0], cells.of_probabilities(p).ravel(), (p - truth).ravel())
    weight = tally.class_weight.sum(axis=1)
    filled = weight > 0
    squares = (excess.classes[filled, 0] ** 2 / weight[filled]).sum() / len(truth)
    found = dict(zip(ERRORS, _errors(tally, excess, None)[:, 0], strict=True))
    gain = (truth * (np.log(truth) - values)).sum(axis=1).mean()
    return {**found, "Brier": squares, "log loss": gain, "overconfidence": gap.mean()}


def holds(data: Data, rounds: int):
    """The shares of intervals that hold, and of small p-values."""
    random = np.random.default_rng(0)
    held: dict[str, list[bool]] = {}
    small = 0
    for seed in range(rounds):
        values, labels, truth = data.draw(random)
        groups = np.arange(len(labels)) // data.copies if data.copies > 1 else None
        report = calibration_report(values, labels, groups=groups, seed=seed, resamples=300)
        small += report.test.p_value <= 0.05
        given = labelled(values, labels, None, groups, logarithmic=True)
        tally = tallied(given, np.random.default_rng(seed), apart=True)
        figures = {name: getattr(report, field) for name, field in ERRORS.items()}
        figures["Brier"] = report.brier_score.calibration
        figures["log loss"] = report.log_loss.calibration
        figures["overconfidence"] = report.overconfidence
        for name, true in truths(tally, values, truth).items():
            figure = figures[name]
            held.setdefault(name, []).append(figure.low <= true <= figure.high)
    return {name: np.mean(of_one) for name, of_one in held.items()}, small / rounds


def print_table(rounds: int) -> None:
    names = [*ERRORS, "Brier", "log loss", "overconfidence"]
    print("| data | rows, classes |", " | ".join(names), "| p <= 0.05 |")
    print("|" + "---|" * (len(names) + 3))
    for data in KINDS:
        shares, small = holds(data, rounds)
        cells = [f"{shares[name]:.3f}" for name in names]
        if data.bias:  # which no temperature mends: the gain is not the whole of it
            cells[names.index("log loss")] = ""
        n = data.rows * data.copies
        print(
            f"| {data.name} | {n}, {data.classes} |",
            " | ".join(cells),
            f"| {small:.3f} |",
            flush=True,
        )


def draw_pictures(folder: Path) -> None:
    """A network that fits its training rows too well, before and after a temperature."""
    X, y = load_digits(return_X_y=True)
    X = X + np.random.default_rng(0).normal(scale=8.0, size=X.shape)
    network = NetworkClassifier((256, 256), max_iter=60, random_state=0).fit(X[:500], y[:500])
    scores = np.log(network.predict_proba(X[500:]).astype(np.float64) + 1e-300)
    labels = y[500:]
    calibrator = TemperatureScaling.fit(scores[:500], labels[:500])
    rows, labels = scores[500:], labels[500:]
    before, after = np.exp(rows), calibrator.probabilities(rows)

    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 5.7), layout="constrained")
    ReliabilityDisplay.from_predictions(labels, before, name="network", ax=axes[0])
    ReliabilityDisplay.from_predictions(
        labels, after, name=f"at temperature {calibrator.temperature:.2f}", ax=axes[1]
    )
    figure.savefig(folder / "reliability.png", dpi=110)
    display = ReliabilityDisplay.from_predictions(
        labels, before, per_class=6, n_bins=6, name="network"
    )
    display.figure_.savefig(folder / "reliability-by-class.png", dpi=110)
    risk = RiskCoverageDisplay.from_predictions(labels, before, name="network")
    risk.figure_.savefig(folder / "risk-coverage.png", dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    if arguments.pictures:
        draw_pictures(arguments.pictures)
    else:
        print_table(arguments.rounds)
