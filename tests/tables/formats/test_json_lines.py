import gzip
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables import MISSING_MARKERS, open_table
from luce.tables.formats import json_lines, lines
from luce.tables.values import BLANKS


def test_rows_may_lack_names_and_nest(read_table, write):
    path = write('{"a": 1, "b": "x"}\n\n{"a": 2.5, "c": [1, 2]}\n  \n{"d": {"e": null}}', "d.jsonl")
    assert read_table(path).to_pydict() == {
        "a": [1.0, 2.5, None],
        "b": ["x", None, None],
        "c": [None, [1, 2], None],
        "d": [None, None, {"e": None}],
    }
    packed = write(gzip.compress(path.read_bytes()), "d.ndjson.gz")
    assert read_table(packed).equals(read_table(path))


def test_types_hold_over_all_blocks(write, monkeypatch):
    monkeypatch.setattr(lines, "_BLOCK", 64)
    rows = ['{"a": 1, "b": "2007-11-30 12:00:00"}'] * 10
    table = open_table(write("\n".join([*rows, '{"a": 1.5, "b": "x", "c": true}']), "d.jsonl"))
    assert table.schema.types == [pa.float64(), pa.string(), pa.bool_()]
    whole = pa.concat_tables(table.blocks())
    assert whole["a"].to_pylist() == [1.0] * 10 + [1.5]
    assert whole["b"].to_pylist() == ["2007-11-30 12:00:00"] * 10 + ["x"]
    with pytest.raises(DataError, match=r"'a' has values of the type string from row \d+ on"):
        open_table(write("\n".join([*rows, '{"a": "x"}']), "d.jsonl"))


def test_types_that_are_told(read_table, write):
    path = write('{"a": 7, "b": "1.5"}\n{"a": 2.5, "b": null}\n', "d.jsonl")
    table = read_table(path, types={"a": pa.string(), "b": pa.float64(), "no": pa.string()})
    assert table.to_pydict() == {"a": ["7", "2.5"], "b": [1.5, None]}
    path = write('{"b": "1.5"}\n{"b": "x"}\n', "d.jsonl")
    with pytest.raises(DataError, match=r"'b', row 2 .* cannot be read as double"):
        read_table(path, types={"b": pa.float64()})
    path = write('{"b": [1]}\n', "d.jsonl")
    with pytest.raises(DataError, match=r"row 1 .*b has a value of the type array"):
        read_table(path, types={"b": pa.float64()})


def test_a_type_that_is_told_leaves_the_text_of_other_columns_alone(read_table, write):
    path = write('{"n": 7, "day": "2024-01-01"}\n{"n": "2", "day": "2024-01-01"}\n', "d.jsonl")
    for content in (path.read_bytes(), path.read_bytes().replace(b'"2"', b"2")):
        table = read_table(write(content, "d.jsonl"), types={"n": pa.string(), "day": pa.string()})
        assert table.to_pydict() == {"n": ["7", "2"], "day": ["2024-01-01"] * 2}


MIXED = """{"n": 7, "m": 1}
{"n": 0.1, "m": " 2"}
{"n": "x", "m": "NA"}
{"n": "007", "m": null}
{"n": true, "m": true}
{"n": 1e10, "m": 1e2}
{"n": 1e300, "m": -0.5}
{"m": " "}
{"n": "é\\n", "m": "1e1"}
"""


@pytest.mark.parametrize("block", [1 << 20, 16])
def test_a_column_of_numbers_and_text_is_read_as_what_is_told(
    read_table, write, monkeypatch, block
):
    monkeypatch.setattr(lines, "_BLOCK", block)
    path = write(MIXED, "d.jsonl")
    with pytest.raises(
        DataError, match=r"(from row|row) [23] .*; make them the same, or tell what kind"
    ):
        read_table(path)
    table = read_table(path, types={"n": pa.string(), "m": pa.float64()})
    assert table.to_pydict() == {
        "n": ["7", "0.1", "x", "007", "true", "10000000000", "1e+300", None, "é\n"],
        "m": [1, 2, None, None, 1, 100, -0.5, None, 10],
    }
    with pytest.raises(DataError, match=r"'n', row 3 .*cannot be read as double"):
        read_table(path, types={"n": pa.float64(), "m": pa.float64()})


BLANK = st.text(BLANKS, max_size=2)


@given(
    st.sampled_from([1, 2.5, True, [1.5], "2024-01-01 00:00:00"]),
    st.sampled_from(MISSING_MARKERS),
    BLANK,
    BLANK,
    st.sampled_from(["/", "\\/"]),
    st.sampled_from([":", " :\t"]),
    st.booleans(),
)
def test_markers_are_missing_among_values_of_every_type(
    read_table, value, marker, before, after, slash, colon, ascii_only
):
    missing = json.dumps(f"{before}{marker}{after}", ensure_ascii=ascii_only).replace("/", slash)
    rows = '{"c": 1, "a"%s%s , "b":%s}\n{"a": %s}\n'
    with TemporaryDirectory() as folder:
        path, plain = Path(folder, "d.jsonl"), Path(folder, "plain.jsonl")
        path.write_text(rows % (colon, missing, missing, json.dumps(value)), encoding="utf-8")
        plain.write_text(rows % (colon, "null", "null", json.dumps(value)))
        table = read_table(path)
        assert table.equals(read_table(plain))
        types = dict(zip(table.column_names, table.schema.types, strict=True))
        assert read_table(path, types=types).equals(table)


@pytest.mark.parametrize("value", ["a:", ':"NA",', ':"NA"}', '"', "\\", "NA,", "NA\n", "None?"])
@pytest.mark.parametrize("name", ["a", "NA", ":", '":"NA",', "\\"])
def test_markers_in_names_and_parts_of_values_are_kept(read_table, write, name, value):
    rows = [{name: value, "z": [value, "NA"]}, {name: f"x{value}", "z": [f"{value}x"]}]
    table = read_table(write("".join(json.dumps(row) + "\n" for row in rows), "d.jsonl"))
    assert table.to_pylist() == rows


@pytest.mark.parametrize("start", ['{"a": "', '{"a":', '{"a": "NA"', '{"a": "NA'])
def test_blanks_without_end_take_no_time(write, start):
    path = write(start + " " * (8 << 20), "d.jsonl")
    begun = time.process_time()
    with pytest.raises(DataError):
        open_table(path)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("block", [1 << 20, 16])
def test_a_column_that_is_not_read_may_have_any_values(write, monkeypatch, block):
    monkeypatch.setattr(lines, "_BLOCK", block)
    path = write('{"a": 1, "n": 1}\n{"a": 2, "n": "x"}\n{"a": 3, "n": [{}]}\n', "d.jsonl")
    for types in ({}, {"a": pa.float64()}):
        table = open_table(path, columns=["a"], types=types)
        assert pa.concat_tables(table.blocks()).to_pydict() == {"a": [1, 2, 3]}


def test_a_name_that_occurs_twice_is_seen_where_values_differ_too(write):
    path = write('{"a": 1, "n": 1}\n{"a": 1, "n": "x"}\n{"a": 3, "a": 4}\n', "d.jsonl")
    with pytest.raises(DataError, match=r"row 3 .*occurs twice"):
        open_table(path, types={"n": pa.string()})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("[1, 2]\n", r"row 1 .*one JSON object"),
        (
            '{"a": 1}\n{"a": "x"}\n',
            r"row 2 .*: a has a value of the type string where rows before have number",
        ),
        ('{"a": 1}\n{"a": 2\n', r"row 2 .*Missing a comma"),
        ('{"a": 1} {"a": 2}\n', "not one to one"),
        ('{"a":\n1}\n', "row 1|one to one"),
        ('{"a": 1, "a": 2}\n', r"row 1 .*specified twice"),
        (b'{"a": "\xe9"}\n', r"begins with '\{\"a\": .*not UTF-8"),
        ('{"a": "\0"}\n', "NUL"),
        ('{"a": ' + "[" * 100_000 + "\n", "nested deeper than 32"),
        ('{"a": ' * 100_000 + "\n", "nested deeper than 32"),
        ('{"x": "\\""}\n"\n{"a": ' + "[" * 100_000 + "\n", "nested deeper than 32"),
        ("]" * 100_000 + "[" * 100_000 + "\n", "nested deeper than 32"),
        ('{"a": "' + "x" * (24 << 20) + '"}\n', "a line is longer than 16 MiB"),
    ],
)
def test_what_is_no_json_lines_file(read_table, write, content, words):
    with pytest.raises(DataError, match=words):
        read_table(write(content, "d.jsonl"))


def test_depth_is_that_outside_of_text():
    depth = json_lines.nesting_depth
    assert depth(b'{"a": [[1]]}\n' * 50) <= 3
    assert depth(b'{"a": "' + b"[" * 50 + b'"}\n') == 1
    assert depth(b'{"a": "\\"' + b"[" * 50 + b'"}\n') == 1
    assert depth(b'{"a": ' + b"[" * 50 + b"\n") == 51


def test_every_name_is_a_column_up_to_a_bound(read_table, write, monkeypatch):
    monkeypatch.setattr(json_lines, "_MOST_CELLS", 100)
    path = write("".join(f'{{"n{row}": 1}}\n' for row in range(50)), "d.jsonl")
    table = read_table(path)
    assert (table.num_rows, table.num_columns) == (50, 50)
    monkeypatch.setattr(json_lines, "_MOST_NAMES", 49)
    with pytest.raises(DataError, match="more than 49 names"):
        open_table(path)
