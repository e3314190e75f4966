"""A room imports only rooms above it, so that the package can be read from the top down."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOMS = (
    "errors",
    "files",
    "kernels",
    "arrays",
    "maps",
    "losses",
    "scorers",
    "training",
    "calibration",
    "decisions",
    "estimators",
    "tables",
    "model",
    "cluster",
    "apps",
)
ALLOWED = {
    **{room: set(ROOMS[: place + 1]) for place, room in enumerate(ROOMS)},
    "apps": {*ROOMS, "luce"},
}


def imported_modules(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything that the source imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def room_of(module: str) -> str | None:
    """The room that a dotted name leads to, "luce" for the package itself, None for others."""
    top, _, rest = module.partition(".")
    if top != "luce":
        return None
    room = rest.partition(".")[0]
    return room if room in ROOMS else "luce"


def problems(package: Path) -> list[str]:
    found = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative == Path("__init__.py"):
            continue
        room = relative.parts[0].removesuffix(".py")
        if room not in ROOMS:
            found.append(f"{relative} stands in no room")
            continue
        parent = ".".join(("luce", *relative.parts[:-1]))
        for line, module in sorted(imported_modules(path.read_text("utf-8"), parent)):
            target = room_of(module)
            if target is not None and target not in ALLOWED[room]:
                found.append(f"{relative}:{line} imports {module}")
    return found


def test_a_room_imports_only_rooms_above_it(checkout):
    found = problems(checkout / "src" / "luce")
    assert not found, "\n".join(found)


def test_every_way_of_importing_downwards_is_found(tmp_path):
    sources = {
        "__init__.py": "from luce.apps import cli",
        "maps/softmax.py": (
            "import numpy\n"
            "from typing import TYPE_CHECKING\n"
            "from ..kernels import rows\n"
            "from . import simplex\n"
            "import luce.losses\n"
            "from .. import losses\n"
            "if TYPE_CHECKING:\n"
            "    from luce.model import Model\n"
            "def late():\n"
            "    from ..training.solver import solve\n"
            "    import luce\n"
        ),
        "files/codec.py": "from luce.errors import ModelFileError\nfrom luce.kernels import rows",
        "apps/cli.py": "from luce import __version__\nfrom luce.model import Model",
        "helpers.py": "",
    }
    for name, source in sources.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    assert problems(tmp_path) == [
        "files/codec.py:2 imports luce.kernels.rows",
        "helpers.py stands in no room",
        "maps/softmax.py:5 imports luce.losses",
        "maps/softmax.py:6 imports luce.losses",
        "maps/softmax.py:8 imports luce.model.Model",
        "maps/softmax.py:10 imports luce.training.solver.solve",
        "maps/softmax.py:11 imports luce",
    ]
