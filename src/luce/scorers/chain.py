"""Layers in a row: forward, and back by the chain rule; their parameters as one vector."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.scorers.layer import Array, Features, Layers, Parameters


def forward(
    layers: Layers,
    parameters: Sequence[Parameters],
    features: Features,
    random: np.random.Generator | None = None,
    *,
    threads: int | None = None,
) -> tuple[Any, tuple[Any, ...]]:
    """Outputs of the last layer, and what each layer keeps for `backward`."""
    if threads is None:
        threads = num_threads()
    kept = []
    outputs: Any = features
    for layer, own in zip(layers, parameters, strict=True):
        outputs, needed = layer.forward(outputs, own, random, threads=threads)
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
    threads: int | None = None,
) -> Array | None:
    """All gradients from that of the outputs, layer by layer down to the features."""
    if threads is None:
        threads = num_threads()
    flowing: Array | None = cotangent
    for i in reversed(range(len(layers))):
        assert flowing is not None
        flowing = layers[i].backward(
            flowing,
            kept[i],
            parameters[i],
            gradients[i],
            wants_features=i > 0 or wants_features,
            threads=threads,
        )
    return flowing


def width(layers: Layers, inputs: int | None = None) -> int | None:
    """Columns of the last layer's outputs; DataError where neighbours do not fit."""
    for i, layer in enumerate(layers):
        try:
            inputs = layer.width(inputs)
        except DataError as error:
            raise DataError(f"layers[{i}]: {error}") from None
    return inputs


def count_parameters(layers: Layers) -> tuple[int, int]:
    """All parameters, and those of them that are penalised: the entries of matrices."""
    shapes = [shape for layer in layers for shape in layer.shapes]
    return sum(map(prod, shapes)), sum(prod(shape) for shape in shapes if len(shape) == 2)


def split(layers: Layers, vector: Array) -> tuple[Parameters, ...]:
    """The parameters of each layer as views of one vector: first all matrices, then all others."""
    places: dict[tuple[int, int], Array] = {}
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


def initial_parameters(layers: Layers, random: np.random.Generator, dtype: DTypeLike) -> Array:
    """One vector with what each layer begins with, drawn in the order of the layers."""
    vector = np.empty(count_parameters(layers)[0], dtype)
    for views, layer in zip(split(layers, vector), layers, strict=True):
        for view, values in zip(views, layer.initial(random, dtype), strict=True):
            view[...] = values
    return vector
