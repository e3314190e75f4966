"""Tables written block after block: whole or not at all, in every format."""

import errno
import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

from luce.apps import writers
from luce.apps.writers import WRITERS, open_writer
from luce.errors import DataError


def read_json(path):
    lines = path.read_text("utf-8").splitlines()
    return pa.Table.from_pylist([json.loads(line) for line in lines])


def read_arrow(path):
    with pa.ipc.open_file(path) as file:
        return file.read_all()


READ = {
    ".csv": pa_csv.read_csv,
    ".parquet": pa_parquet.read_table,
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".arrow": read_arrow,
    ".feather": read_arrow,
}
LABELS = ['"q"', "a,b", "two\nlines", "old\r\nlines", " blank ", "🐧", "=1+1", "007", "true", "\\"]


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    return pa.table(
        {
            "the label": pa.array(LABELS * 30),
            "confidence": random.uniform(size=300).astype(np.float32),
            "share": [0.0, 1.0, 1e-30] * 100,
        }
    )


def write_in_parts(path, table, *sizes):
    with open_writer(path) as write:
        first = 0
        for size in sizes:
            write(table.slice(first, size))
            first += size
        write(table.slice(first))


def test_every_format_is_tested():
    assert READ.keys() == WRITERS.keys()


@pytest.mark.parametrize("ending", WRITERS)
def test_parts_are_one_table(ending, tmp_path, table):
    path = tmp_path / f"out{ending}"
    write_in_parts(path, table, 1, 100, 7)
    found = READ[ending](path)
    assert found.column_names == table.column_names
    assert found.num_rows == 300
    if ending != ".csv":
        assert found[0].to_pylist() == table[0].to_pylist()
    np.testing.assert_array_equal(found[1].to_numpy().astype(np.float32), table[1].to_numpy())
    assert found[2].to_pylist() == table[2].to_pylist()


LISTS = {
    "text": (pa.string(), LABELS),
    "integers": (pa.int16(), [-3, 7]),
    "truths": (pa.bool_(), [True, False]),
    "whole floats": (pa.float32(), [1.0, 2.0]),
    "halves": (pa.float16(), [1.0, 2.0]),
}


class TestLists:
    @pytest.fixture(params=LISTS.values(), ids=LISTS.keys())
    def lists(self, request):
        type, values = request.param
        random = np.random.default_rng(0)
        rows = [[v for v in values if random.random() < 0.4] for _ in range(200)]
        assert [] in rows
        return pa.table({"set": pa.array(rows, pa.list_(type)), "row": range(200)})

    @pytest.mark.parametrize("ending", WRITERS)
    def test_are_whole_in_every_format(self, ending, lists, tmp_path):
        path = tmp_path / f"out{ending}"
        write_in_parts(path, lists, 1, 100, 7)
        if ending == ".csv":
            options = pa_csv.ParseOptions(newlines_in_values=True)
            cells = pa_csv.read_csv(path, parse_options=options)["set"].to_pylist()
            found = [json.loads(cell) for cell in cells]
        elif ending in (".jsonl", ".ndjson"):
            lines = path.read_bytes().split(b"\n")[:-1]
            found = [json.loads(line)["set"] for line in lines]
        else:
            found = READ[ending](path)["set"].to_pylist()
        assert found == lists["set"].to_pylist()
        kinds = {type(each) for row in found for each in row}
        assert kinds == {type(each) for row in lists["set"].to_pylist() for each in row}


@pytest.mark.parametrize("ending", WRITERS)
def test_parts_do_not_show(ending, tmp_path, table):
    path = tmp_path / f"out{ending}"
    write_in_parts(path, table)
    whole = READ[ending](path) if ending in (".arrow", ".feather") else path.read_bytes()
    write_in_parts(path, table, 150)
    assert whole == (READ[ending](path) if ending in (".arrow", ".feather") else path.read_bytes())


def test_text_in_csv_is_what_it_was_but_for_blanks_when_luce_reads_it_again(
    read_table, tmp_path, table
):
    path = tmp_path / "out.csv"
    write_in_parts(path, table, 3)
    found = read_table(path, types={"the label": pa.string()})
    assert found["the label"].to_pylist() == [
        label and label.strip(" ") for label in table["the label"].to_pylist()
    ]


def test_row_groups_of_parquet_do_not_follow_the_blocks(tmp_path, table, monkeypatch):
    write_in_parts(tmp_path / "out.parquet", table, *[10] * 25)
    assert pa_parquet.ParquetFile(tmp_path / "out.parquet").num_row_groups == 1
    monkeypatch.setattr(writers, "_ROW_GROUP_BYTES", table.nbytes // 3)
    write_in_parts(tmp_path / "out.parquet", table, *[10] * 25)
    assert pa_parquet.ParquetFile(tmp_path / "out.parquet").num_row_groups in (3, 4)


@pytest.mark.parametrize("error", [DataError("row 9"), KeyboardInterrupt(), OSError(5, "?")])
@pytest.mark.parametrize("ending", WRITERS)
def test_an_error_leaves_the_old_file_and_no_other(ending, error, tmp_path, table):
    path = tmp_path / f"out{ending}"
    path.write_text("the old file")

    def fail():
        with open_writer(path) as write:
            write(table)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "the old file"


@pytest.mark.skipif(sys.platform == "win32", reason="sets a limit on the size of files")
def test_a_disk_that_fills_up_on_the_way(tmp_path):
    paths = [str(tmp_path / f"out{ending}") for ending in WRITERS]
    script = (
        "import errno, pathlib, resource, sys, numpy as np, pyarrow as pa\n"
        "from luce.apps.writers import open_writer\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))\n"
        "table = pa.table({'x': np.random.default_rng(0).random(500_000)})\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        with open_writer(pathlib.Path(path)) as write:\n"
        "            for _ in range(5):\n"
        "                write(table)\n"
        "    except OSError as error:\n"
        "        print(error.errno == errno.EFBIG, error.filename)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *paths], capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.stderr) == ("".join(f"True {path}\n" for path in paths), "")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_ending_is_refused_at_once(tmp_path):
    with pytest.raises(DataError, match=r"cannot write \.txt; the endings are \.csv"):
        open_writer(tmp_path / "out.txt").__enter__()
    assert list(tmp_path.iterdir()) == []


class TestStandardOutput:
    @pytest.fixture
    def output(self, monkeypatch):
        """Takes 1000 bytes at a time, as an unbuffered pipe may, and tells what was flushed."""

        class Output(io.BytesIO):
            flushed = b""

            def write(self, data):
                return super().write(data[:1000])

            def flush(self):
                self.flushed = self.getvalue()

        output = Output()
        stdout = SimpleNamespace(buffer=output)
        monkeypatch.setattr(writers, "sys", SimpleNamespace(stdout=stdout))
        return output

    def test_is_the_csv_file(self, output, tmp_path, table):
        write_in_parts(None, table, 1, 100, 7)
        write_in_parts(tmp_path / "out.csv", table)
        assert output.getvalue() == (tmp_path / "out.csv").read_bytes()

    def test_gets_each_block_at_once(self, output, table):
        with open_writer(None) as write:
            write(table)
            assert output.flushed == output.getvalue() != b""

    def test_a_closed_pipe_is_told(self, output, table, monkeypatch):
        def write(_):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

        monkeypatch.setattr(output, "write", write)
        with pytest.raises(BrokenPipeError):
            write_in_parts(None, table)


@pytest.mark.parametrize("type", [pa.float16(), pa.float64(), pa.uint64(), pa.bool_()])
@pytest.mark.parametrize("ending", WRITERS)
def test_labels_of_every_type(ending, type, tmp_path):
    labels = pa.array([1, 0, 1]).cast(type)
    write_in_parts(tmp_path / f"out{ending}", pa.table({"y": labels}), 1)
    found = READ[ending](tmp_path / f"out{ending}")["y"]
    assert found.to_pylist() == labels.to_pylist()
