"""What holds for all scores: the simplex, shifts, permutations, temperatures, masks."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import luce

INF, NAN = np.inf, np.nan
FLOATS = st.sampled_from([np.float32, np.float64])
MAPS = st.sampled_from([luce.softmax, luce.log_softmax])


def matrices(elements, max_side=40):
    return FLOATS.flatmap(
        lambda dtype: hnp.arrays(
            dtype, st.tuples(st.integers(1, 4), st.integers(1, max_side)), elements=elements
        )
    )


FINITE = matrices(st.floats(-1000, 1000, width=32))
# Numbers that can be shifted, scaled and compared without rounding, with ties among them.
EIGHTHS = matrices(st.integers(-800, 800).map(lambda n: n / 8))
DISTINCT = FLOATS.flatmap(
    lambda dtype: st.lists(st.integers(-1000, 1000), min_size=1, max_size=40, unique=True).map(
        lambda row: np.array(row, dtype)
    )
)
POSSIBLE = matrices(st.one_of(st.integers(-80, 80).map(float), st.just(-INF)))


def within_ulps(result, expected, ulps=4):
    """Two answers, each at most 2 ulp from the exact one."""
    np.testing.assert_array_max_ulp(result, expected, ulps)


def error_of_sum(probabilities):
    """The exact distance from 1 of every row's exact sum, in units in the last place of 1."""
    eps = float(np.finfo(probabilities.dtype).eps)
    rows = probabilities.astype(np.float64).reshape(-1, probabilities.shape[-1])
    return max(abs(math.fsum([*row.tolist(), -1.0])) / eps for row in rows)


DISTRIBUTIONS = {
    "normal": lambda random, n: 3 * random.standard_normal(n),
    "thousands apart": lambda random, n: 2000 * random.standard_normal(n),
    "heavy tails": lambda random, n: random.standard_cauchy(n),
    "all equal": lambda random, n: np.full(n, random.normal()),
    "nearly equal": lambda random, n: 1 + 1e-6 * random.standard_normal(n),
    "ties": lambda random, n: random.integers(0, 3, n).astype(float),
    "a ramp": lambda random, n: np.linspace(-30, 30, n),
    "one above all": lambda random, n: np.where(np.arange(n) == n // 2, 9.0, 0.0),
    "far from 0": lambda random, n: 1e6 + random.integers(-9, 9, n),
    "some impossible": lambda random, n: np.where(random.random(n) < 0.5, -INF, np.arange(n) % 7),
    "down to the smallest float": lambda random, n: -110 * random.random(n),
}
each_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def drawn(distribution, seed, n, dtype):
    scores = DISTRIBUTIONS[distribution](np.random.default_rng(seed), n).astype(dtype)
    scores[0] = max(scores[0], -5)  # at least one possible class
    return scores


@each_distribution
@given(n=st.integers(1, 5000), seed=st.integers(0, 2**32 - 1), dtype=FLOATS)
@settings(max_examples=40)
def test_probabilities_sum_to_one_exactly(distribution, n, seed, dtype):
    p = luce.softmax(drawn(distribution, seed, n, dtype))
    assert (p >= 0).all()
    assert (p <= 1).all()
    assert error_of_sum(p) <= 4


@each_distribution
@each_dtype
def test_they_do_along_other_axes(distribution, dtype):
    columns = np.stack([drawn(distribution, seed, 777, dtype) for seed in range(20)], axis=1)
    assert error_of_sum(np.ascontiguousarray(luce.softmax(columns, axis=0).T)) <= 4
    assert error_of_sum(luce.softmax(columns, axis=None).reshape(-1)) <= 4


@pytest.mark.parametrize("distribution", ["normal", "all equal", "a ramp"])
@each_dtype
def test_a_million_do(distribution, dtype):
    assert error_of_sum(luce.softmax(drawn(distribution, 1, 1_000_000, dtype))) <= 4


def test_the_measure_of_sums_is_exact():
    p = np.float64([0.1] * 10)
    exact = abs(sum(map(Fraction, p.tolist())) - 1) / Fraction(2) ** -52
    assert error_of_sum(p) == exact > 0


@given(EIGHTHS, st.integers(-(2**13), 2**13), MAPS)
def test_a_shift_changes_nothing(scores, shift, function):
    within_ulps(function(scores + scores.dtype.type(shift)), function(scores))


@given(EIGHTHS, st.integers(-(2**13), 2**13))
def test_logsumexp_moves_with_a_shift(scores, shift):
    """To 2 ulp of the largest of result and score, and one more for adding the shift."""
    moved = luce.logsumexp(scores + scores.dtype.type(shift))
    expected = luce.logsumexp(scores) + scores.dtype.type(shift)
    unit = np.spacing(scores.dtype.type(np.abs(scores).max() + abs(shift) + 4))
    assert (np.abs(moved - expected) <= 5 * unit).all()


@given(FINITE, st.randoms(use_true_random=False), MAPS)
def test_permuted_scores_give_permuted_results(scores, random, function):
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    within_ulps(function(scores[:, order]), function(scores)[:, order])
    unit = np.spacing(np.maximum(np.abs(scores).max(axis=1), 8))
    difference = luce.logsumexp(scores[:, order]) - luce.logsumexp(scores)
    assert (np.abs(difference) <= 4 * unit).all()


@given(EIGHTHS)
def test_larger_scores_have_no_smaller_probabilities(scores):
    """And equal scores equal ones, wherever they stand."""
    order = np.argsort(scores, axis=1, kind="stable")
    steps = np.diff(np.take_along_axis(scores, order, 1), axis=1)
    for function in (luce.softmax, luce.log_softmax):
        rise = np.diff(np.take_along_axis(function(scores), order, 1), axis=1)
        assert (rise >= 0).all()
        assert (rise[steps == 0] == 0).all()


@given(EIGHTHS, st.integers(1, 100))
def test_raising_a_score_raises_its_probability_alone(scores, by):
    raised = scores.copy()
    raised[:, 0] += by
    before, after = luce.softmax(scores), luce.softmax(raised)
    assert (after[:, 0] >= before[:, 0]).all()
    assert (after[:, 1:] <= before[:, 1:]).all()


@given(POSSIBLE)
def test_the_three_agree(scores):
    p, log_p, total = luce.softmax(scores), luce.log_softmax(scores), luce.logsumexp(scores)
    eps = np.finfo(scores.dtype).eps
    with np.errstate(divide="ignore", under="ignore"):
        log_of_p = np.log(p)
    representable = p >= np.finfo(p.dtype).smallest_normal
    np.testing.assert_allclose(
        log_p[representable], log_of_p[representable], rtol=8 * eps, atol=4 * eps
    )
    assert (log_p[p == 0] < -80).all()
    possible = total > -INF
    np.testing.assert_array_equal(possible, (scores > -INF).any(axis=1))
    difference = scores[possible] - total[possible, None]
    np.testing.assert_allclose(log_p[possible], difference, rtol=0, atol=400 * eps)
    top = scores.max(axis=1)
    assert (total >= top).all()
    assert (total[possible] <= top[possible] + np.log(scores.shape[1]) * (1 + eps) + eps).all()


@given(POSSIBLE)
def test_the_largest_score_is_the_most_probable(scores):
    best = luce.argmax(scores)
    p = luce.softmax(scores)
    np.testing.assert_array_equal(p[np.arange(len(p)), best], p.max(axis=1))
    np.testing.assert_array_equal(luce.argmax(p), best)
    values, indices = luce.topk(scores, 1)
    np.testing.assert_array_equal(indices[:, 0], best)
    np.testing.assert_array_equal(values[:, 0], scores.max(axis=1))
    np.testing.assert_array_equal(luce.hardmax(scores).argmax(axis=1), best)


@given(DISTINCT, st.sampled_from([1e-3, 1e-8, 1e-40, 1e-300, 0.0]))
def test_without_ties_cold_is_hardmax(scores, temperature):
    """Scores at least 1 apart: e^-1000 is 0."""
    p = luce.softmax(scores, temperature=temperature)
    np.testing.assert_array_equal(p, luce.hardmax(scores))
    log_p = luce.log_softmax(scores, temperature=temperature)
    np.testing.assert_array_equal(log_p == 0, p == 1)
    assert (log_p[p == 0] <= -1000).all()


@given(POSSIBLE)
def test_at_temperature_0_the_first_of_ties_takes_all(scores):
    p = luce.softmax(scores, temperature=0)
    np.testing.assert_array_equal(p, luce.hardmax(scores))
    possible = (scores > -INF).any(axis=1)
    np.testing.assert_array_equal(p.sum(axis=1), possible)
    np.testing.assert_array_equal(p.argmax(axis=1)[possible], scores.argmax(axis=1)[possible])


@pytest.mark.parametrize("temperature", [1e-3, 1e-40, 1e-300, 5e-324])
@each_dtype
def test_above_temperature_0_ties_share(dtype, temperature):
    scores = np.array([3, 3, -INF, 1, 3, 3], dtype)
    expected = np.array([0.25, 0.25, 0, 0, 0.25, 0.25], dtype)
    np.testing.assert_array_equal(luce.softmax(scores, temperature=temperature), expected)


@given(POSSIBLE)
def test_hot_is_uniform_over_the_possible(scores):
    possible = scores > -INF
    share = possible / np.maximum(possible.sum(axis=1, keepdims=True), 1)
    uniform = luce.softmax(scores, temperature=INF)
    assert uniform.dtype == scores.dtype
    np.testing.assert_array_equal(uniform, share.astype(scores.dtype))
    np.testing.assert_allclose(luce.softmax(scores, temperature=1e8), share, rtol=4e-6)
    np.testing.assert_allclose(luce.softmax(scores, temperature=1e300), share, rtol=1e-6)
    with np.errstate(divide="ignore"):
        expected = np.log(share).astype(scores.dtype)
    within_ulps(luce.log_softmax(scores, temperature=INF), expected)


@given(FINITE, st.integers(-6, 6), MAPS)
def test_temperature_divides_scores(scores, power, function):
    temperature = 2.0**power
    within_ulps(function(scores, temperature=temperature), function(scores / temperature))


@given(matrices(st.floats(-30, 30, width=32)), st.floats(0.5, 20), MAPS)
def test_temperature_divides_scores_up_to_rounding(scores, temperature, function):
    """Here dividing rounds: half a unit of x/T in the exponent."""
    divided = scores / scores.dtype.type(temperature)
    slack = 4 + 2 * np.abs(divided).max()
    eps = np.finfo(scores.dtype).eps
    result, expected = function(scores, temperature=temperature), function(divided)
    np.testing.assert_allclose(
        result, expected, rtol=slack * eps, atol=0 if function is luce.softmax else slack * eps
    )


TEMPERATURES = [0.0, 0.5, 1.0, 3.0, 1e30, INF]


@given(POSSIBLE, st.data(), MAPS)
def test_one_temperature_a_row(scores, data, function):
    column = data.draw(
        hnp.arrays(np.float64, (len(scores), 1), elements=st.sampled_from(TEMPERATURES))
    )
    rows = [
        function(row, temperature=float(t)) for row, t in zip(scores, column[:, 0], strict=True)
    ]
    within_ulps(function(scores, temperature=column), np.stack(rows))
    within_ulps(function(scores.T, 0, temperature=column.T), np.stack(rows, axis=1))
    out = scores.copy()
    assert function(out, temperature=column.astype(np.float32), out=out) is out
    within_ulps(out, np.stack(rows))


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (1, 1, 1), (3, 1, 1), (1, 1, 5), (3, 1, 5)])
@pytest.mark.parametrize("function", [luce.softmax, luce.log_softmax])
@each_dtype
def test_temperatures_broadcast(function, shape, dtype):
    random = np.random.default_rng(3)
    scores = random.standard_normal((3, 4, 5)).astype(dtype)
    temperature = np.array(random.choice([0.25, 1.0, 2.0, 8.0], shape))
    result = function(scores, 1, temperature=temperature)
    assert result.dtype == dtype
    assert result.shape == scores.shape
    within_ulps(result, function(scores / temperature.astype(dtype), 1))


MISFITS = [(4,), (1, 4), (3, 4), (2, 1), (1, 3, 1)]


@pytest.mark.parametrize("shape", MISFITS)
@pytest.mark.parametrize("function", [luce.softmax, luce.log_softmax])
def test_temperatures_that_do_not_fit(function, shape):
    with pytest.raises(luce.DataError, match="temperature"):
        function(np.zeros((3, 4)), temperature=np.ones(shape))


@pytest.mark.parametrize("wrong", [-1.0, -1e-300, -INF, NAN])
@pytest.mark.parametrize("function", [luce.softmax, luce.log_softmax])
def test_temperatures_below_0_are_refused(function, wrong):
    column = np.array([[1.0], [wrong], [0.0]])
    for temperature in (wrong, np.array(wrong), column):
        with pytest.raises(luce.DataError, match=r"temperature(.|\n)*(-|nan)"):
            function(np.zeros((3, 4)), temperature=temperature)


@given(FINITE, st.data(), st.sampled_from([0.0, 0.5, 1.0, INF]))
def test_where_puts_minus_infinity(scores, data, temperature):
    where = data.draw(hnp.arrays(bool, st.sampled_from([scores.shape, scores.shape[1:], ()])))
    masked = np.where(where, scores, scores.dtype.type(-INF))
    for function in (luce.softmax, luce.log_softmax):
        result = function(scores, where=where, temperature=temperature)
        within_ulps(result, function(masked, temperature=temperature))
        nothing = 0 if function is luce.softmax else -INF
        assert (result[~np.broadcast_to(where, scores.shape)] == nothing).all()
    assume(np.broadcast_to(where, scores.shape).any(axis=1).all())
    np.testing.assert_array_equal(luce.argmax(scores, where=where), masked.argmax(axis=1))
