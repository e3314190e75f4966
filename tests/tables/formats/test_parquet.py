import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

from luce.errors import DataError
from luce.tables import open_table
from luce.tables.formats import columnar, parquet

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


def test_nested_columns_and_text_views(read_table, tmp_path):
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


def test_no_rows(read_table, tmp_path):
    pa_parquet.write_table(TABLE[:0], tmp_path / "data.parquet")
    with pytest.raises(DataError, match="but no rows"):
        read_table(tmp_path / "data.parquet")


def test_a_page_with_a_wrong_checksum(read_table, tmp_path):
    path = tmp_path / "data.parquet"
    pa_parquet.write_table(
        TABLE, path, write_page_checksum=True, compression="none", use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="damaged"):
        read_table(path)


LONG = "x" * 50_000


def repeated(rows, type=None):
    """A column of one long text, as a dictionary."""
    values = pa.array([LONG], type)
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), values)


@pytest.mark.parametrize("type", [pa.string(), pa.large_string(), pa.binary()], ids=str)
@pytest.mark.parametrize("store_schema", [False, True])
def test_a_long_text_that_many_rows_name_is_not_unpacked_for_all_at_once(
    tmp_path, type, store_schema
):
    path = tmp_path / "data.parquet"
    table = pa.table({"a": repeated(2000, type)})
    pa_parquet.write_table(table, path, compression="zstd", store_schema=store_schema)
    assert path.stat().st_size < 2000
    rows = 0
    for block in open_table(path).blocks():
        assert block.num_rows * len(LONG) <= columnar.BLOCK_BYTES
        assert set(block["a"].unique().to_pylist()) <= {LONG, LONG.encode()}
        rows += block.num_rows
    assert rows == 2000


def test_long_texts_in_lists_are_not_unpacked_for_all_rows_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "_TEXT_IN_LISTS", 1 << 20)
    monkeypatch.setattr(columnar, "BLOCK_BYTES", 1 << 20)
    path = tmp_path / "data.parquet"
    offsets = pa.array(range(0, 2001, 10), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, repeated(2000))
    maps = pa.MapArray.from_arrays(offsets, pa.array(range(2000)), repeated(2000))
    structs = pa.StructArray.from_arrays([repeated(200)], ["x"])
    columns = {"list": lists, "map": maps, "struct": structs, "row": range(200)}
    pa_parquet.write_table(pa.table(columns), path, store_schema=False)
    blocks = list(open_table(path).blocks())
    assert max(block.num_rows for block in blocks) == 1
    whole = pa.concat_tables(blocks)
    assert whole["row"].to_pylist() == list(range(200))
    assert whole["list"][7].as_py() == [LONG] * 10
    assert whole["map"][199].as_py() == [(each, LONG) for each in range(1990, 2000)]
    assert whole["struct"][3].as_py() == {"x": LONG}
    monkeypatch.setattr(columnar, "LONGEST_ROW", 1 << 20)
    with pytest.raises(DataError, match="a row has 1 MiB of text"):
        list(open_table(path).blocks())


def test_lists_that_unpack_to_too_much(tmp_path, monkeypatch):
    path = tmp_path / "data.parquet"
    lists = pa.ListArray.from_arrays(pa.array([0, 100_000], pa.int32()), pa.array([0] * 100_000))
    pa_parquet.write_table(pa.table({"a": lists}), path)
    assert open_table(path).schema.names == ["a"]
    monkeypatch.setattr(parquet, "_LISTS_ALLOWANCE", 1 << 10)
    with pytest.raises(DataError, match="its lists unpack to more than 100 times its size"):
        open_table(path)
