from dataclasses import dataclass

import numpy as np
import pytest

from luce.training.network import Adam, Momentum, fit_network
from luce.training.network.descent import norm


@dataclass(frozen=True)
class Watching(Momentum):
    """Keeps what each step was given."""

    seen: tuple = ()

    def step(self, parameters, gradient, state, *, scale, penalty, **arguments):
        self.seen[0].append((parameters.copy(), scale * gradient, penalty))
        super().step(parameters, gradient, state, scale=scale, penalty=penalty, **arguments)


def watched(network, features, labels, **arguments):
    seen = []
    arguments = {"batch_size": 25, "max_epochs": 4, "learning_rate": 0.1} | arguments
    fit = fit_network(
        network, features, labels, random=np.random.default_rng(0),
        optimiser=Watching(seen=(seen,)), **arguments,
    )  # fmt: skip
    return fit, seen


def test_a_step_is_given_the_gradient_of_the_mean_loss(rows, network):
    features, labels = rows()
    weights = np.linspace(0.5, 2, len(labels))
    start = network()
    _, seen = watched(
        start, features, labels, sample_weight=weights, batch_size=120, max_epochs=1, shuffle=False
    )
    _, gradient = start.value_and_gradient(features, labels, weights)
    np.testing.assert_allclose(seen[0][1], gradient, atol=1e-12)
    assert seen[0][2] == pytest.approx(1e-4 / weights.sum())


def test_long_gradients_are_shortened_and_short_ones_are_not(rows, network):
    features, labels = rows()
    lengths = [np.linalg.norm(given) for _, given, _ in watched(network(), features, labels)[1]]
    limit = float(np.median(lengths))
    _, seen = watched(network(), features, labels, max_norm=limit)
    limited = [np.linalg.norm(given) for _, given, _ in seen]
    assert max(limited) == pytest.approx(limit, rel=1e-12)
    assert min(limited) < 0.99 * limit
    assert limited[0] == pytest.approx(min(lengths[0], limit), rel=1e-12)


def test_a_limit_that_no_gradient_reaches_changes_no_bit(rows, network):
    features, labels = rows()
    fits = [
        watched(network(), features, labels, max_norm=limit, batch_size=32)[0]
        for limit in (None, 1e9)
    ]
    np.testing.assert_array_equal(fits[0].network.parameters, fits[1].network.parameters)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_norms_of_any_size(dtype):
    vector = np.random.default_rng(0).standard_normal(70_007).astype(dtype)
    expected = float(np.linalg.norm(vector.astype(np.longdouble)))
    large = dtype(np.finfo(dtype).max / 1e4)
    for threads in (1, 3):
        assert norm(vector, threads) == pytest.approx(expected, rel=1e-7)
        assert norm(vector * large, threads) == pytest.approx(expected * float(large), rel=1e-5)
    assert norm(np.zeros(0, dtype)) == 0


def test_gradients_that_overflow_when_squared_are_shortened_all_the_same(rows, network):
    features, labels = rows(dtype=np.float32)
    start = network(hidden=(), dtype=np.float32)
    start.parameters[:] = 0
    features *= np.float32(1e30)
    _, seen = watched(
        start, features, labels, max_norm=1.0, max_epochs=1, learning_rate=1e-32, batch_size=120
    )
    assert np.linalg.norm(seen[0][1]) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_average_is_of_the_parameters_after_each_step(rows, network, dtype):
    features, labels = rows(dtype=dtype)
    decay = 0.8
    fit, seen = watched(network(dtype=dtype), features, labels, averaging=decay)
    after = [parameters for parameters, _, _ in seen[1:]] + [fit.state.parameters]
    weights = decay ** np.arange(len(after))[::-1]
    expected = weights @ np.array(after, np.float64) / weights.sum()
    np.testing.assert_allclose(
        fit.network.parameters, expected, atol=1e-12 if dtype == np.float64 else 1e-6
    )
    assert (fit.network.parameters != fit.state.parameters).any()
    assert fit.state.averaged == fit.steps


def test_averaging_does_not_change_the_steps(rows, network):
    features, labels = rows()
    plain, averaged = (
        watched(network(), features, labels, averaging=averaging)[0] for averaging in (None, 0.99)
    )
    np.testing.assert_array_equal(plain.loss_curve, averaged.loss_curve)
    np.testing.assert_array_equal(plain.state.parameters, averaged.state.parameters)


def test_averaging_may_begin_in_a_fit_that_goes_on(rows, network):
    features, labels = rows()
    arguments = {"random": np.random.default_rng(0), "optimiser": Adam(), "max_epochs": 1}
    first = fit_network(network(), features, labels, **arguments)
    second = fit_network(network(), features, labels, state=first.state, averaging=0.0, **arguments)
    np.testing.assert_array_equal(second.network.parameters, second.state.parameters)
    assert (second.state.averaged, second.state.steps) == (1, 2)


def test_the_penalty_is_in_the_loss(rows, network):
    features, labels = rows()
    start = network()
    arguments = {"batch_size": 120, "max_epochs": 1, "shuffle": False}
    with_penalty, _ = watched(start, features, labels, penalty=3.0, **arguments)
    without, _ = watched(start, features, labels, penalty=0.0, **arguments)
    matrices = start.parameters[: 4 * 8 + 8 * 3]
    assert with_penalty.loss - without.loss == pytest.approx(1.5 * matrices @ matrices / 120)
    assert without.loss == pytest.approx(start.value_and_gradient(features, labels)[0])
