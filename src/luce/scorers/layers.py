"""Layers of a network: each a small value, its forward and its backward side by side.

Conventions: features are (n, d), C-contiguous, float32 or float64; parameters and all that is
computed have their dtype. `forward` returns the outputs and what `backward` needs, nothing is
hidden. A layer never writes to its features, and may write to the cotangent it is given. `backward`
writes the gradients of the parameters into arrays of the caller's.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from luce import kernels
from luce.kernels.threads import num_threads

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array: TypeAlias = NDArray[Any]
Parameters: TypeAlias = tuple[Array, ...]
Features: TypeAlias = "Array | csr_array"


class Layer(Protocol):
    """features -> outputs, with parameters that are kept elsewhere."""

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the parameters. Matrices are penalised, vectors are not."""

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Parameters to begin with."""

    def forward(
        self, features: Features, parameters: Parameters, random: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Outputs, and what `backward` needs; `random` is given while training only."""

    def backward(
        self,
        cotangent: Array,
        kept: Any,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
    ) -> Array | None:
        """From the gradient of the outputs those of the parameters, and of the features."""


class Activation:
    """A function of each number alone; the layer has no parameters."""

    name: ClassVar[str]
    keeps_input: ClassVar[bool] = False
    """Whether the derivative is a function of the input, rather than of the output."""

    shapes: ClassVar[tuple[tuple[int, ...], ...]] = ()

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Nothing."""
        return ()

    def forward(
        self, features: Array, parameters: Parameters = (), random: object = None
    ) -> tuple[Array, Array]:
        """The function's values; kept is what its derivative is taken from."""
        outputs = np.empty_like(features)
        kernels.activate(features, self.name, outputs)
        return outputs, features if self.keeps_input else outputs

    def backward(
        self,
        cotangent: Array,
        kept: Array,
        parameters: Parameters = (),
        gradients: Parameters = (),
        *,
        wants_features: bool = True,
    ) -> Array:
        """The cotangent times the derivative, in the cotangent's own memory."""
        kernels.activate_vjp(cotangent, kept, self.name, cotangent)
        return cotangent


@dataclass(frozen=True)
class Identity(Activation):
    """x."""

    name = "identity"


@dataclass(frozen=True)
class Relu(Activation):
    """max(x, 0), with derivative 0 at 0."""

    name = "relu"


@dataclass(frozen=True)
class Gelu(Activation):
    """x times the share of a standard normal distribution below x (Hendrycks, Gimpel, 2016)."""

    name = "gelu"
    keeps_input = True


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(x)."""

    name = "tanh"


@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(-x))."""

    name = "logistic"


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
    activation: Activation = Identity()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of weights and bias."""
        return (self.inputs, self.outputs), (self.outputs,)

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Uniform within sqrt(6 / (inputs + outputs)) (Glorot, Bengio, 2010); 2 for logistic."""
        factor = 2.0 if isinstance(self.activation, Logistic) else 6.0
        bound = np.sqrt(factor / (self.inputs + self.outputs))
        return tuple(random.uniform(-bound, bound, shape).astype(dtype) for shape in self.shapes)

    def forward(
        self, features: Features, parameters: Parameters, random: object = None
    ) -> tuple[Array, DenseKept]:
        """activation(features @ weights + bias)."""
        weights, bias = parameters
        outputs = np.empty((features.shape[0], self.outputs), weights.dtype)
        before = np.empty_like(outputs) if self.activation.keeps_input else None
        name = self.activation.name
        kernels.dense(features, weights, bias, name, outputs, before, threads=num_threads())
        kept = outputs if before is None else before
        return outputs, DenseKept(features, None if name == "identity" else kept)

    def backward(
        self,
        cotangent: Array,
        kept: DenseKept,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
    ) -> Array | None:
        """The chain rule: through the activation, then to weights, bias and features.

        delta = cotangent * activation', weights_gradient = features' delta, bias_gradient = sum of
        delta over the rows, features_gradient = delta weights'.
        """
        features, activated = kept
        weights, _ = parameters
        weights_gradient, bias_gradient = gradients
        features_gradient = np.empty_like(features) if wants_features else None
        kernels.dense_vjp(
            cotangent,
            activated,
            self.activation.name,
            features,
            weights,
            weights_gradient,
            bias_gradient,
            features_gradient,
            threads=num_threads(),
        )
        return features_gradient
