"""Derivatives of every layer and of whole networks, against complex steps and differences."""

import inspect

import numpy as np
import pytest
import scipy.sparse

from luce import losses, maps, scorers
from luce.errors import NotDifferentiableError
from luce.maps import Map, Softmax
from luce.scorers import (
    Activation,
    Dense,
    Gelu,
    Layer,
    LayerNorm,
    Logistic,
    Network,
    Relu,
    Residual,
    Tanh,
    multilayer_perceptron,
    split,
)

BOUND = {np.float64: 1e-12, np.float32: 1e-5}  # times the largest number that went in or came out
STENCIL = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
STENCIL_STEP = 2.0**-6


def assert_near(found, expected, dtype, scale=1e-3):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    largest = np.abs(expected).max(initial=scale)
    np.testing.assert_allclose(found, expected, rtol=0, atol=BOUND[dtype] * largest)


def numbers(random, shape, dtype):
    """Exact in both dtypes, and no kink of an activation among their sums."""
    return (random.integers(-64, 65, shape) / 64 + 1 / 256).astype(dtype)


def layer_classes():
    return {
        value
        for name in scorers.__all__
        if inspect.isclass(value := getattr(scorers, name))
        and hasattr(value, "backward")
        and value not in (Layer, Activation)
    }


def differentiable_maps():
    """One of each kind that the room of maps offers, and softmax at other temperatures."""
    found = [Softmax(0.5), Softmax(3.0)]
    for name in maps.__all__:
        kind = getattr(maps, name)
        if inspect.isclass(kind) and kind is not Map:
            try:
                kind().vjp([0.5, 0.5], [1.0, 0.0])
            except NotDifferentiableError:
                continue
            found.append(kind())
    return found


MAPS = {repr(m): m for m in differentiable_maps()}
NETWORKS = {
    "linear": multilayer_perceptron(4, (), 3),
    "one hidden": multilayer_perceptron(4, (5,), 3, Tanh()),
    "two hidden": multilayer_perceptron(4, (5, 3), 2, Logistic()),
    "everything": multilayer_perceptron(
        4, (6, 6, 6), 3, Gelu(), dropout=0.3, layer_norm=True, residual=True
    ),
    "one feature, one class": multilayer_perceptron(1, (2,), 1, Gelu()),
    "own order": (LayerNorm(3), Residual((Tanh(), Dense(3, 3))), Logistic(), Dense(3, 4)),
}

CASES = [(name, False) for name in NETWORKS]
CASES += [(name, True) for name, layers in NETWORKS.items() if isinstance(layers[0], Dense)]


def test_every_layer_is_listed(plain):
    def kinds(layer):
        inside = [getattr(layer, "activation", None), *getattr(layer, "layers", ())]
        return {type(layer)}.union(*(kinds(inner) for inner in inside if inner is not None))

    listed = set().union(*(kinds(layer) for layer, _ in plain.layers.values()))
    assert layer_classes() == listed


def test_softmax_is_among_the_maps_and_hardmax_is_not():
    assert Softmax() in MAPS.values()
    assert not any(isinstance(m, maps.Hardmax) for m in MAPS.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_a_layer(plain, layer_name, rows, dtype):
    layer, inputs = plain.layers[layer_name]
    random = np.random.default_rng([rows, inputs])
    features = numbers(random, (rows, inputs), dtype)
    parameters = tuple(numbers(random, shape, dtype) for shape in layer.shapes)
    for array in (features, *parameters):
        array.setflags(write=False)

    outputs, kept = layer.forward(features, parameters, np.random.default_rng(3))
    before = features.astype(complex)
    wide = [parameter.astype(complex) for parameter in parameters]
    assert_near(outputs, plain.exact(layer, before, wide, kept).real, dtype)
    assert outputs.shape[1] == layer.width(inputs)

    cotangent = numbers(random, outputs.shape, dtype)
    gradients = tuple(np.full(shape, np.nan, dtype) for shape in layer.shapes)
    flowing = layer.backward(cotangent.copy(), kept, parameters, gradients)

    def felt(moved, i):
        arrays = [before, *wide]
        arrays[i] = moved
        return (plain.exact(layer, arrays[0], arrays[1:], kept) * cotangent).sum()

    for i, (found, at) in enumerate(
        zip((flowing, *gradients), (features, *parameters), strict=True)
    ):
        expected = plain.gradient(lambda moved, i=i: felt(moved, i), at)
        assert_near(found, expected, dtype, np.abs(cotangent).max())

    alone = tuple(np.full(shape, np.nan, dtype) for shape in layer.shapes)
    layer.backward(cotangent.copy(), kept, parameters, alone, wants_features=False)
    for gradient, other in zip(gradients, alone, strict=True):
        np.testing.assert_array_equal(gradient, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("network_name", "sparse"), CASES)
@pytest.mark.parametrize("map_name", MAPS)
def test_a_network(plain, network_name, map_name, dtype, sparse):
    """By the gradient of the scores, map(scores) - y: that it is one is tested with the losses."""
    layers, m = NETWORKS[network_name], MAPS[map_name]
    random = np.random.default_rng(5)
    rows, inputs = 5, layers[0].inputs
    features = numbers(random, (rows, inputs), dtype)
    network = Network.initial(layers, random, dtype, m)
    weights = np.array([1.0, 0.0, 2.5, 0.5, 1.0])
    targets = random.dirichlet(np.ones(network.classes), rows).astype(dtype)
    given = scipy.sparse.csr_array(features) if sparse else features
    value, gradient = network.value_and_gradient(given, targets, weights, 0.1)

    smoothed = 0.9 * targets.astype(float) + 0.1 / network.classes
    wide = features.astype(complex)
    nothing_kept = [_nothing_kept(layer) for layer in layers]

    def scores(vector):
        return plain.chain(layers, wide, split(layers, vector), nothing_kept)

    at = scores(network.parameters.astype(complex)).real
    cotangent = (m(at) - smoothed) * (weights / weights.sum())[:, None]
    expected = plain.gradient(lambda p: (scores(p) * cotangent).sum(), network.parameters)
    assert_near(gradient, expected, dtype, scale=0.1)
    rowwise = losses.FenchelYoung(m).value(at, smoothed / smoothed.sum(axis=1, keepdims=True))
    if m == Softmax():  # cross-entropy: with the entropy of the targets
        rowwise -= (smoothed * np.log(smoothed)).sum(axis=1)
    assert value == pytest.approx(weights @ rowwise / weights.sum(), rel=BOUND[dtype])


def _nothing_kept(layer):
    return [_nothing_kept(inner) for inner in layer.layers] if hasattr(layer, "layers") else None


@pytest.mark.parametrize("network_name", NETWORKS)
@pytest.mark.parametrize("map_name", MAPS)
def test_the_value_of_a_network_by_differences_of_eighth_order(network_name, map_name):
    """What is trained is what is measured: the gradient is that of `value` itself."""
    layers, random = NETWORKS[network_name], np.random.default_rng(6)
    network = Network.initial(layers, random, np.float64, MAPS[map_name])
    features = random.standard_normal((9, layers[0].inputs))
    labels = random.integers(0, network.classes, 9)
    value, gradient = network.value_and_gradient(features, labels)
    assert network.value(features, labels) == value
    direction = random.standard_normal(len(gradient))
    direction /= np.linalg.norm(direction)
    along = [
        Network(layers, network.parameters + i * STENCIL_STEP * direction, network.map).value(
            features, labels
        )
        for i in range(-4, 5)
    ]
    slope = STENCIL @ along / STENCIL_STEP
    assert gradient @ direction == pytest.approx(slope, rel=1e-8, abs=1e-10)


def test_a_relu_has_derivative_zero_at_its_kink():
    _, kept = Relu().forward(np.array([[-0.0, 0.0, 1e-300]]))
    np.testing.assert_array_equal(Relu().backward(np.ones((1, 3)), kept), [[0, 0, 1]])
