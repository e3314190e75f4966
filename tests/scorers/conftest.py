"""The layers that are tested, and each once more, written down plainly for complex numbers.

A derivative is the imaginary part of f(x + ih) over h: nothing cancels, and with h = 1e-30 it has
all digits of a float64.
"""

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from luce import kernels
from luce.scorers import (
    Activation,
    Dense,
    Dropout,
    Gelu,
    Identity,
    Layer,
    LayerNorm,
    Logistic,
    Relu,
    Residual,
    Tanh,
)

STEP = 1e-30
PLAIN = {
    Identity: lambda x: x,
    Relu: lambda x: np.where(x.real > 0, x, 0),
    Gelu: lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    Tanh: np.tanh,
    Logistic: lambda x: 1 / (1 + np.exp(-x)),
}

LAYERS: dict[str, tuple[Layer, int]] = {
    **{f"{a.__name__} alone": (a(), 4) for a in PLAIN},
    **{f"dense, {a.__name__}": (Dense(5, 3, a()), 5) for a in PLAIN},
    "dense, one by one": (Dense(1, 1, Tanh()), 1),
    "dense, wide": (Dense(2, 19, Gelu()), 2),
    "dropout": (Dropout(0.4), 6),
    "no dropout": (Dropout(0), 6),
    "layer norm": (LayerNorm(5), 5),
    "layer norm, much epsilon": (LayerNorm(3, epsilon=2.0), 3),
    "layer norm, two": (LayerNorm(2), 2),
    "residual": (Residual((Dense(4, 4, Tanh()),)), 4),
    "residual, deep": (
        Residual((LayerNorm(4), Dense(4, 7), Gelu(), Dropout(0.3), Dense(7, 4, Relu()))),
        4,
    ),
    "residual in residual": (
        Residual((Dense(3, 2), Residual((Dense(2, 2, Logistic()),)), Dropout(0.5), Dense(2, 3))),
        3,
    ),
}
"""Name -> a layer, and how many features it takes. What is listed here is tested."""


@singledispatch
def exact(layer: Layer, features: np.ndarray, parameters: Any, kept: Any) -> np.ndarray:
    """The layer's outputs by the plain formula; `kept` says what was dropped."""
    raise NotImplementedError


@exact.register
def _(layer: Activation, features, parameters, kept):
    return PLAIN[type(layer)](features)


@exact.register
def _(layer: Dense, features, parameters, kept):
    weights, bias = parameters
    return PLAIN[type(layer.activation)](features @ weights + bias)


@exact.register
def _(layer: Dropout, features, parameters, kept):
    factors = np.ones(features.shape)
    if kept is not None:
        kernels.dropout(factors, layer.rate, kept, factors)
    return features * factors


@exact.register
def _(layer: LayerNorm, features, parameters, kept):
    scale, shift = parameters
    centred = features - features.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True)
    return centred / np.sqrt(variance + layer.epsilon) * scale + shift


@exact.register
def _(layer: Residual, features, parameters, kept):
    return features + exact_chain(layer.layers, features, layer.shared(parameters), kept)


def exact_chain(layers, features, parameters, kept):
    for layer, own, needed in zip(layers, parameters, kept, strict=True):
        features = exact(layer, features, own, needed)
    return features


def exact_gradient(function, array):
    """Of a function of an array to a number, entry by entry."""
    moved = array.astype(complex)
    gradient = np.empty(array.shape)
    for i in np.ndindex(array.shape):
        moved[i] += STEP * 1j
        gradient[i] = function(moved).imag / STEP
        moved[i] = array[i]
    return gradient


@dataclass(frozen=True)
class Plain:
    """What the tests of this room take from here."""

    layers: dict[str, tuple[Layer, int]]
    exact: Any
    chain: Any
    gradient: Any


@pytest.fixture(scope="session")
def plain() -> Plain:
    return Plain(LAYERS, exact, exact_chain, exact_gradient)


def pytest_generate_tests(metafunc):
    """A test that takes `name` is run for every layer."""
    if "layer_name" in metafunc.fixturenames:
        metafunc.parametrize("layer_name", LAYERS)
