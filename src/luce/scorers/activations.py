"""Functions of each number alone, as layers of their own or inside a `Dense` one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from luce import kernels
from luce.scorers.layer import Array, Parameters, Shapes


class Activation:
    """A function of each number alone; the layer has no parameters."""

    name: ClassVar[str]
    keeps_input: ClassVar[bool] = False
    """Whether the derivative is a function of the input, rather than of the output."""

    shapes: ClassVar[Shapes] = ()

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
        random: object = None,
        *,
        threads: int = 1,
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
        threads: int = 1,
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
