"""Equal rows have equal fingerprints wherever they come from; anything else changes them."""

import hashlib
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables.fingerprint import Fingerprint

TABLE = pa.table(
    {
        "island": ["Dream", None, 'a "quoted", name', "two\nlines"],
        "year": [2007, 2008, None, -1],
        "depth": [0.1, 18.7, 1e-3, None],
        "wet": [True, False, None, True],
    }
)
VECTORS = pa.table(
    {
        "list": pa.array([[1, 2.5], None, [0.5, None], [-1, 1]], pa.list_(pa.float32(), 2)),
        "map": pa.array(
            [[(3, 1), (0, 2)], None, [], [(7, None)]], pa.map_(pa.int32(), pa.float32())
        ),
        "when": pa.array([1704067200, None, 1704067201, 1704067200], pa.timestamp("s")),
    }
)


def fingerprint(table, datetimes=()):
    whole = Fingerprint(datetimes)
    whole.add(table)
    return whole.hexdigest()


def test_is_a_sha256():
    assert len(fingerprint(TABLE)) == 64
    assert set(fingerprint(TABLE)) <= set("0123456789abcdef")


def test_is_of_the_rows_as_csv():
    """The same for ever: model files hold it."""
    text = b'"depth","island"\n"18.7","Dream"\n,"a ""b"""\n'
    table = pa.table({"depth": [18.7, None], "island": ["Dream", 'a "b"']})
    assert fingerprint(table) == hashlib.sha256(text).hexdigest()


def test_csv_parquet_and_pandas_agree(read_table, tmp_path):
    pa_csv.write_csv(TABLE, tmp_path / "t.csv")
    pa_parquet.write_table(TABLE, tmp_path / "t.parquet")
    tables = [
        read_table(tmp_path / "t.csv"),
        read_table(tmp_path / "t.parquet"),
        read_table(TABLE.to_pandas()),
        read_table(pd.read_csv(tmp_path / "t.csv")),
    ]
    assert {fingerprint(table) for table in tables} == {fingerprint(TABLE)}


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array(["a", None, "b"], pa.string_view()),
        pa.array(["a", None, "b"]).dictionary_encode(),
    ],
    ids=lambda values: str(values.type),
)
def test_the_layout_of_text_does_not_matter(values):
    assert fingerprint(pa.table({"x": values})) == fingerprint(pa.table({"x": ["a", None, "b"]}))


@pytest.mark.parametrize("type", [pa.int8(), pa.uint32(), pa.float32(), pa.float64()], ids=str)
def test_the_type_of_whole_numbers_does_not_matter(type):
    values = pa.array([1, 120, None])
    assert fingerprint(pa.table({"x": values.cast(type)})) == fingerprint(pa.table({"x": values}))


def test_the_type_of_large_whole_numbers_does_not_matter():
    values = pa.array([10**12, 20**9])
    assert fingerprint(pa.table({"x": values.cast(pa.float64())})) == fingerprint(
        pa.table({"x": values})
    )


def test_nan_is_missing():
    with_nan = pa.table({"x": pa.array(np.array([1.0, np.nan]))})
    assert fingerprint(with_nan) == fingerprint(pa.table({"x": [1.0, None]}))


def test_chunks_do_not_matter():
    chunked = pa.concat_tables([TABLE[:1], TABLE[1:3], TABLE[3:]])
    assert fingerprint(chunked) == fingerprint(TABLE)


@given(st.lists(st.integers(0, 4)), st.sampled_from([TABLE, VECTORS]))
def test_blocks_do_not_matter(cuts, table):
    whole = Fingerprint()
    edges = sorted({0, table.num_rows, *(min(cut, table.num_rows) for cut in cuts)})
    for first, end in pairwise(edges):
        whole.add(table.slice(first, end - first))
    assert whole.hexdigest() == fingerprint(table)


def test_a_large_table_is_gone_through_piece_by_piece(monkeypatch):
    table = pa.concat_tables([TABLE] * 100)
    expected = fingerprint(table)
    monkeypatch.setattr("luce.tables.fingerprint._PIECE", 100)
    assert fingerprint(table) == expected


@pytest.mark.parametrize("size", [100, 1 << 24])
def test_rows_may_be_chosen(size, monkeypatch):
    monkeypatch.setattr("luce.tables.fingerprint._PIECE", size)
    table = pa.concat_tables([TABLE] * 20)
    rows = np.random.default_rng(0).random(80) < 0.5
    rows[:20] = False
    whole = Fingerprint()
    whole.add(table, rows)
    assert whole.hexdigest() == fingerprint(table.filter(pa.array(rows)))


def test_the_fingerprint_grows():
    whole = Fingerprint()
    whole.add(TABLE)
    assert whole.hexdigest() == fingerprint(TABLE)
    whole.add(TABLE)
    assert whole.hexdigest() == fingerprint(pa.concat_tables([TABLE, TABLE]))


def test_blocks_have_the_same_columns():
    whole = Fingerprint()
    whole.add(TABLE)
    with pytest.raises(DataError, match=r"'depth'.*first part 'island'"):
        whole.add(TABLE.select(["depth"]))


def test_vectors_and_dates_are_of_the_text():
    expected = (
        b'"list","map","when"\n"1,2.5","3:1,0:2","2024-01-01 00:00:00"\n,,\n"0.5,","",'
        b'"2024-01-01 00:00:01"\n"-1,1","7:","2024-01-01 00:00:00"\n'
    )
    assert fingerprint(VECTORS) == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize("type", [pa.list_(pa.float64()), pa.large_list(pa.float16())], ids=str)
def test_the_layout_of_vectors_does_not_matter(type):
    lists = VECTORS["list"].to_pylist()
    table = VECTORS.set_column(0, "list", pa.array(lists, type))
    assert fingerprint(table) == fingerprint(VECTORS)


def test_moments_are_the_same_however_they_are_spelt():
    text = ["2024-01-01T01:00:00+01:00", None, " 2024-01-01 00:00:01", "2024-01-01"]
    tables = [pa.table({"when": values}) for values in (VECTORS["when"], text)]
    one, other = (fingerprint(table, ["when"]) for table in tables)
    assert one == other
    assert fingerprint(tables[0]) != fingerprint(tables[1])
    assert fingerprint(pa.table({"when": text[:1]}), ["when"]) != one


def test_every_number_of_a_vector_matters():
    lists = [[1, 2.5], [1, 2], [12, 5], [2.5, 1], None, []]
    found = {fingerprint(pa.table({"x": pa.array([x], pa.list_(pa.float64()))})) for x in lists}
    assert len(found) == len(lists)


def test_missing_empty_and_null_are_three_values():
    assert len({fingerprint(pa.table({"x": ["a", text]})) for text in (None, "", "null")}) == 3


@given(st.integers(0, 3), st.sampled_from(TABLE.column_names))
def test_every_value_matters(row, name):
    column = TABLE[name].to_pylist()
    column[row] = {"island": "Atka", "year": 7, "depth": 0.2, "wet": column[row] is False}[name]
    place = TABLE.column_names.index(name)
    changed = TABLE.set_column(place, name, pa.array(column, TABLE.schema.field(name).type))
    assert fingerprint(changed) != fingerprint(TABLE)


def test_names_and_orders_matter():
    others = [
        TABLE.rename_columns(["Island", *TABLE.column_names[1:]]),
        TABLE.select(TABLE.column_names[::-1]),
        TABLE.take([1, 0, 2, 3]),
        TABLE[:3],
        pa.concat_tables([TABLE, TABLE[3:]]),
        TABLE.drop_columns(["wet"]),
    ]
    assert len({fingerprint(table) for table in [TABLE, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": ["a,b"], "y": ["c"]}, {"x": ["a"], "y": ["b,c"]}),
        ({"x": ["a\n", "b"]}, {"x": ["a", "\nb"]}),
        ({"x": ['a"'], "y": ["b"]}, {"x": ["a"], "y": ['"b']}),
        ({"x": ["a", "b"]}, {"a": ["x", "b"]}),
        ({"x": ["a\nb"]}, {"x": ["a", "b"]}),
    ],
)
def test_text_does_not_run_over_its_value(one, other):
    assert fingerprint(pa.table(one)) != fingerprint(pa.table(other))


def test_a_type_that_cannot_be_used():
    with pytest.raises(DataError, match="'when'"):
        fingerprint(pa.table({"when": pa.array([1], pa.time32("s"))}))
