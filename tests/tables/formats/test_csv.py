import gzip
import weakref

import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import Reading, open_table
from luce.tables.formats import csv

MANY = 200_000
"""Rows of "1,x" that take more than one block."""


def blocks(path, **told):
    return list(open_table(path, **told).blocks())


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_what_stands_between_values_is_found(read_table, write, delimiter, ending):
    lines = ["a,b", '"x,;|\t",1.5', "y,2"]
    content = ending.join(line.replace(",", delimiter) for line in lines)
    table = read_table(write(content))
    assert table["b"].to_pylist() == [1.5, 2.0]
    assert table["a"].to_pylist()[1] == "y"


def test_a_file_of_one_column_has_no_delimiter(read_table, write):
    assert read_table(write('text\n"a;b"\n"c|d"\n')).to_pydict() == {"text": ["a;b", "c|d"]}


def test_tabs_are_told_by_the_name(write):
    content = b"a,b\nx,5\n"
    for path in (write(content, "data.tsv"), write(gzip.compress(content), "data.tsv.gz")):
        table = open_table(path)
        assert (table.schema.names, table.notes) == (["a,b"], ())


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(delimiter=";;"), "';;' cannot stand between values"),
        (Reading(delimiter=""), "'' cannot stand between values"),
        (Reading(delimiter='"'), "cannot stand between values"),
        (Reading(delimiter="é"), "cannot stand between values"),
        (Reading(decimal="'"), "cannot stand before decimals"),
        (Reading(delimiter=",", decimal=","), "both between values and before decimals"),
        (Reading(encoding="klingon"), "no text encoding 'klingon'"),
        (Reading(encoding="hex"), "no text encoding 'hex'"),
    ],
)
def test_ways_of_reading_that_cannot_be(write, reading, words):
    with pytest.raises(DataError, match=words):
        open_table(write("a,b\n1,2\n"), reading=reading)


def test_a_decimal_comma_is_told_or_found_not_mixed(read_table, write):
    path = write("a;b\n1,5;x\n2;y\n")
    assert read_table(path)["a"].to_pylist() == [1.5, 2.0]
    assert read_table(path, reading=Reading(decimal="."))["a"].to_pylist() == ["1,5", "2"]
    assert read_table(write("a;b\n1,5;1.5\n"))["a"].to_pylist() == ["1,5"]
    with pytest.raises(DataError, match=r"'a', row 2 .*'2\.5' is not a number"):
        blocks(
            write("a;b\n1,5;x\n2.5;y\n"), types={"a": pa.float64()}, reading=Reading(decimal=",")
        )


def test_the_message_about_a_number_with_a_comma_says_that_it_can_be_told(write):
    def message(content, value):
        with pytest.raises(DataError, match=rf"'a', row 2 .*'{value}' is not a number") as caught:
            blocks(write(content), types={"a": pa.float64()})
        return str(caught.value)

    advice = "tell that numbers have a decimal comma (--decimal ,)"
    path = write("a;b\n1;x\n1,5;2.5\n")
    assert advice in message(path.read_bytes(), "1,5")
    told = {"types": {"a": pa.float64(), "b": pa.string()}, "reading": Reading(decimal=",")}
    assert blocks(path, **told)[0]["a"].to_pylist() == [1, 1.5]
    assert advice not in message("a;b\n1;x\n1,5,6;2.5\n", "1,5,6")
    assert advice not in message('a,b\n1,x\n"1,5",2.5\n', "1,5")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("a,b\n1,é\n", "utf-8-sig"),
        ("a,b\n1,é\n", "utf-16"),
        ("a,b\n1,é\n", "utf-32"),
        ("name,b\ncafé au lait,1\n", "cp1252"),
        ("имя,город\nИван,Москва\nПётр,Казань\n", "cp1251"),
        ("名前,都市\n鈴木さん,東京\n", "shift_jis"),
    ],
)
def test_encodings_are_found(read_table, write, text, encoding):
    table = read_table(write(text.encode(encoding)))
    lines = [line.split(",") for line in text.splitlines()]
    assert table.column_names == lines[0]
    assert [str(value) for value in table.to_pylist()[0].values()] == lines[1]


def test_an_encoding_that_is_told_and_wrong(write):
    with pytest.raises(DataError, match=r"near byte 10 .* is not ASCII"):
        open_table(write("a,b\n1,café\n"), reading=Reading(encoding="ascii"))
    with pytest.raises(DataError, match=r"'b', row 4 .*not UTF-8"):
        blocks(write(b"a,b\n" + b"1,x\n" * 3 + b"1,caf\xe9\n"), reading=Reading(encoding="utf-8"))
    with pytest.raises(DataError, match="name is not UTF-8"):
        open_table(write(b"a,\xe9\n1,2\n"), reading=Reading(encoding="utf-8"))


@pytest.mark.parametrize("told", [{}, {"types": {"a": pa.int64(), "b": pa.string()}}])
@pytest.mark.parametrize(
    ("tail", "words"),
    [
        (b"1,caf\xe9\n", rf"'b', row {MANY * 2 + 1} .*not UTF-8"),
        (b"1\n", rf"row {MANY * 2 + 1} .*2 values, not 1: '1'"),
        (b"1,2,\xe9\n", rf"row {MANY * 2 + 1} .*2 values, not 3"),
        (b'1,"x\n1,x\n', rf"row {MANY * 2 + 1}, the last: a quotation mark"),
        (b"1,\0\n", "NUL"),
    ],
)
def test_what_is_wrong_far_down_is_named_with_its_row(write, told, tail, words):
    with pytest.raises(DataError, match=words):
        blocks(write(b"a,b\n" + b"1,x\n" * (2 * MANY) + tail), **told)


def test_a_wrong_value_far_down_is_named_after_the_blocks_before_it_were_given(write):
    path = write("a,b\n" + "1,x\n" * 3 * MANY + "z,x\n" + "1,x\n" * MANY)
    given = 0
    stream = open_table(path, types={"a": pa.float64(), "b": pa.string()}).blocks()

    def count():
        nonlocal given
        for block in stream:
            given += block.num_rows

    with pytest.raises(DataError, match=rf"'a', row {3 * MANY + 1} .*'z' is not a number"):
        count()
    assert 0 < given <= 3 * MANY


def test_a_type_does_not_change_far_down(write):
    path = write("a,b\n" + "1,2007-11-30\n" * MANY + "x,2007\n")
    table = open_table(path)
    assert table.schema.types == [pa.string(), pa.string()]
    assert table.schema == pa.concat_tables(table.blocks()).schema


def test_blanks_around_missing_markers_and_numbers_are_nothing_in_any_block(write):
    rows = [f"{n},x" for n in range(MANY)]
    rows[MANY // 2] = " NA , NA "
    rows[-1] = "\t7 ,y"
    path = write("a,b\n" + "\n".join(rows))
    for told in ({}, {"types": {"a": pa.int64(), "b": pa.string()}}):
        table = pa.concat_tables(open_table(path, **told).blocks())
        expected = [*range(MANY // 2), None, *range(MANY // 2 + 1, MANY - 1), 7]
        assert table["a"].to_pylist() == expected
        assert table["b"][MANY // 2].as_py() is None


@pytest.mark.parametrize("value", ["red", "7", "1.5", "true", "2007-11-30", "007"])
@pytest.mark.parametrize("told", [False, True])
def test_blanks_around_values_make_no_other_values(read_table, write, value, told):
    values = [value, f" {value}", f'"{value} "', f"\t{value}\u00a0", " NA ", '"\t "', "NA"]
    path = write("a,b\n" + "".join(f"{each},x\n" for each in values))
    plain = read_table(write(f"a,b\n{value},x\n", "plain.csv"))
    table = read_table(path, types={"a": pa.string()} if told else {})
    assert told or table.schema == plain.schema
    (expected,) = [value] if told else plain["a"].to_pylist()
    assert table["a"].to_pylist() == [expected] * 4 + [None] * 3


def test_line_breaks_around_text_are_part_of_it(read_table, write):
    path = write('a,b\n"x\n",1\n" \nx ",2\n"NA\n",3\n')
    for types in ({}, {"a": pa.string()}):
        assert read_table(path, types=types)["a"].to_pylist() == ["x\n", "\nx", "NA\n"]


def test_rows_that_were_given_before_arrow_stumbled_are_not_given_again(write):
    path = write("a,b\n" + "1,x\n" * 3 * MANY + " NA ,y\n")
    table = open_table(path, types={"a": pa.int64(), "b": pa.string()})
    quick = table.blocks()
    assert next(quick).num_rows > 0
    whole = pa.concat_tables(table.blocks())
    assert whole.num_rows == 3 * MANY + 1
    assert whole.slice(3 * MANY).to_pydict() == {"a": [None], "b": ["y"]}


def test_long_values_are_read(write):
    long = "é" * 1_000_000
    path = write("a,b\n" + "1,x\n" * MANY + f"2,{long}\n3,y\n")
    for told in ({}, {"types": {"a": pa.int64(), "b": pa.string()}}):
        table = pa.concat_tables(open_table(path, **told).blocks())
        assert table["a"].to_pylist()[-3:] == [1, 2, 3]
        assert table["b"][-2].as_py() == long


def test_an_open_quote_in_a_column_that_is_not_asked_for(write):
    path = write('a,b,c\n1,2,x\n2,3,"x\n1,2,x\n')
    with pytest.raises(DataError, match="row 2, the last: a quotation mark"):
        blocks(path, columns=["a"], types={"a": pa.int64()})


def test_names_may_have_anything_in_them(read_table, write):
    assert read_table(write('"a\nb","c""d",😀,\n1,2,3,4\n')).column_names == [
        "a\nb",
        'c"d',
        "😀",
        "",
    ]


def test_wide_tables(read_table, write):
    names = [f"c{place}" for place in range(3000)]
    table = read_table(write(f"{','.join(names)}\n" + ("," * 2999 + "\n") + "1," * 2999 + "x\n"))
    assert table.column_names == names
    assert table["c2999"].to_pylist() == [None, "x"]


def test_too_many_columns_are_not_tried(write, monkeypatch):
    monkeypatch.setattr(csv, "MOST_COLUMNS", 10)
    with pytest.raises(DataError, match="more than 10 columns"):
        open_table(write(",".join(map(str, range(11))) + "\n"))


def test_a_line_of_names_without_end(write):
    with pytest.raises(DataError, match="the first line, which holds the columns' names"):
        open_table(write("a" * (18 << 20)))


@pytest.mark.parametrize("told", [{}, {"types": {"a": pa.int64()}}])
@pytest.mark.parametrize("content", ["a,b", "a,b\n", "a,b\n\n"])
def test_names_without_rows(write, told, content):
    with pytest.raises(DataError, match=r"there are columns \(.* but no rows"):
        blocks(write(content), columns=["a", "b"], **told)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("names", ["a", "a,b"])
def test_blank_lines_before_the_names_are_skipped(read_table, write, mark, ending, names):
    values = names.replace("a", "1").replace("b", "x")
    lines = ["", "", names, values, "", values.replace("1", "2")]
    text = mark + ending.join(lines)
    expected = [1, None, 2] if names == "a" else [1, 2]
    for content, name in (
        (text.encode(), "data.csv"),
        (text.encode("utf-16"), "data.csv"),
        (gzip.compress(text.encode()), "data.csv.gz"),
    ):
        path = write(content, name)
        for types in ({}, {"a": pa.int64()}):
            assert read_table(path, types=types)["a"].to_pylist() == expected


def test_more_blank_lines_than_are_looked_at_for_the_names(read_table, write):
    long = "b" * (1 << 20)
    for break_count in (1, 3 << 20):
        table = read_table(write("\n" * break_count + f"a,{long}\n1,2\n"))
        assert table.to_pydict() == {"a": [1], long: [2]}
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(DataError, match=r"data\.csv: the file is empty"):
            open_table(write(("\r\n" * 9).encode(encoding)))
    with pytest.raises(DataError, match="the first line, which holds the columns' names"):
        open_table(write("\n" * (18 << 20) + "a\n1\n"))


def test_packed_files(read_table, write):
    content = b"a,b\n" + b"1,x\n" * 10
    packed = gzip.compress(content)
    assert read_table(write(packed, "data.csv.gz")).num_rows == 10
    assert read_table(write(packed + gzip.compress(b"2,y\n"), "data.csv.gz")).num_rows == 11
    for name, codec in (("data.csv.bz2", "bz2"), ("data.csv.zst", "zstd")):
        path = write(b"", name)
        with pa.CompressedOutputStream(str(path), codec) as stream:
            stream.write(content)
        assert read_table(path).num_rows == 10
    for damaged in (packed[:-10], packed[:20], content, b""):
        with pytest.raises(DataError, match=r"data\.csv\.gz: "):
            read_table(write(damaged, "data.csv.gz"))


def test_no_thread_outlives_the_reading(tmp_path, monkeypatch):
    handed = []

    class Watched(csv._Handed):
        def __init__(self, stream):
            super().__init__(stream)
            handed.append(weakref.ref(self))

    monkeypatch.setattr(csv, "_Handed", Watched)
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,2\n" * 1000)
    (tmp_path / "bad.csv").write_text("x,y\n1,2\n1,2,3\n")
    for _ in range(100):
        assert sum(block.num_rows for block in open_table(path).blocks()) == 1000
        assert all(reference() is None for reference in handed)
    some = open_table(path).blocks(10)
    next(some)
    some.close()
    with pytest.raises(DataError):
        list(open_table(tmp_path / "bad.csv", types={"x": pa.int64(), "y": pa.int64()}).blocks())
    assert len(handed) > 200
    assert all(reference() is None for reference in handed)
