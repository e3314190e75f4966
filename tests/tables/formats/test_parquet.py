import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from luce.errors import DataError
from luce.tables import open_table, read_table
from luce.tables.formats import parquet

TABLE = pa.table({"a": range(1000), "b": ["x", None] * 500, "b.c": [0.5] * 1000})


def test_row_groups_are_read_in_blocks_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BLOCK_BYTES", 1000)
    pa_parquet.write_table(TABLE, tmp_path / "data.parquet", row_group_size=700)
    table = open_table(tmp_path / "data.parquet")
    sizes = [block.num_rows for block in table.blocks()]
    assert sum(sizes) == 1000
    assert max(sizes) < 100
    assert pa.concat_tables(table.blocks()).equals(TABLE)


def test_a_column_is_read_by_its_whole_name(tmp_path):
    pa_parquet.write_table(TABLE, tmp_path / "data.parquet")
    for names in (["b"], ["b.c"], ["a", "b.c"]):
        table = open_table(tmp_path / "data.parquet", columns=names)
        assert pa.concat_tables(table.blocks()).equals(TABLE.select(names))


def test_nested_columns_and_text_views(tmp_path):
    table = pa.table(
        {
            "list": pa.array([[1, 2], None]),
            "struct": [{"x": 1}, None],
            "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
            "category": pa.array(["x", "y"]).dictionary_encode(),
            "view": pa.array(["x", None], pa.string_view()),
        }
    )
    pa_parquet.write_table(table, tmp_path / "data.parquet")
    read = read_table(tmp_path / "data.parquet")
    assert read.to_pydict() == table.to_pydict()
    assert read.schema.field("view").type == pa.large_string()
    assert read.schema.types[:4] == table.schema.types[:4]


def test_no_rows(tmp_path):
    pa_parquet.write_table(TABLE[:0], tmp_path / "data.parquet")
    with pytest.raises(DataError, match="but no rows"):
        read_table(tmp_path / "data.parquet")


def test_a_page_with_a_wrong_checksum(tmp_path):
    path = tmp_path / "data.parquet"
    pa_parquet.write_table(
        TABLE, path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        read_table(path)
