"""A name costs the import of what it needs, and of nothing else."""

import subprocess
import sys

import pytest

HEAVY = {
    "matplotlib",
    "msgspec",
    "pandas",
    "pyarrow",
    "ray",
    "rich",
    "scipy",
    "sklearn",
    "torch",
    "typer",
}

SOFTMAX = "import luce; luce.softmax([1.0, 2.0])"
CROSS_ENTROPY = "import luce; luce.cross_entropy([[1.0, 2.0]], [1])"
VERSION = "import sys; sys.argv = ['luce', '--version']; import luce.apps.cli as cli; cli.main()"


def modules_loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after running the code."""
    report = "print(); print(*{name.partition('.')[0] for name in sys.modules})"
    script = f"import atexit, sys\natexit.register(lambda: exec({report!r}))\n{code}"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param("import luce", HEAVY, id="import luce"),
        pytest.param(
            "import luce; luce.calibration.ReliabilityDisplay",
            HEAVY - {"msgspec"},
            id="calibration",
        ),
        pytest.param("import luce; luce.load", {"pandas", "sklearn", "scipy", "torch"}, id="load"),
        pytest.param(SOFTMAX, HEAVY, id="softmax"),
        pytest.param(CROSS_ENTROPY, HEAVY, id="cross_entropy"),
        pytest.param(VERSION, {"sklearn", "scipy", "pyarrow", "pandas", "torch"}, id="--version"),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code, unwanted):
    assert modules_loaded_by(code) & unwanted == set()


def test_a_heavy_import_is_seen():
    assert modules_loaded_by("import msgspec") & HEAVY == {"msgspec"}
