"""Which fits take many steps in one call of a kernel, and how many."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from luce.scorers.activations import Gelu, Identity, Logistic, Relu, Tanh
from luce.scorers.chain import count_parameters
from luce.scorers.ending import SOFTMAX
from luce.scorers.layers import Dense
from luce.scorers.network import Network
from luce.training.network.batches import Batches
from luce.training.network.optimisers import Adam, Momentum, Optimiser

CALL_SECONDS = 0.02  # then Ctrl-C is heard, and the time looked at
MOST_PRODUCTS = 1 << 31  # of a step; in one that has more Ctrl-C is heard on the way
ACTIVATIONS = (Identity, Relu, Gelu, Tanh, Logistic)


@dataclass(frozen=True)
class Together:
    """What `kernels.perceptron_steps` is told in each call of a fit.

    Attributes
    ----------
    layers : list of (inputs, outputs, name of the activation)
    constants : mapping
        Of the optimiser.
    """

    layers: list[tuple[int, int, str]]
    constants: dict[str, Any]


def together(network: Network, batches: Batches, optimiser: Optimiser) -> Together | None:
    """None where each step is to be taken layer by layer; the results have the same bits.

    The kernel knows dense layers that end in softmax cross-entropy with labels.
    """
    layers = []
    for layer in network.layers:
        if type(layer) is not Dense or type(layer.activation) not in ACTIVATIONS:
            return None
        layers.append((layer.inputs, layer.outputs, layer.activation.name))
    constants = constants_of(optimiser)
    is_known = network.map == SOFTMAX and isinstance(batches.features, np.ndarray)
    products = 3 * batches.size * count_parameters(network.layers)[1]
    if constants is None or not is_known or batches.targets.ndim > 1 or products > MOST_PRODUCTS:
        return None
    return Together(layers, constants)


def constants_of(optimiser: Optimiser) -> dict[str, Any] | None:
    """As arguments of the kernel; None of an optimiser that it does not know."""
    if type(optimiser) is Adam:
        return {
            "beta_1": optimiser.beta_1,
            "beta_2": optimiser.beta_2,
            "epsilon": optimiser.epsilon,
            "decay": optimiser.weight_decay,
        }
    if type(optimiser) is Momentum:
        return {"momentum": optimiser.momentum, "nesterov": optimiser.nesterov}
    return None
