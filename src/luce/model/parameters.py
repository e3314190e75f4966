"""The parameters of a classifier as a model file holds them: tensors, whose shapes it can tell."""

from typing import Any

import numpy as np

from luce.files import Shapes, Tensors
from luce.model.linear import LinearScorer
from luce.model.network import SMALLEST_SCALE, NetworkScorer, StandardisedDense
from luce.model.record import LinearTraining, NetworkTraining
from luce.model.scorer import Scorer
from luce.scorers import (
    Activation,
    Dense,
    Gelu,
    Identity,
    Logistic,
    Network,
    Relu,
    Tanh,
    count_parameters,
    split,
)

ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation for activation in (Identity(), Relu(), Gelu(), Tanh(), Logistic())
}


def parameter_shapes(fit: LinearTraining | NetworkTraining, classes: int, features: int) -> Shapes:
    """Names, dtypes and shapes of a classifier's tensors.

    Raises
    ------
    ValueError
        Its layers do not lead from so many features to so many classes.
    """
    if isinstance(fit, LinearTraining):
        return {
            "coef": (np.float64, (classes, features)),
            "intercept": (np.float64, (classes,)),
        }
    widths = [features, *(layer.outputs for layer in fit.layers)]
    if [layer.inputs for layer in fit.layers] != widths[:-1] or widths[-1] != classes:
        raise ValueError(f"its layers do not lead from {features} features to {classes} classes")
    if fit.layers[-1].activation != "identity":
        raise ValueError("its last layer has an activation, and its scores have none")
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {}
    for place, layer in enumerate(fit.layers):
        shapes[f"layers.{place}.weights"] = (np.float32, (layer.inputs, layer.outputs))
        shapes[f"layers.{place}.bias"] = (np.float32, (layer.outputs,))
    if fit.standardised:
        shapes |= {"centre": (np.float32, (features,)), "scale": (np.float32, (features,))}
    return shapes


def scorer_of(fit: LinearTraining | NetworkTraining, tensors: Tensors) -> Scorer:
    """Classifier of tensors that have the shapes of `parameter_shapes`.

    Raises
    ------
    ValueError
        No classifier can be like this.
    """
    if isinstance(fit, LinearTraining):
        return LinearScorer(tensors["coef"], tensors["intercept"])
    layers = [
        Dense(layer.inputs, layer.outputs, ACTIVATIONS[layer.activation]) for layer in fit.layers
    ]
    if fit.standardised:
        first, scale = layers[0], tensors["scale"]
        if scale.min() < SMALLEST_SCALE:
            raise ValueError(f"a scale is below {SMALLEST_SCALE:g}")
        layers[0] = StandardisedDense(
            first.inputs, first.outputs, first.activation, centre=tensors["centre"], scale=scale
        )
    parameters = np.empty(count_parameters(tuple(layers))[0], np.float32)
    for place, views in enumerate(split(tuple(layers), parameters)):
        for name, view in zip(("weights", "bias"), views, strict=True):
            view[...] = tensors[f"layers.{place}.{name}"]
    return NetworkScorer(Network(tuple(layers), parameters))
