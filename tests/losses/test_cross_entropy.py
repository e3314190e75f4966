"""cross_entropy and its gradient: options, weights, reductions, outputs, mistakes."""

import doctest
import importlib
import threading
import tracemalloc
from contextlib import suppress
from itertools import product

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import luce
from luce import kernels, losses
from luce.errors import DataError
from luce.losses import cross_entropy, cross_entropy_gradient
from luce.maps import softmax

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.dps = 60


def problem(n=7, k=5, dtype=np.float64):
    rng = np.random.default_rng(1)
    scores = (3 * rng.standard_normal((n, k))).astype(dtype)
    return scores, rng.integers(0, k, n), rng.uniform(0, 2, n)


def exact_loss(row, target, class_weight, smoothing, z_loss, temperature):
    """The formula of the docstring for a row of weight 1, and u."""
    possible = [x > -INF for x in row]
    z = [EXACT.mpf(x) / temperature for x in row]
    lse = EXACT.log(EXACT.fsum(map(EXACT.exp, z)))
    loss = u = EXACT.mpf(0)
    for x, y, v, p in zip(z, target, class_weight, possible, strict=True):
        t = (1 - EXACT.mpf(smoothing)) * y + (EXACT.mpf(smoothing) / sum(possible) if p else 0)
        loss += v * t * (lse - x) if v * t else 0
        u += EXACT.mpf(v) * y
    return loss + z_loss * u * lse**2, u


def exact_slopes(row, *options):
    """The loss's central differences; a step of 1e-20 has 40 digits of 60 right."""
    step = EXACT.mpf(10) ** -20

    def at(column, step):
        moved = [EXACT.mpf(x) + (step if j == column else 0) for j, x in enumerate(row)]
        return exact_loss(moved, *options)[0]

    return [(at(j, step) - at(j, -step)) / (2 * step) for j in range(len(row))]


@pytest.mark.parametrize(
    ("soft", "by_class", "by_row", "ignore"),
    [c for c in product([False, True], repeat=4) if not (c[0] and c[3])],
)
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize(("z_loss", "temperature"), [(0.0, 1.0), (0.3, 1.0), (0.3, 2.5), (0, 0.4)])
def test_options_together(soft, by_class, by_row, ignore, smoothing, z_loss, temperature):
    """Every combination against the formula and its differences, in 60 digits."""
    scores, labels, s = problem(4, 3)
    scores[1, 1] = -INF
    labels = np.array([1, 2, 0, 1])
    v = np.array([0.3, 0.0, 1.7]) if by_class else np.ones(3)
    s = s if by_row else np.ones(4)
    targets = np.eye(3)[labels]
    if soft:
        targets[2:] = [[0.0, 1.0, 0.0], [0.25, 0.5, 0.25]]
    given = {"label_smoothing": smoothing, "z_loss": z_loss, "temperature": temperature}
    given |= {"class_weight": v} if by_class else {}
    given |= {"sample_weight": s} if by_row else {}
    if ignore:
        labels[2], given["ignore_index"], s = -100, -100, s * (labels != 0)
    labels = targets if soft else labels
    rows = [(list(scores[i]), targets[i], v, smoothing, z_loss, temperature) for i in range(4)]
    each = [exact_loss(*row) for row in rows]
    expected = np.array([float(s[i] * each[i][0]) for i in range(4)])
    slopes = np.array([s[i] * np.array(exact_slopes(*row), float) for i, row in enumerate(rows)])
    weight = sum(s[i] * float(each[i][1]) for i in range(4))
    for reduction in ("none", "sum", "mean"):
        value, gradient = cross_entropy_gradient(scores, labels, reduction=reduction, **given)
        alone = cross_entropy(scores, labels, reduction=reduction, **given)
        np.testing.assert_array_equal(value, alone)
        assert value.dtype == alone.dtype == np.float64
        divisor = weight if reduction == "mean" else 1
        wanted = expected if reduction == "none" else expected.sum() / divisor
        np.testing.assert_allclose(value, wanted, rtol=1e-14)
        np.testing.assert_allclose(gradient, slopes / divisor, rtol=1e-13, atol=1e-14)
        in_place, narrow = scores.copy(), scores.astype(np.float32)
        cross_entropy_gradient(in_place, labels, reduction=reduction, out=in_place, **given)
        np.testing.assert_array_equal(in_place, gradient)
        value, gradient = cross_entropy_gradient(narrow, labels, reduction=reduction, **given)
        np.testing.assert_allclose(value, wanted, rtol=1e-6)
        np.testing.assert_allclose(gradient, slopes / divisor, rtol=1e-6, atol=1e-6)


OPTIONS = [
    {},
    {"label_smoothing": 0.2, "temperature": 0.7},
    {"z_loss": 0.1, "class_weight": np.r_[0.0, 1:12]},
    {"z_loss": 0.1, "class_weight": np.r_[0.0, 1:12], "label_smoothing": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_one_hot_targets_are_labels(options):
    for dtype in (np.float32, np.float64):
        scores, labels, weights = problem(30, 12, dtype)
        for w in (None, weights):
            a = cross_entropy_gradient(scores, labels, sample_weight=w, **options)
            for one_hot in (np.eye(12, dtype=dtype)[labels], np.eye(12, dtype=bool)[labels]):
                b = cross_entropy_gradient(scores, one_hot, sample_weight=w, **options)
                eps = np.finfo(dtype).eps
                np.testing.assert_allclose(b[0], a[0], rtol=4 * eps)
                np.testing.assert_allclose(b[1], a[1], rtol=4 * eps, atol=eps / 4)


def test_the_mean_does_not_depend_on_the_scale_of_class_weights():
    scores, labels, _ = problem(20, 4, np.float32)
    weights = np.array([1.0, 0.0, 2.0, 3.0])
    for options in ({}, {"label_smoothing": 0.3}, {"label_smoothing": 0.3, "z_loss": 0.1}):
        expected = cross_entropy_gradient(scores, labels, class_weight=weights, **options)
        named = {"class_weight": {1: 0, 3: 3, 2: 2}, **options}
        assert cross_entropy(scores, labels, **named) == expected[0]
        for scale in (2.0**-900, 2.0**900):
            got = cross_entropy_gradient(scores, labels, class_weight=scale * weights, **options)
            assert got[0] == pytest.approx(expected[0], rel=1e-6)
            np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", OPTIONS)
def test_nothing_is_left_when_every_row_is_ignored(reduction, options):
    scores = np.full((4, 12), NAN)
    labels = np.full(4, -100)
    given = {"reduction": reduction, "ignore_index": -100, **options}
    for empty in (scores, scores[:0]):
        value, gradient = cross_entropy_gradient(empty, labels[: len(empty)], **given)
        np.testing.assert_array_equal(value, np.zeros(len(empty)) if reduction == "none" else 0)
        np.testing.assert_array_equal(gradient, np.zeros(empty.shape))
    assert (labels == -100).all()
    given.pop("class_weight", None)
    assert not np.any(cross_entropy_gradient(np.empty((4, 0)), labels, **given)[0])


def test_a_mean_over_no_weight_is_zero():
    scores, labels, _ = problem(3, 2)
    nothing = {"class_weight": [0, 0]}
    for options in ({"sample_weight": [0, 0, 0]}, nothing, {"label_smoothing": 0.1, **nothing}):
        value, gradient = cross_entropy_gradient(scores, labels, **options)
        assert value == 0
        np.testing.assert_array_equal(gradient, np.zeros((3, 2)))
    lone = np.zeros(3, int)
    smoothed = {"class_weight": [0, 1], "label_smoothing": 0.1}
    assert cross_entropy(scores, lone, **smoothed) == 0
    assert cross_entropy(scores, lone, reduction="sum", **smoothed) > 0
    assert cross_entropy(np.empty((0, 2)), []) == 0


def test_ignore_index_of_any_kind():
    scores, labels, weights = problem(20, 5)
    for value, dtype in ((2, np.int64), (255, np.uint8), (-1, np.int8), (2**64 - 1, np.uint64)):
        marked = np.where(labels == 2, value, labels) if value != 2 else labels
        marked = marked.astype(dtype)
        keep = labels != 2
        got = cross_entropy_gradient(scores, marked, ignore_index=value, sample_weight=weights)
        expected = cross_entropy_gradient(scores[keep], labels[keep], sample_weight=weights[keep])
        assert got[0] == pytest.approx(expected[0], rel=1e-14)
        np.testing.assert_allclose(got[1][keep], expected[1], rtol=1e-14)
        np.testing.assert_array_equal(got[1][~keep], 0)
    with pytest.raises(DataError, match="is 255"):
        cross_entropy(scores, np.full(20, 255, np.uint8), ignore_index=-1)


def test_dtypes_and_layouts():
    scores = np.arange(12).reshape(4, 3)
    labels = [0, 1, 2, 0]
    value, gradient = cross_entropy_gradient(scores, labels)
    assert gradient.dtype == np.float64
    crooked = np.zeros(97, np.uint8)[1:].view(np.float64).reshape(4, 3)
    crooked[...] = scores
    others = [np.asfortranarray(scores, float), np.repeat(scores, 2, axis=1)[:, ::2], crooked]
    dtypes = [np.int8, np.uint8, np.uint64]
    for other, dtype in zip(others, dtypes, strict=True):
        weights = np.ones(33, np.uint8)[1:].view(np.float64)
        weights[...] = 1
        again, slope = cross_entropy_gradient(other, dtype(labels), sample_weight=weights)
        assert again == value
        np.testing.assert_array_equal(slope, gradient)
    foreign = scores.astype(">f4")
    _, slope = cross_entropy_gradient(foreign, labels)
    assert slope.dtype == np.float32
    np.testing.assert_allclose(slope, gradient, rtol=1e-6)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("options", OPTIONS)
def test_low_precision_is_float32_rounded(name, options):
    if name == "bfloat16":
        pytest.importorskip("ml_dtypes")
    dtype = np.dtype(name)
    scores, labels, _ = problem(9, 12)
    scores = scores.astype(dtype)
    soft = (0.75 * np.eye(12)[labels] + 0.25 * np.eye(12)[labels - 1]).astype(dtype)
    for targets in (labels, soft):
        value, gradient = cross_entropy_gradient(scores, targets, **options)
        wide = targets if targets is labels else targets.astype(np.float32)
        expected, slope = cross_entropy_gradient(scores.astype(np.float32), wide, **options)
        assert value == expected
        assert gradient.dtype == dtype
        np.testing.assert_array_equal(gradient, slope.astype(dtype))
        here = scores.copy()
        assert cross_entropy_gradient(here, targets, out=here, **options)[1] is here
        np.testing.assert_array_equal(here, gradient)
    coarse = softmax(scores.astype(np.float32)).astype(dtype)
    assert np.isfinite(cross_entropy(scores, coarse))


def test_a_certain_row_keeps_its_digits():
    value, gradient = cross_entropy_gradient([[70.0, 0.0]], [0])
    small = float(mpmath.exp(-70))
    assert value == pytest.approx(small, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-small, small]], rtol=1e-15)


def test_impossible_classes_and_left_out_rows():
    scores = np.array([[0.0, -INF], [-INF, -INF], [NAN, 0.0], [0.0, 1.0]])
    for labels in ([1, 0, 0, 0], [[0, 1], [1, 0], [1, 0], [1, 0]]):
        value, gradient = cross_entropy_gradient(
            scores, np.array(labels), sample_weight=[1, 1, 0, 1], reduction="none"
        )
        np.testing.assert_allclose(value, [INF, INF, 0, np.log1p(np.e)])
        np.testing.assert_array_equal(gradient[:3], [[1, -1], [0, 0], [0, 0]])
    loss, gradient = cross_entropy_gradient(scores[2:], [[0, 1], [1, 0]], reduction="none")
    assert np.isnan(loss[0])
    assert np.isnan(gradient[0]).all()
    assert cross_entropy([[0.0, -INF]], [[1.0, 0.0]]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_scores_and_spreads(dtype):
    scores = np.array([[1e30, -1e30, 0], [3e4, -3e4, 1e4], [-1e-30, 0, 1e-30]], dtype)
    labels, options = [1, 2, 0], {"label_smoothing": 0.3, "temperature": 0.5}
    value, gradient = cross_entropy_gradient(scores, labels, reduction="none", **options)
    for i, label in enumerate(labels):
        row = [float(x) for x in scores[i]], np.eye(3)[label], np.ones(3), 0.3, 0, 0.5
        assert value[i] == pytest.approx(float(exact_loss(*row)[0]), rel=1e-6)
        np.testing.assert_allclose(gradient[i], np.array(exact_slopes(*row), float), 1e-6, 1e-6)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_out_of_any_layout_and_overlapping(dtype, soft):
    scores, labels, _ = problem(6, 5, dtype)
    labels = softmax(scores[::-1]) if soft else labels
    expected = cross_entropy_gradient(scores, labels)[1]
    frame = np.zeros((7, 5), dtype)
    frame[:-1] = scores
    raw = np.zeros(scores.nbytes + 1, np.uint8)[1:].view(dtype).reshape(6, 5)
    outs = [np.empty_like(scores), np.empty((5, 6), dtype).T, np.empty((12, 5), dtype)[::2], raw]
    for out in outs:
        assert cross_entropy_gradient(scores, labels, out=out)[1] is out
        np.testing.assert_array_equal(out, expected)
    cross_entropy_gradient(frame[:-1], labels, out=frame[1:])
    np.testing.assert_array_equal(frame[1:], expected)
    if soft:
        cross_entropy_gradient(scores, labels, out=labels)
        np.testing.assert_array_equal(labels, expected)
    shared = scores.astype(np.float64)
    weights = shared.reshape(-1)[2::5]
    weights[...] = 1
    alone = cross_entropy_gradient(shared.copy(), [0] * 6, sample_weight=[1] * 6, reduction="sum")
    cross_entropy_gradient(shared, [0] * 6, sample_weight=weights, out=shared, reduction="sum")
    np.testing.assert_array_equal(shared, alone[1])


@pytest.mark.parametrize(
    "out", [np.empty((2, 3)), np.empty((2, 2), "f4"), [[0.0] * 2] * 2, np.broadcast_to(0.0, (2, 2))]
)
def test_out_that_does_not_fit(out):
    with pytest.raises(DataError, match="out is"):
        cross_entropy_gradient(np.zeros((2, 2)), [0, 1], out=out)


@pytest.mark.parametrize("options", OPTIONS)
def test_out_is_untouched_by_a_mistake(options):
    scores = np.ones((3, 12))
    with pytest.raises(DataError, match=r"labels\[2\] is 12"):
        cross_entropy_gradient(scores, [0, 1, 12], out=scores, **options)
    assert (scores == 1).all()


def test_labels_that_another_thread_changes_do_no_harm():
    scores, labels, _ = problem(20000, 3)
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            labels[:] = 2**40
            labels[:] = 0

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        for options in [{"class_weight": [1, 1, 1]}, {"ignore_index": 0}, {}] * 40:
            with suppress(DataError):
                assert cross_entropy_gradient(scores, labels, **options)[0] >= 0
    finally:
        stop.set()
        thread.join()


def test_plain_labels_take_no_memory_but_the_gradient(monkeypatch):
    """What is around the kernel: nothing of the size of the scores, twice."""
    threads = []

    def kernel(*arrays, **options):
        threads.append(options["threads"])
        return -1

    scores, labels, weights = problem(100, 2000)
    cross_entropy(scores, labels)  # what is loaded by the first call is not meant
    monkeypatch.setattr(kernels, "cross_entropy", kernel)
    given = {"sample_weight": weights, "class_weight": np.ones(2000), "ignore_index": 3}
    tracemalloc.start()
    with luce.threads(2):
        cross_entropy_gradient(scores, labels, out=scores, **given)
        cross_entropy(scores, labels, label_smoothing=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scores.nbytes / 10
    assert threads == [2, 2]


@given(st.integers(0, 6), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_gradients_of_rows_sum_to_zero(n, k, seed):
    rng = np.random.default_rng(seed)
    scores, labels = 9 * rng.standard_normal((n, k)), rng.integers(0, k, n)
    value, gradient = cross_entropy_gradient(scores, labels, reduction="sum")
    assert value >= 0
    assert np.abs(gradient.sum(axis=1)).max(initial=0) < 1e-14
    np.testing.assert_allclose(gradient, softmax(scores) - np.eye(k)[labels], atol=1e-15)


ONE = [[0.0, 1.0]]
MISTAKES = {
    "label out of range": ([[0.0, 1.0]] * 3, [0, 1, 2], {}, r"labels\[2\] is 2.*0 to 1"),
    "negative label": ([[0.0, 1.0]] * 3, [0, -1, 2], {}, r"labels\[1\] is -1"),
    "huge label": ([[0.0, 1.0]], np.array([2**64 - 1], np.uint64), {}, str(2**64 - 1)),
    "no classes": (np.empty((2, 0)), [0, 0], {}, r"labels\[0\] is 0"),
    "float labels": ([[0.0, 1.0]], [1.0], {}, "labels have dtype float64"),
    "text labels": ([[0.0, 1.0]], ["a"], {}, "return_inverse"),
    "too few labels": ([[0.0, 1.0]] * 3, [0, 1], {}, r"labels have shape \(2,\)"),
    "one dimension": ([0.0, 1.0], [0, 1], {}, r"scores have shape \(2,\)"),
    "text scores": ([["a"]], [0], {}, "scores have dtype"),
    "negative target": ([[0.0, 1.0]], [[-0.5, 1.5]], {}, "row 0.*smallest entry -0.5"),
    "targets too small": ([[0.0, 1.0]] * 2, [[0.5, 0.5], [0.1, 0.1]], {}, "row 1 sum to 0.2"),
    "nan target": ([[0.0, 1.0]], [[NAN, 1.0]], {}, "row 0"),
    "negative weight": ([[0.0]] * 2, [0, 0], {"sample_weight": [1, -1]}, r"sample_weight\[1\]"),
    "nan weight": ([[0.0]], [0], {"sample_weight": [NAN]}, r"sample_weight\[0\] is nan"),
    "too many weights": ([[0.0]], [0], {"sample_weight": [1, 1]}, r"shape \(2,\); expected \(1,\)"),
    "text weight": ([[0.0]], [0], {"sample_weight": ["a"]}, "real numbers"),
    "reduction": ([[0.0]], [0], {"reduction": "average"}, "'mean', 'sum' or 'none'"),
    "label out of range, weighed": (ONE, [2], {"class_weight": [1, 1]}, r"labels\[0\] is 2"),
    "too few class weights": (ONE, [0], {"class_weight": [1]}, r"class_weight has shape \(1,\)"),
    "negative class weight": (ONE, [0], {"class_weight": [1, -2]}, r"class_weight\[1\] is -2"),
    "infinite class weight": (ONE, [0], {"class_weight": {1: INF}}, r"class_weight\[1\] is inf"),
    "class weight of no class": (ONE, [0], {"class_weight": {2: 1}}, "key 2; .* from 0 to 1"),
    "too much smoothing": (ONE, [0], {"label_smoothing": 1.1}, "is 1.1; .* from 0 to 1"),
    "text smoothing": (ONE, [0], {"label_smoothing": "a"}, "label_smoothing is 'a'"),
    "negative z_loss": (ONE, [0], {"z_loss": -1}, "z_loss is -1; expected a finite number of at"),
    "infinite z_loss": (ONE, [0], {"z_loss": INF}, "z_loss is inf"),
    "temperature 0": (ONE, [0], {"temperature": 0}, "above 0: the gradient is divided by it"),
    "infinite temperature": (ONE, [0], {"temperature": INF}, "temperature is inf"),
    "temperatures": (ONE, [0], {"temperature": np.ones(2)}, "temperature is array"),
    "fractional ignore_index": (ONE, [0], {"ignore_index": 0.5}, "ignore_index is 0.5"),
    "ignored targets": (ONE, [[0, 1]], {"ignore_index": 0}, "not with soft targets"),
    "integer targets": (ONE, [[2, -1]], {}, "row 0 sum to 1 with smallest entry -1"),
    "weights overflow": (ONE, [0], {"class_weight": [1e9, 1], "sample_weight": [1e300]}, "times"),
    "sum overflows": (ONE * 2, [0, 0], {"sample_weight": [1e308, 1e308]}, "sum overflows"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    scores, labels, options, message = MISTAKES[mistake]
    for function in (cross_entropy, cross_entropy_gradient):
        with pytest.raises(DataError, match=message):
            function(scores, labels, **options)


def test_the_room_offers_what_it_says():
    offered = {n for n, v in vars(losses).items() if callable(v) and not n.startswith("_")}
    assert offered == set(losses.__all__)
    result = doctest.testmod(importlib.import_module("luce.losses.cross_entropy"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3000])
def test_soft_targets_sum_to_1_within_a_thousandth(dtype, classes):
    """However their sums are looked at: many classes of float32 need another look."""
    scores = np.zeros((5, classes))
    targets = np.zeros((5, classes))
    targets[:, 0] = targets[:, -1] = 0.5
    targets[3, 0] += 0.9e-3
    np.testing.assert_allclose(
        cross_entropy(scores, targets.astype(dtype), reduction="none"), np.log(classes), rtol=2e-3
    )
    for wrong in (1.6e-3, -1.6e-3, np.nan, np.inf):
        targets[3, 0] = 0.5 + wrong
        with pytest.raises(DataError, match="targets of row 3 sum to"):
            cross_entropy(scores, targets.astype(dtype))
    targets[3, :2] = [-0.25, 0.75]
    targets[3, -1] += 0.5 - targets[3].sum() + 0.5
    with pytest.raises(DataError, match=r"row 3 sum to 1 with smallest entry -0\.25"):
        cross_entropy(scores, targets.astype(dtype))
