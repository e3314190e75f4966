"""FenchelYoung: its value and derivatives against exact ones, for maps with and without a form."""

import doctest
import importlib

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError, NotDifferentiableError
from luce.losses import FenchelYoung, cross_entropy, cross_entropy_gradient
from luce.maps import Hardmax, _divergences, argmax, logsumexp, softmax
from luce.maps.softmax_map import Softmax

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.dps = 80
DTYPES = ["float16", "float32", "float64", "bfloat16"]


class Sparsemax:
    """A map that brings nothing of its own: Omega is half the squared norm."""

    temperature = 0.5

    def __repr__(self):
        return "Sparsemax()"

    def __call__(self, scores):
        scores = np.asarray(scores) / self.temperature
        order = -np.sort(-scores, axis=-1)
        sums = order.cumsum(axis=-1) - 1
        count = (order * np.arange(1, scores.shape[-1] + 1) > sums).sum(axis=-1, keepdims=True)
        return np.maximum(scores - np.take_along_axis(sums, count - 1, -1) / count, 0)

    def omega(self, probabilities):
        return (np.asarray(probabilities) ** 2).sum(axis=-1) / 2

    def jvp(self, probabilities, tangent):
        support = probabilities > 0
        mean = (tangent * support).sum(axis=-1, keepdims=True) / support.sum(axis=-1, keepdims=True)
        return support * (tangent - mean) / self.temperature

    vjp = jacobian = jvp


class PlainSoftmax(Softmax):
    """Softmax without its own form of the loss."""

    fenchel_young = None


SOFTMAXES = [Softmax(), Softmax(0.3), Softmax(8.0), Softmax(0), PlainSoftmax(2.0)]
MAPS = [*SOFTMAXES, Hardmax(), Sparsemax()]
LOSS = FenchelYoung(Softmax())


def exact_probabilities(scores, temperature):
    exponentials = [EXACT.exp(EXACT.mpf(z) / EXACT.mpf(temperature)) for z in scores]
    return [e / EXACT.fsum(exponentials) for e in exponentials]


def exact_value(scores, targets, temperature):
    """T KL(y || p), of targets whose sum is 1 but for rounding."""
    probabilities = exact_probabilities(scores, temperature)
    terms = [
        (EXACT.mpf(y) * EXACT.log(EXACT.mpf(y) / p) if y else 0) - EXACT.mpf(y) + p
        for y, p in zip(map(float, targets), probabilities, strict=True)
    ]
    return EXACT.mpf(temperature) * EXACT.fsum(terms)


def moved(scores, direction, step):
    return [EXACT.mpf(z) + step * EXACT.mpf(v) for z, v in zip(scores, direction, strict=True)]


def problem(n=6, k=5):
    rng = np.random.default_rng(1)
    return 3 * rng.standard_normal((n, k)), rng.integers(0, k, n), rng.dirichlet(np.ones(k), n)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 40.0])
def test_the_value_against_the_exact_one(temperature):
    scores, labels, targets = problem(30)
    loss = FenchelYoung(Softmax(temperature))
    for aims, rows in ((labels, np.eye(5)[labels]), (targets, targets)):
        exact = [float(exact_value(*row, temperature)) for row in zip(scores, rows, strict=True)]
        np.testing.assert_allclose(loss.value(scores, aims), exact, rtol=4e-15)


@pytest.mark.parametrize("nearness", [0.3, 0.11, 0.09, 1e-2, 1e-4, 1e-6])
def test_nearly_equal_distributions_keep_digits(nearness):
    """The rounding of p alone is eps, of a difference p - y of `nearness`."""
    scores = problem(30)[0]
    p = softmax(scores, temperature=2.0)
    targets = p * (1 + nearness * np.random.default_rng(2).uniform(-1, 1, p.shape))
    targets /= targets.sum(axis=1, keepdims=True)
    exact = [float(exact_value(*row, 2.0)) for row in zip(scores, targets, strict=True)]
    value = FenchelYoung(Softmax(2.0)).value(scores, targets)
    np.testing.assert_allclose(value, exact, rtol=1e-14 + 3e-15 / nearness)


@pytest.mark.parametrize("together", [1, 15, 20])
def test_rows_are_done_some_at_a_time(together, monkeypatch):
    scores, _, targets = problem(30)
    targets[::3] = softmax(scores)[::3] * (1 + 1e-3 * np.array([-1, 1, 0, 0, 0]))
    targets[::3] /= targets[::3].sum(axis=1, keepdims=True)
    loss = FenchelYoung(Softmax())
    expected = [loss.value(*row) for row in zip(scores, targets, strict=True)]
    monkeypatch.setattr(_divergences, "NUMBERS_TOGETHER", together)
    np.testing.assert_array_equal(loss.value(scores, targets), expected)
    for shape in ((0, 0), (0, 5), (2, 0, 5)):
        assert loss.value(np.empty(shape), np.empty(shape)).shape == shape[:-1]


def test_with_labels_it_is_cross_entropy():
    scores, labels, targets = problem()
    value, gradient = FenchelYoung(Softmax()).value_and_gradient(scores, labels)
    expected = cross_entropy(scores, labels, reduction="none")
    np.testing.assert_allclose(value, expected, rtol=1e-15)
    slope = cross_entropy_gradient(scores, labels, reduction="none")[1]
    np.testing.assert_allclose(gradient, slope, rtol=1e-14)
    soft = cross_entropy(scores, targets, reduction="none") + Softmax().omega(targets)
    np.testing.assert_allclose(FenchelYoung(Softmax()).value(scores, targets), soft, rtol=1e-14)


def test_a_certain_row_keeps_its_digits():
    small = float(EXACT.exp(-70))
    for right, wrong in ((0, 1), ([1.0, 0.0], [0.0, 1.0])):
        assert LOSS.value([70.0, 0.0], right) == pytest.approx(small, rel=1e-15)
        assert LOSS.value([1e5, 0.0], wrong) == 1e5
    np.testing.assert_allclose(LOSS.gradient([70.0, 0.0], 0), [-small, small], rtol=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0])
def test_the_gradient_against_differences_of_the_exact_value(temperature):
    scores, labels, targets = problem(3, 4)
    step = EXACT.mpf(10) ** -20
    loss = FenchelYoung(Softmax(temperature))
    for aims, rows in ((labels, np.eye(4)[labels]), (targets, targets)):
        gradient = loss.gradient(scores, aims)
        for i, j in np.ndindex(3, 4):
            up, down = (
                exact_value(moved(scores[i], np.eye(4)[j], sign * step), rows[i], temperature)
                for sign in (1, -1)
            )
            exact = float((up - down) / (2 * step))
            assert gradient[i, j] == pytest.approx(exact, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0])
def test_the_hessian_against_differences_of_the_exact_gradient(temperature):
    scores, _, direction = problem(4, 4)
    product = FenchelYoung(Softmax(temperature)).hessian_vector(scores, direction)
    step = EXACT.mpf(10) ** -20
    for row, along, result in zip(scores, direction, product, strict=True):
        up, down = (
            exact_probabilities(moved(row, along, sign * step), temperature) for sign in (1, -1)
        )
        exact = [float((a - b) / (2 * step)) for a, b in zip(up, down, strict=True)]
        np.testing.assert_allclose(result, exact, rtol=1e-13)


@pytest.mark.parametrize("map_", [Sparsemax(), PlainSoftmax(0.7), Hardmax()], ids=repr)
def test_any_map_brings_its_loss(map_):
    """The gradient by differences in float64, away from ties and from the support's edges."""
    scores, labels, targets = problem(4, 3)
    loss = FenchelYoung(map_)
    step = 1e-6
    for aims in (labels, targets):
        value, gradient = loss.value_and_gradient(scores, aims)
        np.testing.assert_array_equal(value, loss.value(scores, aims))
        np.testing.assert_array_equal(gradient, loss.gradient(scores, aims))
        for j in range(3):
            up, down = (loss.value(scores + s * step * np.eye(3)[j], aims) for s in (1, -1))
            np.testing.assert_allclose((up - down) / (2 * step), gradient[:, j], atol=1e-8)
    if not isinstance(map_, Hardmax):
        product = loss.hessian_vector(scores, targets)
        np.testing.assert_array_equal(product, map_.jvp(map_(scores), targets))


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_the_general_form_agrees_with_softmax_own(shift):
    scores, labels, targets = problem()
    scores = np.round(scores * 1024) / 1024 + shift
    for temperature in (0.3, 1.0, 5.0):
        own, general = FenchelYoung(Softmax(temperature)), FenchelYoung(PlainSoftmax(temperature))
        for aims in (labels, targets, softmax(scores, temperature=temperature)):
            expected = own.value(scores, aims)
            np.testing.assert_allclose(general.value(scores, aims), expected, 1e-12, 1e-13)


def test_sparsemax_known_values():
    """Half the squared norm and T = 1/2: zero from a margin of T on, as Martins and Astudillo."""
    loss = FenchelYoung(Sparsemax())
    np.testing.assert_allclose(loss.value([[0.5, 0.0], [0.0, 0.0]], [0, 0]), [0, 0.125])


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.tuples(
            st.lists(st.floats(-30, 30), min_size=k, max_size=k),
            st.lists(st.floats(0.01, 1), min_size=k, max_size=k),
        )
    ),
    st.sampled_from(MAPS),
)
def test_never_negative_and_zero_at_the_maps_own_output(rows, map_):
    scores, masses = map(np.array, rows)
    loss, target = FenchelYoung(map_), masses / masses.sum()
    value = loss.value(scores, target)
    p = map_(scores)
    assert value >= 0
    assert loss.value(scores, p + 1e-9 * (target - p)) >= 0
    assert loss.value(scores, p) == pytest.approx(0, abs=1e-14)
    np.testing.assert_allclose(loss.gradient(scores, p), 0, atol=1e-15)
    if isinstance(map_, Softmax) and map_.temperature and np.abs(p - target).max() > 1e-7:
        distance = np.abs(p - target).sum()
        assert value >= 0.49 * map_.temperature * distance**2  # Pinsker's inequality


@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.floats(0.01, 100))
def test_the_temperature_scales(scores, temperature):
    for aims in (1, [0.125, 0.375, 0.5]):
        value = FenchelYoung(Softmax(temperature)).value(scores, aims)
        plain = FenchelYoung(Softmax()).value(np.array(scores) / temperature, aims)
        assert value == pytest.approx(temperature * plain, rel=1e-9, abs=1e-13 * temperature)


def test_the_value_is_the_definition():
    scores, labels, targets = problem()
    temperature = 1.7
    conjugate = temperature * logsumexp(scores / temperature)
    rows = np.arange(len(scores))
    loss, omega = FenchelYoung(Softmax(temperature)), Softmax().omega(targets)
    np.testing.assert_allclose(loss.value(scores, labels), conjugate - scores[rows, labels])
    expected = conjugate + temperature * omega - (scores * targets).sum(axis=1)
    np.testing.assert_allclose(loss.value(scores, targets), expected)


def test_a_temperature_for_every_row_and_its_limits():
    scores, labels, targets = problem(4)
    uniform = np.full((4, 5), 0.2)
    temperatures = np.array([[0.0], [0.5], [1.0], [INF]])
    for aims in (labels, targets, uniform):
        loss = FenchelYoung(Softmax(temperatures))
        value, gradient = loss.value_and_gradient(scores, aims)
        for i, t in enumerate(temperatures[:, 0]):
            one = FenchelYoung(Softmax(t))
            assert value[i] == pytest.approx(one.value(scores[i], aims[i]), rel=1e-15)
            np.testing.assert_allclose(gradient[i], one.gradient(scores[i], aims[i]), rtol=1e-15)
        hard = FenchelYoung(Hardmax()).value(scores[0], aims[0])
        assert value[0] == pytest.approx(hard, rel=1e-15)
        assert value[3] == (0 if aims is uniform else INF)
    general = FenchelYoung(PlainSoftmax(temperatures[1:3])).value(scores[1:3], targets[1:3])
    loss = FenchelYoung(Softmax(temperatures[1:3]))
    np.testing.assert_allclose(general, loss.value(scores[1:3], targets[1:3]), rtol=1e-12)
    assert FenchelYoung(Softmax(INF)).value([[3.0]], [0]) == 0


@pytest.mark.parametrize("map_", MAPS[:-1], ids=repr)
def test_classes_that_cannot_happen(map_):
    loss = FenchelYoung(map_)
    scores = [0.0, -INF, 1.0]
    for kind, impossible, possible in (("label", 1, 0), ("soft", [0.5, 0.5, 0], [0.5, 0, 0.5])):
        assert loss.value(scores, impossible) == INF, kind
        expected = loss.value([0.0, 1.0], 0 if kind == "label" else [0.5, 0.5])
        assert loss.value(scores, possible) == pytest.approx(expected, rel=1e-15)
        for aims in (impossible, possible):
            assert np.isfinite(loss.gradient(scores, aims)).all()
    assert loss.gradient(scores, 0)[1] == 0
    nothing = np.full(3, -INF)
    for aims in (1, [0.5, 0.25, 0.25]):
        assert loss.value(nothing, aims) == INF
        np.testing.assert_array_equal(loss.gradient(nothing, aims), 0)


def test_the_hessian_where_a_class_cannot_happen():
    product = LOSS.hessian_vector([[0.0, -INF, 1.0], [-INF] * 3], [[1.0, NAN, 2.0], [NAN] * 3])
    np.testing.assert_array_equal(product[:, 1], 0)
    expected = LOSS.hessian_vector([[0.0, 1.0], [-INF] * 2], [[1.0, 2.0], [NAN] * 2])
    np.testing.assert_allclose(product[:, [0, 2]], expected, rtol=1e-15)


@pytest.mark.parametrize("map_", MAPS[:-1], ids=repr)
def test_a_nan_stays_in_its_row(map_):
    scores = np.array([[0.0, 1.0, 2.0], [NAN, 1.0, -INF], [3.0, 1.0, 0.0]])
    bad = [False, True, False]
    targets = np.array([[0.2, 0.3, 0.5], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    for aims in ([0, 1, 1], [2, 2, 2], targets):
        value, gradient = FenchelYoung(map_).value_and_gradient(scores, aims)
        np.testing.assert_array_equal(np.isnan(value), bad)
        np.testing.assert_array_equal(np.isnan(gradient).any(axis=1), bad)


def test_an_infinite_score_as_in_cross_entropy():
    scores, labels = [[INF, 0.0], [INF, 0.0]], [0, 1]
    expected = cross_entropy(scores, labels, reduction="none")
    np.testing.assert_array_equal(LOSS.value(scores, labels), expected)
    for map_ in (Hardmax(), Softmax(0)):
        np.testing.assert_array_equal(FenchelYoung(map_).value(scores, labels), [0, INF])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("map_", [Softmax(0.5), PlainSoftmax(0.5), Hardmax()], ids=repr)
def test_dtypes(map_, dtype):
    dtype = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    scores, labels, targets = problem()
    scores = scores.astype(dtype)
    wide = scores.astype(np.float64 if dtype == np.float64 else np.float32)
    loss = FenchelYoung(map_)
    for aims in (labels, targets):
        value, gradient = loss.value_and_gradient(scores, aims)
        assert value.dtype == np.float64
        assert gradient.dtype == dtype
        # That of labels is computed in the dtype of the scores, as cross-entropy is.
        of_floats = wide.dtype == np.float32 and aims is labels and not isinstance(map_, Hardmax)
        exact, rtol = loss.value(scores.astype(float), aims), 2.0**-27 if of_floats else 0
        np.testing.assert_allclose(value, exact, rtol=rtol)
        np.testing.assert_array_equal(gradient, loss.gradient(wide, aims).astype(dtype))
    if not isinstance(map_, Hardmax):
        direction = targets.astype(dtype)
        product = loss.hessian_vector(scores, direction)
        assert product.dtype == dtype
        expected = loss.hessian_vector(wide, direction.astype(wide.dtype)).astype(dtype)
        np.testing.assert_array_equal(product, expected)


def test_integer_scores_and_targets():
    for aims, labels in (([[0, 1, 0]], [1]), (np.array([1], np.uint8), [1])):
        value, gradient = LOSS.value_and_gradient([[1, 2, 3]], aims)
        expected = LOSS.value_and_gradient([[1.0, 2.0, 3.0]], labels)
        np.testing.assert_allclose(value, expected[0], rtol=1e-15)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-14)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (2, 0), None])
@pytest.mark.parametrize("kind", [Softmax, PlainSoftmax])
def test_axes(kind, axis):
    rng = np.random.default_rng(4)
    scores = rng.standard_normal((2, 3, 4))
    axes = tuple(range(3)) if axis is None else (axis,) if isinstance(axis, int) else axis
    targets = np.asarray(softmax(rng.standard_normal(scores.shape), axis))
    labels = argmax(rng.standard_normal(scores.shape), axis)
    rest = [i for i in range(3) if i not in axes]

    def flat(array):
        batch = [array.shape[i] for i in rest]
        return np.transpose(array, [*rest, *axes]).reshape(*batch, -1)

    loss, plain = FenchelYoung(kind(0.5, axis)), FenchelYoung(kind(0.5))
    for aims, expected_aims in ((labels, labels), (targets, flat(targets))):
        value, gradient = loss.value_and_gradient(scores, aims)
        expected = plain.value_and_gradient(flat(scores), expected_aims)
        np.testing.assert_allclose(value, expected[0], rtol=1e-14)
        np.testing.assert_allclose(flat(gradient), expected[1], rtol=1e-14)
    product = flat(loss.hessian_vector(scores, targets))
    np.testing.assert_allclose(product, plain.hessian_vector(flat(scores), flat(targets)), 1e-13)


@pytest.mark.parametrize("map_", MAPS, ids=repr)
def test_empty_batches(map_):
    scores = np.empty((0, 3), np.float32)
    for aims in ([], np.empty((0, 3)), np.empty(0, np.int64)):
        value, gradient = FenchelYoung(map_).value_and_gradient(scores, aims)
        assert value.shape == (0,)
        assert gradient.shape == (0, 3)


def test_hardmax_is_the_perceptron():
    scores, labels, targets = problem()
    loss = FenchelYoung(Hardmax())
    for aims, rows in ((labels, np.eye(5)[labels]), (targets, targets)):
        value, gradient = loss.value_and_gradient(scores, aims)
        expected = scores.max(axis=1) - (scores * rows).sum(axis=1)
        np.testing.assert_allclose(value, expected, rtol=1e-14, atol=1e-15)
        np.testing.assert_array_equal(gradient, Hardmax()(scores) - rows)
    for map_ in (Hardmax(), Softmax(0)):
        with pytest.raises(NotDifferentiableError, match="piecewise constant"):
            FenchelYoung(map_).hessian_vector(scores, scores)


SCORES = np.zeros((2, 3))
REFUSALS = {
    "function": (lambda: FenchelYoung(softmax), r"softmax is not a map.*luce.Softmax\(\)"),
    "class": (lambda: FenchelYoung(Softmax), "Softmax is not a map"),
    "label": (lambda: LOSS.value(SCORES, [0, 3]), r"targets\[1\] is 3; .* class from 0 to 2"),
    "negative": (lambda: LOSS.gradient(SCORES[None], [[0, -1]]), r"targets\[0, 1\] is -1"),
    "single": (lambda: LOSS.value(SCORES[0], 7), "targets is 7"),
    "float": (lambda: LOSS.value(SCORES, [0.0, 1.0]), "dtype float64; expected integers"),
    "bool": (lambda: LOSS.value(SCORES, [True, False]), "dtype bool; expected integers"),
    "shape": (lambda: LOSS.value(SCORES, [0]), r"\(1,\); expected \(2,\) .* or \(2, 3\)"),
    "sum": (lambda: LOSS.value(SCORES, SCORES), r"targets\[0\] sum to 0"),
    "nan": (lambda: LOSS.value(SCORES, [[0, 1, 0], [NAN, 1, 0]]), r"targets\[1\] sum to nan"),
    "words": (lambda: LOSS.value(SCORES, np.full((2, 3), "a")), "targets have dtype"),
    "axis": (lambda: FenchelYoung(Softmax(axis=5)).value(SCORES, [0, 1]), "axis 5 does not fit"),
    "hessian": (lambda: LOSS.hessian_vector(SCORES, SCORES[0]), r"direction has shape \(3,\)"),
    "wide": (lambda: FenchelYoung(Softmax([1.0] * 3)).value(SCORES, [0, 1]), r"has shape \(3,\)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    function, message = REFUSALS[name]
    with pytest.raises(DataError, match=message):
        function()


def test_a_loss_is_a_value():
    assert FenchelYoung(Softmax(2.0)) == FenchelYoung(Softmax(2.0)) != FenchelYoung(Softmax())
    assert hash(FenchelYoung(Hardmax())) == hash(FenchelYoung(Hardmax()))


def test_examples_run():
    result = doctest.testmod(importlib.import_module("luce.losses.fenchel_young"))
    assert result.attempted > 0
    assert result.failed == 0
