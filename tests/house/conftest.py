"""The checkout that these tests stand in, and the installed package that they are about."""

import importlib
import pkgutil
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import luce

GENERATED = {"build", "dist", "__pycache__"}


def files_of(root: Path) -> list[Path]:
    """The files that belong to the tree, relative to its root: those git knows or would add."""
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
        files = [Path(name) for name in listing.stdout.split("\0") if name]
        return sorted(path for path in files if (root / path).is_file())
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return sorted(
        path
        for path in files
        if not any(part in GENERATED or part.startswith(".") for part in path.parts)
    )


@pytest.fixture(scope="session")
def checkout() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tree(checkout) -> list[Path]:
    return files_of(checkout)


@pytest.fixture(scope="session")
def rooms() -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(luce.__path__, "luce.")]
    return [importlib.import_module(name) for name in names if not name.startswith("luce._")]


@pytest.fixture
def workplace(checkout, tmp_path, monkeypatch) -> Path:
    """A temporary current folder with the examples in it."""
    shutil.copytree(checkout / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path
