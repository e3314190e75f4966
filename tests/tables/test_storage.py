"""What does not fit in memory is kept in files, and is the same."""

import errno
import os
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_array, random_array

from luce.errors import DataError
from luce.tables.storage import (
    RESERVED,
    Spool,
    available_memory,
    is_in_file,
    memory_to_use,
    stored,
    stored_features,
)

ROOMY, NONE = 10**9, 1


@pytest.fixture(autouse=True)
def temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def blocks_of(table, rows=7):
    return (table.slice(first, rows) for first in range(0, table.num_rows, rows))


class TestTables:
    table = pa.table({"x": [*range(29), None], "y": ["a", None, "\n"] * 10})

    @pytest.mark.parametrize("memory", [ROOMY, NONE, 150])
    def test_rows_are_those_of_the_blocks(self, memory, temporary_files):
        kept = stored(self.table.schema, blocks_of(self.table), memory)
        assert kept.table.equals(self.table)
        assert kept.in_file == (memory < ROOMY)
        assert not list(temporary_files.iterdir())

    def test_blocks_may_have_dictionaries_of_their_own(self):
        texts = (pa.array(["a", "b"]), pa.array(["c", "a"]))
        blocks = [pa.table({"c": text.dictionary_encode()}) for text in texts]
        kept = stored(blocks[0].schema, iter(blocks), NONE)
        assert kept.in_file
        assert kept.table["c"].to_pylist() == ["a", "b", "c", "a"]

    def test_no_rows(self):
        kept = stored(self.table.schema, iter(()), NONE)
        assert kept.table.equals(self.table.slice(0, 0))

    def test_a_table_in_a_file_takes_no_memory(self):
        block = pa.table({"x": np.zeros(1 << 20)})
        before = pa.total_allocated_bytes()
        kept = stored(block.schema, (block for _ in range(20)), 1 << 22)
        assert kept.table.num_rows == 20 << 20
        assert pa.total_allocated_bytes() - before < 1 << 24


class TestFeatures:
    dense = np.arange(60, dtype=np.float32).reshape(20, 3)
    sparse = csr_array(random_array((20, 50), density=0.1, rng=np.random.default_rng(0)))

    def stored(self, features, memory):
        parts = [features[first : first + 6] for first in range(0, 20, 6)]
        sparse = not isinstance(features, np.ndarray)
        return stored_features(iter(parts), *features.shape, sparse=sparse, memory=memory)

    @pytest.mark.parametrize("memory", [ROOMY, NONE])
    def test_dense(self, memory):
        found = self.stored(self.dense, memory)
        np.testing.assert_array_equal(found, self.dense)
        assert (found.dtype, found.flags.c_contiguous) == (np.float32, True)
        assert is_in_file(found) == (memory == NONE)

    @pytest.mark.parametrize("memory", [ROOMY, NONE, 100])
    def test_sparse(self, memory):
        features = self.sparse.astype(np.float32)
        found = self.stored(features, memory)
        np.testing.assert_array_equal(found.toarray(), features.toarray())
        assert found.indices.dtype == np.int32
        assert is_in_file(found) == (memory != ROOMY)

    def test_sparse_without_entries(self):
        empty = csr_array((20, 50), dtype=np.float32)
        assert self.stored(empty, NONE).toarray().max() == 0


def test_a_spool_goes_from_memory_to_a_file():
    spool, block = Spool(1000), np.arange(100, dtype=np.int32)
    spool.write(block[:50])
    spool.write(block[::-1][:50])
    for _ in range(10):
        spool.write(block)
    found = spool.array(np.int32)
    assert (len(found), isinstance(found, np.memmap)) == (1100, True)
    np.testing.assert_array_equal(found[:100], [*range(50), *range(99, 49, -1)])


@pytest.mark.parametrize(
    "keep",
    [
        "spool = Spool(1); spool.write(numbers); spool.array(float)",
        "spool = Spool(10**6); spool.write(numbers); spool.write(numbers); spool.array(float)",
        "stored(table.schema, iter([table] * 3), 10**6)",
        "stored_features([numbers.reshape(-1, 1)], 100_000, 1, sparse=False, memory=1)",
    ],
)
def test_no_room_says_where_and_what_to_do(keep, temporary_files):
    script = f"""
import resource, signal, numpy as np, pyarrow as pa
from luce.tables.storage import Spool, stored, stored_features
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
numbers = np.zeros(100_000)
table = pa.table({{"x": numbers}})
try:
    {keep}
except OSError as error:
    print(error.errno, error.filename, error.strerror)
"""
    environment = {**os.environ, "TMPDIR": str(temporary_files)}
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    code, folder, reason = run.stdout.split(" ", 2)
    assert (int(code), folder) == (errno.EFBIG, str(temporary_files))
    assert "TMPDIR" in reason
    assert run.stderr == ""
    assert not list(temporary_files.iterdir())


class TestMemory:
    def test_the_limits_of_the_process_are_heeded(self):
        script = (
            "import resource; resource.setrlimit(resource.RLIMIT_DATA, (900_000_000, -1));"
            "from luce.tables.storage import available_memory; print(available_memory())"
        )
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert 0 < int(run.stdout) < 900_000_000

    @pytest.mark.parametrize("kind", ["RLIMIT_DATA", "RLIMIT_AS"])
    def test_within_limits_arrow_reserves_nothing(self, kind):
        script = (
            f"import resource; resource.setrlimit(resource.{kind}, (3 * 2**30, -1));"
            "import luce, pyarrow as pa; pool = pa.default_memory_pool();"
            "numbers = pa.nulls(1 << 20, pa.float64()); print(pool.backend_name);"
            "print(*[x for x in open('/proc/self/status') if x.startswith('VmData')])"
        )
        own = {k: v for k, v in os.environ.items() if k != "ARROW_DEFAULT_MEMORY_POOL"}
        for told, name in ({}, "system"), ({"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"}, "jemalloc"):
            command = [sys.executable, "-c", script]
            run = subprocess.run(command, capture_output=True, text=True, env=own | told)
            found, _, taken, _ = run.stdout.split()
            assert found == name
            assert told or int(taken) < 500_000  # kB

    def test_with_little_memory_everything_goes_to_files(self, monkeypatch):
        monkeypatch.setattr("luce.tables.storage.available_memory", lambda: RESERVED // 2)
        assert memory_to_use(None) == 0

    def test_half_of_what_is_available(self):
        assert 0 < available_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        assert memory_to_use(None) == pytest.approx((available_memory() - RESERVED) / 2, rel=0.3)
        assert memory_to_use(5) == 5

    @pytest.mark.parametrize("told", [0, -1, 1.5, "1GB", True])
    def test_no_amount(self, told):
        with pytest.raises(DataError, match="positive number of bytes"):
            memory_to_use(told)
