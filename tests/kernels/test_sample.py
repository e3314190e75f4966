"""Draws against the plain way, sorted and summed in higher precision."""

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference

SETTINGS = [
    {},
    {"top_k": 1},
    {"top_k": 5},
    {"top_p": 0.7},
    {"top_p": 1e-9},
    {"min_p": 0.1},
    {"top_k": 50, "top_p": 0.91, "min_p": 0.02},
    {"top_k": 3, "temperature": 2.0},
    {"top_p": 0.99, "temperature": 0.5},
    {"temperature": 0.0},
    {"temperature": 1e-42},
    {"temperature": np.inf, "top_k": 4, "top_p": 0.8, "min_p": 0.5},
]


def scores_of(k, dtype, seed=0):
    """Rows with gaps, ties, one class, far apart, long tails."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((6, k)) * np.array([[1], [3], [10], [0.1], [300], [0]])
    rows[1] = np.round(rows[1])
    rows[3, random.integers(0, k, k // 4)] = -np.inf
    rows[4, :-1] = -np.inf
    return rows.astype(dtype)


def near_the_edges(scores, uniforms, settings):
    """Whether a draw may go to a neighbour by rounding: for a slightly other uniform it does."""
    draws = []
    for shift in (-1e-5, 1e-5):
        out = np.empty(len(scores), np.int64)
        reference.sample(scores, np.clip(uniforms + shift, 0, 1 - 1e-12), out, **settings)
        draws.append(out)
    return draws


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("k", [1, 2, 5, 16, 17, 63, 64, 65, 100, 257, 1000, 3001])
def test_draws_are_those_of_the_plain_way(k, dtype):
    scores = scores_of(k, dtype)
    random = np.random.default_rng(k)
    many = np.repeat(scores, 12, axis=0)
    uniforms = random.random(len(many))
    for settings in SETTINGS:
        got, exact = np.empty(len(many), np.int64), np.empty(len(many), np.int64)
        kernels.sample(many, uniforms, got, **settings)
        reference.sample(many, uniforms, exact, **settings)
        other = got != exact
        assert other.mean() < 0.03, settings
        low, high = near_the_edges(many[other], uniforms[other], settings)
        assert ((low <= got[other]) & (got[other] <= high)).all(), settings


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("k", [3, 10, 64, 700])
def test_layouts_and_threads(k, dtype):
    scores = np.tile(scores_of(k, dtype), (9, 1))
    n = len(scores)
    uniforms = np.random.default_rng(0).random(n)
    wide = np.zeros((2 * n, 2 * k + 3), dtype)
    wide[::2, 1:-2:2] = scores
    wide.flags.writeable = False
    expected = np.empty(n, np.int64)
    kernels.sample(scores, uniforms, expected, top_k=50, top_p=0.9)
    for given in (np.asfortranarray(scores), wide[::2, 1:-2:2], np.ascontiguousarray(scores)):
        for threads in (1, 3):
            got = np.empty(n, np.int64)
            kernels.sample(given, uniforms, got, top_k=50, top_p=0.9, threads=threads)
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("rows", [1, 3, 15, 16, 17, 33])
def test_a_row_is_drawn_as_if_alone(rows):
    """Short rows are drawn from side by side."""
    scores = np.random.default_rng(rows).standard_normal((rows, 10)).astype(np.float32)
    scores[rows // 2, 4] = np.nan
    uniforms = np.random.default_rng(0).random(rows)
    together, alone = np.empty(rows, np.int64), np.empty(rows, np.int64)
    kernels.sample(scores, uniforms, together, top_k=4, top_p=0.8)
    for row in range(rows):
        one = slice(row, row + 1)
        kernels.sample(scores[one], uniforms[one], alone[one], top_k=4, top_p=0.8)
    np.testing.assert_array_equal(together, alone)
    assert together[rows // 2] == -1


@pytest.mark.parametrize("k", [20, 300])
def test_ties_at_the_edges_go_to_the_first(k):
    scores = np.zeros((1000, k), np.float32)
    uniforms = (np.arange(1000) + 0.5) / 1000
    for settings, kept in (
        ({"top_k": 7}, 7),
        ({"top_p": 0.1}, k // 10),
        ({"top_k": 9, "top_p": 0.5}, 5),
    ):
        got = np.empty(1000, np.int64)
        kernels.sample(scores, uniforms, got, **settings)
        assert got.max() == kept - 1
        counts = np.bincount(got)
        assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize("k", [40, 80])
def test_rows_that_cannot_be_drawn_from(k):
    scores = np.zeros((5, k))
    scores[0, 3], scores[1, -1], scores[2, 0], scores[3] = np.nan, np.inf, -np.inf, -np.inf
    scores[4, 1:] = -np.inf
    for settings in SETTINGS:
        got, exact = np.empty(5, np.int64), np.empty(5, np.int64)
        kernels.sample(scores, np.full(5, 0.999), got, **settings)
        reference.sample(scores, np.full(5, 0.999), exact, **settings)
        np.testing.assert_array_equal(got, exact)
        assert got.tolist()[:2] == [-1, -1]
        assert got.tolist()[3:] == [-2, 0]


@pytest.mark.parametrize("k", [30, 5000])
def test_the_largest_uniform_gives_a_class_that_is_kept(k):
    random = np.random.default_rng(1)
    scores = random.standard_normal((50, k)).astype(np.float32) * 8
    got = np.empty(50, np.int64)
    kernels.sample(scores, np.full(50, np.nextafter(1, 0)), got, top_k=20)
    kept = np.sort(np.argsort(-scores, axis=1)[:, :20], axis=1)
    assert (got[:, None] == kept).any(axis=1).all()


def test_many_classes_of_one_score_take_no_longer():
    """A selection that went by a fixed place would compare each with each."""
    scores = np.zeros((1, 256_000), np.float32)
    for row in (scores, np.arange(256_000, dtype=np.float32)[None], scores + 1e-30):
        got = np.empty(1, np.int64)
        kernels.sample(row, np.array([0.5]), got, top_k=100_000, top_p=0.5)
        assert got[0] >= 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": np.nan}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
    ],
)
def test_refusals(settings, complaint):
    with pytest.raises(ValueError, match=complaint):
        kernels.sample(np.zeros((1, 2)), np.zeros(1), np.zeros(1, np.int64), **settings)


def test_no_classes():
    with pytest.raises(ValueError, match="no columns"):
        kernels.sample(np.zeros((1, 0)), np.zeros(1), np.zeros(1, np.int64))
    kernels.sample(np.zeros((0, 0)), np.zeros(0), np.zeros(0, np.int64))
