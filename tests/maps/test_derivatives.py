"""Derivatives of the maps, against differences taken with 120 digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce import maps
from luce.errors import DataError, NotDifferentiableError
from luce.maps import Hardmax
from luce.maps.map import Map
from luce.maps.softmax_map import Softmax

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.dps = 120
ROWS = {
    "ordinary": ([0.3, -1.2, 2.0, 0.1], [1.0, -2.0, 0.5, 3.0]),
    "nearly certain": ([40.0, 0.0, -3.0], [1.0, 2.0, -1.0]),
    "large constant in the tangent": ([1.0, 0.0, -1.0], [1e6 + 1, 1e6 + 2, 1e6]),
    "one class": ([3.0], [2.0]),
    "all alike": ([1.0] * 5, [1.0, 0.0, -1.0, 2.0, 7.0]),
}
FINITE = st.floats(-20, 20)


def exact_softmax(scores, temperature):
    exponentials = [EXACT.exp(x / EXACT.mpf(temperature)) for x in scores]
    return [e / EXACT.fsum(exponentials) for e in exponentials]


def difference(scores, tangent, temperature):
    step = EXACT.mpf(10) ** -30
    moved = [
        exact_softmax(
            [
                EXACT.mpf(x) + sign * step * EXACT.mpf(t)
                for x, t in zip(scores, tangent, strict=True)
            ],
            temperature,
        )
        for sign in (1, -1)
    ]
    return [float((a - b) / (2 * step)) for a, b in zip(*moved, strict=True)]


@pytest.mark.parametrize("temperature", [1.0, 0.5, 7.0])
@pytest.mark.parametrize("name", ROWS)
def test_softmax_against_differences(name, temperature):
    scores, tangent = ROWS[name]
    softmax = Softmax(temperature)
    p = softmax(scores)
    exact = difference(scores, tangent, temperature)
    np.testing.assert_allclose(softmax.jvp(p, tangent), exact, rtol=2e-15 * len(p))
    np.testing.assert_allclose(softmax.vjp(p, tangent), exact, rtol=2e-15 * len(p))
    columns = [difference(scores, unit, temperature) for unit in np.eye(len(scores))]
    np.testing.assert_allclose(softmax.jacobian(p), np.transpose(columns), rtol=1e-14)


def test_batches_axes_and_dtypes():
    rng = np.random.default_rng(1)
    scores, tangent = rng.standard_normal((2, 3, 4, 5))
    plain, along = Softmax(), Softmax(axis=1)
    p = along(scores)
    expected = plain.jvp(np.moveaxis(p, 1, -1), np.moveaxis(tangent, 1, -1))
    np.testing.assert_allclose(np.moveaxis(along.jvp(p, tangent), 1, -1), expected, rtol=1e-13)
    jacobian = along.jacobian(p)
    assert jacobian.shape == (3, 5, 4, 4)
    product = np.einsum("aeij,aej->aei", jacobian, np.moveaxis(tangent, 1, -1))
    np.testing.assert_allclose(product, expected, rtol=1e-12)
    for dtype in (np.float16, np.float32, np.float64):
        assert along.vjp(p.astype(dtype), tangent.astype(dtype)).dtype == dtype
        assert along.jacobian(p.astype(dtype)).dtype == dtype
    assert Softmax().jvp(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 3)


def unaligned(array):
    room = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    room[...] = array
    return room


@pytest.mark.parametrize(
    "lay",
    [
        np.asfortranarray,
        unaligned,
        lambda array: array.astype(array.dtype.newbyteorder()),
        lambda array: np.repeat(array, 2, axis=1)[:, ::2],
        lambda array: array.astype(np.float64),
    ],
    ids=["columns", "unaligned", "other byte order", "strided", "wider"],
)
def test_both_may_lie_in_memory_as_they_like(lay):
    rng = np.random.default_rng(2)
    p = Softmax()(rng.standard_normal((4, 7)).astype(np.float32))
    tangent = rng.standard_normal((4, 7)).astype(np.float32)
    expected = Softmax().vjp(p, tangent)
    for both in ((lay(p), tangent), (p, lay(tangent)), (lay(p), lay(tangent))):
        slopes = Softmax().vjp(*both)
        assert slopes.dtype == np.result_type(*both).newbyteorder("=")
        np.testing.assert_allclose(slopes, expected, rtol=0, atol=1e-7)


def test_rows_that_are_one_row_in_memory():
    """Their stride is 0, and no reason to lay the result out by columns."""
    p, tangent = Softmax()([0.0, 1.0, 2.0]), np.array([3.0, 0.0, 1.0])
    slopes = Softmax().vjp(np.broadcast_to(p, (4, 3)), np.broadcast_to(tangent, (4, 3)))
    assert slopes.flags.c_contiguous
    np.testing.assert_array_equal(slopes, np.tile(Softmax().vjp(p, tangent), (4, 1)))


def test_impossible_classes_do_not_move():
    p = Softmax()([0.0, -INF, 1.0])
    for nothing in (NAN, INF, -INF, 5.0):
        moved = Softmax().vjp(p, [1.0, nothing, 2.0])
        assert moved[1] == 0
        np.testing.assert_allclose(moved[[0, 2]], Softmax().vjp(p[[0, 2]], [1.0, 2.0]))
    assert np.isfinite(Softmax().jacobian(p)).all()
    none = Softmax()([-INF, -INF])
    np.testing.assert_array_equal(Softmax().vjp(none, [NAN, 1.0]), 0)
    np.testing.assert_array_equal(Softmax().jacobian(none), 0)
    assert Softmax().omega(none) == 0


def test_limits_of_the_temperature():
    p = Softmax(INF)([0.0, 1.0])
    np.testing.assert_array_equal(Softmax(INF).jvp(p, [1.0, 2.0]), 0)
    with pytest.raises(NotDifferentiableError, match="temperature=0"):
        Softmax(0).vjp([0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="temperature is -1"):
        Softmax(-1)


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"\(2,\); expected \(3,\)"):
        Softmax().jvp([0.2, 0.3, 0.5], [1.0, 2.0])


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=12), st.floats(0.25, 4))
def test_softmax_solves_the_problem_it_stands_for(scores, temperature):
    """<p, z> - T omega(p) at p = softmax(z / T) is T logsumexp(z / T), its maximum."""
    softmax = Softmax(temperature)
    scores = np.array(scores)
    p = softmax(scores)
    value = p @ scores - temperature * softmax.omega(p)
    maximum = temperature * maps.logsumexp(scores / temperature)
    assert value == pytest.approx(maximum, rel=1e-12, abs=1e-11)
    uniform = np.full(len(p), 1 / len(p))
    assert uniform @ scores - temperature * softmax.omega(uniform) <= maximum + 1e-11


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9))
def test_a_jacobian_is_symmetric_and_its_rows_sum_to_zero(scores):
    jacobian = Softmax().jacobian(Softmax()(scores))
    np.testing.assert_array_equal(jacobian, jacobian.T)
    assert np.abs(jacobian.sum(axis=1)).max() < 1e-15


@given(
    st.integers(1, 6).flatmap(lambda k: st.tuples(*[st.lists(FINITE, min_size=k, max_size=k)] * 3)),
    st.floats(0.25, 4),
)
def test_the_two_products_are_adjoint(rows, temperature):
    scores, tangent, cotangent = map(np.array, rows)
    softmax = Softmax(temperature)
    p = softmax(scores)
    forward, backward = softmax.jvp(p, tangent), softmax.vjp(p, cotangent)
    assert cotangent @ forward == pytest.approx(backward @ tangent, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(softmax.jacobian(p) @ tangent, forward, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("axis", [(0, 2), (2, 0), (1,), None])
def test_several_axes_are_one(axis):
    scores, tangent = np.random.default_rng(2).standard_normal((2, 3, 4, 5))
    axes = (0, 1, 2) if axis is None else axis
    rest = [i for i in range(3) if i not in axes]
    softmax = Softmax(axis=axis)
    p = softmax(scores)

    def flat(array):
        batch = [array.shape[i] for i in rest]
        return np.transpose(array, [*rest, *axes]).reshape(*batch, -1)

    plain = Softmax()
    np.testing.assert_array_equal(flat(softmax.jvp(p, tangent)), plain.jvp(flat(p), flat(tangent)))
    np.testing.assert_array_equal(softmax.omega(p), plain.omega(flat(p)))
    jacobian, expected = softmax.jacobian(p), plain.jacobian(flat(p))
    classes = [scores.shape[i] for i in axes]
    assert jacobian.shape == (*expected.shape[:-2], *classes, *classes)
    np.testing.assert_array_equal(jacobian.reshape(expected.shape), expected)


@pytest.mark.parametrize("shape", [(3, 1, 5), (3, 1, 1), (1, 1, 5), (1, 5), (5,), (1,)])
def test_a_temperature_for_every_row(shape):
    scores, tangent = np.random.default_rng(3).standard_normal((2, 3, 4, 5))
    temperature = np.random.default_rng(4).uniform(0.5, 2, shape)
    softmax = Softmax(temperature, axis=1)
    p = softmax(scores)
    slope, jacobian = softmax.jvp(p, tangent), softmax.jacobian(p)
    everywhere = np.broadcast_to(temperature, (3, 1, 5))
    for i in range(3):
        for j in range(5):
            one = Softmax(everywhere[i, 0, j])
            expected = one.jvp(p[i, :, j], tangent[i, :, j])
            np.testing.assert_allclose(slope[i, :, j], expected, rtol=1e-15)
            np.testing.assert_allclose(jacobian[i, j], one.jacobian(p[i, :, j]), rtol=1e-15)


def test_a_row_without_a_temperature_between_the_limits():
    p = np.full((2, 2), 0.5)
    softmax = Softmax([[INF], [1.0]])
    np.testing.assert_array_equal(softmax.jvp(p, [[1.0, 0.0]] * 2), [[0, 0], [0.25, -0.25]])
    np.testing.assert_array_equal(softmax.jacobian(p)[0], 0)
    for derivative in (lambda m: m.jvp(p, p), lambda m: m.vjp(p, p), lambda m: m.jacobian(p)):
        with pytest.raises(NotDifferentiableError, match="temperature=0"):
            derivative(Softmax([[0.0], [1.0]]))


def test_a_nan_stays_in_its_row():
    p = Softmax()([[0.0, 1.0, -INF], [NAN, 0.0, 1.0], [-INF, -INF, -INF], [0.0, 0.0, 0.0]])
    t = np.array([[1.0, 2.0, NAN], [1.0, 2.0, 3.0], [NAN, INF, 1.0], [1.0, NAN, 0.0]])
    for result in (Softmax().jvp(p, t), Softmax().vjp(p, t)):
        assert np.isnan(result[[1, 3]]).all()
        np.testing.assert_array_equal(result[2], 0)
        np.testing.assert_array_equal(result[0, 2], 0)
        np.testing.assert_allclose(result[0, :2], Softmax().jvp(p[0, :2], t[0, :2]))
    jacobian = Softmax().jacobian(p)
    assert np.isnan(jacobian[1]).all()
    assert np.isfinite(jacobian[[0, 2, 3]]).all()
    np.testing.assert_array_equal(np.isnan(Softmax().omega(p)), [False, True, False, False])


@pytest.mark.parametrize("axis", [0, 1])
def test_the_error_does_not_grow_with_the_row(axis):
    rng = np.random.default_rng(5)
    p = Softmax(axis=axis)(rng.standard_normal((2**18, 2) if axis == 0 else (2, 2**18)))
    p = p.astype(np.float32, order="C")
    t = rng.uniform(1, 2, p.shape).astype(np.float32)
    softmax, eps = Softmax(axis=axis), np.finfo(np.float32).eps
    exact = softmax.jvp(p.astype(float), t.astype(float))
    assert np.abs(softmax.jvp(p, t) - exact).max() < eps * p.max()
    exact = softmax.omega(p.astype(float))
    np.testing.assert_allclose(softmax.omega(p), exact, rtol=2 * eps)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_narrow_floats_are_the_rounded_float32_result(name):
    dtype = np.dtype(getattr(pytest.importorskip("ml_dtypes"), name, name))
    rng = np.random.default_rng(6)
    p, t = Softmax()(rng.standard_normal((4, 9))).astype(dtype), rng.uniform(-9, 9, (4, 9))
    t = t.astype(dtype)
    softmax, wide, wide_t = Softmax(0.7), p.astype(np.float32), t.astype(np.float32)
    for result, expected in [
        (softmax.jvp(p, t), softmax.jvp(wide, wide_t)),
        (softmax.vjp(p, t), softmax.vjp(wide, wide_t)),
        (softmax.jacobian(p), softmax.jacobian(wide)),
        (softmax.omega(p), softmax.omega(wide)),
    ]:
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected.astype(dtype))


def test_beyond_the_range_of_a_dtype_without_a_warning():
    p = np.array([0.5, 0.5], np.float32)
    assert np.isinf(Softmax(1e-45).jvp(p, np.array([1, 0], np.float32))).all()
    assert np.isinf(Softmax(1e-9).jacobian(p.astype(np.float16))).all()
    np.testing.assert_allclose(Softmax(1e300).jvp([0.5, 0.5], [1e300, 0]), [0.25, -0.25])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_empty(shape):
    nothing = np.empty(shape, np.float32)
    for axis in range(len(shape)):
        softmax = Softmax(axis=axis)
        assert softmax.jvp(nothing, nothing).shape == shape
        assert softmax.jacobian(nothing).dtype == np.float32
        assert softmax.omega(nothing).shape == shape[:axis] + shape[axis + 1 :]


P = np.full((2, 3), 1 / 3)
REFUSALS = {
    "shape": (lambda: Softmax().jvp(P, P.T), r"tangent has shape \(3, 2\); expected \(2, 3\)"),
    "direction": (lambda: Softmax().vjp(P, P[0]), r"cotangent has shape \(3,\)"),
    "words": (lambda: Softmax().jvp(P, np.full((2, 3), "a")), "tangent's values have dtype"),
    "axis": (lambda: Softmax(axis=2).jvp(P, P), r"axis 2 .* \(2, 3\); expected axes from -2 to 1"),
    "jacobian": (lambda: Softmax(axis=-3).jacobian(P), "axis -3 does not fit"),
    "omega": (lambda: Softmax(axis=(0, 0)).omega(P), "each at most once"),
    "number": (lambda: Softmax().jvp(0.5, 1.0), "single number"),
    "axis value": (lambda: Softmax(axis=0.5), "axis is 0.5; expected an integer"),
    "no axes": (lambda: Softmax(axis=()), r"axis is \(\)"),
    "wide": (lambda: Softmax([1.0, 2.0, 3.0]).jvp(P, P), r"\(3,\); expected .* to \(2, 1\)"),
    "more": (lambda: Softmax(np.ones((1, 1, 1))).jacobian(P), r"\(1, 1, 1\); expected"),
    "negative": (lambda: Softmax([[1.0], [-2.0]]), r"temperature\[1, 0\] is -2.0; .* at least 0"),
    "nan": (lambda: Softmax(NAN), "temperature is nan"),
    "word": (lambda: Softmax("warm"), "'warm'; expected a number"),
    "ragged": (lambda: Softmax([[1.0], [1.0, 2.0]]), "expected a number"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    function, message = REFUSALS[name]
    with pytest.raises(DataError, match=message):
        function()


def test_a_map_is_a_value():
    temperature = np.array([[1.0], [2.0]])
    a, b = Softmax(temperature), Softmax(temperature.copy())
    temperature[0] = 5
    assert a == b
    assert hash(a) == hash(b)
    assert {a: 1}[b] == 1
    assert a != Softmax([[1.0, 2.0]])
    assert a != Softmax()
    assert Softmax() != "Softmax()"
    assert Softmax(-0.0) == Softmax(0)
    assert Softmax(axis=[0, 1]) == Softmax(axis=(0, 1)) != Softmax(axis=0)
    with pytest.raises(ValueError, match="read-only"):
        a.temperature[0] = 7
    assert isinstance(a, Map)
    assert not isinstance(maps.softmax, Map)
    assert repr(Softmax(2)) == "Softmax(temperature=2.0, axis=-1)"


def test_omega_outside_the_simplex():
    assert np.isnan(Softmax().omega([-0.1, 1.1]))
    assert np.isnan(Softmax().omega([NAN, 1.0]))
    np.testing.assert_allclose(Softmax(axis=0).omega([[0.5, 1], [0.5, 0]]), [-np.log(2), 0])


@pytest.mark.parametrize("derivative", ["jvp", "vjp", "jacobian"])
def test_hardmax_says_why_it_has_no_derivative(derivative):
    arguments = [[0.0, 1.0]] if derivative == "jacobian" else [[0.0, 1.0], [1.0, 2.0]]
    with pytest.raises(NotDifferentiableError, match=r"piecewise constant.*ties.*Softmax"):
        getattr(Hardmax(), derivative)(*arguments)


def test_hardmax_as_a_value():
    np.testing.assert_array_equal(Hardmax()([[1.0, 2.0]]), [[0, 1]])
    np.testing.assert_array_equal(Hardmax().omega([[0.0, 1.0], [1.0, 0.0]]), [0, 0])
    assert Hardmax() == Hardmax()
    assert hash(Softmax(2.0)) == hash(Softmax(2.0))
