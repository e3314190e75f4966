import numpy as np
import pytest
from scipy.stats import norm

from luce.scorers import Activation, Dense, Gelu, Identity, Logistic, Relu, Tanh

ACTIVATIONS = [Identity(), Relu(), Gelu(), Tanh(), Logistic()]
NAMES = {**vars(np), "normal": norm.cdf, "density": norm.pdf}


def test_all_are_listed():
    assert {type(a) for a in ACTIVATIONS} == set(Activation.__subclasses__())


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_a_formula_is_what_is_computed(activation):
    features = np.linspace(-6, 6, 49).reshape(7, 7)
    outputs, kept = activation.forward(features)
    np.testing.assert_allclose(
        outputs, eval(activation.formula, NAMES, {"x": features}), rtol=1e-13, atol=1e-15
    )
    names = {"x": features, "outputs": outputs}
    slope = np.broadcast_to(eval(activation.derivative, NAMES, names), features.shape)
    cotangent = np.cos(features)
    expected = cotangent * slope
    np.testing.assert_allclose(
        activation.backward(cotangent.copy(), kept), expected, rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_alone_or_in_a_dense_layer_it_gives_the_same(activation, dtype):
    random = np.random.default_rng(0)
    features = random.standard_normal((7, 5)).astype(dtype)
    parameters = Dense(5, 4).initial(random, dtype)
    cotangent = random.standard_normal((7, 4)).astype(dtype)

    fused = Dense(5, 4, activation)
    together, kept = fused.forward(features, parameters)
    gradients = tuple(map(np.empty_like, parameters))
    flowing = fused.backward(cotangent.copy(), kept, parameters, gradients)

    before, dense_kept = Dense(5, 4).forward(features, parameters)
    outputs, activation_kept = activation.forward(before)
    back = activation.backward(cotangent.copy(), activation_kept)
    others = tuple(map(np.empty_like, parameters))
    flowing_apart = Dense(5, 4).backward(back, dense_kept, parameters, others)
    for found, expected in zip(
        (together, flowing, *gradients), (outputs, flowing_apart, *others), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=repr)
def test_the_cotangent_is_overwritten_and_what_was_kept_is_not(activation):
    features = np.array([[-1.0, 0.5]])
    _, kept = activation.forward(features)
    before, cotangent = kept.copy(), np.ones((1, 2))
    assert activation.backward(cotangent, kept) is cotangent
    np.testing.assert_array_equal(kept, before)
    np.testing.assert_array_equal(features, [[-1.0, 0.5]])


def test_infinity_and_nan():
    features = np.array([[-np.inf, np.inf, np.nan]])
    for activation, expected in [
        (Identity(), [-np.inf, np.inf, np.nan]),
        (Relu(), [0, np.inf, np.nan]),
        (Gelu(), [0, np.inf, np.nan]),
        (Tanh(), [-1, 1, np.nan]),
        (Logistic(), [0, 1, np.nan]),
    ]:
        np.testing.assert_array_equal(activation.forward(features)[0], [expected])
