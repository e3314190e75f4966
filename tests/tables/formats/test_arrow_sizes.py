import io

import pyarrow as pa
import pytest

from luce.tables.formats.arrow_sizes import unpacked_size

NUMBERS = pa.table({"a": range(10_000), "b": [0.5] * 10_000})
BYTES = NUMBERS.nbytes


def write(table, make, codec, rows):
    content = io.BytesIO()
    with make(content, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return content.getvalue()


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_the_largest_batch_and_all_dictionaries(make, codec):
    def size(table, rows):
        content = write(table, make, codec, rows)
        return unpacked_size(io.BytesIO(content), len(content))

    assert BYTES <= size(NUMBERS, 10_000) < 2 * BYTES
    assert BYTES / 10 <= size(NUMBERS, 1_000) < BYTES / 5
    names = pa.table({"a": pa.array(["x" * 50_000, "y"] * 10).dictionary_encode()})
    assert 50_000 <= size(names, 10) < 150_000


@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_damaged_file_gives_a_size_or_an_error(make):
    content = write(NUMBERS[:50], make, "zstd", 10)
    for place in range(len(content)):
        for damaged in (
            content[:place],
            content[:place] + b"\xff" + content[place + 1 :],
            content[:place] + b"\x7f" + content[place + 1 :],
        ):
            try:
                unpacked_size(io.BytesIO(damaged), len(damaged))
            except ValueError:
                continue
