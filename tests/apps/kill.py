"""Writers are killed at random moments: what they write is the old file or a whole new one.

    python tests/apps/kill.py --kills 300 --seed 0

`luce train`, `luce predict --out` and a loop of `Model.save` run in forks of this process, which
has imported everything, and are killed with SIGKILL: half of them at any moment, half shortly after
their temporary file appeared.
"""

import argparse
import collections
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
import pandas  # noqa: F401 (pyarrow imports it)

import luce
import luce.apps.predictions
import luce.apps.progress
import luce.apps.report
import luce.model.train  # Imported here, not in each fork.
from luce.apps.cli import app
from luce.model.linear import LinearScorer

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"
TEMPORARY = ".luce-*.tmp"
PATIENCE = 60


def run(*arguments):
    """Run the command line, silently."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        app([str(argument) for argument in arguments], standalone_mode=False)


class Train:
    """Trains where another model is."""

    name = "model.luce"

    def __init__(self):
        shutil.copy(PENGUINS, ".")

    def write(self, seed):
        """Write what depends on the seed alone."""
        run("train", "penguins.csv", "--target", "species", "--seed", seed, "--out", self.name)


class Predict:
    """Predicts many rows to where other predictions are."""

    name = "predicted.csv"

    def __init__(self):
        luce.load(Path(__file__).parents[1] / "model/formats/3/penguins.luce").save("model.luce")
        head, *rows = PENGUINS.read_text().splitlines(keepends=True)
        for seed in range(2):
            Path(f"{seed}.csv").write_text(head + "".join(rows * 40 + rows[seed:]))

    def write(self, seed):
        """Write what depends on the seed alone."""
        run("predict", "model.luce", f"{seed}.csv", "--probabilities", "--out", self.name)


class Save:
    """Saves two models in turn, for ever."""

    name = "saved.luce"

    def __init__(self):
        model = luce.load(Path(__file__).parents[1] / "model/formats/3/penguins.luce")
        wide = np.random.default_rng(0).normal(size=(2, *model.scorer.shape))
        self.models = [
            luce.Model(model.document, LinearScorer(coef, model.scorer.intercept), model.confusion)
            for coef in wide
        ]

    def write(self, seed):
        """Write what depends on the seed alone."""
        self.models[seed].save(self.name)

    def write_on(self, seed):
        """Write both in turn, until killed."""
        while True:
            self.write(seed)
            self.write(1 - seed)


WRITERS = (Train, Predict, Save)


def fork(work, *arguments):
    """Do something in a fork of this process; return the fork's number."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work(*arguments)
            status = 0
        finally:
            os._exit(status)
    return child


def finish(work, *arguments):
    """Do something in a fork, to the end; return how long it took."""
    start = time.perf_counter()
    _, status = os.waitpid(fork(work, *arguments), 0)
    if status:
        sys.exit(f"the writer ended with status {status}")
    return time.perf_counter() - start


def kill_one(writer, random, contents, duration):
    """Kill one writer over the old file, and return what is left."""
    target = Path(writer.name)
    target.write_bytes(contents[0])
    child = fork(getattr(writer, "write_on", writer.write), 1)
    start = time.perf_counter()
    if random.randrange(2):
        while not any(Path().glob(TEMPORARY)):
            if os.waitpid(child, os.WNOHANG)[0] or time.perf_counter() - start > PATIENCE:
                break
        moment = time.perf_counter() + random.choice([0, 1e-4, 1e-3, 1e-2]) * random.random()
    else:
        moment = start + random.uniform(0, 1.2 * duration)
    time.sleep(max(0, moment - time.perf_counter()))
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    left = target.read_bytes()
    if left not in contents:
        Path("broken").write_bytes(left)
        sys.exit(f"{target} has {len(left)} bytes, neither the old nor the new ones: see 'broken'")
    if target.suffix == ".luce":
        luce.load(target)
    return "old" if left == contents[0] else "new"


def kill(writer_type, kills, random):
    """Kill a writer many times in a folder of its own; return what happened."""
    seen = collections.Counter()
    writer = writer_type()
    contents = []
    for seed in range(2):
        duration = finish(writer.write, seed)
        contents.append(Path(writer.name).read_bytes())
    assert contents[0] != contents[1]
    for _ in range(kills):
        seen[kill_one(writer, random, contents, duration)] += 1
        abandoned = len(list(Path().glob(TEMPORARY)))
        seen["temporary files left"] += abandoned
        if abandoned and random.randrange(2):
            finish(writer.write, 1)
            assert not list(Path().glob(TEMPORARY)), "a temporary file was not removed"
            assert Path(writer.name).read_bytes() == contents[1]
    return seen


def main():
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    random = Random(asked.seed)
    for number, writer in enumerate(WRITERS):
        kills = (asked.kills + number) // len(WRITERS)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            seen = kill(writer, kills, random)
        counts = ", ".join(f"{count} {what}" for what, count in sorted(seen.items()))
        print(f"{writer.__name__}: {kills} kills, {counts}")


if __name__ == "__main__":
    main()
