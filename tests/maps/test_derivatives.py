"""Derivatives of the maps, against differences taken with 120 digits."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce import maps
from luce.errors import NotDifferentiableError
from luce.maps import Hardmax, Softmax

INF, NAN = np.inf, np.nan
EXACT = mpmath.MPContext()
EXACT.dps = 120
ROWS = {
    "ordinary": ([0.3, -1.2, 2.0, 0.1], [1.0, -2.0, 0.5, 3.0]),
    "nearly certain": ([40.0, 0.0, -3.0], [1.0, 2.0, -1.0]),
    "large constant in the tangent": ([1.0, 0.0, -1.0], [1e6 + 1, 1e6 + 2, 1e6]),
}


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
