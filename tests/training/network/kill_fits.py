"""Fits are killed at random moments and begun again: they end with the bits of an undisturbed one.

    python tests/training/network/kill_fits.py --kills 100 --seed 0

Each fit runs in forks of this process, of which each is killed with SIGKILL after a random time,
until one comes to its end.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np

from luce.losses import cross_entropy
from luce.scorers import Network, multilayer_perceptron
from luce.training.network import (
    Adam,
    Adaptive,
    Cosine,
    Momentum,
    checkpoint,
    fit_network,
)

checkpoint.SHARE = np.inf  # A checkpoint after every epoch, whatever it costs.

EPOCHS = 40
FITS = {
    "Adam": {"optimiser": Adam(), "schedule": Cosine(warmup=0.1)},
    "Momentum": {"optimiser": Momentum(), "schedule": Adaptive(), "tol": 0.02},
    "AdamW with dropout, averaging and validation": {
        "optimiser": Adam(weight_decay=0.01),
        "dropout": 0.3,
        "averaging": 0.99,
        "validated": True,
    },
}


def fit(name, path):
    """One of the fits, with a checkpoint or without."""
    settings = {"dropout": 0.0, "validated": False} | FITS[name]
    random = np.random.default_rng(0)
    features = random.standard_normal((1200, 20)).astype(np.float32)
    labels = (features[:, :5] + random.gumbel(size=(1200, 5))).argmax(axis=1)
    rest, held_out = slice(200, None), slice(200)

    def validate(network):
        loss = float(cross_entropy(network.scores(features[held_out]), labels[held_out]))
        return -loss, loss

    layers = multilayer_perceptron(20, (30,), 5, dropout=settings.pop("dropout"))
    return fit_network(
        Network.initial(layers, random),
        features[rest],
        labels[rest],
        random=random,
        batch_size=20,
        max_epochs=EPOCHS,
        patience=np.inf,
        validate=validate if settings.pop("validated") else None,
        checkpoint=path,
        **settings,
    )


def bits(fit):
    """All that a fit ends with."""
    state = fit.state
    arrays = [fit.network.parameters, fit.loss_curve, fit.validation_losses, *state.moments]
    numbers = (fit.epochs, fit.steps, fit.best_epoch, fit.stopped, state.patience, state.random)
    return b"".join(array.tobytes() for array in arrays) + repr(numbers).encode()


def fork(name, folder):
    """Fit in a fork of this process, which leaves its bits in a file; return the fork's number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            (folder / "bits").write_bytes(bits(fit(name, folder / "checkpoint.luce")))
            status = 0
        finally:
            os._exit(status)
    return child


def kill(name, kills, random):
    """Fit until there were so many kills, and a fit came to its end; return how many did."""
    expected = bits(fit(name, None))
    with tempfile.TemporaryDirectory() as temporary:
        began = time.perf_counter()
        os.waitpid(fork(name, Path(temporary)), 0)
        longest = time.perf_counter() - began
    ended = killed = 0
    while killed < kills or not ended:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            while True:
                child = fork(name, folder)
                if killed < kills:
                    time.sleep(random.uniform(0, longest / random.choice([2, 20])))
                    os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                if status == 0:
                    break
                if not os.WIFSIGNALED(status):
                    sys.exit(f"{name}: the fit failed")
                killed += 1
            if (folder / "bits").read_bytes() != expected:
                sys.exit(f"{name}: after kills the fit has other bits")
        ended += 1
    return killed, ended


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random = Random(asked.seed)
    for number, name in enumerate(FITS):
        kills = (asked.kills + number) // len(FITS)
        killed, ended = kill(name, kills, random)
        print(f"{name}: {killed} kills, {ended} fits with the same bits")


if __name__ == "__main__":
    main()
