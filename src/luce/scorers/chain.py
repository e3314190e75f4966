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
    """Outputs of the last of some layers in a row, ``f3(f2(f1(features)))``.

    Parameters
    ----------
    layers : tuple of Layer
    parameters : sequence of tuples of arrays
        Of each layer, as `split` gives them.
    features : array of shape (n, d), or CSR matrix if the first layer takes one
        In the parameters' dtype, C-contiguous.
    random : numpy.random.Generator, optional
        Given while training only: it says what is dropped.
    threads : int, optional
        By default `luce.num_threads()`. The results do not depend on it.

    Returns
    -------
    outputs : array of shape (n, k)
        It may be what a layer has kept, or the features: do not write to it, unless the last layer
        is a `Dense` one without an activation, as in every `Network`.
    kept : tuple
        What each layer needs for `backward`.

    Raises
    ------
    ValueError
        The parameters are not those of the layers. Arrays are not checked: see `Network`.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, Relu, forward
    >>> weights, bias = np.array([[1.0, -1.0]]), np.array([0.0, 0.5])
    >>> outputs, kept = forward((Dense(1, 2), Relu()), [(weights, bias), ()], np.array([[2.0]]))
    >>> outputs
    array([[2., 0.]])
    """
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
    """The chain rule: from the gradient of the outputs to all others, the last layer first.

    Parameters
    ----------
    layers, parameters
        What `forward` was given.
    kept : tuple
        What `forward` gave.
    cotangent : array of shape (n, k)
        Gradient of a scalar with respect to the outputs. It is overwritten.
    gradients : sequence of tuples of arrays
        Of the shapes of the parameters. Every entry is overwritten by the gradient of the scalar
        with respect to that parameter.
    wants_features : bool, default False
        Whether to go back to the features.
    threads : int, optional
        By default `luce.num_threads()`. The results do not depend on it.

    Returns
    -------
    array of shape (n, d), or None
        The gradient with respect to the features. What is not asked for may be anything.

    Raises
    ------
    DataError
        The gradient of CSR features is wanted: it would be dense.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, Relu, backward, forward
    >>> layers, parameters = (Dense(1, 2), Relu()), [(np.array([[1.0, -1.0]]), np.zeros(2)), ()]
    >>> outputs, kept = forward(layers, parameters, np.array([[2.0]]))
    >>> gradients = [(np.empty((1, 2)), np.empty(2)), ()]
    >>> backward(layers, parameters, kept, np.ones((1, 2)), gradients, wants_features=True)
    array([[1.]])
    >>> gradients[0]
    (array([[2., 0.]]), array([1., 0.]))
    """
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
    """Columns of the last layer's outputs; DataError where a layer does not fit its neighbour."""
    for i, layer in enumerate(layers):
        try:
            inputs = layer.width(inputs)
        except DataError as error:
            raise DataError(f"layers[{i}]: {error}") from None
    return inputs


def count_parameters(layers: Layers) -> tuple[int, int]:
    """Numbers of parameters: of all, and of those that are penalised, the entries of matrices.

    Parameters
    ----------
    layers : tuple of Layer

    Returns
    -------
    tuple of int
        All, and the penalised, which come first in the vector of all.

    Raises
    ------
    AttributeError
        Something is no layer.

    Examples
    --------
    >>> from luce.scorers import Dense, LayerNorm, count_parameters
    >>> count_parameters((Dense(3, 4), LayerNorm(4)))
    (24, 12)
    """
    shapes = [shape for layer in layers for shape in layer.shapes]
    return sum(map(prod, shapes)), sum(prod(shape) for shape in shapes if len(shape) == 2)


def split(layers: Layers, vector: Array) -> tuple[Parameters, ...]:
    """The parameters of each layer as views of one vector: first all matrices, then all others.

    So an optimiser steps all parameters in one call, and knows which are penalised: the first ones.

    Parameters
    ----------
    layers : tuple of Layer
    vector : array of shape (p,)
        Parameters or gradients, as many as `count_parameters` says.

    Returns
    -------
    tuple of tuples of arrays
        One tuple a layer; to write to the arrays is to write to the vector.

    Raises
    ------
    ValueError
        The vector is too short (from NumPy's reshape).

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, split
    >>> split((Dense(1, 2), Dense(2, 1)), np.arange(7))
    ((array([[0, 1]]), array([4, 5])), (array([[2],
           [3]]), array([6])))
    """
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
    """One vector of what each layer begins with, drawn in the order of the layers.

    Parameters
    ----------
    layers : tuple of Layer
    random : numpy.random.Generator
    dtype : float32 or float64
        Numbers are drawn in float64 and rounded: the same for both.

    Returns
    -------
    array of shape (p,)
        See `split`.

    Raises
    ------
    AttributeError
        Something is no layer.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, initial_parameters
    >>> initial_parameters((Dense(2, 1),), np.random.default_rng(0), np.float32).round(3)
    array([ 0.387, -0.651, -1.298], dtype=float32)
    """
    vector = np.empty(count_parameters(layers)[0], dtype)
    for views, layer in zip(split(layers, vector), layers, strict=True):
        for view, values in zip(views, layer.initial(random, dtype), strict=True):
            view[...] = values
    return vector
