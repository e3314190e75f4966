import numpy as np
import pytest

from luce.errors import DataError
from luce.scorers import (
    Dense,
    Dropout,
    Gelu,
    LayerNorm,
    Network,
    Relu,
    Residual,
    Tanh,
    multilayer_perceptron,
)


def test_dense_layers_with_activations_and_a_last_one_without():
    assert multilayer_perceptron(5, (4, 3), 2) == (
        Dense(5, 4, Relu()),
        Dense(4, 3, Relu()),
        Dense(3, 2),
    )


def test_no_hidden_layer_is_a_linear_classifier():
    assert multilayer_perceptron(5, (), 2, residual=True, layer_norm=True) == (Dense(5, 2),)


def test_everything():
    block = Dense(4, 4), LayerNorm(4), Tanh(), Dropout(0.1)
    assert multilayer_perceptron(
        4, [4, 4, 3], 2, Tanh(), dropout=0.1, layer_norm=True, residual=True
    ) == (
        *block,
        Residual(block),
        Dense(4, 3),
        LayerNorm(3),
        Tanh(),
        Dropout(0.1),
        Dense(3, 2),
    )


def test_every_combination_is_a_network():
    random = np.random.default_rng(0)
    for hidden in ((), (3,), (3, 3), (4, 4, 2)):
        for i in range(8):
            norm, residual, dropout = i & 1, i & 2, i & 4
            layers = multilayer_perceptron(5, hidden, 3, Gelu(), dropout / 8, norm, residual)
            network = Network.initial(layers, random)
            assert network.probabilities(np.ones((2, 5), np.float32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, (3,), 2), "inputs is 0"),
        ((3, (0,), 2), "outputs is 0"),
        ((3, (3,), 0), "outputs is 0"),
        ((3, (3,), 2, "relu"), "activation is 'relu'"),
        ((3, (3,), 2, Relu, 0.0, True), "such as Relu"),
        ((3, (3,), 2, Relu(), 1.5), "rate is 1.5"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(DataError, match=message):
        multilayer_perceptron(*arguments)
