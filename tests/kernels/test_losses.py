"""The options of the loss kernels and of their twins, against the formulas in 400 bits."""

import sys
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from gmpy2 import exp, fsum, log1p, mpfr

INF, NAN = np.inf, np.nan

LENGTHS = [*range(1, 20), 31, 32, 33, 47, 63, 64, 65, 127, 129]
TEMPERATURES = [0.7, 3.0, 1e-3, 1e3, 1e-30, 1e-300, 5e-324, 1e30, 1e308]
EASY = ("two scores", "ten classes", "hundred classes", "nearly equal", "tiny", "many ties")


def exact(row, targets, weight=1.0, temperature=1.0, z_loss=0.0):
    """Loss and gradient, and the sizes by which their errors are judged.

    The size is that of the largest term, where terms of either sign make a result.
    """
    options = map(float, (weight, temperature, z_loss))
    return exact_of_numbers(tuple(map(float, row)), tuple(targets), *options)


@cache  # Most options and targets leave them as they are.
def exact_of_row(row, temperature):
    """Distances to the largest quotient, softmax, log of the sum of exponentials, the largest."""
    quotients = [mpfr(x) / temperature for x in row]
    first = quotients.index(max(quotients))
    distances = [q - quotients[first] for q in quotients]
    exponentials = [exp(d) for d in distances]
    rest = fsum(exponentials[:first] + exponentials[first + 1 :])
    softmax = [e / (1 + rest) for e in exponentials]
    return distances, softmax, log1p(rest), quotients[first]


@cache  # A kernel and its twin are given the same.
def exact_of_numbers(row, targets, weight, temperature, z_loss):
    weight, temperature, z_loss = mpfr(weight), mpfr(temperature), mpfr(z_loss)
    targets = [mpfr(t) for t in targets]
    distances, softmax, log_sum, largest = exact_of_row(row, temperature)
    mass = fsum(targets)
    logsumexp = largest + log_sum
    size = max(abs(largest), abs(logsumexp))
    loss = mass * log_sum - fsum(t * d for t, d in zip(targets, distances, strict=True) if t)
    step = weight / temperature
    pull, most = step * (mass + 2 * z_loss * logsumexp), step * (mass + 2 * z_loss * size)
    pairs = list(zip(softmax, [step * t for t in targets], strict=True))
    return SimpleNamespace(
        loss=weight * (loss + z_loss * logsumexp**2),
        loss_size=weight * (loss + 2 * z_loss * abs(logsumexp) * size + z_loss * logsumexp**2),
        gradient=[pull * p - t for p, t in pairs],
        gradient_sizes=[max(most * p, t) for p, t in pairs],
    )


def smoothed(row, given, smoothing, class_weights=None):
    """Exact targets: what is left of a label's or of those given, and shares of what can happen."""
    possible = [bool(x > -INF) for x in row]
    share = mpfr(smoothing) / sum(possible)
    sharp = 1 - mpfr(smoothing)
    targets = map(float, np.eye(len(row))[given] if np.ndim(given) == 0 else given)
    whole = [(share if p else 0) + sharp * t for p, t in zip(possible, targets, strict=True)]
    if class_weights is None:
        return whole
    return [t * mpfr(float(v)) for t, v in zip(whole, class_weights, strict=True)]


class Judge:
    """The worst loss and the worst entry of the gradient, over calls of a kernel."""

    def __init__(self, oracle, dtype):
        self.loss, self.gradient = oracle.Worst(), oracle.Worst()
        self.dtype, self.largest = dtype, float(np.finfo(dtype).max)
        self.smallest = mpfr(float(np.finfo(dtype).smallest_normal)) * (1 + 1e-6)

    def see(self, loss, gradient, truth, place):
        assert loss >= 0, place
        if self.largest < truth.loss < sys.float_info.max:
            assert loss == pytest.approx(float(truth.loss), rel=1e-7), place
        else:
            self.loss.see(loss, truth.loss, self.dtype, place, truth.loss_size)
        for j, (value, size) in enumerate(zip(truth.gradient, truth.gradient_sizes, strict=True)):
            flushed = gradient[j] == 0 and abs(value) < self.smallest
            if not flushed:
                self.gradient.see(gradient[j], value, self.dtype, f"{place}, {j}", size)

    def report(self, name, bound=2):
        self.loss.report(f"{name} {self.dtype.__name__} loss", bound)
        self.gradient.report(f"{name} {self.dtype.__name__} gradient", bound)


OPTIONS = {
    "temperature": {"temperature": 0.3},
    "label smoothing": {"label_smoothing": 0.1},
    "uniform targets": {"label_smoothing": 1.0},
    "z_loss": {"z_loss": 0.25},
    "everything": {"temperature": 2.5, "label_smoothing": 0.3, "z_loss": 1e-4},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_options_are_within_two_ulp(implementation, oracle, hard, dtype, options, run, labels_of):
    rng = np.random.default_rng(11)
    judge = Judge(oracle, dtype)
    rest = dict(options)
    smoothing = rest.pop("label_smoothing", 0.0)
    for name, scores in hard.items():
        scores, labels = scores[:9], labels_of(scores[:9], rng)
        weights = rng.uniform(0.1, 2, len(scores))
        losses, gradient = run(implementation, scores, labels, weights, **options)
        for i, row in enumerate(scores):
            truth = exact(row, smoothed(row, labels[i], smoothing), weights[i], **rest)
            judge.see(losses[i], gradient[i], truth, f"{name} [{i}]")
    judge.report(f"{implementation.__name__} cross_entropy {options}")


@pytest.mark.parametrize("length", LENGTHS)
def test_odd_lengths_and_impossible_classes(implementation, oracle, dtype, length, run):
    rng = np.random.default_rng(length)
    judge = Judge(oracle, dtype)
    scores = (6 * rng.standard_normal((9, length))).astype(dtype)
    scores[4:, rng.permutation(length)[: length // 3]] = -INF
    labels, weights = scores.argmax(axis=1), rng.uniform(0.1, 2, 9)
    labels[1] = length - 1
    options = {"temperature": 1.7, "z_loss": 0.01}
    losses, gradient = run(implementation, scores, labels, weights, label_smoothing=0.2, **options)
    targets = rng.uniform(0, 1, scores.shape).astype(dtype)
    targets[(scores == -INF) | (rng.random(scores.shape) < 0.2)] = 0
    soft_losses, soft_gradient = run(implementation, scores, targets, weights, **options)
    for i, row in enumerate(scores):
        truth = exact(row, smoothed(row, labels[i], 0.2), weights[i], **options)
        judge.see(losses[i], gradient[i], truth, f"labels [{i}]")
        truth = exact(row, map(float, targets[i]), weights[i], **options)
        judge.see(soft_losses[i], soft_gradient[i], truth, f"targets [{i}]")
    judge.report(f"{implementation.__name__} of length {length}")


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("length", [1, 2, 7, 16, 33, 129, 300])
def test_targets_are_made_of_smoothing_and_class_weights(
    implementation, oracle, dtype, length, smoothing, soft, run, labels_of
):
    """What any targets cost, and their own rounding: once in float32, step by step in float64."""
    rng = np.random.default_rng(length)
    judge = Judge(oracle, dtype)
    scores = (3 * rng.standard_normal((9, length))).astype(dtype)
    scores[5:, rng.permutation(length)[: length // 3]] = -INF
    given = labels_of(scores, rng)
    given[5:] = scores[5:].argmax(axis=1)
    if soft:
        given = rng.uniform(0, 1, scores.shape).astype(dtype)
        given[(scores == -INF) | (rng.random(scores.shape) < 0.2)] = 0
    weights, class_weights = rng.uniform(0.1, 2, 9), rng.uniform(0, 2, length)
    masses = rng.uniform(0, 2, 9) * (np.arange(9) % 3 > 0)
    options = {"temperature": 1.7, "z_loss": 0.01}
    made = {"label_smoothing": smoothing, "class_weights": class_weights, "masses": masses}
    losses, gradient = run(implementation, scores, given, weights, **options, **made)
    for i, row in enumerate(scores):
        targets = smoothed(row, given[i], smoothing, class_weights)
        options["z_loss"] = 0.01 * masses[i]
        truth = exact(row, targets, weights[i], **options)
        judge.see(losses[i], gradient[i], truth, f"[{i}]")
    bound = 3 if dtype == np.float32 else 4
    judge.report(f"{implementation.__name__} of made targets of length {length}", bound)


def test_made_targets_of_rows_that_cannot_be(implementation, dtype, run):
    scores = np.full((4, 5), -INF, dtype)
    scores[1, 2], scores[2, 1], scores[3] = INF, NAN, 0
    labels, weights = np.array([0, 2, 0, 1]), np.array([1.0, 1.0, 1.0, 0.0])
    made = {"label_smoothing": 0.1, "class_weights": np.ones(5), "z_loss": 1.0}
    losses, gradient = run(implementation, scores, labels, weights, **made)
    np.testing.assert_array_equal(losses, [INF, NAN, NAN, 0])
    np.testing.assert_array_equal(gradient[[0, 3]], 0)
    assert np.isnan(gradient[1:3]).all()
    losses, _ = run(implementation, scores[:1], labels[:1], masses=np.zeros(1), **made)
    np.testing.assert_array_equal(losses, INF)
    made["class_weights"] = np.zeros(5)
    losses, _ = run(implementation, scores[:1], labels[:1], masses=np.zeros(1), **made)
    np.testing.assert_array_equal(losses, 0)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("soft", [False, True])
def test_temperature_costs_no_accuracy(
    implementation, oracle, hard, dtype, temperature, soft, run, labels_of
):
    rng = np.random.default_rng(13)
    judge = Judge(oracle, dtype)
    for name in EASY:
        scores = hard[name][:4]
        labels = labels_of(scores, rng)
        targets = np.eye(scores.shape[1], dtype=dtype)[labels]
        if soft:
            targets = (targets + rng.uniform(0, 1, targets.shape)).astype(dtype)
        losses, gradient = run(
            implementation, scores, targets if soft else labels, temperature=temperature
        )
        for i, row in enumerate(scores):
            truth = exact(row, map(float, targets[i]), temperature=temperature)
            judge.see(losses[i], gradient[i], truth, f"{name} [{i}]")
    kind = "targets" if soft else "labels"
    judge.report(f"{implementation.__name__} of {kind}, T={temperature}")


@pytest.mark.parametrize("z_loss", [0.0, 0.5])
@pytest.mark.parametrize("factor", [1.0, 1e-3, 1e3])
def test_targets_of_any_sum(implementation, oracle, hard, dtype, z_loss, factor, run):
    rng = np.random.default_rng(14)
    judge = Judge(oracle, dtype)
    for name, scores in hard.items():
        scores, weights = scores[:5], rng.uniform(0.1, 2, min(5, len(scores)))
        targets = (factor * rng.uniform(0, 1, scores.shape)).astype(dtype)
        targets[rng.random(targets.shape) < 0.3] = 0
        targets[-1] = 0
        losses, gradient = run(implementation, scores, targets, weights, z_loss=z_loss)
        for i, row in enumerate(scores):
            truth = exact(row, map(float, targets[i]), weights[i], z_loss=z_loss)
            judge.see(losses[i], gradient[i], truth, f"{name} [{i}]")
    judge.report(f"{implementation.__name__} of targets, z_loss={z_loss}, times {factor}")


def test_classes_too_far_to_have_a_probability_still_have_a_target(implementation, dtype, run):
    """exp underflows to 0 there, and the gradient is all the target's."""
    for length in (3, 60):
        scores = np.full((2, length), -3000, dtype)
        scores[:, 0] = 0
        scores[:, -1] = -INF
        losses, gradient = run(implementation, scores, np.array([0, 1]), label_smoothing=0.5)
        share = 0.5 / (length - 1)
        np.testing.assert_allclose(losses, 3000 * (1 - share - np.array([0.5, 0])))
        expected = np.full((2, length), -share)
        expected[:, 0] += 1
        expected[0, 0] -= 0.5
        expected[1, 1] -= 0.5
        expected[:, -1] = 0
        np.testing.assert_allclose(gradient, expected, rtol=4 * np.finfo(dtype).eps)


def among_others(rows, length, dtype, filler=-INF):
    """The rows filled up to a length, each between ordinary ones."""
    matrix = np.full((2 * len(rows) + 1, length), filler, dtype)
    matrix[::2, 0] = 0
    matrix[1::2, : len(rows[0])] = rows
    return matrix


@pytest.mark.parametrize("length", [3, 17, 60, 300])
@pytest.mark.parametrize(
    ("row", "label", "options", "loss", "gradient"),
    [
        ([0, -INF, 0], 1, {"label_smoothing": 0.5}, INF, [0.25, -0.5, 0.25]),
        ([0, -INF, 0], 1, {"label_smoothing": 1.0}, np.log(2), [0, 0, 0]),
        ([0, -INF, -INF], 0, {"label_smoothing": 0.5}, 0, [0, 0, 0]),
        ([-INF, -INF, -INF], 1, {"label_smoothing": 0.5}, INF, [0, 0, 0]),
        ([-INF, -INF, -INF], 1, {"label_smoothing": 1.0}, INF, [0, 0, 0]),
        ([-INF, -INF, -INF], 1, {"z_loss": 1.0, "temperature": 2.0}, INF, [0, 0, 0]),
        ([0, NAN, -INF], 0, {"label_smoothing": 0.5}, NAN, [NAN] * 3),
        ([0, NAN, -INF], 0, {"z_loss": 1.0, "temperature": 2.0}, NAN, [NAN] * 3),
        ([INF, 0, 1], 1, {"z_loss": 1.0, "temperature": 2.0}, INF, [NAN] * 3),
        ([INF, 0, 1], 0, {"z_loss": 1.0}, NAN, [NAN] * 3),
        ([INF, 0, 1], 1, {"label_smoothing": 0.5}, NAN, [NAN] * 3),
        ([7, -INF, -INF], 0, {"z_loss": 1.0}, 49, [14, 0, 0]),
    ],
)
def test_infinite_rows_of_labels(
    implementation, dtype, row, label, options, loss, gradient, length, run
):
    scores = among_others([row], length, dtype)
    losses, out = run(implementation, scores, np.array([0, label, 0]), **options)
    np.testing.assert_allclose(losses, [0, loss, 0], rtol=np.finfo(dtype).eps)
    filled = NAN if np.isnan(gradient[0]) else 0
    np.testing.assert_array_equal(out[1], [*gradient, *[filled] * (length - 3)])
    np.testing.assert_array_equal(out[::2], 0)


@pytest.mark.parametrize("length", [3, 17, 60, 300])
@pytest.mark.parametrize(
    ("row", "targets", "z_loss", "loss", "gradient"),
    [
        ([0, -INF, 0], [0.5, 0, 0.5], 0.0, np.log(2), [0, 0, 0]),
        ([0, -INF, 0], [0.5, 0.5, 0], 0.0, INF, [0, -0.5, 0.5]),
        ([0, 3, -INF], [0, 0, 0], 0.0, 0, [0, 0, 0]),
        ([-INF, -INF, -INF], [0, 1, 0], 0.0, INF, [0, 0, 0]),
        ([-INF, -INF, -INF], [0, 0, 0], 0.0, 0, [0, 0, 0]),
        ([-INF, -INF, -INF], [0, 0, 0], 1.0, INF, [0, 0, 0]),
        ([0, NAN, 0], [1, 0, 0], 0.0, NAN, [NAN] * 3),
        ([0, NAN, INF], [1, 0, 0], 1.0, NAN, [NAN] * 3),
        ([INF, 0, 0], [0, 0, 1], 0.0, INF, [NAN] * 3),
        ([INF, 0, 0], [0.5, 0, 0.5], 0.0, NAN, [NAN] * 3),
        ([INF, 0, 0], [0, 0, 0], 0.0, 0, [NAN] * 3),
        ([INF, 0, 0], [0, 0, 0], 1.0, INF, [NAN] * 3),
    ],
)
def test_infinite_rows_of_targets(
    implementation, dtype, row, targets, z_loss, loss, gradient, length, run
):
    scores = among_others([row], length, dtype)
    filled = among_others([targets], length, dtype, 0)
    filled[::2, 0] = 1
    losses, out = run(implementation, scores, filled, z_loss=z_loss)
    np.testing.assert_allclose(losses, [0, loss, 0], rtol=np.finfo(dtype).eps)
    beyond = NAN if np.isnan(gradient[0]) else 0
    np.testing.assert_array_equal(out[1], [*gradient, *[beyond] * (length - 3)])
    np.testing.assert_array_equal(out[::2], 0)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("length", [2, 17, 60, 300])
def test_a_row_of_weight_zero_is_left_out(implementation, dtype, length, soft, run):
    scores = np.zeros((5, length), dtype)
    scores[0, 0], scores[1, 1], scores[2], scores[3] = NAN, INF, -INF, np.finfo(dtype).max
    labels, weights = np.zeros(5, np.int64), np.array([0.0, 0.0, 0.0, 0.0, 1.0])
    targets = np.eye(length, dtype=dtype)[labels]
    options = {"temperature": 0.5, "z_loss": 1.0}
    losses, gradient = run(implementation, scores, targets if soft else labels, weights, **options)
    np.testing.assert_array_equal(losses[:4], 0)
    np.testing.assert_array_equal(gradient[:4], 0)
    assert losses[4] == pytest.approx(np.log(length) + np.log(length) ** 2)


@pytest.mark.parametrize("soft", [False, True])
def test_gradients_hold_no_subnormal_number(implementation, dtype, soft, run):
    deepest = -105.0 if dtype == np.float32 else -745.0
    scores = np.linspace(deepest, 0, 201, dtype=dtype)[None]
    labels = np.array([200])
    targets = np.zeros_like(scores)
    targets[0, 200] = 1
    _, gradient = run(implementation, scores, targets if soft else labels, temperature=1.01)
    size = np.abs(gradient)
    assert ((size == 0) | (size >= np.finfo(dtype).smallest_normal)).all()
    assert (size == 0).sum() > 5


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("length", [3, 300])
def test_a_gradient_that_overflows_is_infinite(implementation, soft, length, run):
    """The slope of the z-loss is 3.4e308 at each of two equal largest scores."""
    scores = np.full((2, length), -1e308)
    scores[:, 1:3] = 1.7e308
    labels = np.zeros(2, np.int64)
    targets = np.eye(length)[labels]
    weights = np.full(2, 2.0)
    losses, gradient = run(implementation, scores, targets if soft else labels, weights, z_loss=1.0)
    np.testing.assert_array_equal(losses, np.inf)
    np.testing.assert_array_equal(gradient[:, 1:3], np.inf)
    np.testing.assert_array_equal(gradient[:, 0], -2.0)
    np.testing.assert_array_equal(gradient[:, 3:], 0.0)


def test_the_judge_does_not_forget_nan(oracle):
    worst = oracle.Worst()
    for got in (1.0, np.nan, 1.0):
        worst.see(np.float64(got), mpfr(1), np.float64, "here")
    with pytest.raises(AssertionError, match="nan"):
        worst.report("NaN", 2)


@pytest.mark.parametrize("bad", [-1, 3, -(2**62)])
def test_a_label_out_of_range_is_named_and_nothing_written(implementation, dtype, bad):
    """Also in a row of weight 0."""
    scores, weights = np.ones((5, 3), dtype), np.array([1.0, 1, 0, 0, 1])
    losses, gradient = np.full(5, 8.0), np.full((5, 3), 8, dtype)
    labels = np.array([0, 2, bad, bad, 1])
    options = {"temperature": 2.0, "label_smoothing": 0.1, "z_loss": 0.1}
    for out in (gradient, scores):
        assert implementation.cross_entropy(scores, labels, weights, losses, out, **options) == 2
    assert (losses == 8).all()
    assert (gradient == 8).all()
    assert (scores == 1).all()
