"""Errors: one readable paragraph on standard error, an exit code, nothing half written."""

import errno
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.feather as pa_feather
import pytest

from luce.apps.progress import ProgressLine
from luce.model import fitting
from luce.model.events import RowsDone
from luce.training.network import NetworkProgress


@pytest.fixture
def names_before(workplace):
    return sorted(path.name for path in workplace.iterdir())


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(workplace, names_before):
    yield
    assert not [path for path in workplace.iterdir() if path.name.startswith(".luce-")]


LITTLE_MEMORY = """
import re, resource, sys
from pathlib import Path
import luce
from luce.apps.cli import main

luce.load(sys.argv[1]).predict(sys.argv[2])  # threads and libraries take memory too
taken = re.search(r"VmData:\\s+(\\d+)", Path("/proc/self/status").read_text())
resource.setrlimit(resource.RLIMIT_DATA, (1024 * int(taken[1]) + 2**25, -1))
sys.argv[1:] = ["predict", sys.argv[1], sys.argv[3]]
main()
"""

TRAIN = ("train", "penguins.csv", "--target", "species")
PREDICT = ("predict", "penguins.luce", "penguins.csv")


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "parts"),
        [
            (["train", "penguins.csv", "--target", "specie"], ["'specie'", "'species'"]),
            (["train", "penguins.csv", "--target", "bill_length_mm"], ["not labels"]),
            (["train", "absent.csv", "--target", "y"], ["absent.csv"]),
            (["train", "penguins.luce", "--target", "y", "--out", "x.luce"], [".csv", ".parquet"]),
            ([*TRAIN, "--weight", "mass"], ["'mass'", "'body_mass_g'"]),
            ([*TRAIN, "--weight", "sex"], ["'sex'", "row 1", "'male'"]),
            ([*TRAIN, "--group", "zoo"], ["'zoo'"]),
            ([*TRAIN, "--drop", "zoo"], ["'zoo'"]),
            ([*TRAIN, "--kind", "year=date"], ["'year'", "'date'", "'category'"]),
            ([*TRAIN, "--kind", "zoo=category"], ["'zoo'"]),
            ([*TRAIN, "--kind", "year"], ["'year'", "COLUMN=KIND"]),
            ([*TRAIN, "--kind", "sex=numeric"], ["'sex'", "row 1", "male"]),
            ([*TRAIN, "--kind", "species=numeric"], ["'species'", "'numeric'"]),
            ([*TRAIN, "--drop", "sex", "--kind", "sex=numeric"], ["'sex'", "no feature"]),
            (
                [*TRAIN, "--kind", "year=category", "--kind", "year=text"],
                ["'year'", "category and text"],
            ),
            ([*TRAIN, "--C", "0"], ["C", "positive", "'0'"]),
            ([*TRAIN, "--C", "-1"], ["C", "positive", "'-1'"]),
            ([*TRAIN, "--C", "nan"], ["C", "positive", "nan"]),
            ([*TRAIN, "--C", "strong"], ["C", "positive", "'strong'"]),
            ([*TRAIN, "--model", "network", "--C", "2"], ["--C", "linear", "network"]),
            ([*TRAIN, "--model", "network", "--C", "auto"], ["--C", "linear", "network"]),
            ([*TRAIN, "--validation", "0"], ["validation", "between 0 and 1", "0.0"]),
            ([*TRAIN, "--validation", "1"], ["validation", "between 0 and 1", "1.0"]),
            ([*TRAIN, "--validation", "1.5"], ["validation", "between 0 and 1", "1.5"]),
            ([*TRAIN, "--validation-data", "absent.csv"], ["absent.csv"]),
            ([*TRAIN, "--out", "absent/new.luce"], ["absent"]),
            ([*TRAIN, "--quiet", "--out", "."], ["no regular file"]),
            (["predict", "absent.luce", "penguins.csv"], ["absent.luce"]),
            (["predict", "penguins.csv", "penguins.csv"], ["penguins.csv", "model"]),
            (["predict", "penguins.luce", "absent.csv"], ["absent.csv"]),
            ([*PREDICT, "--top", "4"], ["4", "3 classes"]),
            ([*PREDICT, "--out", "absent/out.csv"], ["absent"]),
            ([*PREDICT, "--out", "out.txt"], [".txt", ".csv", ".parquet", ".jsonl"]),
            ([*PREDICT, "--out", "out"], ["ending", ".csv", ".parquet", ".jsonl"]),
            (["evaluate", "penguins.luce", "absent.csv"], ["absent.csv"]),
            (["inspect", "absent.luce"], ["absent.luce"]),
        ],
        ids=lambda item: " ".join(item[-2:]) if isinstance(item, list) else "",
    )  # fmt: skip
    def test_is_refused(self, arguments, parts, refuse, workplace, names_before):
        message = refuse(*arguments)
        for part in parts:
            assert part in message
        assert sorted(path.name for path in workplace.iterdir()) == names_before

    @pytest.mark.parametrize("command", ["evaluate", "train"])
    def test_an_unknown_class_names_its_row(self, command, refuse, workplace):
        lines = (workplace / "penguins.csv").read_text().splitlines()[:4]
        lines[3] = lines[3].replace("Adelie", "Emperor")
        (workplace / "others.csv").write_text("\n".join(lines))
        arguments = {
            "evaluate": ("evaluate", "penguins.luce", "others.csv"),
            "train": (*TRAIN, "--validation-data", "others.csv"),
        }[command]
        message = refuse(*arguments)
        for part in ("'species'", "row 3", "'Emperor'", "'Adelie'"):
            assert part in message

    def test_a_model_cut_short(self, refuse, workplace):
        raw = (workplace / "penguins.luce").read_bytes()
        (workplace / "penguins.luce").write_bytes(raw[:-1])
        for command in (("inspect",), ("predict",), ("evaluate",)):
            data = () if command == ("inspect",) else ("penguins.csv",)
            assert "not a whole luce model" in refuse(*command, "penguins.luce", *data)

    def test_a_column_that_is_not_there(self, refuse, workplace):
        (workplace / "few.csv").write_text("species,year\nAdelie,2007\n")
        assert "'island'" in refuse("predict", "penguins.luce", "few.csv")

    def test_columns_of_other_names_are_all_told(self, refuse, workplace):
        np.savez(workplace / "t.npz", X=np.zeros((3, 2)), y=[0, 1, 0])
        message = refuse("predict", "penguins.luce", "t.npz")
        assert "t.npz: the table has no columns 'island'" in message
        assert "its columns are 'X', 'y'" in message

    def test_debug_shows_the_traceback_too(self, run):
        said = run("inspect", "absent.luce", "--debug", code=2).stderr
        assert "Traceback" in said
        assert "Error: absent.luce" in said


class TestBadUsage:
    @pytest.mark.parametrize(
        ("arguments", "part"),
        [
            (["train", "penguins.csv"], "--target"),
            (["train", "--target", "species"], "DATA"),
            ([*TRAIN, "--validation", "half"], "--validation"),
            ([*TRAIN, "--seed", "-1"], "--seed"),
            ([*TRAIN, "--model", "deep"], "--model"),
            ([*PREDICT, "--top", "0"], "--top"),
            ([*PREDICT, "--bottom", "1"], "--bottom"),
            (["predict", "penguins.luce"], "DATA"),
            (["foretell"], "foretell"),
        ],
    )
    def test_is_refused(self, arguments, part, run, workplace, names_before):
        result = run(*arguments, code=2)
        assert part in result.stderr
        assert result.stdout == ""
        assert sorted(path.name for path in workplace.iterdir()) == names_before

    def test_quiet_and_json_exclude_each_other(self, run):
        assert "exclude" in run(*TRAIN, "--quiet", "--json", code=2).stderr


class TestFailures:
    @pytest.mark.parametrize("arguments", [TRAIN, (*PREDICT, "--out", "old.csv")])
    def test_a_full_disk_leaves_the_old_file(self, arguments, refuse, workplace, monkeypatch):
        def fail(_):
            raise OSError(errno.ENOSPC, "No space left on device")

        old = workplace / ("penguins.luce" if arguments is TRAIN else "old.csv")
        old.touch()
        before = old.read_bytes()
        monkeypatch.setattr(os, "fsync", fail)
        if arguments is TRAIN:
            arguments = (*TRAIN, "--quiet")
        message = refuse(*arguments, code=1)
        assert old.name in message
        assert "No space left" in message
        assert old.read_bytes() == before

    def test_an_interruption_writes_nothing(self, refuse, workplace, monkeypatch, names_before):
        def interrupt(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr(fitting, "fit_softmax_regression", interrupt)
        message = refuse(*TRAIN, "--out", "new.luce", code=1)
        assert "Interrupted" in message
        assert sorted(path.name for path in workplace.iterdir()) == names_before

    def test_an_interrupted_network_writes_nothing(
        self, refuse, workplace, monkeypatch, names_before
    ):
        def interrupt(line, event):
            if isinstance(event, NetworkProgress) and event.epoch == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(ProgressLine, "__call__", interrupt)
        message = refuse(*TRAIN, "--model", "network", "--out", "new.luce", code=1)
        assert "Interrupted" in message
        assert sorted(path.name for path in workplace.iterdir()) == names_before

    @pytest.mark.parametrize("old", [None, "old"])
    def test_an_interrupted_prediction_leaves_no_part(self, old, refuse, workplace, monkeypatch):
        if old:
            (workplace / "out.csv").write_text(old)
        before = sorted(path.name for path in workplace.iterdir())
        monkeypatch.setattr("luce.model.rows.MOST_ROWS", 100)

        def interrupt(line, event):
            if isinstance(event, RowsDone) and event.rows >= 200:
                raise KeyboardInterrupt

        monkeypatch.setattr(ProgressLine, "__call__", interrupt)
        message = refuse(*PREDICT, "--out", "out.csv", code=1)
        assert "Interrupted: no file was written" in message
        assert sorted(path.name for path in workplace.iterdir()) == before
        assert old is None or (workplace / "out.csv").read_text() == old

    @pytest.mark.parametrize("error", [MemoryError("1 TB"), MemoryError(), pa.ArrowMemoryError()])
    def test_too_little_memory_is_no_defect(self, error, refuse, monkeypatch):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(fitting, "fit_softmax_regression", fail)
        message = refuse(*TRAIN, "--quiet", code=1)
        assert f"There is not enough memory: {error}" in message
        assert "defect" not in message

    @pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
    def test_too_little_memory_for_a_file(self, workplace, model):
        columns = {column.name: np.zeros(2_000_000) for column in model.document.encoder.columns}
        pa_feather.write_feather(pa.table(columns), "large.arrow", chunksize=2_000_000)
        pa_feather.write_feather(pa.table(columns).slice(0, 1), "small.arrow")
        environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}
        command = [
            sys.executable,
            "-c",
            LITTLE_MEMORY,
            "penguins.luce",
            "small.arrow",
            "large.arrow",
        ]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stderr.startswith("Error: There is not enough memory: large.arrow: reading it")
        assert (done.returncode, done.stdout) == (1, "")

    def test_a_defect_says_that_it_is_one(self, refuse, run, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("the sky fell")

        monkeypatch.setattr(fitting, "fit_softmax_regression", fail)
        message = refuse(*TRAIN, "--json", code=1)
        for part in ("RuntimeError", "the sky fell", "--debug", "report"):
            assert part in message
        assert "Traceback" in run(*TRAIN, "--json", "--debug", code=1).stderr

    def test_a_large_seed_is_no_defect(self, run):
        arguments = ("train", "penguins.csv", "--target", "sex", "--group", "year")
        run(*arguments, "--validation", "0.34", "--seed", 2**32, "--quiet")
