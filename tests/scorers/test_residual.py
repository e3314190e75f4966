import numpy as np
import pytest

from luce.errors import DataError
from luce.scorers import Dense, Dropout, LayerNorm, Network, Relu, Residual, Tanh, split


def test_the_features_are_added():
    layer = Residual((Dense(2, 3, Tanh()), Dense(3, 2)))
    parameters = layer.initial(np.random.default_rng(0), np.float64)
    features = np.array([[1.0, -2.0]])
    outputs, _ = layer.forward(features, parameters)
    inner = np.tanh(features @ parameters[0] + parameters[1]) @ parameters[2] + parameters[3]
    np.testing.assert_allclose(outputs, features + inner, rtol=1e-14)
    np.testing.assert_array_equal(features, [[1.0, -2.0]])


def test_matrices_of_inner_layers_are_penalised_like_others():
    layers = Residual((Dense(2, 2), LayerNorm(2))), Dense(2, 1)
    vector = np.arange(4 + 2 + 2 + 2 + 2 + 1)
    (weights, bias, scale, shift), (last, last_bias) = split(layers, vector)
    assert [a.tolist() for a in (weights, last)] == [[[0, 1], [2, 3]], [[4], [5]]]
    assert [a.tolist() for a in (bias, scale, shift, last_bias)] == [[6, 7], [8, 9], [10, 11], [12]]


def test_inner_layers_drop_while_training():
    layer, features = Residual((Dropout(0.5),)), np.ones((4, 50))
    outputs, kept = layer.forward(features, (), np.random.default_rng(0))
    assert set(np.unique(outputs)) == {1.0, 3.0}
    np.testing.assert_array_equal(layer.backward(np.ones((4, 50)), kept, (), ()), outputs)
    np.testing.assert_array_equal(layer.forward(features, ())[0], 2 * features)


def test_width():
    assert Residual((Relu(),)).width(None) is None
    assert Residual((Relu(),)).width(5) == 5
    assert Residual((Dense(2, 3), Dense(3, 2))).width(None) == 2
    with pytest.raises(DataError, match=r"layers\[0\]: .* takes 2 features, and is given 3"):
        Residual((Dense(2, 2),)).width(3)


REFUSALS = {
    "another width": ((Dense(2, 3),), r"adds .* 3 numbers; .* layers\[0\]: .* takes 2 features"),
    "another width, after": (
        (Relu(), Dense(3, 2)),
        r"adds .* 2 numbers; .* layers\[1\]: .* takes 3 features",
    ),
    "neighbours": ((Dense(2, 3), Dense(2, 2)), r"layers\[1\]: .* takes 2 .* is given 3"),
    "none": ((), "at least one layer"),
    "list": ([Relu()], "expected a tuple"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    layers, message = REFUSALS[name]
    with pytest.raises(DataError, match=message):
        Residual(layers)


def test_as_the_first_layer_of_a_network():
    layers = Residual((Dense(2, 2, Tanh()),)), Dense(2, 2)
    network = Network.initial(layers, np.random.default_rng(0), np.float64)
    features = np.array([[1.0, 2.0], [0.0, -1.0]])
    _, gradient = network.value_and_gradient(features, [0, 1])
    assert gradient.all()
