"""The network as a classifier of encoded rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from luce.model.record import ActivationName, DenseLayer
from luce.model.scorer import Scorer, largest
from luce.scorers import Dense, Network, split
from luce.scorers.layer import Parameters
from luce.scorers.layers import DenseKept

if TYPE_CHECKING:
    from luce.scorers.linear import Features

SMALLEST_SCALE = 1e-30


@dataclass(frozen=True, eq=False, kw_only=True)
class StandardisedDense(Dense):
    """A first layer that sees (features - centre) / scale; sparse features are scaled only.

    Attributes
    ----------
    centre, scale : float32 arrays of shape (inputs,)
        Not trained.
    """

    centre: NDArray[np.float32] = field(repr=False)
    scale: NDArray[np.float32] = field(repr=False)

    def forward(
        self, features: Any, parameters: Any, random: object = None, *, threads: int = 1
    ) -> tuple[Any, DenseKept]:
        """activation(standardised features @ weights + bias)."""
        seen = self.standardised(features, self.centre)
        return super().forward(seen, parameters, random, threads=threads)

    def backward(
        self,
        cotangent: Any,
        kept: DenseKept,
        parameters: Any,
        gradients: Any,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Any:
        """As of a `Dense` layer, and through the scale to the features."""
        gradient = super().backward(
            cotangent, kept, parameters, gradients, wants_features=wants_features, threads=threads
        )
        return None if gradient is None else gradient / self.scale

    def standardised(self, features: Any, centre: NDArray[np.float32]) -> Any:
        """(features - centre) / scale."""
        if isinstance(features, np.ndarray):
            centred = features - centre
            centred /= self.scale
            return centred
        scaled = features.copy()
        scaled.data /= self.scale[scaled.indices]
        return scaled


@dataclass(frozen=True, eq=False)
class NetworkScorer(Scorer):
    """Dense layers in a row, float32, whose last outputs are the scores.

    Attributes
    ----------
    network : luce.scorers.Network
    """

    network: Network

    @cached_property
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Weights and biases layer by layer, and what standardises the features."""
        tensors: dict[str, NDArray[Any]] = {}
        for place, (layer, (weights, bias)) in enumerate(self._layers):
            tensors |= {f"layers.{place}.weights": weights, f"layers.{place}.bias": bias}
            if isinstance(layer, StandardisedDense):
                tensors |= {"centre": layer.centre, "scale": layer.scale}
        return tensors

    @property
    def shape(self) -> tuple[int, int]:
        """Classes and features."""
        (first, _), (last, _) = self._layers[0], self._layers[-1]
        return last.outputs, first.inputs

    @property
    def standardised(self) -> bool:
        """Whether features are centred and scaled on the way into the first layer."""
        return isinstance(self._layers[0][0], StandardisedDense)

    @property
    def described(self) -> tuple[DenseLayer, ...]:
        """The layers as a model's document has them."""
        return tuple(
            DenseLayer(
                inputs=layer.inputs,
                outputs=layer.outputs,
                activation=cast("ActivationName", layer.activation.name),
            )
            for layer, _ in self._layers
        )

    @property
    def numbers_a_row(self) -> int:
        """The outputs of all layers."""
        return sum(layer.outputs for layer, _ in self._layers)

    def probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Softmax of the scores."""
        return self.network.probabilities(features)

    def log_probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Log-softmax of the scores."""
        return self.network.log_probabilities(features)

    def bound(self, size: float) -> float:
        """As if all weights of a layer were its largest one."""
        highest = size
        for (layer, _), (shift, divisor, weight, bias) in zip(
            self._layers, self._largest, strict=True
        ):
            seen = (size + shift) / divisor
            size = float(np.maximum(seen * weight * layer.inputs + bias, 1))
            highest = float(np.max([highest, size + shift, seen, size]))  # NaN if there is one
        return highest

    def bounds(self, sizes: "Features") -> NDArray[np.float64]:
        """The sums of the sizes of a number's parts: no activation makes more of them, or of 1."""
        highest = np.zeros(sizes.shape[0])
        flowing: Any = sizes
        for layer, (weights, bias) in self._layers:
            if isinstance(layer, StandardisedDense):
                flowing = layer.standardised(flowing, -abs(layer.centre))
                highest = _largest_of_rows(flowing, np.maximum(layer.scale, 1))
            flowing = np.maximum(flowing @ abs(weights.astype(np.float64)) + abs(bias), 1)
            highest = np.maximum(highest, flowing.max(axis=1))
        return highest

    def reaches(self) -> NDArray[np.float64]:
        """The products of the sizes of the weights, over all ways to all scores."""
        reaches = np.ones(self.shape[0])
        for layer, (weights, _) in reversed(self._layers):
            reaches = abs(weights.astype(np.float64)) @ reaches
            if isinstance(layer, StandardisedDense):
                reaches /= layer.scale
        return reaches

    @cached_property
    def _layers(self) -> list[tuple[Dense, Parameters]]:
        layers: Any = self.network.layers
        return list(zip(layers, split(layers, self.network.parameters), strict=True))

    @cached_property
    def _largest(self) -> list[tuple[float, float, float, float]]:
        """Of each layer what is subtracted and divided by, and the weight and the bias."""
        found = []
        for layer, (weights, bias) in self._layers:
            shift, divisor = 0.0, 1.0
            if isinstance(layer, StandardisedDense):
                shift, divisor = largest(layer.centre), float(layer.scale.min())
            found.append((shift, divisor, largest(weights), largest(bias)))
        return found


def _largest_of_rows(standardised: Any, scale: NDArray[np.float32]) -> NDArray[np.float64]:
    """The largest number of each row of features, and of what is to be divided by the scale."""
    if isinstance(standardised, np.ndarray):
        return np.asarray((standardised * scale).max(axis=1))
    return np.asarray(standardised.max(axis=1).toarray().ravel())
