import pyarrow as pa
import pyarrow.feather as pa_feather
import pytest

from luce.errors import DataError
from luce.tables import open_table
from luce.tables.formats import arrow, columnar

TABLE = pa.table({"a": range(100), "b": ["x", None] * 50, "c": [[1], []] * 50})


def write_stream(path):
    with pa.ipc.new_stream(path, TABLE.schema) as stream:
        stream.write_table(TABLE, max_chunksize=30)


def write_file(path):
    with pa.ipc.new_file(path, TABLE.schema) as stream:
        stream.write_table(TABLE, max_chunksize=30)


WRITERS = {
    "data.feather": lambda path: pa_feather.write_feather(TABLE, str(path)),
    "data.arrow": write_file,
    "data.ipc": write_stream,
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_and_streams(read_table, tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    assert read_table(path).equals(TABLE)
    table = open_table(path, columns=["b"])
    assert pa.concat_tables(table.blocks(rows=7)).equals(TABLE.select(["b"]))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kept", [0, 3, 8, 100, 0.5])
def test_truncated_files(read_table, tmp_path, write, name, kept):
    WRITERS[name](tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    kept = int(kept * len(whole)) if isinstance(kept, float) else kept
    with pytest.raises(DataError, match=name):
        read_table(write(whole[:kept], name))


def test_text_that_points_outside_of_its_file(read_table, tmp_path):
    path = tmp_path / "data.arrow"
    table = pa.table({"a": ["abcdefg", "x", "y"]})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    whole = path.read_bytes()
    offsets, outside = b"\7\0\0\0\x08\0\0\0", b"\7\0\0\x7f\x08\0\0\0"
    assert whole.count(offsets) == 1
    path.write_bytes(whole.replace(offsets, outside))
    with pytest.raises(DataError, match=r"data\.arrow: the file is damaged"):
        read_table(path)


def test_feather_of_the_first_version_is_refused(read_table, write):
    with pytest.raises(DataError, match=r"Feather of the first version .*write it again"):
        read_table(write(b"FEA1" + bytes(40), "data.feather"))


def test_a_long_text_that_many_rows_name_comes_in_blocks_of_few(tmp_path, monkeypatch):
    monkeypatch.setattr(columnar, "BLOCK_BYTES", 1 << 20)
    path = tmp_path / "data.feather"
    names = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), ["x" * 50_000])
    pa_feather.write_feather(pa.table({"a": names, "row": range(200)}), str(path))
    table = open_table(path)
    assert table.schema.field("a").type == names.type
    blocks = list(table.blocks())
    assert max(block.num_rows for block in blocks) <= 20
    assert pa.concat_tables(blocks)["row"].to_pylist() == list(range(200))


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_batch_that_unpacks_to_too_much(read_table, tmp_path, monkeypatch, codec):
    path = tmp_path / "data.feather"
    table = pa.table({"a": [0] * 100_000})
    pa_feather.write_feather(table, str(path), compression=codec, chunksize=100_000)
    assert read_table(path).equals(table)
    monkeypatch.setattr(arrow, "_UNPACKED_ALLOWANCE", 1 << 10)
    with pytest.raises(DataError, match=r"a batch of its rows unpacks to .* batches of fewer rows"):
        open_table(path)


CODES = pa.DictionaryArray.from_arrays(
    pa.array([7] * 100, pa.int32()), [f"level {level}" for level in range(10_000)]
)
ONE_EACH = pa.array(range(101), pa.int32())
CODED = {
    "plain": CODES,
    "list": pa.ListArray.from_arrays(ONE_EACH, CODES),
    "struct": pa.StructArray.from_arrays([CODES], ["x"]),
    "map": pa.MapArray.from_arrays(ONE_EACH, pa.array(range(100)), CODES),
}


@pytest.mark.parametrize("nesting", CODED)
def test_a_large_dictionary_is_not_gone_through_for_ever(
    read_table, tmp_path, monkeypatch, nesting
):
    path = tmp_path / "data.arrow"
    table = pa.table({"a": CODED[nesting]})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table, max_chunksize=1)
    assert read_table(path)["a"].to_pylist() == table["a"].to_pylist()
    monkeypatch.setattr(columnar, "REPEATED_ALLOWANCE", 51 * CODES.dictionary.nbytes)
    monkeypatch.setattr(columnar, "REPEATED_RATIO", 0)
    with pytest.raises(DataError, match=r"up to row 50 its dictionaries .*larger batches"):
        read_table(path)
