import gzip
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables import MISSING_MARKERS, Reading, open_table

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"


def test_the_shipped_example_reads(read_table):
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
def test_missing_markers_are_missing_in_columns_of_every_type(
    read_table, write, marker, quote, value
):
    table = read_table(write(f"a,b\n{value},1\n{quote}{marker}{quote},2\n"))
    assert table["a"].is_null().to_pylist() == [False, True]


def test_missing_markers_are_missing_wherever_text_comes_from(read_table, write, tmp_path):
    values = ["x", *MISSING_MARKERS, " NA ", None, "NAM", "x "]
    expected = ["x", *[None] * (len(MISSING_MARKERS) + 2), "NAM", "x"]
    table = pa.table({"a": values, "n": range(len(values))})
    table = table.append_column("b", table["a"].dictionary_encode())
    pa_parquet.write_table(table, tmp_path / "data.parquet")
    pa_feather.write_feather(table, tmp_path / "data.feather")
    lines = "".join(json.dumps(row) + "\n" for row in table.to_pylist())
    files = (tmp_path / "data.parquet", tmp_path / "data.feather", write(lines, "data.jsonl"))
    for source in (*files, table, table.to_pandas()):
        for told in ({}, {"types": {"a": pa.string(), "b": pa.string()}}):
            found = read_table(source, **told)
            assert found["a"].to_pylist() == found["b"].to_pylist() == expected
            assert found["b"].null_count == found["a"].null_count == expected.count(None)


def test_other_text_is_not_missing(read_table, write):
    table = read_table(write("a,b\nna,1\nNone.,2\n-,3\nN A,4\n"))
    assert table["a"].to_pylist() == ["na", "None.", "-", "N A"]


def test_types_are_forced_and_absent_columns_passed_over(read_table, write):
    path = write("id,year,flag\n007,2007,1\n008,2008,0\n")
    types = {"id": pa.string(), "year": pa.float64(), "flag": pa.bool_(), "no": pa.int8()}
    table = read_table(path, types=types)
    assert table.to_pydict() == {
        "id": ["007", "008"],
        "year": [2007.0, 2008.0],
        "flag": [True, False],
    }
    assert table.schema.types == [pa.string(), pa.float64(), pa.bool_()]


def test_line_breaks_in_quotes_quoted_quotes_and_byte_order_mark(read_table, write):
    path = write(b'\xef\xbb\xbfa,b\r\n"one\ntwo, ""three""",1\r\nx,2')
    assert read_table(path).to_pydict() == {"a": ['one\ntwo, "three"', "x"], "b": [1, 2]}
    assert read_table(write('a,b\n1,"x\ny"\r\n\n'))["b"].to_pylist() == ["x\ny"]


def test_line_breaks_in_quotes_across_the_blocks_that_are_read(read_table, write):
    text = "word\n" * 100
    table = read_table(write("a,b\n" + f'"{text}",1\n' * 5000))
    assert table["a"].unique().to_pylist() == [text]
    assert table.num_rows == 5000


def test_blank_lines_are_skipped_unless_there_is_one_column(read_table, write):
    assert read_table(write("a,b\n1,2\n\n3,4\n\n"))["a"].to_pylist() == [1, 3]
    assert read_table(write("a\n1\n\n3\n"))["a"].to_pylist() == [1, None, 3]


def test_the_ending_decides_in_any_case(read_table, write):
    assert read_table(str(write("a\n1\n", "DATA.CSV"))).num_rows == 1


def test_parquet(read_table, tmp_path):
    table = pa.table({"a": pa.array([1, None], pa.int16()), "b": ["na", "x"]})
    pa_parquet.write_table(table, tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet", types={"a": pa.string()}).equals(table)


def test_a_folder_in_the_path_of_a_parquet_file_is_not_a_column(read_table, tmp_path):
    folder = tmp_path / "year=2007"
    folder.mkdir()
    pa_parquet.write_table(pa.table({"a": [1]}), folder / "data.parquet")
    assert read_table(folder / "data.parquet").column_names == ["a"]


def test_dataframes(read_table):
    frame = pd.DataFrame({"a": [1.5, np.nan], "b": pd.Categorical(["x", None])})
    assert read_table(frame).to_pydict() == {"a": [1.5, None], "b": ["x", None]}
    table = pa.table({"a": [1, 2]})
    assert read_table(table).equals(table)
    assert read_table(table.to_batches()[0]).equals(table)
    assert read_table(table.to_reader()).equals(table)


def test_polars(read_table, tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.5, None], "b": ["x", "NA"]})
    frame = frame.with_columns(c=frame["b"].cast(polars.Categorical))
    expected = {"a": [1.5, None], "b": ["x", None], "c": ["x", None]}
    assert read_table(frame).to_pydict() == expected
    frame.write_parquet(tmp_path / "data.parquet")
    assert read_table(tmp_path / "data.parquet").to_pydict() == expected


def test_the_index_of_a_pandas_frame_is_not_a_column(read_table, tmp_path):
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
        ("a,b\n1,2\n".encode("utf-16-le"), {}, ["NUL", "--encoding"]),
        (b"\x00\x01\x02", {}, ["NUL"]),
        (HEAD + '1,"x\n1,x\n', {}, ["row 4, the last", "quotation mark"]),
        (HEAD + '1,"' + "1,x\n" * 10**6, {}, ["quotation mark"]),
        (HEAD + '"1,x\n1,x\n', {}, ["row 4 (", "2 values, not 1"]),
        (HEAD + "1," + "x" * 40_000_000, {}, ["a row is longer than 16 MiB"]),
    ],
)
def test_a_csv_file_that_cannot_be_read_is_named_with_row_and_column(
    read_table, write, content, types, words
):
    path = write(content)
    with pytest.raises(DataError) as caught:
        read_table(path, types=types)
    for word in [str(path), *words]:
        assert word in str(caught.value)


@given(lines=st.lists(st.sampled_from(["1,x", "2,y", "1", "1,2,3"]), min_size=1, max_size=9))
def test_a_ragged_row_is_never_dropped(read_table, tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("ragged") / "data.csv"
    path.write_text("a,b\n" + "\n".join(lines))
    ragged = [row for row, line in enumerate(lines, 1) if line.count(",") != 1]
    if not ragged:
        assert read_table(path).num_rows == len(lines)
        return
    with pytest.raises(DataError, match=rf"row {ragged[0]} \("):
        read_table(path)


def test_a_file_that_cannot_be_opened(read_table, tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"no\.csv: there is no such file"):
        read_table(tmp_path / "no.csv")
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    with pytest.raises(DataError, match="this is a folder with no file"):
        read_table(folder)
    (tmp_path / "data.xlsx").touch()
    with pytest.raises(DataError, match=r"data\.xlsx: only files ending in \.csv \.tsv"):
        read_table(tmp_path / "data.xlsx")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission(read_table, write):
    path = write("a\n1\n")
    path.chmod(0)
    with pytest.raises(DataError, match="no permission"):
        read_table(path)


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_parquet_file(read_table, write, tmp_path, kept):
    pa_parquet.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    with pytest.raises(DataError, match=r"data\.parquet: the file is damaged"):
        read_table(write(whole[:kept], "data.parquet"))


def test_a_corrupt_parquet_file(read_table, write, tmp_path):
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
        (pd.Series([1, 2]), "Series is not a table"),
        (pd.DataFrame({"a": [1, "x"]}), "the DataFrame is not a table"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "the DataFrame is not a table"),
        (pa.table([[1], [2]], names=["a", "a"]), "twice: 'a'"),
        (pa.table({"a": pa.array([], pa.int64())}), "no rows"),
        (pa.table({}), "no columns"),
    ],
)
def test_an_object_that_is_not_a_table(read_table, source, words):
    with pytest.raises(DataError, match=words):
        read_table(source)


def test_blocks_have_the_schema_and_at_most_so_many_rows_again_and_again(write):
    table = open_table(write("a,b\n" + "1,x\n" * 10))
    for _ in range(2):
        blocks = list(table.blocks(rows=4))
        assert [block.num_rows for block in blocks] == [4, 4, 2]
        assert all(block.schema.equals(table.schema) for block in blocks)
    assert table.name.endswith("data.csv")


@pytest.mark.parametrize("ending", ["csv", "parquet", "feather", "jsonl"])
def test_only_the_columns_asked_for_are_read_in_the_order_of_the_file(tmp_path, ending):
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0.5, 1.5]})
    writers = {
        "csv": lambda path: frame.to_csv(path, index=False),
        "parquet": frame.to_parquet,
        "feather": frame.to_feather,
        "jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
    }
    writers[ending](tmp_path / f"data.{ending}")
    table = open_table(tmp_path / f"data.{ending}", columns=["c", "no", "a"])
    assert table.schema.names == ["a", "c"]
    assert pa.concat_tables(table.blocks()).to_pydict() == {"a": [1, 2], "c": [0.5, 1.5]}
    nothing = open_table(tmp_path / f"data.{ending}", columns=["no"])
    assert nothing.schema.names == []
    with pytest.raises(DataError, match="none of the columns"):
        list(nothing.blocks())
    assert open_table(frame, columns=["c", "no"]).schema.names == ["c"]


def test_a_folder_or_glob_is_one_table_with_types_of_all_files(read_table, write, tmp_path):
    write("a,b,c\n1,x,00\n", "many/1.csv")
    write("b,a,c\ny,2.5,1\n", "many/2.csv")
    for passed_over in ("_SUCCESS", ".hidden.csv", "_metadata.csv"):
        write("junk", f"many/{passed_over}")
    expected = {"a": [1.0, 2.5], "b": ["x", "y"], "c": ["00", "1"]}
    assert read_table(tmp_path / "many").to_pydict() == expected
    assert read_table(f"{tmp_path}/many/*.csv").to_pydict() == expected
    write("a,b\n1,x\n", "many/3.csv")
    with pytest.raises(DataError, match=r"many/3\.csv: the columns .* has 'c'"):
        open_table(tmp_path / "many")
    table = open_table(tmp_path / "many", columns=["a", "b"])
    assert pa.concat_tables(table.blocks()).to_pydict() == {"a": [1, 2.5, 1], "b": ["x", "y", "x"]}
    write("a,b\n1,x\n", "many/3.jsonl")
    with pytest.raises(DataError, match=r"many/3\.jsonl: the format is not that of .*1\.csv"):
        open_table(tmp_path / "many")


def test_a_file_of_json_lines_may_lack_a_column_as_a_row_may(read_table, write, tmp_path):
    write('{"a": 1, "b": "x"}\n', "many/1.jsonl")
    write('{"c": [1], "a": 2.5}\n', "many/2.jsonl")
    table = read_table(tmp_path / "many")
    assert table.to_pydict() == {"a": [1.0, 2.5], "b": ["x", None], "c": [None, [1]]}
    table = open_table(tmp_path / "many", columns=["b", "c"], types={"b": pa.string()})
    assert pa.concat_tables(table.blocks()).to_pydict() == {"b": ["x", None], "c": [None, [1]]}


def test_a_message_about_one_of_many_files_names_it(write, tmp_path):
    write("a,b\n1,x\n", "many/1.csv")
    write("a,b\n1,x\n2,y\nz,y\n", "many/2.csv")
    table = open_table(tmp_path / "many", types={"a": pa.float64()})
    with pytest.raises(DataError, match=r"2\.csv: column 'a', row 3 .*'z' is not a number"):
        list(table.blocks())


def test_parquet_files_of_other_types_become_the_wider_type_or_are_refused(read_table, tmp_path):
    pa_parquet.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "1.parquet")
    pa_parquet.write_table(pa.table({"a": pa.array([2], pa.int64())}), tmp_path / "2.parquet")
    table = read_table(tmp_path)
    assert table.schema.types == [pa.int64()]
    assert table["a"].to_pylist() == [1, 2]
    pa_parquet.write_table(pa.table({"a": ["x"]}), tmp_path / "3.parquet")
    with pytest.raises(DataError, match=r"3\.parquet: column 'a' has the type string"):
        open_table(tmp_path)


@pytest.mark.parametrize(
    "ending", ["csv", "csv.gz", "jsonl", "parquet", "svm", "arrow", "feather", "npz"]
)
def test_a_file_that_changes_while_it_is_read(tmp_path, ending):
    def write(rows):
        texts = {"csv": "a,b\n" + "1,2\n" * rows, "jsonl": '{"a": 1}\n' * rows, "svm": "1\n" * rows}
        path = tmp_path / f"data.{ending}"
        if ending == "parquet":
            pa_parquet.write_table(pa.table({"a": range(rows)}), path)
        elif ending in {"arrow", "feather"}:
            pa_feather.write_feather(pa.table({"a": range(rows)}), path, chunksize=1000)
        elif ending == "npz":
            np.savez(path, X=np.zeros((rows, 1)))
        elif ending == "csv.gz":
            path.write_bytes(gzip.compress(texts["csv"].encode()))
        else:
            path.write_text(texts[ending])
        return path

    table = open_table(write(10_000))
    blocks = table.blocks(rows=10)
    next(blocks)
    write(10_001)
    with pytest.raises(DataError, match="was changed while it was being read"):
        list(blocks)
    with pytest.raises(DataError, match="was changed while it was being read"):
        next(table.blocks())
    table = open_table(write(10))
    (tmp_path / f"data.{ending}").unlink()
    with pytest.raises(DataError, match="was changed while it was being read"):
        next(table.blocks())


def test_a_replaced_file_of_equal_size_and_time_is_seen_to_be_another(write):
    path = write("a\n1\n")
    table = open_table(path)
    times = path.stat()
    other = write("a\n2\n", "other.csv")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    with pytest.raises(DataError, match="was changed"):
        list(table.blocks())


def test_standard_input_is_csv_that_can_be_read_twice(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a;b\n1,5;x\nNA;y\n")))
    table = open_table("-")
    assert table.name == "standard input"
    for _ in range(2):
        (block,) = table.blocks()
        assert block.to_pydict() == {"a": [1.5, None], "b": ["x", "y"]}


def test_standard_input_without_a_disk_to_put_it_on(monkeypatch):
    class Full(io.BytesIO):
        def write(self, piece):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n1\n")))
    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    with pytest.raises(DataError, match=r"^standard input .* temporary file: .*No space left"):
        open_table("-")


def test_endings_and_packings_that_are_not_read(write):
    for name in ("data.xlsx.gz", "data.parquet.gz", "data", "data.gz"):
        with pytest.raises(DataError, match=r"only files ending in \.csv.*also packed"):
            open_table(write(b"x", name))


def test_notes_tell_what_was_guessed(read_table, write):
    content = "name;mass\nJosé Muñoz;1,5\n".encode("cp1252")
    table = open_table(write(content))
    assert table.notes == ("semicolons between values", "decimal comma", "Windows-1252")
    told = Reading(delimiter=";", decimal=",", encoding="cp1252")
    assert open_table(write(content), reading=told).notes == ()
    assert read_table(write(content), reading=told)["name"].to_pylist() == ["José Muñoz"]
