import numpy as np
import pytest

from luce.errors import DataError
from luce.training.network import Adam, Momentum

PENALISED, PENALTY, SCALE = 4, 0.3, 0.5


def steps(optimiser, gradients, dtype=np.float64, rate=0.1):
    parameters = np.linspace(-1, 1, gradients.shape[1]).astype(dtype)
    state = optimiser.start(parameters)
    for step, gradient in enumerate(gradients.astype(dtype), start=1):
        optimiser.step(
            parameters,
            gradient,
            state,
            step=step,
            rate=rate,
            penalty=PENALTY,
            penalised=PENALISED,
            scale=SCALE,
            threads=1,
        )
    return parameters


def slope(gradient, parameters):
    slope = SCALE * gradient
    slope[:PENALISED] += PENALTY * parameters[:PENALISED]
    return slope


def adam(optimiser, gradients, rate=0.1):
    """Kingma and Ba's algorithm 1, as they wrote it."""
    x = np.linspace(-1, 1, gradients.shape[1])
    m = v = np.zeros_like(x)
    for t, gradient in enumerate(gradients, start=1):
        g = slope(gradient, x)
        m = optimiser.beta_1 * m + (1 - optimiser.beta_1) * g
        v = optimiser.beta_2 * v + (1 - optimiser.beta_2) * g**2
        x[:PENALISED] -= rate * optimiser.weight_decay * x[:PENALISED]
        mean, square = m / (1 - optimiser.beta_1**t), v / (1 - optimiser.beta_2**t)
        x = x - rate * mean / (np.sqrt(square) + optimiser.epsilon)
    return x


def descent(optimiser, gradients, rate=0.1):
    """Sutskever's: the velocity is that of the parameters."""
    x = np.linspace(-1, 1, gradients.shape[1])
    velocity = np.zeros_like(x)
    for gradient in gradients:
        g = slope(gradient, x)
        velocity = optimiser.momentum * velocity - rate * g
        x = x + (optimiser.momentum * velocity - rate * g if optimiser.nesterov else velocity)
    return x


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("optimiser", "plain"),
    [
        (Adam(), adam),
        (Adam(0.5, 0.7, 1e-3, 0.2), adam),
        (Momentum(), descent),
        (Momentum(0.5, nesterov=False), descent),
        (Momentum(0.0), descent),
    ],
)
def test_steps_are_those_of_the_papers(optimiser, plain, dtype):
    gradients = np.random.default_rng(0).standard_normal((20, 9))
    expected = plain(optimiser, gradients)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(steps(optimiser, gradients, dtype), expected, atol=tolerance)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Adam(beta_1=1.0), "beta_1"),
        (lambda: Adam(beta_2=-0.1), "beta_2"),
        (lambda: Adam(epsilon=0.0), "epsilon"),
        (lambda: Adam(weight_decay=-1.0), "weight_decay"),
        (lambda: Adam(beta_1=np.nan), "beta_1"),
        (lambda: Momentum(momentum=1.0), "momentum"),
    ],
)
def test_constants_out_of_range_are_refused(make, name):
    with pytest.raises(DataError, match=name):
        make()
