import gzip

import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import open_table
from luce.tables.formats import text


@pytest.mark.parametrize(
    ("name", "line"),
    [("b.csv.gz", b"1,x\n"), ("b.jsonl.gz", b'{"a": 1}\n'), ("b.svm.gz", b"1 2:1\n")],
)
def test_what_unpacks_to_too_much_is_stopped(write, monkeypatch, name, line):
    monkeypatch.setattr(text, "UNPACKED_ALLOWANCE", 1 << 20)
    head = b"a,b\n" if "csv" in name else b""
    within = write(gzip.compress(head + line * 50_000), name)
    types = {"a": pa.int64(), "b": pa.string(), "y": pa.int64()}
    assert sum(block.num_rows for block in open_table(within, types=types).blocks()) == 50_000
    bomb = write(gzip.compress(head + line * 2_000_000), name)
    with pytest.raises(DataError, match="unpacks to more than 100 times its size and 1 MiB"):
        list(open_table(bomb, types=types).blocks())
    with pytest.raises(DataError, match="unpacks to more than 100 times"):
        list(open_table(bomb).blocks())
