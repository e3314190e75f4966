"""The shipped penguins, a model of them, and small tables made to order."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import luce


@pytest.fixture(scope="session")
def penguins() -> Path:
    return Path(__file__).parents[2] / "examples" / "penguins.csv"


@pytest.fixture(scope="session")
def table(read_table, penguins) -> pa.Table:
    return read_table(penguins)


@pytest.fixture(scope="session")
def model(penguins) -> luce.Model:
    return luce.train(penguins, "species")


@pytest.fixture(scope="session")
def patients() -> pa.Table:
    """90 rows of 30 patients, weighted, in three classes that overlap."""
    random = np.random.default_rng(5)
    labels = np.arange(90) % 3
    return pa.table(
        {
            "pulse": random.normal(size=90) + 0.7 * labels,
            "ward": np.array(["north", "south"])[random.integers(2, size=90)],
            "patient": np.repeat(np.arange(30), 3)[random.permutation(90)],
            "area": random.integers(1, 5, size=90),
            "outcome": np.array(["better", "same", "worse"])[labels],
        }
    )
