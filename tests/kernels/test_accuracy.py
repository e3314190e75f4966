"""Every kernel and its twin against the exact answer, in units in the last place."""

import numpy as np
import pytest

TEMPERATURES = [0.7, 3.0, 1e-3, 1e3, 1e-30, 1e-300, 5e-324, 1e30, 1e308]


def each_entry(worst, got, exact, name, kind):
    for i, row in enumerate(exact):
        for j, value in enumerate(row):
            worst.see(got[i, j], value, kind, f"{name} [{i}, {j}]")


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax"])
def test_maps_are_within_two_ulp(implementation, oracle, hard, dtype, kernel):
    worst = oracle.Worst()
    for name, scores in hard.items():
        out = np.empty_like(scores)
        getattr(implementation, kernel)(scores, 1.0, out)
        each_entry(worst, out, [getattr(oracle, kernel)(row) for row in scores], name, dtype)
    worst.report(f"{implementation.__name__} {kernel} {dtype.__name__}", 2)


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax"])
@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_temperature_costs_no_accuracy(implementation, oracle, hard, dtype, kernel, temperature):
    worst = oracle.Worst()
    for name in (
        "ten classes",
        "hundred classes",
        "shifted by 1e8",
        "huge",
        "nearly equal",
        "tiny",
    ):
        scores = hard[name][:2]
        out = np.empty_like(scores)
        getattr(implementation, kernel)(scores, temperature, out)
        exact = [getattr(oracle, kernel)(row, temperature) for row in scores]
        each_entry(worst, out, exact, name, dtype)
    worst.report(f"{implementation.__name__} {kernel} {dtype.__name__} T={temperature}", 2)


@pytest.mark.parametrize("kernel", ["softmax", "log_softmax", "logsumexp"])
def test_every_length_to_70(implementation, oracle, dtype, kernel):
    worst = oracle.Worst()
    rng = np.random.default_rng(2)
    for length in range(1, 71):
        scores = (6 * rng.standard_normal((2, length))).astype(dtype)
        if kernel == "logsumexp":
            sums = np.empty(2, dtype)
            implementation.logsumexp(scores, sums)
            for i in range(2):
                exact, largest = oracle.logsumexp(scores[i])
                scale = max(abs(exact), abs(largest))
                worst.see(sums[i], exact, dtype, f"{length} [{i}]", scale)
            continue
        out = np.empty_like(scores)
        getattr(implementation, kernel)(scores, 1.0, out)
        exact = [getattr(oracle, kernel)(row) for row in scores]
        each_entry(worst, out, exact, str(length), dtype)
    worst.report(f"{implementation.__name__} {kernel} {dtype.__name__}", 2)


def test_logsumexp_is_within_two_ulp(implementation, oracle, hard, dtype):
    worst = oracle.Worst()
    rng = np.random.default_rng(3)
    # Sums that nearly cancel: the result is far smaller than the largest score.
    hard["cancelling"] = (-np.log(5) + 1e-3 * rng.standard_normal((40, 5))).astype(dtype)
    hard["cancelling by half"] = (-0.52 * np.log(200) + np.zeros((2, 200))).astype(dtype)
    for name, scores in hard.items():
        out = np.empty(len(scores), dtype)
        implementation.logsumexp(scores, out)
        for i, row in enumerate(scores):
            exact, largest = oracle.logsumexp(row)
            worst.see(out[i], exact, dtype, f"{name} [{i}]", max(abs(exact), abs(largest)))
    worst.report(f"{implementation.__name__} logsumexp {dtype.__name__}", 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_within_two_ulp(implementation, oracle, hard, dtype, weighted):
    rng = np.random.default_rng(4)
    worst_loss, worst_gradient = oracle.Worst(), oracle.Worst()
    normal = float(np.finfo(dtype).smallest_normal)
    for name, scores in hard.items():
        rows, classes = scores.shape
        labels = rng.integers(0, classes, rows)
        labels[::2] = scores[::2].argmax(axis=1)
        weights = rng.uniform(0.1, 2, rows) if weighted else None
        losses, gradient = np.empty(rows), np.empty_like(scores)
        assert implementation.cross_entropy(scores, labels, weights, losses, gradient) == -1
        alone = np.empty(rows)
        assert implementation.cross_entropy(scores, labels, weights, alone, None) == -1
        np.testing.assert_array_equal(alone, losses)
        for i in range(rows):
            weight = 1.0 if weights is None else weights[i]
            loss, exact = oracle.cross_entropy(scores[i], int(labels[i]), weight)
            worst_loss.see(losses[i], loss, dtype, f"{name} [{i}]")
            for j, value in enumerate(exact):
                flushed = gradient[i, j] == 0 and abs(value) < normal * (1 + 1e-6)
                if not flushed:
                    worst_gradient.see(gradient[i, j], value, dtype, f"{name} [{i}, {j}]")
    name = f"{implementation.__name__} cross_entropy {dtype.__name__}"
    worst_loss.report(f"{name} loss", 2)
    worst_gradient.report(f"{name} gradient", 2)


def test_a_row_of_a_million(implementation, oracle, dtype):
    """A thousand values, a thousand times each: the exact sum takes a thousand terms."""
    rng = np.random.default_rng(5)
    values = (3 * rng.standard_normal(1000)).astype(dtype)
    counts = [1000] * len(values)
    scores = np.tile(values, 1000)[None]
    worst = {name: oracle.Worst() for name in ("softmax", "log_softmax", "logsumexp")}
    for kernel in ("softmax", "log_softmax"):
        out = np.empty_like(scores)
        getattr(implementation, kernel)(scores, 1.0, out)
        exact = getattr(oracle, kernel)(values, 1.0, counts)
        each_entry(worst[kernel], out[:, :1000], [exact], "million", dtype)
        np.testing.assert_array_equal(out, np.tile(out[:, :1000], 1000))
    sums = np.empty(1, dtype)
    implementation.logsumexp(scores, sums)
    exact, largest = oracle.logsumexp(values, counts)
    worst["logsumexp"].see(sums[0], exact, dtype, "million", max(abs(exact), abs(largest)))
    for kernel, seen in worst.items():
        seen.report(f"{implementation.__name__} {kernel} {dtype.__name__} of a million", 2)


def test_gradients_hold_no_subnormal_number(implementation, dtype):
    deepest = -105.0 if dtype == np.float32 else -745.0
    scores = np.linspace(deepest, 0, 200, dtype=dtype).reshape(2, 100)
    scores = np.concatenate([scores, np.zeros((2, 1), dtype)], axis=1)
    labels, losses = np.array([3, 100]), np.empty(2)
    gradient = np.empty_like(scores)
    implementation.cross_entropy(scores, labels, None, losses, gradient)
    size = np.abs(gradient)
    assert ((size == 0) | (size >= np.finfo(dtype).smallest_normal)).all()
    assert (size == 0).sum() > 5
