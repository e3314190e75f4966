"""What other packages measure of rows that are the same everywhere.

    pip install netcal probmetrics relplot uncertainty-calibration
    python tests/calibration/peers.py

prints the figures that test_calibration_errors.py holds. The packages are no dependencies of luce.
"""

import json

import numpy as np

SIZES = ((500, 3), (2000, 10))


def rows(n, k):
    """Probabilities too sure of themselves, and labels, by arithmetic alone."""
    places = np.arange(1, n + 1)[:, None] * np.sqrt([2, 3, 5, 7, 11, 13, 17, 19, 23, 29][:k]) % 1
    scores = 6 * places
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    truth = np.exp(0.7 * scores)
    ends = truth.cumsum(axis=1) / truth.sum(axis=1, keepdims=True)
    chance = np.arange(1, n + 1)[:, None] * (np.sqrt(5) - 1) / 2 % 1
    return probabilities, (chance > ends).sum(axis=1)


def rounded(n, k):
    """The same with confidences in steps of 0.05, so that a bin has one: binary, top label."""
    probabilities, labels = rows(n, k)
    top = probabilities.argmax(axis=1)
    confidence = np.ceil(20 * probabilities.max(axis=1)).clip(11, 19) / 20
    return np.stack([confidence, 1 - confidence], axis=1), (top != labels).astype(int)


def measure():
    import netcal.metrics
    import relplot
    import torch
    from probmetrics.metrics import Metrics

    import calibration as uncertainty_calibration

    names = ["logloss", "brier", "ece-15", "rmsce-15", "mce-15"]
    found = {}
    for n, k in SIZES:
        probabilities, labels = rows(n, k)
        theirs = Metrics.from_names(names).compute_all_from_labels_probs(
            torch.tensor(labels), torch.tensor(probabilities)
        )
        correct = (probabilities.argmax(axis=1) == labels).astype(float)
        by_class = [(probabilities[:, c], (labels == c).astype(int)) for c in range(k)]
        ece, quantile, mce = (
            netcal.metrics.ECE(15),
            netcal.metrics.ECE(15, equal_intervals=False),
            netcal.metrics.MCE(15),
        )
        binned, truth = rounded(n, k)
        found[f"{n} {k}"] = {
            **{f"probmetrics {name}": float(value) for name, value in theirs.items()},
            "netcal ECE": float(ece.measure(probabilities, labels)),
            "netcal ECE quantile": float(quantile.measure(probabilities, labels)),
            "netcal MCE": float(mce.measure(probabilities, labels)),
            "netcal ECE classwise": float(np.mean([ece.measure(*pair) for pair in by_class])),
            "relplot smECE": float(relplot.smECE(probabilities.max(axis=1), correct)),
            "uncertainty-calibration": float(
                uncertainty_calibration.utils.get_binning_top_ce(binned, truth)
            ),
        }
    return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=4))
