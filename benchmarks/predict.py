"""SoftmaxClassifier's predictions against those of scikit-learn's LogisticRegression.

Both have the same coefficients, and are given the same rows as a plain array or a CSR matrix. Times
are medians over rounds in which both take a turn. A size is rows x features x classes, and of a CSR
matrix entries of a row.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.sparse
import scipy.special
from sklearn.linear_model import LogisticRegression

from benchmarks import report
from benchmarks.report import ratio, time_of, times
from benchmarks.timing import Case, Compare, Contest, all_cpus
from luce import SoftmaxClassifier

OPERATIONS = ("predict", "predict_proba")
QUICK = ((1, 64, 10), (100, 64, 10), (20_000, 64, 10))
SHAPES = (
    (1, 64, 10),
    (100, 64, 10),
    (359_000, 64, 2),
    (359_000, 64, 10),
    (100_000, 128, 1000),
    (57_000, 16_384, 5, 250),
    (57_000, 16_384, 75, 250),
    (200_000, 100_000, 20, 30),
)
DTYPES = ("float32", "float64")


def cases(quick: bool) -> Iterator[Case]:
    """Every row of the tables, those on the same array next to each other."""
    for shape in QUICK if quick else SHAPES:
        for dtype in DTYPES:
            for operation in OPERATIONS:
                for threads in sorted({1, all_cpus()}):
                    yield Case(operation, shape, dtype, threads=threads)


@lru_cache(maxsize=1)
def problem(shape: tuple[int, ...], dtype: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """Features, coef and intercept."""
    n, d, k, *entries = shape
    random = np.random.default_rng(7)
    if entries:
        (of_a_row,) = entries
        indices = np.floor(d * random.random(n * of_a_row) ** 3).astype(np.int32)
        values = random.random(n * of_a_row, np.float32).astype(dtype)
        starts = np.arange(0, len(values) + 1, of_a_row, dtype=np.int32)
        features = scipy.sparse.csr_array((values, indices, starts), shape=(n, d))
        features.sum_duplicates()
    else:
        features = random.standard_normal((n, d), np.float32).astype(dtype)
    rows = 1 if k == 2 else k
    coef = random.standard_normal((rows, d)) * (2 / np.sqrt(*entries or [d]))
    return features, coef.astype(dtype), random.standard_normal(rows).astype(dtype)


def with_coefficients(model: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """The model as if it had been fitted."""
    _, d, k, *_ = shape
    _, model.coef_, model.intercept_ = problem(shape, dtype)
    model.classes_, model.n_features_in_ = np.arange(k), d
    return model


def compared(case: Case) -> Compare:
    """Compare with plain NumPy in float64, some rows at a time."""
    features, coef, intercept = problem(case.shape, case.dtype)
    limit = 200 * np.finfo(case.dtype).eps

    def compare(answer: Any, strict: bool) -> str | None:
        for start in range(0, features.shape[0], 4096):
            block = slice(start, start + 4096)
            scores = features[block].astype(np.float64) @ coef.T.astype(np.float64) + intercept
            if len(coef) == 1:
                scores = np.hstack([np.zeros_like(scores), scores])
            if case.operation == "predict":
                chosen = np.take_along_axis(scores, answer[block, None], axis=1)[:, 0]
                wrong = scores.max(axis=1) - chosen > limit
            else:
                probabilities = scipy.special.softmax(scores, axis=1)
                wrong = ~(np.abs(answer[block] - probabilities) <= limit).all(axis=1)
            if wrong.any():
                return f"{wrong.sum()} rows are wrong, the first {start + int(wrong.argmax())}"
        return None

    return compare


def contest(case: Case) -> Contest:
    """Who takes part in a row."""
    features, _, _ = problem(case.shape, case.dtype)
    contestants = {
        name: getattr(with_coefficients(model, case.shape, case.dtype), case.operation)
        for name, model in (("luce", SoftmaxClassifier()), ("sklearn", LogisticRegression()))
    }
    calls = {name: lambda method=method: method(features) for name, method in contestants.items()}
    return Contest(calls, compared(case), prepare=lambda: None)


COLUMNS: tuple[report.Column, ...] = (
    ("luce", time_of("luce")),
    ("sklearn", time_of("sklearn")),
    ("sklearn/luce", lambda row: times(ratio(row.best("sklearn"), row.ours))),
)


def main() -> int:
    return report.present("predict", __doc__, cases, contest, COLUMNS)


if __name__ == "__main__":
    sys.exit(main())
