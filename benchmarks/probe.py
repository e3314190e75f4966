"""A linear probe of the size of ImageNet: 1,280,000 x 768 float32 features, 1000 classes.

The data are synthetic, with the spectrum and the class structure of image embeddings: eigenvalues
of the covariance fall as a power of their rank, the means of the classes lie in the leading
directions, the whole is rotated so that no column is special, and a share of the labels is drawn
anew at random. With these constants about three quarters of the training rows are classified
rightly, as in linear probes of ImageNet. Features are drawn block by block, each from a seed of its
own, into one array. `--scale 0.1` takes a tenth of the rows, and so of the time allowed.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import luce
from benchmarks import report
from benchmarks.timing import all_cpus
from benchmarks.workers import peak_since_settled, settled_memory
from luce.training import Progress, fit_softmax_regression

ROWS, COLUMNS, CLASSES = 1_280_000, 768, 1000
DECAY = 1.0  # eigenvalue j of the covariance within a class is about j^-DECAY
LEADING = 200  # directions in which the means of the classes differ
BETWEEN = 0.35  # their spread there, by that within a class
NOISE = 0.12  # share of the labels drawn at random
C = 0.004  # at scale 1; divided by the scale, so that the penalty of the mean loss is the same
TOL = 1e-3
MINUTES = 25.0  # allowed at scale 1
BLOCK = 10_000  # rows
SEED = 8


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows (1)")
    parser.add_argument("--threads", type=int, default=all_cpus(), help="(%(default)s)")
    return parser.parse_args()


def embeddings(rows: int, threads: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features and labels; nothing of the size of the features but themselves is ever held."""
    rng = np.random.default_rng(SEED)
    spread = np.arange(1, COLUMNS + 1) ** (-DECAY / 2)
    spread *= np.sqrt(COLUMNS) / np.linalg.norm(spread)  # a column has variance 1 within a class
    means = rng.standard_normal((CLASSES, COLUMNS)) * spread * BETWEEN
    means[:, LEADING:] = 0
    rotation, _ = np.linalg.qr(rng.standard_normal((COLUMNS, COLUMNS)))
    rotated_means = (means @ rotation).astype(np.float32)
    mixing = (spread[:, None] * rotation).astype(np.float32)
    features = np.empty((rows, COLUMNS), np.float32)
    labels = np.empty(rows, np.int64)

    def fill(start: int) -> None:
        own = np.random.default_rng([SEED, start])
        block = slice(start, min(start + BLOCK, rows))
        size = block.stop - block.start
        classes = np.arange(block.start, block.stop) % CLASSES
        np.matmul(own.standard_normal((size, COLUMNS), np.float32), mixing, out=features[block])
        features[block] += rotated_means[classes]
        noisy = own.random(size) < NOISE
        classes[noisy] = own.integers(0, CLASSES, int(noisy.sum()))
        labels[block] = classes

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, rows, BLOCK)))
    return features, labels


def accuracy(
    features: NDArray[np.float32], labels: NDArray[np.int64], coef: NDArray, intercept: NDArray
) -> float:
    """Share of the rows whose highest score is their label's."""
    coef = coef.astype(np.float32)
    right = 0
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        right += int((np.argmax(features[block] @ coef.T + intercept, 1) == labels[block]).sum())
    return right / len(features)


def main() -> int:
    options = arguments()
    out = report.console()
    report.print_facts(out, report.machine() | {"threads": str(options.threads)})
    rows = max(CLASSES, round(ROWS * options.scale))
    started = time.perf_counter()
    features, labels = embeddings(rows, options.threads)
    made = time.perf_counter() - started
    inverse_penalty = C / options.scale
    out.print(f"\n{rows:,} x {COLUMNS} float32, drawn in {made:.1f} s")
    out.print(f"C = {inverse_penalty:g}, tol = {TOL:g}\n")
    out.print(f"{'pass':>5} {'seconds':>9} {'objective':>12} {'gap':>9}")
    before = settled_memory()
    started = time.perf_counter()

    def on_pass(progress: Progress) -> None:
        elapsed = time.perf_counter() - started
        line = f"{progress.passes:5} {elapsed:9.1f} {progress.value:12.7f} {progress.gap:9.1e}"
        out.print(line)

    with luce.threads(options.threads):
        fit = fit_softmax_regression(
            features, labels, classes=CLASSES, C=inverse_penalty, tol=TOL, on_pass=on_pass
        )
    seconds = time.perf_counter() - started
    peak = (peak_since_settled() - before) / 1e6
    allowed = 60 * MINUTES * options.scale
    right = accuracy(features, labels, fit.coef, fit.intercept)
    verdict = "within" if seconds <= allowed else "above"
    out.print(f"\nstopped: {fit.stopped}, gap {fit.optimality_gap:.1e}, {fit.passes} passes")
    out.print(f"time: {seconds:.1f} s, {verdict} the {allowed:.1f} s allowed")
    out.print(f"peak memory beyond the features: {peak:.0f} MB")
    out.print(f"accuracy on the training rows: {right:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
