"""The door: what it offers, its stub, and the choice of an instruction set."""

import ast
import inspect
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from luce import kernels
from luce.kernels import _core, reference, reference_linear, reference_network

HERE = Path(__file__).parent
OTHER_ISAS = [isa for isa in kernels.supported_isas() if isa != kernels.isa()]
TWINS = (reference, reference_linear, reference_network)
IN_CHILD = "LUCE_ISA" in os.environ


def functions_of_stub():
    stub = ast.parse((files("luce.kernels") / "_core.pyi").read_text())
    return {
        f.name: [a.arg for a in f.args.args + f.args.kwonlyargs]
        for f in stub.body
        if isinstance(f, ast.FunctionDef)
    }


def test_the_stub_names_what_the_module_has():
    offered = {name for name in vars(_core) if not name.startswith("_")}
    assert set(functions_of_stub()) == offered


def test_the_door_offers_the_module():
    assert set(kernels.__all__) == set(functions_of_stub())


def test_every_kernel_has_a_twin_of_the_same_arguments():
    for name, arguments in functions_of_stub().items():
        if arguments:
            (twin,) = {getattr(twins, name) for twins in TWINS if name in vars(twins)}
            assert list(inspect.signature(twin).parameters) == arguments


def start(*arguments, isa, output):
    return subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, "LUCE_ISA": isa},
        stdout=output,
        stderr=subprocess.STDOUT,
    )


def test_an_unknown_instruction_set_says_which_there_are(tmp_path):
    with (tmp_path / "output").open("w+") as output:
        assert start("-c", "import luce.kernels", isa="v9", output=output).wait() == 1
        output.seek(0)
        said = output.read()
    assert "ImportError: LUCE_ISA=v9" in said
    assert kernels.supported_isas()[-1] in said


@pytest.fixture(scope="module")
def children(tmp_path_factory):
    """These tests under the other instruction sets, side by side: (process, output) by set.

    Without those that would go the same ways through the kernels again, with other numbers.
    """
    folder = tmp_path_factory.mktemp("children")
    tests = ["-m", "pytest", "-q", "-rP", "-k", "not reference", "-m", "not one_isa", str(HERE)]
    tests += ["--ignore", str(HERE / "test_concurrency.py"), "-p", "no:cacheprovider", "-n", "0"]
    running = {}
    for isa in OTHER_ISAS:
        with (folder / isa).open("w") as output:
            running[isa] = start(*tests, isa=isa, output=output), folder / isa
    yield running
    for process, _ in running.values():
        process.kill()
        process.wait()


@pytest.mark.skipif(IN_CHILD, reason="the child runs under one instruction set only")
@pytest.mark.parametrize("isa", OTHER_ISAS)
def test_all_kernels_under_another_instruction_set(isa, children):
    process, output = children[isa]
    code = process.wait()
    said = output.read_text()
    print(*[line for line in said.splitlines() if "worst" in line], sep="\n")
    assert code == 0, said[-5000:]
    assert f"{isa} luce.kernels softmax" in said
