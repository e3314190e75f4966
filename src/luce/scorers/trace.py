"""One small batch through a network and back, with every array kept under its name."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias

import numpy as np

from luce import kernels
from luce.maps.map import Map
from luce.scorers.activations import Activation
from luce.scorers.ending import SOFTMAX, end
from luce.scorers.explanation import explained
from luce.scorers.layer import Array, Layer, Parameters
from luce.scorers.layers import Dense, Dropout, LayerNorm
from luce.scorers.residual import Residual

Back: TypeAlias = Callable[[Array], Array]
"""From the gradient of a layer's outputs to that of its features."""

GIVEN, PARAMETER = "given", "parameter"
SCORES = "features @ weights + bias"


@dataclass(frozen=True, eq=False)
class Step:
    """An array of a `Trace`, and where it comes from.

    Attributes
    ----------
    layer : str
        "1", "2", and so on, or "2.1" for the first layer inside the second, a `Residual`; "" for
        the network itself.
    name : str
    formula : str
        NumPy over the names of the same layer, such as "features.T @ delta"; or a name elsewhere,
        such as "outputs of layer 1"; or "given" or "parameter".
    array : array
        Read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, Network
    >>> network = Network((Dense(2, 2),), np.zeros(6))
    >>> step = network.trace(np.array([[1.0, 2.0]]), [0]).backward[0]
    >>> step.key, step.formula, step.array
    ('p - y', 'probabilities - targets', array([[-0.5,  0.5]]))
    """

    layer: str
    name: str
    formula: str
    array: Array

    @property
    def key(self) -> str:
        """Unique in the trace: "2.delta", or the name alone for the network itself."""
        return f"{self.layer}.{self.name}" if self.layer else self.name


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Every array of one way through a network and back: what `Network.trace` gives.

    To print it is to print `explain()`.

    Attributes
    ----------
    map : Map
    layers : dict of str -> Layer
        By the names that steps have for them.
    forward : tuple of Step
        From the features to the loss, the mean of that of the rows.
    backward : tuple of Step
        From p - y to the gradient of the loss with respect to the features.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, Network, Relu
    >>> layers = Dense(1, 2, Relu()), Dense(2, 2)
    >>> parameters = np.array([1.0, -1.0, 0.5, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    >>> trace = Network(layers, parameters).trace(np.array([[1.0]]), [1])
    >>> arrays = trace.arrays
    >>> arrays["p - y"].round(3)
    array([[ 0.622, -0.622]])
    >>> np.array_equal(
    ...     arrays["2.weights_gradient"], arrays["2.features"].T @ arrays["2.delta"]
    ... )
    True
    >>> print(trace)
    1 x 1 features -> 1 x 2 scores in float64, 2 layers
    loss 0.974077 = -(targets * log(probabilities)).sum(axis=1).mean()
    ...
    """

    map: Map
    layers: dict[str, Layer]
    forward: tuple[Step, ...]
    backward: tuple[Step, ...]

    @property
    def arrays(self) -> dict[str, Array]:
        """The array of every step by its key, in order."""
        return {step.key: step.array for step in (*self.forward, *self.backward)}

    def explain(self, columns: int = 80) -> str:
        """The chain rule with its numbers as text, layer by layer, from the loss to the features.

        Beneath each formula stand the numbers of its operands and of what it gives, rounded, where
        they are few; of larger arrays the first and the last.

        Parameters
        ----------
        columns : int, default 80
            Of the terminal.

        Returns
        -------
        str
        """
        return explained(self, columns)

    def __str__(self) -> str:
        return self.explain()

    def __repr__(self) -> str:
        return f"<Trace of {len(self.arrays)} arrays: print it, or look at its .arrays>"


class _Record:
    """What is being traced, step by step."""

    def __init__(self) -> None:
        self.layers: dict[str, Layer] = {}
        self.forward: list[Step] = []
        self.backward: list[Step] = []

    def forth(self, place: str, name: str, formula: str, array: Array) -> None:
        self.forward.append(Step(place, name, formula, _kept(array)))

    def back(self, place: str, name: str, formula: str, array: Array) -> None:
        self.backward.append(Step(place, name, formula, _kept(array)))


def _kept(array: Array) -> Array:
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def trace(
    layers: Sequence[Layer],
    parameters: Sequence[Parameters],
    map: Map,
    features: Array,
    targets: Array,
) -> Trace:
    """The trace of a batch, checked before: labels are int64, distributions of the dtype."""
    record, rows = _Record(), len(features)
    record.forth("", "features", GIVEN, features)
    scores, back = _chain(layers, parameters, features, "features of the network", "", record)
    record.forth("", "scores", f"outputs of layer {len(layers)}", scores)
    probabilities, loss = "softmax(scores)", "-(targets * log(probabilities)).sum(axis=1).mean()"
    if map != SOFTMAX:
        probabilities = "map(scores)"
        loss = "FenchelYoung(map).value(scores, targets).mean()"
    record.forth("", "probabilities", probabilities, map(scores))
    one_hot = np.eye(scores.shape[1], dtype=scores.dtype)
    record.forth("", "targets", GIVEN, one_hot[targets] if targets.ndim == 1 else targets)
    difference, cotangent = scores.copy(), scores.copy()
    end(map, difference, targets, np.ones(rows))
    value = end(map, cotangent, targets, np.full(rows, 1 / rows))
    record.forth("", "loss", loss, np.array(value))
    record.back("", "p - y", "probabilities - targets", difference)
    record.back("", "cotangent", f"(p - y) / {rows}", cotangent)
    back(cotangent)
    return Trace(map, record.layers, tuple(record.forward), tuple(record.backward))


def _chain(
    layers: Sequence[Layer],
    parameters: Sequence[Parameters],
    features: Array,
    origin: str,
    place: str,
    record: _Record,
) -> tuple[Array, Back]:
    """Through the layers inside a place, and the way back."""
    places = [f"{place}.{i}" if place else str(i) for i in range(1, len(layers) + 1)]
    backs = []
    for inside, layer, own in zip(places, layers, parameters, strict=True):
        record.layers[inside] = layer
        record.forth(inside, "features", origin, features)
        features, back = _layer(layer, own, features, inside, record)
        origin = f"outputs of layer {inside}"
        backs.append(back)

    def back_through(cotangent: Array) -> Array:
        origin = f"cotangent of {f'layer {place}' if place else 'the network'}"
        for inside, back in zip(reversed(places), reversed(backs), strict=True):
            record.back(inside, "cotangent", origin, cotangent)
            cotangent = back(cotangent)
            origin = f"features_gradient of layer {inside}"
        return cotangent

    return features, back_through


@singledispatch
def _layer(
    layer: Layer, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    """Through one layer and back; here one of which nothing is known but that it is a layer."""
    outputs, kept = layer.forward(features, parameters)
    for i, parameter in enumerate(parameters, 1):
        record.forth(place, f"parameter_{i}", PARAMETER, parameter)
    record.forth(place, "outputs", f"{type(layer).__name__}.forward(features)", outputs)

    def back(cotangent: Array) -> Array:
        gradients = tuple(np.empty_like(parameter) for parameter in parameters)
        flowing = layer.backward(cotangent.copy(), kept, parameters, gradients)
        assert flowing is not None
        formula = f"{type(layer).__name__}.backward(cotangent)"
        for i, gradient in enumerate(gradients, 1):
            record.back(place, f"parameter_{i}_gradient", formula, gradient)
        record.back(place, "features_gradient", formula, flowing)
        return flowing

    return outputs, back


@_layer.register
def _(
    layer: Dense, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    weights, bias = parameters
    activation = layer.activation
    outputs, kept = layer.forward(features, parameters)
    record.forth(place, "weights", PARAMETER, weights)
    record.forth(place, "bias", PARAMETER, bias)
    if kept.activated is None:
        record.forth(place, "outputs", SCORES, outputs)
    else:
        before = np.empty_like(outputs)
        kernels.dense(features, weights, bias, "identity", before)
        record.forth(place, "before", SCORES, before)
        record.forth(place, "outputs", _of("before", activation.formula), outputs)

    def back(cotangent: Array) -> Array:
        gradients = np.empty_like(weights), np.empty_like(bias)
        delta = cotangent.copy()
        features_gradient = layer.backward(delta, kept, parameters, gradients)
        assert features_gradient is not None
        if kept.activated is None:
            record.back(place, "delta", "cotangent", delta)
        else:
            slope = _slope(activation, kept.activated)
            record.back(place, "slope", _of("before", activation.derivative), slope)
            record.back(place, "delta", "cotangent * slope", delta)
        record.back(place, "weights_gradient", "features.T @ delta", gradients[0])
        record.back(place, "bias_gradient", "delta.sum(axis=0)", gradients[1])
        record.back(place, "features_gradient", "delta @ weights.T", features_gradient)
        return features_gradient

    return outputs, back


@_layer.register
def _(
    layer: Activation, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    outputs, kept = layer.forward(features)
    record.forth(place, "outputs", _of("features", layer.formula), outputs)

    def back(cotangent: Array) -> Array:
        features_gradient = layer.backward(cotangent.copy(), kept)
        formula = _of("features", layer.derivative)
        record.back(place, "slope", formula, _slope(layer, kept))
        record.back(place, "features_gradient", "cotangent * slope", features_gradient)
        return features_gradient

    return outputs, back


@_layer.register
def _(
    layer: Dropout, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    record.forth(place, "outputs", "features", features)

    def back(cotangent: Array) -> Array:
        record.back(place, "features_gradient", "cotangent", cotangent)
        return cotangent

    return features, back


@_layer.register
def _(
    layer: LayerNorm, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    scale, shift = parameters
    outputs, kept = layer.forward(features, parameters)
    mean = features.mean(axis=1, keepdims=True, dtype=np.float64).astype(features.dtype)
    normalised, deviation = (array.astype(features.dtype) for array in kept)
    record.forth(place, "scale", PARAMETER, scale)
    record.forth(place, "shift", PARAMETER, shift)
    record.forth(place, "mean", "features.mean(axis=1, keepdims=True)", mean)
    formula = f"sqrt(features.var(axis=1, keepdims=True) + {layer.epsilon})"
    record.forth(place, "deviation", formula, deviation)
    record.forth(place, "normalised", "(features - mean) / deviation", normalised)
    record.forth(place, "outputs", "normalised * scale + shift", outputs)

    def back(cotangent: Array) -> Array:
        gradients = np.empty_like(scale), np.empty_like(shift)
        features_gradient = layer.backward(cotangent.copy(), kept, parameters, gradients)
        assert features_gradient is not None
        delta = cotangent * scale
        level = delta.mean(axis=1, keepdims=True)
        along = (delta * normalised).mean(axis=1, keepdims=True)
        record.back(place, "scale_gradient", "(cotangent * normalised).sum(axis=0)", gradients[0])
        record.back(place, "shift_gradient", "cotangent.sum(axis=0)", gradients[1])
        record.back(place, "delta", "cotangent * scale", delta)
        record.back(place, "level", "delta.mean(axis=1, keepdims=True)", level)
        record.back(place, "along", "(delta * normalised).mean(axis=1, keepdims=True)", along)
        formula = "(delta - level - along * normalised) / deviation"
        record.back(place, "features_gradient", formula, features_gradient)
        return features_gradient

    return outputs, back


@_layer.register
def _(
    layer: Residual, parameters: Parameters, features: Array, place: str, record: _Record
) -> tuple[Array, Back]:
    shares = layer.shared(parameters)
    origin = f"features of layer {place}"
    inner, back_through = _chain(layer.layers, shares, features, origin, place, record)
    outputs = features + inner
    record.forth(place, "inner", f"outputs of layer {place}.{len(layer.layers)}", inner)
    record.forth(place, "outputs", "features + inner", outputs)

    def back(cotangent: Array) -> Array:
        through = back_through(cotangent)
        features_gradient = cotangent + through
        record.back(place, "inner_gradient", f"features_gradient of layer {place}.1", through)
        record.back(place, "features_gradient", "cotangent + inner_gradient", features_gradient)
        return features_gradient

    return outputs, back


def _slope(activation: Activation, kept: Array) -> Array:
    slope = np.ones_like(kept)
    kernels.activate_vjp(slope, kept, activation.name, slope)
    return slope


def _of(name: str, formula: str) -> str:
    """A formula of x as one of what x is here."""
    return re.sub(r"\bx\b", name, formula)
