"""A table of any number of rows, made in blocks: the same rows from the same seed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

TARGET = "outcome"
CLASSES = np.array([f"outcome {letter}" for letter in "abcdefghij"])
NUMERIC = tuple(f"measure_{j}" for j in range(8))
CATEGORIES = {"city": 200, "device": 12}
GAPS = {"measure_1": 0.02, "measure_4": 0.1, "measure_6": 0.001, "city": 0.03, "device": 0.01}
"""Share of missing values."""

BLOCK = 100_000
WIDE, GROUP = 300, 50_000
SEED = 7


def schema() -> pa.Schema:
    """Names and types of the columns."""
    numbers = [(name, pa.float64()) for name in NUMERIC]
    texts = [(name, pa.string()) for name in (*CATEGORIES, TARGET)]
    return pa.schema(numbers + texts)


def blocks(rows: int) -> Iterator[pa.Table]:
    """So many rows in tables of at most BLOCK; the first ones are those of any longer table."""
    truth = np.random.default_rng(SEED)
    spread = 10.0 ** truth.integers(-1, 4, size=len(NUMERIC))
    centre = spread * truth.normal(size=len(NUMERIC))
    slopes = truth.normal(size=(len(NUMERIC), len(CLASSES))) * 0.5
    effects = {
        name: truth.normal(size=(levels, len(CLASSES))) * 0.7 for name, levels in CATEGORIES.items()
    }
    for number, first in enumerate(range(0, rows, BLOCK)):
        random = np.random.default_rng([SEED, number])
        numbers = random.normal(size=(BLOCK, len(NUMERIC)))
        scores = numbers @ slopes
        columns = {
            name: np.round(numbers[:, j] * spread[j] + centre[j], 5)
            for j, name in enumerate(NUMERIC)
        }
        for name, levels in CATEGORIES.items():
            codes = np.minimum(random.geometric(6 / levels, size=BLOCK) - 1, levels - 1)
            scores += effects[name][codes]
            columns[name] = np.array([f"{name}_{code:03}" for code in range(levels)])[codes]
        columns[TARGET] = CLASSES[(scores + random.gumbel(size=scores.shape)).argmax(axis=1)]
        for name, share in GAPS.items():
            gaps = random.random(BLOCK) < share
            columns[name] = pa.array(columns[name], schema().field(name).type, mask=gaps)
        yield pa.table(columns, schema()).slice(0, min(BLOCK, rows - first))


def write_csv(path: Path, rows: int) -> None:
    with pa_csv.CSVWriter(path, schema()) as writer:
        for block in blocks(rows):
            writer.write_table(block)


def write_wide(path: Path, rows: int) -> None:
    """A Parquet file of `WIDE` columns of float32 and the target, in groups of `GROUP` rows."""
    truth = np.random.default_rng(SEED)
    slopes = truth.normal(size=(WIDE, len(CLASSES))) / WIDE**0.5
    names = [f"number {j}, measured" for j in range(WIDE)]  # no run: standardised
    wide = pa.schema([*((name, pa.float32()) for name in names), (TARGET, pa.string())])
    with pa_parquet.ParquetWriter(path, wide) as writer:
        for number, first in enumerate(range(0, rows, GROUP)):
            random = np.random.default_rng([SEED, number])
            numbers = random.normal(size=(min(GROUP, rows - first), WIDE))
            scores = 2 * numbers @ slopes
            labels = CLASSES[(scores + random.gumbel(size=scores.shape)).argmax(axis=1)]
            columns = [*numbers.astype(np.float32).T.copy(), labels]
            writer.write_table(pa.table([pa.array(each) for each in columns], wide))
