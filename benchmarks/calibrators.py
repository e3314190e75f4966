"""Calibration methods against those of probmetrics and scikit-learn: log loss on new rows, time.

    python -m benchmarks.calibrators             the tables of docs/calibration.md
    python -m benchmarks.calibrators --keep 2000 how often calibrated scores keep the identity

Each model is fitted to 40 % of the rows, each calibrator to a third of the others, and all are
measured on what is left. probmetrics is left out where it is not installed.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier

from luce.calibration import (
    IsotonicScaling,
    MatrixScaling,
    TemperatureScaling,
    VectorScaling,
    calibrate,
    calibrate_from_probabilities,
)

Array = NDArray[Any]
LEAST = 1e-10  # a probability of 0 counts as this: most peers have no answer to it

MODELS = {
    "naive Bayes": GaussianNB(),
    "forest": RandomForestClassifier(50, random_state=0),
    "network": MLPClassifier((100,), alpha=0, max_iter=60, random_state=0),
    "logistic": LogisticRegression(C=100, max_iter=300),
}
OURS = {
    "temperature": TemperatureScaling,
    "vector": VectorScaling,
    "matrix": MatrixScaling,
    "isotonic": IsotonicScaling,
}


def data_sets() -> Iterator[tuple[str, Array, Array]]:
    X, y = load_digits(return_X_y=True)
    yield "digits", X / 16, y
    for k, n, separation in [(3, 3000, 0.7), (20, 12_000, 1.0), (100, 30_000, 1.5)]:
        X, y = make_classification(
            n, 40, n_informative=20, n_classes=k, n_clusters_per_class=1, class_sep=separation,
            flip_y=0.05, random_state=0,
        )  # fmt: skip
        yield f"made, {k} classes", X, y


def log_loss(probabilities: Array, labels: Array) -> float:
    of_labels = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_labels, 1e-300)).mean())


def raised(probabilities: Array) -> Array:
    raised = np.maximum(probabilities, LEAST)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def our_methods(p: Array, y: Array, fresh: Array) -> dict[str, Callable[[], Array]]:
    def by(method: Any) -> Callable[[], Array]:
        return lambda: method.fit_from_probabilities(p, y).from_probabilities(fresh)

    def by_choice() -> Array:
        return calibrate_from_probabilities(p, y).calibrator.from_probabilities(fresh)

    return {**{name: by(method) for name, method in OURS.items()}, "auto": by_choice}


def probmetrics_methods(p: Array, y: Array, fresh: Array) -> dict[str, Callable[[], Array]]:
    try:
        from probmetrics.calibrators import get_calibrator
    except ImportError:
        return {}

    def by(name: str) -> Callable[[], Array]:
        def run() -> Array:
            calibrator = get_calibrator(name)
            calibrator.fit(p, y)
            return np.asarray(calibrator.predict_proba(fresh))

        return run

    return {f"probmetrics {name}": by(name) for name in ("temp-scaling", "svs", "sms")}


def sklearn_methods(model: Any, X: Array, y: Array, fresh: Array) -> dict[str, Callable[[], Array]]:
    def by(name: str) -> Callable[[], Array]:
        def run() -> Array:
            calibrator = CalibratedClassifierCV(FrozenEstimator(model), method=name)
            return np.asarray(calibrator.fit(X, y).predict_proba(fresh))

        return run

    return {f"scikit-learn {name}": by(name) for name in ("temperature", "sigmoid", "isotonic")}


def compare() -> None:
    header: list[str] = []
    seconds: dict[str, list[float]] = {}
    for name, X, y in data_sets():
        train, others, y_train, y_others = train_test_split(
            X, y, train_size=0.4, random_state=0, stratify=y
        )
        held, fresh, y_held, y_fresh = train_test_split(
            others, y_others, train_size=1 / 3, random_state=0
        )
        for model_name, model in MODELS.items():
            model.fit(train, y_train)
            p, p_fresh = raised(model.predict_proba(held)), raised(model.predict_proba(fresh))
            methods = {
                **our_methods(p, y_held, p_fresh),
                **probmetrics_methods(p, y_held, p_fresh),
                **sklearn_methods(model, held, y_held, fresh),
            }
            losses = {"as it is": log_loss(p_fresh, y_fresh)}
            for method, run in methods.items():
                start = time.perf_counter()
                losses[method] = log_loss(run(), y_fresh)
                seconds.setdefault(method, []).append(time.perf_counter() - start)
            if not header:
                header = ["data", "model", "rows", *losses]
                print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
            cells = [name, model_name, str(len(held)), *(f"{loss:.3f}" for loss in losses.values())]
            print("| " + " | ".join(cells) + " |", flush=True)
    totals = ["", *(f"{sum(times):.1f} s" for times in seconds.values())]
    print("| all, seconds | | | " + " | ".join(totals) + " |")


def keep(times: int) -> None:
    print("| rows | classes | " + " | ".join([*OURS, "auto"]) + " |\n|" + "---|" * (len(OURS) + 3))
    for n, k in [(20, 2), (50, 5), (200, 3), (200, 20), (1000, 3)]:
        kept = dict.fromkeys([*OURS, "auto"], 0)
        for seed in range(times):
            random = np.random.default_rng(seed)
            scores = random.choice([0.5, 1, 3]) * random.normal(size=(n, k)) + random.normal(size=k)
            labels = (scores + random.gumbel(size=(n, k))).argmax(axis=1)
            for name, method in OURS.items():
                kept[name] += method.fit(scores, labels).is_identity
            kept["auto"] += calibrate(scores, labels).method == "none"
        shares = (f"{100 * count / times:.1f} %" for count in kept.values())
        print(f"| {n} | {k} | " + " | ".join(shares) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=int, metavar="TIMES")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    if arguments.keep:
        keep(arguments.keep)
    else:
        compare()


if __name__ == "__main__":
    main()
