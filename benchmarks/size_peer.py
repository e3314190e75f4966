"""pandas and scikit-learn doing what luce does with a table: features alike, rows in chunks.

`python -m benchmarks.size_peer train HEAD.csv MODEL` and `... predict MODEL DATA.csv OUT.csv`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.bigtable import CATEGORIES, NUMERIC, TARGET

CHUNK = 50_000
DTYPES = dict.fromkeys(NUMERIC, "float64") | dict.fromkeys(CATEGORIES, "str")
FEATURES = list(DTYPES)


def pipeline() -> Pipeline:
    """Features as luce makes them, and the model with luce's optimum."""
    numeric = list(NUMERIC)
    features = ColumnTransformer(
        [
            ("value", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            ("missing", MissingIndicator(), numeric),
            ("category", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
        ]
    )
    return make_pipeline(features, LogisticRegression(C=1.0, tol=1e-7, max_iter=10_000))


def read(path: Path) -> Iterator[pd.DataFrame]:
    """The features of a CSV file, chunk after chunk."""
    yield from pd.read_csv(path, dtype=DTYPES, usecols=FEATURES, chunksize=CHUNK)


def read_by_pyarrow(path: Path) -> pd.DataFrame:
    """The same at once: this engine has no chunks."""
    return pd.read_csv(path, dtype=DTYPES, usecols=FEATURES, engine="pyarrow")


def train(data: Path, model: Path) -> None:
    table = pd.read_csv(data, dtype=DTYPES)
    joblib.dump(pipeline().fit(table[FEATURES], table[TARGET]), model)


def predict(model: Path, data: Path, out: Path) -> None:
    loaded = joblib.load(model)
    with out.open("w", newline="") as file:
        for number, chunk in enumerate(read(data)):
            probabilities = loaded.predict_proba(chunk)
            winners = probabilities.argmax(axis=1)
            confidence = probabilities[np.arange(len(chunk)), winners].astype(np.float32)
            predicted = pd.DataFrame({TARGET: loaded.classes_[winners], "confidence": confidence})
            predicted.to_csv(file, header=number == 0, index=False)


if __name__ == "__main__":
    {"train": train, "predict": predict}[sys.argv[1]](*map(Path, sys.argv[2:]))
