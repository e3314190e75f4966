import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables import MISSING_MARKERS, read_table

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_the_shipped_example_reads():
    table = read_table(PENGUINS)
    assert table.num_rows == 344
    assert table.column_names == [
        *("species", "island", "bill_length_mm", "bill_depth_mm"),
        *("flipper_length_mm", "body_mass_g", "sex", "year"),
    ]
    assert [column.null_count for column in table.columns] == [0, 0, 2, 2, 2, 2, 11, 0]


@pytest.mark.parametrize("marker", MISSING_MARKERS)
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("value", ["1", "1.5", "true", "text"])
def test_missing_markers_are_missing_in_columns_of_every_type(write, marker, quote, value):
    table = read_table(write(f"a,b\n{value},1\n{quote}{marker}{quote},2\n"))
    assert table["a"].is_null().to_pylist() == [False, True]


def test_other_text_is_not_missing(write):
    table = read_table(write("a,b\nna,1\nNone.,2\n-,3\n NA,4\n"))
    assert table["a"].to_pylist() == ["na", "None.", "-", " NA"]


def test_types_are_forced_and_absent_columns_passed_over(write):
    path = write("id,year,flag\n007,2007,1\n008,2008,0\n")
    types = {"id": pa.string(), "year": pa.float64(), "flag": pa.bool_(), "no": pa.int8()}
    table = read_table(path, types=types)
    assert table.to_pydict() == {
        "id": ["007", "008"],
        "year": [2007.0, 2008.0],
        "flag": [True, False],
    }
    assert table.schema.types == [pa.string(), pa.float64(), pa.bool_()]


def test_line_breaks_in_quotes_quoted_quotes_and_byte_order_mark(write):
    path = write(b'\xef\xbb\xbfa,b\r\n"one\ntwo, ""three""",1\r\nx,2')
    assert read_table(path).to_pydict() == {"a": ['one\ntwo, "three"', "x"], "b": [1, 2]}
    assert read_table(write('a,b\n1,"x\ny"\r\n\n'))["b"].to_pylist() == ["x\ny"]


def test_line_breaks_in_quotes_across_the_blocks_that_are_read(write):
    text = "word\n" * 100
    table = read_table(write("a,b\n" + f'"{text}",1\n' * 5000))
    assert table["a"].unique().to_pylist() == [text]
    assert table.num_rows == 5000


def test_blank_lines_are_skipped_unless_there_is_one_column(write):
    assert read_table(write("a,b\n1,2\n\n3,4\n\n"))["a"].to_pylist() == [1, 3]
    assert read_table(write("a\n1\n\n3\n"))["a"].to_pylist() == [1, None, 3]


def test_the_ending_decides_in_any_case(write):
    assert read_table(str(write("a\n1\n", "DATA.CSV"))).num_rows == 1


def test_parquet(tmp_path):
    table = pa.table({"a": pa.array([1, None], pa.int16()), "b": ["NA", ""]})
    pa_parquet.write_table(table, tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet", types={"a": pa.string()}).equals(table)


def test_a_folder_in_the_path_of_a_parquet_file_is_not_a_column(tmp_path):
    folder = tmp_path / "year=2007"
    folder.mkdir()
    pa_parquet.write_table(pa.table({"a": [1]}), folder / "data.parquet")
    assert read_table(folder / "data.parquet").column_names == ["a"]


def test_dataframes():
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": pd.Categorical(["x", None])})
    assert read_table(frame).to_pydict() == {"a": [1.5, None], "b": ["x", None]}
    table = pa.table({"a": [1, 2]})
    assert read_table(table).equals(table)
    assert read_table(table.to_batches()[0]).equals(table)
    assert read_table(table.to_reader()).equals(table)


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.5, None], "b": ["x", "NA"]})
    assert read_table(frame).to_pydict() == {"a": [1.5, None], "b": ["x", "NA"]}


def test_the_index_of_a_pandas_frame_is_not_a_column(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "b": [5, 6, 7, 8]})
    picked = frame[frame.a.isin([1, 2, 4])]
    assert read_table(picked).to_pydict() == {"a": [1, 2, 4], "b": [5, 6, 8]}
    picked.to_parquet(tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet").column_names == ["a", "b"]
    assert read_table(frame.set_index("b")).column_names == ["a"]


HEAD = "a,b\n" + "1,x\n" * 3


@pytest.mark.parametrize(
    ("content", "types", "words"),
    [
        ("", {}, ["the file is empty"]),
        ("a,b\n", {}, ["'a', 'b'", "no rows"]),
        ("a,b,a\n1,2,3\n", {}, ["twice: 'a'"]),
        (HEAD + "1\n", {}, ["row 4 (", "2 values, not 1", "'1'"]),
        (HEAD + "1,2,3\n", {}, ["row 4 (", "2 values, not 3", "'1,2,3'", "quote"]),
        (HEAD + "z,x\n", {"a": pa.float64()}, ["'a', row 4 (", "not a number", "'z'"]),
        (HEAD + "1,no\n", {"b": pa.bool_()}, ["'b', row 1 (", "not true or false", "'x'"]),
        ("a,b\n1,2\n".encode("utf-16-le"), {}, ["NUL", "encoding has to be told"]),
        (b"\x00\x01\x02", {}, ["NUL"]),
        (HEAD + '1,"x\n1,x\n', {}, ["row 4, the last", "quotation mark"]),
        (HEAD + '1,"' + "1,x\n" * 10**6, {}, ["quotation mark"]),
        (HEAD + '"1,x\n1,x\n', {}, ["row 4 (", "2 values, not 1"]),
        (HEAD + "1," + "x" * 40_000_000, {}, ["a row is longer than 16 MiB"]),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named_with_row_and_column(write, content, types, words):
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_table(path, types=types)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@given(lines=st.lists(st.sampled_from(["1,x", "2,y", "1", "1,2,3"]), min_size=1, max_size=9))
def test_a_ragged_row_is_never_dropped(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("ragged") / "data.csv"
    path.write_text("a,b\n" + "\n".join(lines))
    ragged = [row for row, line in enumerate(lines, 1) if line.count(",") != 1]
    if not ragged:
        assert read_table(path).num_rows == len(lines)
        return
    with pytest.raises(DataError, match=rf"row {ragged[0]} \("):
        read_table(path)


def test_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no\.csv: there is no such file"):
        read_table(tmp_path / "no.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(DataError, match="this is a folder with no file"):
        read_table(folder)
    (tmp_path / "data.xlsx").touch()
    with pytest.raises(DataError, match=r"data\.xlsx: only files ending in \.csv, \.tsv"):
        read_table(tmp_path / "data.xlsx")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission(write):
    path = write("a\n1\n")
    path.chmod(0)
    with pytest.raises(DataError, match="no permission"):
        read_table(path)


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_parquet_file(write, tmp_path, kept):
    pa_parquet.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(DataError, match=r"data\.parquet: the file is damaged"):
        read_table(write(whole[:kept], "data.parquet"))


def test_a_corrupt_parquet_file(write, tmp_path):
    pa_parquet.write_table(pa.table({"a": list(range(5000))}), tmp_path / "whole.parquet")
    content = bytearray((tmp_path / "whole.parquet").read_bytes())
    content[20:60] = b"\xff" * 40
    with pytest.raises(DataError, match=r"data\.parquet: the file is damaged"):
        read_table(write(bytes(content), "data.parquet"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((2, 2)), "a ndarray is not a table"),
        (None, "a NoneType is not a table"),
        (pd.Series([1, 2]), "the Series is not a table"),
        (pd.DataFrame({"a": [1, "x"]}), "the DataFrame is not a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the DataFrame is not a table"),
        (pa.table([[1], [2]], names=["a", "a"]), "twice: 'a'"),
        (pa.table({"a": pa.array([], pa.int64())}), "no rows"),
        (pa.table({}), "no columns"),
    ],
)
def test_an_object_that_is_not_a_table(source, words):
    with pytest.raises(DataError, match=words):
        read_table(source)
