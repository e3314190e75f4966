"""Parameters of a file: the tensors that a document asks for, and the classifier that they make."""

import msgspec
import numpy as np
import pytest

from luce.model.linear import LinearScorer
from luce.model.network import SMALLEST_SCALE, NetworkScorer, StandardisedDense
from luce.model.parameters import parameter_shapes, scorer_of
from luce.model.record import ActivationName, DenseLayer, LinearTraining, NetworkTraining
from luce.scorers import Dense, Gelu, Identity, Network, Relu

LINEAR = LinearTraining(
    C=1.0, C_chosen_by="user", objective=1.0, optimality_gap=0.0, tol=1e-6, passes=3
)


def network_of(*layers, standardised=False):
    return NetworkTraining(
        layers=tuple(
            DenseLayer(inputs=inputs, outputs=outputs, activation=activation)
            for inputs, outputs, activation in layers
        ),
        standardised=standardised,
        learning_rate=1e-3,
        batch_size=16,
        penalty=0.0,
        epochs=2,
        best_epoch=1,
        validation_rows=1,
        validation_loss=0.5,
    )


def zeros(shapes):
    return {name: np.zeros(shape, dtype) for name, (dtype, shape) in shapes.items()}


def test_a_linear_classifier():
    random = np.random.default_rng(0)
    scorer = LinearScorer(random.normal(size=(3, 4)), random.normal(size=3))
    shapes = parameter_shapes(LINEAR, 3, 4)
    assert {name: (t.dtype, t.shape) for name, t in scorer.tensors.items()} == shapes
    again = scorer_of(LINEAR, scorer.tensors)
    assert (again.coef is scorer.coef, again.intercept is scorer.intercept) == (True, True)


@pytest.mark.parametrize("standardised", [True, False])
def test_a_network(standardised):
    random = np.random.default_rng(0)
    kind = Dense
    given = {}
    if standardised:
        kind = StandardisedDense
        given = {"centre": random.normal(size=4), "scale": random.uniform(1, 2, size=4)}
        given = {name: values.astype(np.float32) for name, values in given.items()}
    layers = (kind(4, 5, Relu(), **given), Dense(5, 2, Gelu()), Dense(2, 3, Identity()))
    scorer = NetworkScorer(Network.initial(layers, random))
    fit = network_of((4, 5, "relu"), (5, 2, "gelu"), (2, 3, "identity"), standardised=standardised)
    assert scorer.described == fit.layers
    shapes = parameter_shapes(fit, 3, 4)
    assert {name: (t.dtype, t.shape) for name, t in scorer.tensors.items()} == shapes
    again = scorer_of(fit, scorer.tensors)
    assert again.network.parameters.tobytes() == scorer.network.parameters.tobytes()
    assert again.described == scorer.described
    features = random.normal(size=(7, 4)).astype(np.float32)
    assert again.probabilities(features).tobytes() == scorer.probabilities(features).tobytes()


@pytest.mark.parametrize("activation", ActivationName.__args__)
def test_every_activation(activation):
    fit = network_of((2, 5, activation), (5, 2, "identity"))
    scorer = scorer_of(fit, zeros(parameter_shapes(fit, 2, 2)))
    assert scorer.described == fit.layers


@pytest.mark.parametrize(
    "layers",
    [
        [(3, 5, "relu"), (5, 2, "identity")],  # other features
        [(4, 5, "relu"), (5, 3, "identity")],  # other classes
        [(4, 5, "relu"), (6, 2, "identity")],  # neighbours that do not fit
        [(4, 2, "relu")],  # scores below 0 are none
    ],
)
def test_layers_that_lead_elsewhere(layers):
    with pytest.raises(ValueError, match=r"layers do not lead from 4|last layer has an activation"):
        parameter_shapes(network_of(*layers), 2, 4)


@pytest.mark.parametrize("scale", [0.0, -1.0, SMALLEST_SCALE / 2])
def test_a_scale_that_divides_by_nothing(scale):
    fit = network_of((4, 2, "identity"), standardised=True)
    tensors = zeros(parameter_shapes(fit, 2, 4))
    tensors["scale"][:] = [1, 1, scale, 1]
    with pytest.raises(ValueError, match="a scale is below 1e-30"):
        scorer_of(fit, tensors)


def test_shapes_are_told_without_making_anything():
    wide = network_of((2**31 - 1, 2**31 - 1, "relu"), (2**31 - 1, 2, "identity"))
    shapes = parameter_shapes(msgspec.convert(wide, NetworkTraining), 2, 2**31 - 1)
    assert shapes["layers.0.weights"] == (np.float32, (2**31 - 1, 2**31 - 1))
