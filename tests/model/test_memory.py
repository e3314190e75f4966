"""Predicting and evaluating a file take no more memory where the file has more rows."""

import gzip
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.decisions import MinimumCost, PredictionSet

FEW, MANY = 120_000, 600_000
LARGEST_GROWTH = 52 * 2**20  # the rows that are more take 65 MB and more
NUMBERS = np.random.default_rng(0).integers(10, size=(1000, 16))
LABELS = NUMBERS[:, 0] % 2
PART = pa.table(
    {
        "x": NUMBERS[:, 0],
        "word": [150 * str(number) for number in NUMBERS[:, 1]],
        "y": LABELS,
    }
)

OPTIONS = {
    "linear": {},
    "network": {"model": "network"},
    "deciding": {"rules": [MinimumCost([[0, 1], [1, 0]]), PredictionSet(0.9)]},
}

# Each file is read by a fork of a process that has read none: its peak is of this file alone.
MEASURE = """
import os, resource, sys
import pyarrow.parquet, scipy.sparse
import luce
from luce.tables.formats import npz

npz.BLOCK_BYTES = 2**22  # of 32 MB the smaller file has one
use = {
    "stream": lambda model, path: sum(len(block.probabilities) for block in model.stream(path)),
    "evaluate": lambda model, path: model.evaluate(path).model.rows,
}[sys.argv[1]]
for path, rows in zip(sys.argv[3::2], map(int, sys.argv[4::2])):
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0
    else:
        assert use(luce.load(sys.argv[2]), path) == rows
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
        os._exit(0)
"""


def table_of(rows):
    return pa.concat_tables([PART] * (rows // 1000)).combine_chunks()


def text_of(lines, rows):
    return "".join(f"{line}\n" for line in lines).encode() * (rows // 1000)


def write_csv(path, rows):
    lines = (",".join(map(str, row.values())) for row in PART.to_pylist())
    text = f"{','.join(PART.column_names)}\n".encode() + text_of(lines, rows)
    path.write_bytes(gzip.compress(text, 1) if path.suffix == ".gz" else text)


def write_json_lines(path, rows):
    lines = map(json.dumps, PART.to_pylist())
    path.write_bytes(text_of(lines, rows))


def write_svmlight(path, rows):
    numbered = [" ".join(f"{j}:{x}" for j, x in enumerate(row, 1)) for row in NUMBERS[:, :12]]
    lines = (f"{label} {row}" for label, row in zip(LABELS, numbered, strict=True))
    path.write_bytes(text_of(lines, rows))


def write_npz(path, rows):
    parts = rows // 1000
    np.savez(path, X=np.tile(NUMBERS.astype(np.uint8), (parts, 3)), y=np.tile(LABELS, parts))


WRITE = {
    "csv": write_csv,
    "csv.gz": write_csv,
    "jsonl": write_json_lines,
    "parquet": lambda path, rows: pa_parquet.write_table(
        table_of(rows), path, row_group_size=50_000
    ),
    "feather": lambda path, rows: pa_feather.write_feather(table_of(rows), path, chunksize=50_000),
    "npz": write_npz,
    "svmlight": write_svmlight,
}


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux counts it")
@pytest.mark.parametrize(
    ("use", "ending", "kind"),
    [
        *(("stream", ending, "linear") for ending in WRITE),
        ("evaluate", "feather", "linear"),
        ("evaluate", "feather", "network"),
        ("evaluate", "feather", "deciding"),
    ],
)
def test_it_does_not_grow_with_the_rows(use, ending, kind, tmp_path):
    few, many, model = (tmp_path / f"{name}.{ending}" for name in ("few", "many", "model"))
    WRITE[ending](few, 1000)
    luce.train(few, "y", **OPTIONS[kind]).save(model)
    WRITE[ending](few, FEW)
    WRITE[ending](many, MANY)
    command = [sys.executable, "-c", MEASURE, use, model, few, FEW, many, MANY]
    # Arrow's own pool keeps what was given back, and so do pools of threads, by chance.
    pool = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    run = subprocess.run(map(str, command), env=pool, capture_output=True, text=True, check=False)
    assert run.stderr == ""
    of_few, of_many = map(int, run.stdout.split())
    assert of_many - of_few < LARGEST_GROWTH
