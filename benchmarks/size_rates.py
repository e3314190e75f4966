"""Rows per second of reading, encoding and predicting, luce against pandas and scikit-learn."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import scipy.sparse

import luce
from benchmarks import size_peer
from benchmarks.bigtable import CATEGORIES, NUMERIC
from luce.tables import encode, encoder_columns, feature_names, open_table, read_types

ROUNDS = 3


@dataclass
class Rates:
    """Seconds by step and contestant; what the comparison of answers found."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def race(self, step: str, **contestants: Callable[[], Any]) -> None:
        """Median seconds over rounds in which each has its turn."""
        taken: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):
            for name, call in contestants.items():
                start = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - start)
        self.seconds[step] = {name.replace("_", " "): median(t) for name, t in taken.items()}


def luce_blocks(path: Path, model: luce.Model) -> Iterator[pa.Table]:
    """The columns that a model needs, block after block."""
    encoder = model.document.encoder
    table = open_table(path, columns=encoder_columns(encoder), types=read_types(encoder))
    yield from table.blocks()


def rates(path: Path, luce_model: Path, peer_model: Path) -> Rates:
    """Race over the rows of a CSV file, and compare what was read, encoded and predicted."""
    model = luce.load(luce_model)
    encoder = model.document.encoder
    to_features, regression = (step for _, step in joblib.load(peer_model).steps)
    found = Rates()

    found.race(
        "read CSV",
        luce=lambda: sum(block.num_rows for block in luce_blocks(path, model)),
        pandas=lambda: sum(len(chunk) for chunk in size_peer.read(path)),
        pandas_by_pyarrow=lambda: len(size_peer.read_by_pyarrow(path)),
    )
    blocks = list(luce_blocks(path, model))
    chunks = list(size_peer.read(path))
    if sum(block.num_rows for block in blocks) != sum(map(len, chunks)):
        found.failures.append("the numbers of rows read differ")

    found.race(
        "encode",
        luce=lambda: [encode(encoder, block).features.shape for block in blocks],
        scikit_learn=lambda: [to_features.transform(chunk).shape for chunk in chunks],
    )
    encoded = [encode(encoder, block).features for block in blocks]
    theirs = [to_features.transform(chunk) for chunk in chunks]
    compare_features(found, model, np.concatenate(encoded), scipy.sparse.vstack(theirs))

    found.race(
        "predict",
        luce=lambda: [model.probabilities(features).shape for features in encoded],
        scikit_learn=lambda: [regression.predict_proba(features).shape for features in theirs],
    )
    compare_probabilities(
        found,
        (model.probabilities(features) for features in encoded),
        np.concatenate([regression.predict_proba(features) for features in theirs]),
    )
    return found


def compare_features(
    found: Rates, model: luce.Model, ours: np.ndarray, theirs: scipy.sparse.csr_matrix
) -> None:
    """All features, those of luce brought into scikit-learn's order."""
    names = feature_names(model.document.encoder)
    order = [
        *(j for j, name in enumerate(names) if name.what == "value"),
        *(j for j, name in enumerate(names) if name.what == "missing" and name.column in NUMERIC),
        *(j for j, name in enumerate(names) if name.column in CATEGORIES),
    ]
    if len(order) != theirs.shape[1]:
        found.failures.append(f"{len(order)} features, not {theirs.shape[1]}")
        return
    apart = 0.0
    for first in range(0, len(ours), 50_000):
        rows = slice(first, first + 50_000)
        apart = max(apart, abs(ours[rows][:, order] - theirs[rows].toarray()).max())
    found.remarks.append(
        f"All {len(order)} encoded features agree: the standardised columns, gaps and categories "
        f"differ by at most {apart:.1g} (float32 against float64)."
    )
    if apart > 1e-4:
        found.failures.append(f"encoded features differ by {apart:.3g}")


def compare_probabilities(found: Rates, ours: Iterator[np.ndarray], theirs: np.ndarray) -> None:
    """Their optimum is luce's to their tolerance."""
    apart = float(abs(np.concatenate(list(ours)) - theirs).max())
    found.remarks.append(f"Probabilities differ by at most {apart:.1g}: two fits, two tolerances.")
    if apart > 0.02:
        found.failures.append(f"probabilities differ by {apart:.3g}")
