"""A layer of layers, with a way around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from luce.errors import DataError
from luce.scorers import chain
from luce.scorers.layer import Array, Layers, Parameters, Shapes


@dataclass(frozen=True)
class Residual:
    """outputs = features + inner(features), the inner layers in a row.

    Its parameters are those of its layers, in order. The gradient has a way back around them.

    Attributes
    ----------
    layers : tuple of Layer
        At least one; together they give as many outputs as they take features.

    Raises
    ------
    DataError
        There is no layer, or they do not fit each other, or give another width than they take.

    References
    ----------
    K. He, X. Zhang, S. Ren, J. Sun, Deep residual learning for image recognition, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Relu, Residual
    >>> Residual((Relu(),)).forward(np.array([[-1.0, 2.0]]), ())[0]
    array([[-1.,  4.]])
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
        if outputs is not None and outputs != inputs:
            try:
                chain.width(self.layers, outputs)
            except DataError as error:
                raise DataError(
                    f"a Residual adds to its features what its layers make of them, {outputs} "
                    f"numbers; that many do not fit {error}"
                ) from None
        return outputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """What its layers begin with, in order."""
        return tuple(p for layer in self.layers for p in layer.initial(random, dtype))

    @np.errstate(all="ignore")
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

    @np.errstate(all="ignore")
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
