import doctest
import importlib
import pkgutil
import subprocess
import sys

import luce.tables

MODULES = [f"luce.tables.{module.name}" for module in pkgutil.iter_modules(luce.tables.__path__)]


def test_all_lists_the_public_names_and_no_others():
    submodules = {name.rpartition(".")[2] for name in MODULES}
    public = {name for name in vars(luce.tables) if not name.startswith("_")} - submodules
    assert public == set(luce.tables.__all__)
    assert len(luce.tables.__all__) == len(set(luce.tables.__all__))


def test_examples_in_docstrings_run():
    results = [doctest.testmod(importlib.import_module(name)) for name in MODULES]
    assert sum(result.attempted for result in results) > 0
    assert sum(result.failed for result in results) == 0


def test_only_arrow_numpy_and_msgspec_are_imported():
    code = (
        "import sys, luce.tables\n"
        "rooms = {name.split('.')[1] for name in sys.modules if name.startswith('luce.')}\n"
        "assert rooms == {'errors', 'tables'}, rooms\n"
        "assert not {'sklearn', 'scipy', 'pandas', 'polars', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
