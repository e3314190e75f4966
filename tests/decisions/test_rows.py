"""Blocks cover the rows once; weights are refused where they count."""

import numpy as np
import pytest

from luce.decisions import rows
from luce.errors import DataError


@pytest.mark.parametrize("n", [0, 1, 5, 6, 7])
def test_blocks_cover_the_rows_once(n, monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK_ELEMENTS", 9)
    table = np.arange(3.0 * n, dtype=np.float32).reshape(n, 3)
    found = list(rows.blocks(table))
    assert all(block.dtype == np.float64 and len(block) <= 3 for _, block in found)
    np.testing.assert_array_equal(np.concatenate([table[:0], *(b for _, b in found)]), table)
    np.testing.assert_array_equal(
        np.concatenate([np.arange(0), *(np.arange(n)[place] for place, _ in found)]), np.arange(n)
    )


def test_a_row_wider_than_a_block_is_a_block(monkeypatch):
    monkeypatch.setattr(rows, "_BLOCK_ELEMENTS", 2)
    assert [len(block) for _, block in rows.blocks(np.ones((3, 5)))] == [1, 1, 1]
    assert [len(block) for _, block in rows.blocks(np.ones((3, 1)), columns=7)] == [1, 1, 1]


def test_rows_may_miss_1_by_rounding():
    float16 = np.full((1, 700), 1 / 700, dtype=np.float16)
    assert rows.as_distributions(float16, 700) is float16


@pytest.mark.parametrize("weights", [None, [1, 1, 1], [0.0, 2.0, 2.0], [0, 0, 0], []])
def test_weights_that_do_not_differ_count_rows(weights):
    rows.refuse_weights("Rule", weights)


def test_weights_that_differ_do_not():
    with pytest.raises(DataError, match="Rule counts rows"):
        rows.refuse_weights("Rule", [1, 2, 0])


@pytest.mark.parametrize("k", [1, 3, 8, 9, 40])
def test_reducing_over_rows(k):
    table = np.random.default_rng(0).normal(size=(17, k))
    np.testing.assert_array_equal(rows.over_rows(np.maximum, table), table.max(axis=1))
    np.testing.assert_array_equal(rows.over_rows(np.minimum, table[::2]), table[::2].min(axis=1))
