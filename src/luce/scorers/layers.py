"""Layers with parameters of their own or inside them: dense, dropout, layer norm, residual."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.scorers import chain
from luce.scorers.activations import Activation, Identity, Logistic
from luce.scorers.layer import Array, Features, Layers, Parameters, Shapes

IDENTITY = Identity()


class DenseKept(NamedTuple):
    """What goes back through a `Dense` layer: its features, and what its activation kept."""

    features: Features
    activated: Array | None


@dataclass(frozen=True)
class Dense:
    """outputs = activation(features @ weights + bias), in one pass.

    Parameters: weights (inputs, outputs) and bias (outputs,).
    """

    inputs: int
    outputs: int
    activation: Activation = IDENTITY

    def __post_init__(self) -> None:
        _check_count("inputs", self.inputs)
        _check_count("outputs", self.outputs)
        if not isinstance(self.activation, Activation):
            raise DataError(f"activation is {self.activation!r}; expected a value such as Relu()")

    @property
    def shapes(self) -> Shapes:
        """Of weights and bias."""
        return (self.inputs, self.outputs), (self.outputs,)

    def width(self, inputs: int | None) -> int:
        """`outputs`."""
        _check_width(self, self.inputs, inputs)
        return self.outputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Uniform within sqrt(6 / (inputs + outputs)) (Glorot, Bengio, 2010); 2 for logistic."""
        factor = 2.0 if isinstance(self.activation, Logistic) else 6.0
        bound = np.sqrt(factor / (self.inputs + self.outputs))
        return tuple(random.uniform(-bound, bound, shape).astype(dtype) for shape in self.shapes)

    def forward(
        self, features: Features, parameters: Parameters, random: object = None, *, threads: int = 1
    ) -> tuple[Array, DenseKept]:
        """activation(features @ weights + bias)."""
        weights, bias = parameters
        name, keeps_input = self.activation.name, self.activation.keeps_input
        if isinstance(features, np.ndarray):
            outputs = np.empty((len(features), self.outputs), weights.dtype)
            before = np.empty_like(outputs) if keeps_input else None
            kernels.dense(features, weights, bias, name, outputs, before, threads=threads)
        else:
            before = features @ weights
            before += bias
            outputs = np.empty_like(before) if keeps_input else before
            kernels.activate(before, name, outputs)
        activated = before if keeps_input else outputs
        return outputs, DenseKept(features, None if name == "identity" else activated)

    def backward(
        self,
        cotangent: Array,
        kept: DenseKept,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The chain rule: through the activation, then to weights, bias and features.

        delta = cotangent * activation', weights_gradient = features' delta, bias_gradient = sum of
        delta over the rows, features_gradient = delta weights'.
        """
        features, activated = kept
        weights, _ = parameters
        weights_gradient, bias_gradient = gradients
        name = self.activation.name
        if not isinstance(features, np.ndarray):
            if wants_features:
                raise DataError("the gradient of CSR features would be dense: do not ask for it")
            kernels.activate_vjp(cotangent, activated, name, cotangent)
            weights_gradient[...] = features.T @ cotangent
            bias_gradient[...] = cotangent.sum(axis=0, dtype=np.float64)
            return None
        features_gradient = np.empty_like(features) if wants_features else None
        kernels.dense_vjp(
            cotangent,
            activated,
            name,
            features,
            weights,
            weights_gradient,
            bias_gradient,
            features_gradient,
            threads=threads,
        )
        return features_gradient


@dataclass(frozen=True)
class Dropout:
    """Each feature, with probability `rate`, 0, else divided by 1 - rate; in training only."""

    rate: float

    shapes: ClassVar[Shapes] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise DataError(f"rate is {self.rate!r}; expected a number of at least 0 and below 1")

    def width(self, inputs: int | None) -> int | None:
        """As many outputs as features."""
        return inputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Nothing."""
        return ()

    def forward(
        self,
        features: Array,
        parameters: Parameters = (),
        random: np.random.Generator | None = None,
        *,
        threads: int = 1,
    ) -> tuple[Array, int | None]:
        """Outputs, and the seed that says what was dropped; without `random` the features."""
        if random is None:
            return features, None
        seed = int(random.integers(1 << 63))
        outputs = np.empty_like(features)
        kernels.dropout(features, self.rate, seed, outputs)
        return outputs, seed

    def backward(
        self,
        cotangent: Array,
        kept: int | None,
        parameters: Parameters = (),
        gradients: Parameters = (),
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array:
        """The same of the cotangent, in its own memory."""
        if kept is not None:
            kernels.dropout(cotangent, self.rate, kept, cotangent)
        return cotangent


class LayerNormKept(NamedTuple):
    """What goes back through a `LayerNorm`: (n, width) and (n, 1)."""

    normalised: Array
    inverse_deviation: NDArray[np.float64]


@dataclass(frozen=True)
class LayerNorm:
    """outputs = scale * normalised + shift, where each row is normalised to mean 0, variance 1.

    Parameters: scale and shift (width,).
    """

    inputs: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_count("inputs", self.inputs)
        if not 0 < self.epsilon < np.inf:
            raise DataError(f"epsilon is {self.epsilon!r}; expected a finite number above 0")

    @property
    def shapes(self) -> Shapes:
        """Of scale and shift."""
        return (self.inputs,), (self.inputs,)

    def width(self, inputs: int | None) -> int:
        """As many outputs as features."""
        _check_width(self, self.inputs, inputs)
        return self.inputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Scale 1 and shift 0."""
        return np.ones(self.inputs, dtype), np.zeros(self.inputs, dtype)

    def forward(
        self, features: Array, parameters: Parameters, random: object = None, *, threads: int = 1
    ) -> tuple[Array, LayerNormKept]:
        """Row by row, scale * (features - mean) / sqrt(variance + epsilon) + shift."""
        scale, shift = parameters
        dtype = features.dtype
        mean = features.mean(axis=1, keepdims=True, dtype=np.float64)
        centred = features - mean
        variance = np.square(centred).mean(axis=1, keepdims=True)
        inverse_deviation = 1 / np.sqrt(variance + self.epsilon)
        normalised = (centred * inverse_deviation).astype(dtype, copy=False)
        return scale * normalised + shift, LayerNormKept(normalised, inverse_deviation)

    def backward(
        self,
        cotangent: Array,
        kept: LayerNormKept,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The chain rule: to scale and shift, then through the deviation and the mean.

        A row that is moved along a constant, or along its own normalised values, stays as it is
        when it is normalised again (but for epsilon). So what goes back is delta without its part
        along these two, divided by the deviation.
        """
        normalised, inverse_deviation = kept
        scale, _ = parameters
        scale_gradient, shift_gradient = gradients
        scale_gradient[...] = (cotangent * normalised).sum(axis=0, dtype=np.float64)
        shift_gradient[...] = cotangent.sum(axis=0, dtype=np.float64)
        if not wants_features:
            return None
        delta = cotangent * scale
        level = delta.mean(axis=1, keepdims=True, dtype=np.float64)
        along = (delta * normalised).mean(axis=1, keepdims=True, dtype=np.float64)
        features_gradient: Array = inverse_deviation * (delta - level - along * normalised)
        return features_gradient.astype(cotangent.dtype, copy=False)


@dataclass(frozen=True)
class Residual:
    """outputs = features + inner(features), the inner layers in a row.

    Parameters: those of its layers, in order.
    """

    layers: Layers

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple) or not self.layers:
            raise DataError(f"layers is {self.layers!r}; expected a tuple of at least one layer")
        self.width(None)

    @property
    def shapes(self) -> Shapes:
        """Of all parameters of its layers."""
        return tuple(shape for layer in self.layers for shape in layer.shapes)

    def width(self, inputs: int | None) -> int | None:
        """As many outputs as features: the inner layers have to give back what they take."""
        outputs = chain.width(self.layers, inputs)
        if inputs is None and outputs is not None:
            outputs = chain.width(self.layers, inputs := outputs)
        if outputs != inputs:
            raise DataError(
                f"the layers of a Residual give {outputs} outputs for {inputs} features; the two "
                "are added, so that they have to be as many"
            )
        return outputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """What its layers begin with, in order."""
        return tuple(p for layer in self.layers for p in layer.initial(random, dtype))

    def forward(
        self,
        features: Array,
        parameters: Parameters,
        random: np.random.Generator | None = None,
        *,
        threads: int = 1,
    ) -> tuple[Array, tuple[Any, ...]]:
        """Features + inner(features), and what the inner layers keep."""
        inner, kept = chain.forward(
            self.layers, self.shared(parameters), features, random, threads=threads
        )
        return features + inner, kept

    def backward(
        self,
        cotangent: Array,
        kept: tuple[Any, ...],
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The cotangent goes both ways, and what comes back is added."""
        inner = chain.backward(
            self.layers,
            self.shared(parameters),
            kept,
            cotangent.copy() if wants_features else cotangent,
            self.shared(gradients),
            wants_features=wants_features,
            threads=threads,
        )
        return None if inner is None or not wants_features else cotangent + inner

    def shared(self, parameters: Parameters) -> Sequence[Parameters]:
        """Parameters (or gradients) of this layer as those of each of its layers."""
        shares, at = [], 0
        for layer in self.layers:
            size = len(layer.shapes)
            shares.append(parameters[at : at + size])
            at += size
        return shares


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise DataError(f"{name} is {value!r}; expected a whole number of at least 1")


def _check_width(layer: object, takes: int, given: int | None) -> None:
    if given is not None and given != takes:
        raise DataError(f"{layer} takes {takes} features, and is given {given}")
