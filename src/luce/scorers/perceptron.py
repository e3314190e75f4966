"""The multi-layer perceptron, as layers."""

from collections.abc import Sequence

from luce.scorers.activations import Activation, Relu
from luce.scorers.layer import Layer, Layers
from luce.scorers.layers import Dense, Dropout, LayerNorm
from luce.scorers.residual import Residual

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
    """The layers of a multi-layer perceptron: dense ones with activations, and a last one without.

    Parameters
    ----------
    inputs : int
        Features of a row.
    hidden : sequence of int
        Outputs of each hidden layer. None at all makes a linear classifier.
    classes : int
        Scores of a row.
    activation : Activation, default Relu()
        Of every hidden layer.
    dropout : float, default 0
        Share of every hidden layer's outputs that is dropped while training.
    layer_norm : bool, default False
        Whether what is activated is normalised first.
    residual : bool, default False
        Whether a hidden layer is added to the hidden layer before it, where both are as wide.

    Returns
    -------
    tuple of Layer
        For `Network`.

    Raises
    ------
    DataError
        A number below 1, a rate that is none, or an activation that is no value.

    Examples
    --------
    >>> from luce.scorers import multilayer_perceptron
    >>> multilayer_perceptron(4, (8,), 3, dropout=0.1)
    (Dense(inputs=4, outputs=8, activation=Relu()), Dropout(rate=0.1),
     Dense(inputs=8, outputs=3, activation=Identity()))
    """
    layers: list[Layer] = []
    width = inputs
    for place, outputs in enumerate(hidden):
        block: list[Layer] = [Dense(width, outputs, activation)]
        if layer_norm:
            block = [Dense(width, outputs), LayerNorm(outputs), activation]
        if dropout:
            block.append(Dropout(dropout))
        if residual and place and width == outputs:
            block = [Residual(tuple(block))]
        layers.extend(block)
        width = outputs
    return (*layers, Dense(width, classes))
