"""The command line: run in this process, or as the installed program, in a folder of its own."""

import os
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import luce
from luce.apps.cli import app

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="session")
def table(read_table) -> pa.Table:
    return read_table(EXAMPLES / "penguins.csv")


@pytest.fixture(scope="session")
def model() -> luce.Model:
    return luce.train(EXAMPLES / "penguins.csv", "species")


@pytest.fixture(scope="session")
def mixed() -> pa.Table:
    """Rows of three classes that cannot be told apart without error."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1500, 4))
    labels = (4 * x[:, :3] + random.gumbel(size=(1500, 3))).argmax(axis=1)
    columns = {f"x{j}": x[:, j].round(3) for j in range(4)}
    return pa.table({**columns, "y": np.array(["a", "b", "c"])[labels]})


@pytest.fixture
def workplace(tmp_path, monkeypatch, model) -> Path:
    """A current folder that holds the penguins' table and model."""
    monkeypatch.chdir(tmp_path)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    shutil.copy(EXAMPLES / "penguins.csv", tmp_path)
    model.save(tmp_path / "penguins.luce")
    return tmp_path


@pytest.fixture
def run(workplace):
    """Run luce in this process; whatever it does, its exit code is as expected."""

    def invoke(*arguments, code=0, input=None):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def refuse(run):
    """Run luce on what it must refuse, and return its one paragraph."""

    def invoke(*arguments, code=2):
        result = run(*arguments, code=code)
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        assert "Traceback" not in result.stderr
        return result.stderr

    return invoke


@pytest.fixture(scope="session")
def program() -> str:
    """The installed command."""
    folder = sysconfig.get_path("scripts")
    found = shutil.which("luce", path=os.pathsep.join([folder, os.environ["PATH"]]))
    assert found is not None
    return found
