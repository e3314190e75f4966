import gzip

import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import open_table
from luce.tables.formats import lines

CONTENT = "1 1:0.5 3:2\n# a comment\n-1 16777215:1 # another\n\n1\n"


@pytest.mark.parametrize("name", ["d.svmlight", "d.libsvm", "d.svm", "d.svm.gz"])
def test_features_by_the_index_that_the_file_states(read_table, write, name):
    content = CONTENT.encode()
    table = read_table(write(gzip.compress(content) if name.endswith("gz") else content, name))
    assert table.schema.types == [pa.map_(pa.int32(), pa.float32()), pa.int64()]
    assert table["X"].to_pylist() == [[(1, 0.5), (3, 2.0)], [(16777215, 1.0)], []]
    assert table["y"].to_pylist() == [1, -1, 1]


def test_types_of_labels(write, monkeypatch):
    monkeypatch.setattr(lines, "_BLOCK", 16)
    path = write("1 1:1\n" * 20 + "2.5 1:1\n", "d.svm")
    assert open_table(path).schema.field("y").type == pa.float64()
    table = open_table(path, columns=["y"], types={"y": pa.string()})
    assert pa.concat_tables(table.blocks())["y"].to_pylist() == ["1"] * 20 + ["2.5"]
    with pytest.raises(DataError, match=r"column 'y', row 21 .* cannot be read as int64"):
        list(open_table(path, types={"y": pa.int64()}).blocks())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("x 1:1", "row 21 .*x"),
        ("1 1", "row 21 .*index:value"),
        ("1 1:x", "row 21 .*x"),
        ("1 -1:1", "row 21 .*"),
        ("1 2:1 1:1", "row 21 .*sorted"),
        ("1 1:1 1:1", "row 21 .*unique"),
        ("1 16777216:1", "row 21 .*an index is above 16777215"),
        ("1 99999999999999999999:1", "row 21 .*"),
        ("1,2 1:1", r"row 21 .*several labels \(1,2\)"),
        ("1 qid:3 1:1", "row 21 .*query ids"),
        ("nan 1:1", "row 21 .*label"),
        ("1 1:1 \0", "NUL"),
        ("1\r2\rx", "row 21 .*"),
    ],
)
def test_a_wrong_row_is_named(read_table, write, monkeypatch, line, words):
    monkeypatch.setattr(lines, "_BLOCK", 50)
    path = write("# begin\n" + "1 1:1\n" * 20 + line + "\n1 1:1\n", "d.svm")
    with pytest.raises(DataError, match=words):
        read_table(path)
    with pytest.raises(DataError, match=words):
        list(open_table(path, types={"y": pa.int64()}).blocks())


def test_a_file_without_rows(read_table, write):
    with pytest.raises(DataError, match="no rows"):
        read_table(write("# nothing\n", "d.svm"))
