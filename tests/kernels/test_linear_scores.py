"""What a linear classifier answers, on dense and on sparse rows, against twins in float64."""

import threading

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference_linear as reference

ANSWERS = ("scores", "softmax", "log_softmax", "argmax")
# Few rows, which take turns with the classes, and blocks; dot products and panels; classes and
# features that fill no vector; coefficients that leave a block room in a core's cache, and more.
SHAPES = [
    (1, 1, 1),
    (1, 64, 10),
    (1, 100, 257),
    (3, 17, 2),
    (6, 40, 7),
    (7, 33, 8),
    (12, 130, 300),
    (13, 130, 300),
    (24, 5, 3),
    (25, 5, 3),
    (100, 17, 5),
    (121, 64, 10),
    (500, 33, 12),
    (500, 40, 13),
    (300, 70, 31),
    (260, 100, 257),
    (61, 900, 33),
    (30, 3000, 9),
    (700, 50, 1),
    (90, 61, 2),
]
SPARSE = [
    (1, 1, 1, 1),
    (1, 5000, 7, 20),  # few entries: coefficients are not packed
    (9, 40_000, 7, 300),
    (7, 5, 1, 2),
    (41, 30, 3, 7),
    (300, 40, 5, 9),
    (200, 60, 17, 20),
    (120, 50, 100, 15),
    (60, 300, 300, 40),
    (3, 5000, 17, 5000),
    (4300, 1400, 40, 5),
]
TYPES = [
    (np.float32, np.float32),
    pytest.param(np.float32, np.float64, marks=pytest.mark.one_isa),
    (np.float64, np.float64),
]


def problem(n, d, k, element, real):
    random = np.random.default_rng(n + d + k)
    features = random.standard_normal((n, d)).astype(element)
    coef = (random.standard_normal((k, d)) * 2 / np.sqrt(max(d, 1))).astype(real)
    return features, coef, random.standard_normal(k).astype(real)


def layouts(features):
    yield features
    yield np.asfortranarray(features)
    wide = np.zeros((2 * len(features), features.shape[1] + 3), features.dtype)
    wide[::2, 1:-2] = features
    wide.flags.writeable = False
    yield wide[::2, 1:-2]
    yield np.ascontiguousarray(features[::-1, ::-1])[::-1, ::-1]


def csr(n, d, entries, dtype=np.float32, index=np.int32):
    """Data, indices and indptr: indices unsorted, some more than once, some rows empty."""
    random = np.random.default_rng(n)
    sizes = random.integers(0, 2 * entries + 1, n)
    sizes[random.random(n) < 0.1] = 0
    indptr = np.r_[0, sizes.cumsum()]
    indices = np.floor(d * random.random(indptr[-1]) ** 2)
    data = random.standard_normal(len(indices))
    return data.astype(dtype), indices.astype(index), indptr.astype(index)


def dense(data, indices, indptr, d):
    rows = np.zeros((len(indptr) - 1, d))
    of_entries = np.repeat(np.arange(len(rows)), np.diff(indptr))
    np.add.at(rows, (of_entries, indices), data.astype(np.float64))
    return rows


def empty_for(answer, n, k, real):
    return np.full(n, -1) if answer == "argmax" else np.full((n, k), np.nan, real)


def check(answer, found, exact_scores, exact, size):
    """`size`: the sums of |x| |w| that make up the scores."""
    if answer == "argmax":
        rows = np.arange(len(found))
        behind = exact_scores.max(axis=1) - exact_scores[rows, found]
        assert (behind <= size).all()
    else:
        assert (np.abs(found - exact) <= size[:, None]).all()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("element", "real"), TYPES)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_dense(n, d, k, element, real, answer):
    features, coef, intercept = problem(n, d, k, element, real)
    scores, exact = np.empty((n, k)), empty_for(answer, n, k, np.float64)
    reference.linear(features, coef, intercept, scores)
    reference.linear(features, coef, intercept, exact, answer=answer)
    of_class = np.abs(coef).astype(np.float64).max(axis=0)
    size = 40 * np.finfo(real).eps * (np.abs(features) @ of_class + np.abs(intercept).max() + 1)
    for given in layouts(features):
        for weights in (coef, np.asfortranarray(coef), np.hstack([coef, coef])[:, :d]):
            out = empty_for(answer, n, k, real)
            assert kernels.linear(given, weights, intercept, out, answer=answer) is True
            check(answer, out, scores, exact, size)
    wide = np.full((n, k + 3), np.nan, real)
    if answer != "argmax":
        kernels.linear(features, coef, intercept, wide[:, 1:-2], answer=answer, threads=2)
        check(answer, wide[:, 1:-2], scores, exact, size)
        assert np.isnan(wide[:, [0, -2, -1]]).all()


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("index", [np.int32, pytest.param(np.int64, marks=pytest.mark.one_isa)])
@pytest.mark.parametrize(("element", "real"), TYPES)
@pytest.mark.parametrize(("n", "d", "k", "entries"), SPARSE)
def test_sparse(n, d, k, entries, element, real, index, answer):
    matrix = csr(n, d, entries, element, index)
    _, coef, intercept = problem(0, d, k, element, real)
    scores, exact = np.empty((n, k)), empty_for(answer, n, k, np.float64)
    assert reference.sparse_linear(*matrix, coef, intercept, scores)
    reference.sparse_linear(*matrix, coef, intercept, exact, answer=answer)
    np.testing.assert_allclose(
        scores, dense(*matrix, d) @ coef.astype(np.float64).T + intercept, atol=1e-9
    )
    of_class = np.abs(coef).astype(np.float64).max(axis=0)
    sizes = dense(np.abs(matrix[0]), *matrix[1:], d) @ of_class + np.abs(intercept).max() + 1
    for weights in (coef, np.asfortranarray(coef)):
        out = empty_for(answer, n, k, real)
        assert kernels.sparse_linear(*matrix, weights, intercept, out, answer=answer) is True
        check(answer, out, scores, exact, 40 * np.finfo(real).eps * sizes)


def test_without_intercepts():
    features, coef, _ = problem(50, 9, 4, np.float64, np.float64)
    for n in (3, 50):
        out = np.empty((n, 4))
        kernels.linear(features[:n], coef, None, out)
        np.testing.assert_allclose(out, features[:n] @ coef.T, atol=1e-12)
    matrix = csr(50, 9, 3)
    kernels.sparse_linear(*matrix, coef, None, out)
    np.testing.assert_allclose(out, dense(*matrix, 9) @ coef.T, atol=1e-12)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("n", "d", "k"), [(5, 900, 700), (9000, 30, 7), (3000, 120, 300)])
def test_same_bits_for_any_number_of_threads(n, d, k, answer):
    features, coef, intercept = problem(n, d, k, np.float32, np.float32)
    matrix = csr(n, d, 20)
    for call in (
        lambda *rest, **options: kernels.linear(features, *rest, **options),
        lambda *rest, **options: kernels.sparse_linear(*matrix, *rest, **options),
    ):
        found = []
        for threads in (1, 2, 3, 7):
            found.append(empty_for(answer, n, k, np.float32))
            call(coef, intercept, found[-1], answer=answer, threads=threads)
            np.testing.assert_array_equal(found[-1], found[0])


@pytest.mark.parametrize("answer", ["scores", "softmax", "log_softmax"])
@pytest.mark.parametrize(("d", "k"), [(5, 3), (64, 10), (40, 13), (300, 80)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits_alone_and_among_others(d, k, dtype, answer):
    features, coef, intercept = problem(300, d, k, dtype, dtype)
    out = np.empty((300, k), dtype)
    kernels.linear(features, coef, intercept, out, answer=answer)
    for first, end in ((0, 1), (7, 9), (150, 163), (298, 300), (20, 200)):
        some = np.empty((end - first, k), dtype)
        kernels.linear(features[first:end], coef, intercept, some, answer=answer)
        np.testing.assert_array_equal(some, out[first:end])


@pytest.mark.parametrize("n", [1, 30, 3000])
@pytest.mark.parametrize("k", [1, 2, 10, 300])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_feature_that_is_not_finite_is_told_of_and_stays_with_its_row(n, k, bad):
    features, coef, intercept = problem(n, 20, k, np.float32, np.float32)
    coef[:, 3] = 0.0  # which hides nothing
    at = n // 2
    features[at, 3] = bad
    out = np.empty((n, k), np.float32)
    assert kernels.linear(features, coef, intercept, out, threads=2) is False
    assert not np.isfinite(out[at]).any()
    assert np.isfinite(np.delete(out, at, axis=0)).all()
    data, indices, indptr = csr(n, 20, 9)
    if len(data):
        data[-1] = bad
        row = np.searchsorted(indptr, len(data) - 1, "right") - 1
        assert kernels.sparse_linear(data, indices, indptr, coef, intercept, out) is False
        assert np.isfinite(np.delete(out, row, axis=0)).all()


@pytest.mark.parametrize("answer", ANSWERS)
def test_nothing_to_do(answer):
    for d, k in ((5, 3), (200, 300)):
        _, coef, intercept = problem(0, d, k, np.float64, np.float64)
        out = empty_for(answer, 0, k, np.float64)
        assert kernels.linear(np.empty((0, d)), coef, intercept, out, answer=answer)
        none = np.empty(0), np.empty(0, np.int32), np.zeros(1, np.int32)
        assert kernels.sparse_linear(*none, coef, intercept, out, answer=answer)
    for n in (2, 50):
        scores = np.empty((n, 3))
        kernels.linear(np.empty((n, 0)), np.empty((3, 0)), np.arange(3.0), scores)
        np.testing.assert_array_equal(scores, np.tile(np.arange(3.0), (n, 1)))
        without = np.empty(0), np.empty(0, np.int64), np.zeros(n + 1, np.int64)
        kernels.sparse_linear(*without, np.empty((3, 7)), np.arange(3.0), scores)
        np.testing.assert_array_equal(scores, np.tile(np.arange(3.0), (n, 1)))


@pytest.mark.one_isa
@pytest.mark.parametrize(("n", "d"), [(3, 20_000), (5000, 40), (5000, 20_000)])
def test_hostile_indices_are_refused(n, d):
    data, indices, indptr = csr(n, d, 9)
    coef, out = np.zeros((3, d), np.float32), np.empty((n, 3), np.float32)
    for place in (0, len(indices) // 2, len(indices) - 1):
        for wrong in (-1, d, 2**31 - 1, -(2**31)):
            changed = indices.copy()
            changed[place] = wrong
            with pytest.raises(ValueError, match=rf"indices\[{place}\], in row \d+, is {wrong};"):
                kernels.sparse_linear(data, changed, indptr, coef, None, out, threads=2)
    for place, wrong in ((0, 1), (1, -1), (1, 2**31 - 1), (n, -1)):
        changed = indptr.copy()
        changed[place] = wrong
        with pytest.raises(ValueError, match=r"indptr\[\d+\] is -?\d+; expected"):
            kernels.sparse_linear(data, indices, changed, coef, None, out)


@pytest.mark.one_isa
def test_wrong_arguments_are_refused():
    features, coef, intercept = problem(40, 4, 3, np.float32, np.float32)
    out, winners = np.empty((40, 3), np.float32), np.empty(40, np.int64)
    matrix = csr(40, 4, 3)

    def call(features=features, coef=coef, intercept=intercept, out=out, **options):
        kernels.linear(features, coef, intercept, out, **options)

    def call_sparse(data=matrix[0], coef=coef, intercept=intercept, out=out, **options):
        kernels.sparse_linear(data, *matrix[1:], coef, intercept, out, **options)

    for function in (call, call_sparse):
        function()
        function(out=winners, answer="argmax")
        for wrong in (
            {"coef": coef.astype(np.float16)},
            {"intercept": intercept.astype(np.float64)},
            {"out": out.astype(np.float64)},
            {"out": winners.astype(np.int32), "answer": "argmax"},
            {"answer": 3},
        ):
            with pytest.raises(TypeError):
                function(**wrong)
        for wrong in (
            {"coef": coef[0]},
            {"coef": coef[:0]},
            {"intercept": intercept[:2]},
            {"intercept": np.repeat(intercept, 2)[::2]},
            {"out": out[:39]},
            {"out": out[:, :2]},
            {"out": np.empty((3, 40), np.float32).T},
            {"out": np.broadcast_to(out[:1], out.shape)},
            {"out": winners[:39], "answer": "argmax"},
            {"answer": "sparsemax"},
        ):
            with pytest.raises((ValueError, TypeError), match=r"."):
                function(**wrong)
    for wrong in ({"features": features.astype(np.int32)}, {"features": features.astype(float)}):
        with pytest.raises(TypeError):
            call(**wrong)
    for wrong in ({"features": features[0]}, {"features": features[:, :3]}):
        with pytest.raises(ValueError, match=r"."):
            call(**wrong)
    square = np.zeros((3, 3), np.float32)
    with pytest.raises(ValueError, match="out overlaps features in memory"):
        call(features=square, coef=square.copy(), out=square)
    with pytest.raises(ValueError, match="out overlaps coef in memory"):
        call(features=square.copy(), coef=square, out=square)


@pytest.mark.one_isa
def test_many_callers_at_once():
    features, coef, intercept = problem(20_000, 40, 9, np.float32, np.float32)
    expected = np.empty((20_000, 9), np.float32)
    kernels.linear(features, coef, intercept, expected, answer="softmax")
    wrong = []

    def work():
        out = np.empty_like(expected)
        for _ in range(5):
            kernels.linear(features, coef, intercept, out, answer="softmax", threads=2)
            wrong.append((out != expected).any())

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == [False] * 20
