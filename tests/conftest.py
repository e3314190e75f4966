"""What all tests share: the same examples on every run, however slow the machine; whole tables."""

import pyarrow as pa
import pytest
from hypothesis import settings

from luce.tables import open_table

settings.register_profile("luce", derandomize=True, deadline=None)
settings.load_profile("luce")


@pytest.fixture(scope="session")
def read_table():
    """Read a whole table, as `open_table` reads it."""

    def read(source, **told):
        table = open_table(source, **told)
        return pa.concat_tables(table.blocks()).replace_schema_metadata(table.schema.metadata)

    return read
