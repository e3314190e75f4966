"""features -> scores, forward and backward."""

from luce.scorers.activations import Activation, Gelu, Identity, Logistic, Relu, Tanh
from luce.scorers.chain import backward, count_parameters, forward, initial_parameters, split
from luce.scorers.ending import end
from luce.scorers.layer import Layer
from luce.scorers.layers import Dense, Dropout, LayerNorm
from luce.scorers.linear import linear, linear_into, linear_vjp
from luce.scorers.network import Network
from luce.scorers.perceptron import multilayer_perceptron
from luce.scorers.residual import Residual
from luce.scorers.trace import Step, Trace

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
    "Step",
    "Tanh",
    "Trace",
    "backward",
    "count_parameters",
    "end",
    "forward",
    "initial_parameters",
    "linear",
    "linear_into",
    "linear_vjp",
    "multilayer_perceptron",
    "split",
]
