"""The source distribution holds what it takes to build and test luce, and nothing else."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import pytest

import luce

WANTED = {
    "CHANGELOG.md",
    "CMakeLists.txt",
    "LICENSE",
    "README.md",
    "cpp",
    "examples",
    "pyproject.toml",
    "src",
    "tests",
}
UNWANTED = {".ci", ".git", "__pycache__", "benchmarks", "build", "dist"}
UNWANTED_ENDINGS = (".luce", ".pyc", ".so", "_cache")
KEPT_MODELS = ("tests", "model", "formats")


def problems(names: list[str]) -> list[str]:
    """What is missing among the paths of an sdist, and what should not be there."""
    paths = [Path(name).parts[1:] for name in names]
    present = {parts[0] for parts in paths if parts}
    unwanted = {
        "/".join(parts)
        for parts in paths
        if parts[:3] != KEPT_MODELS
        and any(part in UNWANTED or part.endswith(UNWANTED_ENDINGS) for part in parts)
    }
    return [
        *(f"{name} is missing" for name in sorted(WANTED - present)),
        *(f"{name} is unwanted" for name in sorted(unwanted)),
    ]


def run(*command: str | Path, **options) -> str:
    finished = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def sdist(checkout, tree, tmp_path_factory) -> Path:
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("sdist")
    for path in tree:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkout / path, copy / path)
    run(sys.executable, "-m", "build", "--sdist", "--outdir", out, copy)
    (archive,) = out.iterdir()
    return archive


def test_the_sdist_is_complete_and_clean(sdist):
    with tarfile.open(sdist) as archive:
        found = problems(archive.getnames())
    assert not found, "\n".join(found)


def test_the_sdist_installs_and_runs(sdist, tmp_path):
    # Kernels are not what this is about: those of one instruction set, without optimisation.
    quick = {"SKBUILD_CMAKE_BUILD_TYPE": "Debug", "SKBUILD_CMAKE_DEFINE": "LUCE_ISAS=v2"}
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", tmp_path, sdist]
    run(*install, env={**os.environ, **quick})
    # Without `site`, nothing that is installed besides can stand in for what was just built.
    path = os.pathsep.join([str(tmp_path), sysconfig.get_path("purelib")])
    python = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": path}}
    location = run(sys.executable, "-S", "-c", "import luce; print(luce.__file__)", **python)
    assert Path(location.strip()).is_relative_to(tmp_path)
    version = run(sys.executable, "-S", tmp_path / "bin" / "luce", "--version", **python)
    assert luce.__version__ in version


def test_a_hole_and_a_stray_file_are_found():
    stray = [".ci/run", "src/luce/_core.so", "penguins.luce", "tests/model/formats/1/kept.luce"]
    names = [f"luce-0.1.0/{name}" for name in (*WANTED, *stray)]
    names.remove("luce-0.1.0/cpp")
    assert problems(names) == [
        "cpp is missing",
        ".ci/run is unwanted",
        "penguins.luce is unwanted",
        "src/luce/_core.so is unwanted",
    ]
