"""What is missing in one kind of file is missing in all, whatever its column is used for."""

import csv
import json
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.errors import DataError
from luce.tables import MISSING_MARKERS

GAPS = (*MISSING_MARKERS, " NA ", "\t")
ROWS = 6 * len(GAPS)
LABELS = ["yes", "no"] * (ROWS // 2)

VALUES = {
    "numeric": [1, 2.5, -7],
    "boolean": [True, False, False],
    "category": ["a", "b", "x y"],
    "datetime": ["2024-01-01", "2024-02-29", "2025-07-01"],
    "text": ["one two three", "four five six seven", "two, one"],
    "run": [0.5, -1, 2],
    "target": ["yes", "no", "no"],
    "weight": [1, 2.5, 0],
    "group": ["north", "south", "east"],
}
"""Of each kind and role three values; a run is an embedding of two columns."""


def rows_of(role, gaps):
    """Rows whose column `c`, of that role, has the gaps in the place of some values."""
    some = np.random.default_rng(0).choice(len(VALUES[role]), ROWS)
    values = [VALUES[role][place] for place in some]
    values[::6] = gaps
    rows = [
        {"c": value, "n": n % 7, "y": y}
        for n, (value, y) in enumerate(zip(values, LABELS, strict=True))
    ]
    if role == "run":
        return [{"c0": row["c"], "c1": row["c"], "n": row["n"], "y": row["y"]} for row in rows]
    return rows


def spelt(value):
    if isinstance(value, bool):
        return json.dumps(value)
    return None if value is None else str(value)


def as_text(rows):
    return pa.table({name: [spelt(row[name]) for row in rows] for name in rows[0]})


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerows([rows[0], *([spelt(value) for value in row.values()] for row in rows)])
    return path


def write_json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_parquet(path, rows):
    pa_parquet.write_table(as_text(rows), path)
    return path


def write_arrow(path, rows):
    table = as_text(rows)
    names = table.column_names
    pa_feather.write_feather(pa.table([c.dictionary_encode() for c in table.columns], names), path)
    return path


SOURCES = {
    "csv": write_csv,
    "jsonl": write_json_lines,
    "parquet": write_parquet,
    "arrow": write_arrow,
    "pandas": lambda _, rows: pd.DataFrame(rows, dtype=object).map(spelt),
    "dictionaries": lambda _, rows: pd.DataFrame(rows).map(spelt).astype("category"),
}


def told(role):
    match role:
        case "target":
            return {"target": "c", "kinds": {"n": "numeric"}}
        case "weight" | "group":
            return {"target": "y", role: "c", "kinds": {"n": "numeric"}}
        case "run":
            return {"target": "y", "kinds": {"n": "numeric", "c0..c1": "embedding"}}
    return {"target": "y", "kinds": {"n": "numeric", "c": role}}


def result(folder, source, **told):
    """The model that comes of a source, but for its columns' types; or why there is none."""
    try:
        model = luce.train(source, **told)
    except DataError as error:
        return str(error).removeprefix(f"{source}: ")
    again = model.predict_proba(source)
    document = re.sub(r"type='[^']*'", "", repr(model.document))
    tensors = [tensor.tobytes() for tensor in model.scorer.tensors.values()]
    return document, tensors, again.tobytes()


@pytest.mark.parametrize("ending", SOURCES)
@pytest.mark.parametrize("role", VALUES)
def test_the_model_is_that_of_a_table_with_nulls(role, ending, tmp_path):
    nothing = as_text(rows_of(role, [None] * len(GAPS)))
    expected = result(tmp_path, nothing, **told(role))
    refused = role in {"weight", "group"}
    assert isinstance(expected, str) == refused
    assert not refused or f"the {role} is missing" in expected
    source = SOURCES[ending](tmp_path / f"t.{ending}", rows_of(role, GAPS))
    assert result(tmp_path, source, **told(role)) == expected


@pytest.mark.parametrize("role", ["numeric", "boolean", "category", "text", "target"])
def test_markers_leave_the_kind_that_is_guessed(role, tmp_path):
    of_target = {"target": told(role)["target"]}
    models = [
        result(
            tmp_path, write(tmp_path / f"{len(gaps)}.{ending}", rows_of(role, gaps)), **of_target
        )
        for gaps in (GAPS, [None] * len(GAPS))
        for ending, write in (("csv", write_csv), ("jsonl", write_json_lines))
    ]
    assert models[0] == models[1] == models[2] == models[3]
    kind = "category" if role == "text" else role
    assert role == "target" or f"{kind.capitalize()}Column(name='c'" in models[0][0]


@pytest.mark.parametrize("ending", SOURCES)
def test_all_values_may_be_markers(ending, tmp_path):
    rows = [row | {"c": GAPS[n % len(GAPS)]} for n, row in enumerate(rows_of("numeric", GAPS))]
    source = SOURCES[ending](tmp_path / f"t.{ending}", rows)
    model = luce.train(source, "y", kinds={"n": "numeric"})
    (left_out,) = model.document.left_out
    assert (left_out.column, left_out.reason) == ("c", "every value is missing")
    with pytest.raises(DataError, match="no label at all"):
        luce.train(source, "c")
