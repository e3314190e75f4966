"""features -> scores by layers in a row: forward, and back by the chain rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from luce import kernels
from luce.kernels.threads import num_threads
from luce.losses.fenchel_young import FenchelYoung
from luce.maps.map import Map
from luce.maps.softmax_map import Softmax
from luce.scorers.layers import Array, Features, Layer, Parameters

Layers: TypeAlias = tuple[Layer, ...]

SOFTMAX = Softmax()


def forward(
    layers: Layers,
    parameters: Sequence[Parameters],
    features: Features,
    random: np.random.Generator | None = None,
) -> tuple[Array, tuple[Any, ...]]:
    """Scores of the last layer, and what each layer keeps for `backward`."""
    kept = []
    outputs: Any = features
    for layer, own in zip(layers, parameters, strict=True):
        outputs, needed = layer.forward(outputs, own, random)
        kept.append(needed)
    return outputs, tuple(kept)


def backward(
    layers: Layers,
    parameters: Sequence[Parameters],
    kept: Sequence[Any],
    cotangent: Array,
    gradients: Sequence[Parameters],
    *,
    wants_features: bool = False,
) -> Array | None:
    """The gradients of all parameters, from that of the scores, layer by layer to the features."""
    flowing: Array | None = cotangent
    for i in reversed(range(len(layers))):
        assert flowing is not None
        flowing = layers[i].backward(
            flowing, kept[i], parameters[i], gradients[i], wants_features=i > 0 or wants_features
        )
    return flowing


def count_parameters(layers: Layers) -> tuple[int, int]:
    """All parameters, and those of them that are penalised: the entries of matrices."""
    shapes = [shape for layer in layers for shape in layer.shapes]
    return sum(map(prod, shapes)), sum(prod(shape) for shape in shapes if len(shape) == 2)


def split(layers: Layers, vector: NDArray[Any]) -> tuple[Parameters, ...]:
    """The parameters of each layer as views of one vector: first all matrices, then all others."""
    places: dict[tuple[int, int], NDArray[Any]] = {}
    at = 0
    for matrices in (True, False):
        for i, layer in enumerate(layers):
            for j, shape in enumerate(layer.shapes):
                if (len(shape) == 2) == matrices:
                    places[i, j] = vector[at : at + prod(shape)].reshape(shape)
                    at += prod(shape)
    return tuple(
        tuple(places[i, j] for j in range(len(layer.shapes))) for i, layer in enumerate(layers)
    )


def initial_parameters(
    layers: Layers, random: np.random.Generator, dtype: DTypeLike
) -> NDArray[Any]:
    """One vector with what each layer begins with, drawn in the order of the layers."""
    vector = np.empty(count_parameters(layers)[0], dtype)
    for views, layer in zip(split(layers, vector), layers, strict=True):
        for view, values in zip(views, layer.initial(random, dtype), strict=True):
            view[...] = values
    return vector


@dataclass(frozen=True, eq=False)
class Network:
    """Layers with their parameters, and the map that turns the last scores into probabilities.

    Attributes
    ----------
    layers : tuple of layers
    parameters : array of shape (p,)
        Of all layers, see `split`.
    map : Map
        Ends the network; its Fenchel-Young loss is what the network is trained by.
    """

    layers: Layers
    parameters: NDArray[Any]
    map: Map = SOFTMAX

    def scores(self, features: Features) -> Array:
        """(n, k) scores, as at the time of prediction: nothing is dropped."""
        return forward(self.layers, split(self.layers, self.parameters), features)[0]


def end(
    map: Map,
    scores: Array,
    targets: NDArray[Any],
    weights: NDArray[np.float64],
    label_smoothing: float = 0.0,
) -> float:
    """Weighted sum of the losses of all rows; their gradient, w (p - y), replaces the scores.

    Targets are labels (int64 of shape (n,)) or distributions (n, k) in the scores' dtype.
    """
    if map != SOFTMAX:
        return _end_in_any_map(map, scores, targets, weights, label_smoothing)
    losses = np.empty(len(scores))
    if targets.ndim == 1:
        kernels.cross_entropy(
            scores,
            targets,
            weights,
            losses,
            scores,
            label_smoothing=label_smoothing,
            threads=num_threads(),
        )
    else:
        smoothed = smooth(targets, label_smoothing) if label_smoothing else targets
        kernels.cross_entropy_soft(scores, smoothed, weights, losses, scores, threads=num_threads())
    return float(losses.sum())


def _end_in_any_map(
    map: Map,
    scores: Array,
    targets: NDArray[Any],
    weights: NDArray[np.float64],
    label_smoothing: float,
) -> float:
    if label_smoothing:
        if targets.ndim == 1:
            targets = np.eye(scores.shape[1], dtype=scores.dtype)[targets]
        targets = smooth(targets, label_smoothing)
    values, gradient = FenchelYoung(map).value_and_gradient(scores, targets)
    scores[...] = gradient * weights[:, None]
    return float(weights @ values)


def smooth(targets: NDArray[Any], label_smoothing: float) -> NDArray[Any]:
    """Distributions of which a share is divided equally among all classes."""
    smoothed: NDArray[Any] = (1 - label_smoothing) * targets + label_smoothing / targets.shape[1]
    return smoothed
