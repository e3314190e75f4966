"""features -> scores, forward and backward."""

from luce.scorers.activations import Activation, Gelu, Identity, Logistic, Relu, Tanh
from luce.scorers.chain import backward, count_parameters, forward, initial_parameters, split
from luce.scorers.ending import end
from luce.scorers.layer import Layer
from luce.scorers.layers import Dense, Dropout, LayerNorm, Residual
from luce.scorers.linear import linear, linear_vjp
from luce.scorers.network import Network
from luce.scorers.perceptron import multilayer_perceptron

__all__ = [
    "Activation",
    "Dense",
    "Dropout",
    "Gelu",
    "Identity",
    "Layer",
    "LayerNorm",
    "Logistic",
    "Network",
    "Relu",
    "Residual",
    "Tanh",
    "backward",
    "count_parameters",
    "end",
    "forward",
    "initial_parameters",
    "linear",
    "linear_vjp",
    "multilayer_perceptron",
    "split",
]
