"""Dense and sparse features are the same numbers; the choice between them follows the columns."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from luce.errors import DataError
from luce.tables import describe_columns, encode, fit_encoder, is_sparse, width
from luce.tables.assembly import BLOCK_ROWS, ColumnRows, dense_features, sparse_features
from luce.tables.kinds import source_columns
from luce.tables.values import column_block

N = BLOCK_ROWS + 100


def fit(table, **kinds):
    return fit_encoder(table, describe_columns(table, table.column_names, kinds=kinds))


def columns_of(encoder, table):
    return [
        ColumnRows(column, [column_block(table, name) for name in source_columns(column)])
        for column in encoder.columns
    ]


@pytest.fixture(scope="module")
def mixed():
    random = np.random.default_rng(0)
    days = random.integers(0, 10**9, N).astype("datetime64[s]")
    days[random.random(N) < 0.1] = "NaT"
    return pa.table(
        {
            "number": np.where(random.random(N) < 0.1, np.nan, random.normal(size=N)),
            "level": random.choice([*"abcdefgh", None], N).tolist(),
            "when": pa.array(days),
            "truth": random.random(N) < 0.5,
            "vector": list(random.normal(size=(N, 5)).astype("f4")),
            **{f"e{i}": random.normal(size=N) for i in range(64)},
        }
    )


def test_sparse_is_dense(mixed):
    encoder = fit(mixed)
    assert [column.kind for column in encoder.columns] == [
        *("numeric", "category", "datetime", "boolean", "embedding", "embedding")
    ]
    others = mixed.set_column(1, "level", pa.array(["a", "z", None] * (N // 3) + ["z"] * (N % 3)))
    for table in (mixed, others, mixed[:0]):
        columns = columns_of(encoder, table)
        dense, unseen = dense_features(columns, table.num_rows)
        found, unseen_too = sparse_features(columns, table.num_rows)
        assert unseen == unseen_too
        assert dense.shape == found.shape == (table.num_rows, width(encoder))
        np.testing.assert_array_equal(found.toarray(), dense)
        assert found.dtype == np.float32
        assert found.has_canonical_format
    assert unseen_too == {}


def test_many_levels_are_sparse():
    random = np.random.default_rng(0)
    levels = [f"level {i}" for i in range(200)]
    table = pa.table({f"c{i}": random.choice(levels, 4000).tolist() for i in range(4)})
    encoder = fit(table)
    assert width(encoder) == 800
    assert is_sparse(encoder)
    features = encode(encoder, table).features
    assert isinstance(features, sparse.csr_array)
    assert features.indices.dtype == np.int32
    assert features.nnz == 4 * 4000
    np.testing.assert_array_equal(
        features.toarray(), dense_features(columns_of(encoder, table), 4000)[0]
    )
    assert not is_sparse(fit(table.select(["c0", "c1"])))
    with_vector = table.append_column("v", pa.array(list(random.normal(size=(4000, 200)))))
    assert not is_sparse(fit(with_vector))


@pytest.mark.parametrize("levels", [8, 200])
def test_errors_name_the_row_of_the_whole_table(levels):
    random = np.random.default_rng(0)
    names = [f"level {i}" for i in range(levels)]
    table = pa.table({f"c{i}": random.choice(names, 4000).tolist() for i in range(3)})
    table = table.append_column("x", pa.array([1.0, 2.0] * 2000))
    encoder = fit(table)
    assert is_sparse(encoder) == (levels == 200)
    values = np.ones(4000)
    values[3000] = np.inf
    with pytest.raises(DataError, match=r"column 'x', row 1003001 \("):
        encode(encoder, table.set_column(3, "x", pa.array(values)), first_row=10**6)


def test_blocks_of_a_table_are_its_rows(mixed):
    encoder = fit(mixed.append_column("text", pa.array(["some few words", "or others"] * (N // 2))))
    assert is_sparse(encoder) is False
    table = mixed.append_column("text", pa.array(["some few words", "or others"] * (N // 2)))
    encoder = fit(table, text="text")
    whole = encode(encoder, table).features
    for first in (0, 5, BLOCK_ROWS - 3):
        block = encode(encoder, table.slice(first, 7), first_row=first).features
        np.testing.assert_array_equal(block.toarray(), whole[first : first + 7].toarray())
