"""What all tests share: whole tables, the same examples however slow the machine, and its CPUs."""

import gc
import os

import pytest
from hypothesis import settings

# Before NumPy, SciPy or scikit-learn load their libraries: of many processes side by side, each
# with a thread a CPU for its small products, all threads wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"

# While thousands of tests are collected nothing is garbage, and looking for it takes a third of
# the time; afterwards they need not be looked at.
gc.disable()

settings.register_profile("luce", derandomize=True, deadline=None)
settings.load_profile("luce")

LONGEST = {"test_door.py"}


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, which else run alone at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def read_table():
    """Read a whole table, as `open_table` reads it."""
    import pyarrow as pa

    from luce.tables import open_table

    def read(source, **told):
        table = open_table(source, **told)
        return pa.concat_tables(table.blocks()).replace_schema_metadata(table.schema.metadata)

    return read
