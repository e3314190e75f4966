"""The multi-layer perceptron, as layers."""

from collections.abc import Sequence

from luce.scorers.activations import Activation, Relu
from luce.scorers.layer import Layer, Layers
from luce.scorers.layers import Dense, Dropout, LayerNorm, Residual

RELU = Relu()


def multilayer_perceptron(
    inputs: int,
    hidden: Sequence[int],
    classes: int,
    activation: Activation = RELU,
    dropout: float = 0.0,
    layer_norm: bool = False,
    residual: bool = False,
) -> Layers:
    """Dense layers with activations, and a last one without.

    Each hidden layer is a dense one, its layer norm, its activation, dropout. With `residual` it is
    added to what it was given where the two are as wide.
    """
    layers: list[Layer] = []
    width, first = inputs, True
    for outputs in hidden:
        block: list[Layer]
        if layer_norm:
            block = [Dense(width, outputs), LayerNorm(outputs), activation]
        else:
            block = [Dense(width, outputs, activation)]
        if dropout:
            block.append(Dropout(dropout))
        if residual and width == outputs and not first:
            layers.append(Residual(tuple(block)))
        else:
            layers.extend(block)
        width, first = outputs, False
    return (*layers, Dense(width, classes))
