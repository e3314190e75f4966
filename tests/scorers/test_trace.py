"""What is traced is what was computed, and what the formulas say."""

import re

import numpy as np
import pytest
import scipy.sparse
from scipy.stats import norm

import luce
from luce.scorers import (
    Dense,
    Dropout,
    Gelu,
    Identity,
    LayerNorm,
    Logistic,
    Network,
    Relu,
    Residual,
    Tanh,
    multilayer_perceptron,
    split,
)
from luce.scorers.trace import GIVEN, PARAMETER

ELSEWHERE = re.compile(r"(\w+) of (?:layer ([\d.]+)|the network)")
BOUND = {np.float64: 1e-13, np.float32: 2e-5}
SOFTMAX = luce.Softmax()
NAMES = {
    **vars(np),
    **{name: getattr(luce, name) for name in ("softmax", "FenchelYoung")},
    "normal": norm.cdf,
    "density": norm.pdf,
}
BLOCK = Dense(3, 3), LayerNorm(3), Gelu(), Dropout(0.2)
NETWORKS = {
    "linear": (Dense(4, 3),),
    "perceptron": multilayer_perceptron(4, (5,), 3),
    "deep": multilayer_perceptron(4, (5, 3, 2), 3, Logistic()),
    "everything": (Dense(4, 3, Tanh()), Residual(BLOCK), Dense(3, 3)),
    "nested": (
        Residual((Dense(4, 4, Gelu()), Residual((Relu(), Dense(4, 4))))),
        Identity(),
        Residual((Dense(4, 4, Tanh()),)),
        Dense(4, 2),
    ),
}


def traced(name, dtype=np.float64, map=SOFTMAX, rows=3):
    random = np.random.default_rng(0)
    network = Network.initial(NETWORKS[name], random, dtype, map)
    features = random.standard_normal((rows, 4)).astype(dtype)
    labels = random.integers(0, network.classes, rows)
    return network, features, labels, network.trace(features, labels)


def recomputed(step, arrays, map):
    """What the step's formula gives in plain NumPy; None where it is given."""
    if step.formula in (GIVEN, PARAMETER):
        return None
    if found := ELSEWHERE.fullmatch(step.formula):
        name, layer = found.groups()
        return arrays[f"{layer}.{name}" if layer else name]
    prefix = f"{step.layer}." if step.layer else ""
    own = {
        key.removeprefix(prefix): array
        for key, array in arrays.items()
        if key.startswith(prefix) and "." not in key.removeprefix(prefix)
    }
    if not step.layer:
        own |= {"map": map, "p": arrays["probabilities"], "y": arrays["targets"]}
    return eval(step.formula, NAMES, own)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("map", [luce.Softmax(), luce.Softmax(2.0)], ids=repr)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_formula_gives_its_array(name, map, dtype):
    _, _, _, trace = traced(name, dtype, map)
    arrays, steps = trace.arrays, (*trace.forward, *trace.backward)
    assert len(arrays) == len(steps)
    for step in steps:
        expected = recomputed(step, arrays, map)
        if expected is None:
            continue
        assert step.array.shape == np.broadcast_shapes(np.shape(expected), step.array.shape)
        np.testing.assert_allclose(
            step.array, expected, rtol=BOUND[dtype], atol=BOUND[dtype], err_msg=step.key
        )
        if step.key != "loss":
            assert step.array.dtype == dtype, step.key


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradients_are_those_of_the_network(name, dtype):
    network, features, labels, trace = traced(name, dtype)
    value, gradient = network.value_and_gradient(features, labels)
    assert trace.arrays["loss"] == pytest.approx(value, rel=BOUND[dtype])
    found = gradients_of(network.layers, trace.arrays)
    for layer, own in zip(found, split(network.layers, gradient), strict=True):
        for traced_gradient, expected in zip(layer, own, strict=True):
            np.testing.assert_allclose(traced_gradient, expected, rtol=0, atol=BOUND[dtype])
    np.testing.assert_allclose(trace.arrays["scores"], network.scores(features), rtol=BOUND[dtype])


def gradients_of(layers, arrays, prefix=""):
    """The traced gradients of the parameters, as `split` has them."""
    names = {
        Dense: ("weights_gradient", "bias_gradient"),
        LayerNorm: ("scale_gradient", "shift_gradient"),
    }
    found = []
    for i, layer in enumerate(layers, 1):
        if isinstance(layer, Residual):
            inner = gradients_of(layer.layers, arrays, f"{prefix}{i}.")
            found.append([gradient for own in inner for gradient in own])
        else:
            found.append([arrays[f"{prefix}{i}.{name}"] for name in names.get(type(layer), ())])
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_of_the_features_is_where_the_way_back_ends(name):
    network, features, labels, trace = traced(name)
    assert trace.backward[-1].key == "1.features_gradient"
    step, direction = 1e-6, np.cos(np.arange(features.size)).reshape(features.shape)
    above, below = (network.value(features + s * step * direction, labels) for s in (1, -1))
    slope = np.vdot(trace.arrays["1.features_gradient"], direction)
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-9)


def test_all_that_the_chain_rule_needs_has_a_name():
    _, _, _, trace = traced("perceptron")
    assert list(trace.arrays) == [
        "features",
        *("1.features", "1.weights", "1.bias", "1.before", "1.outputs"),
        *("2.features", "2.weights", "2.bias", "2.outputs"),
        *("scores", "probabilities", "targets", "loss"),
        *("p - y", "cotangent"),
        *("2.cotangent", "2.delta", "2.weights_gradient", "2.bias_gradient"),
        *("2.features_gradient", "1.cotangent", "1.slope", "1.delta", "1.weights_gradient"),
        *("1.bias_gradient", "1.features_gradient"),
    ]
    assert trace.backward[0].key == "p - y"
    assert list(trace.layers) == ["1", "2"]


def test_both_ways_around_a_residual_meet():
    _, _, _, trace = traced("everything")
    assert list(trace.layers) == ["1", "2", "2.1", "2.2", "2.3", "2.4", "3"]
    arrays = trace.arrays
    np.testing.assert_array_equal(
        arrays["2.features_gradient"],
        arrays["3.features_gradient"] + arrays["2.1.features_gradient"],
    )


def test_soft_targets_and_other_maps():
    network, features, _, _ = traced("deep", map=luce.Softmax(0.5))
    targets = np.random.default_rng(1).dirichlet(np.ones(3), 3)
    trace = network.trace(features, targets)
    value, gradient = network.value_and_gradient(features, targets)
    arrays = trace.arrays
    assert arrays["loss"] == pytest.approx(value)
    np.testing.assert_array_equal(arrays["targets"], targets)
    first = split(network.layers, gradient)[0][0]
    np.testing.assert_allclose(arrays["1.weights_gradient"], first, rtol=1e-12, atol=1e-16)


def test_csr_features():
    network, features, labels, trace = traced("perceptron")
    other = network.trace(scipy.sparse.csr_array(features), labels)
    for key, array in trace.arrays.items():
        np.testing.assert_array_equal(other.arrays[key], array)


class Square:
    shapes = ((1,),)

    def width(self, inputs):
        return inputs

    def initial(self, random, dtype):
        return (np.full(1, 2.0, dtype),)

    def forward(self, features, parameters, random=None, *, threads=1):
        return parameters[0] * features**2, features

    def backward(self, cotangent, kept, parameters, gradients, *, wants_features=True, threads=1):
        gradients[0][...] = (cotangent * kept**2).sum()
        return cotangent * 2 * parameters[0] * kept


def test_a_layer_of_ones_own():
    layers = Dense(4, 3), Square(), Dense(3, 2)
    network = Network.initial(layers, np.random.default_rng(0), np.float64)
    features = np.random.default_rng(1).standard_normal((3, 4))
    trace = network.trace(features, [0, 1, 0])
    _, gradient = network.value_and_gradient(features, [0, 1, 0])
    parameters = split(layers, gradient)
    arrays = trace.arrays
    np.testing.assert_array_equal(arrays["2.parameter_1"], [2])
    np.testing.assert_allclose(arrays["2.parameter_1_gradient"], parameters[1][0], rtol=1e-13)
    np.testing.assert_allclose(arrays["1.weights_gradient"], parameters[0][0], rtol=1e-12)
    assert "2: Square ---" in trace.explain()


def test_a_trace_is_a_value():
    _, features, _, trace = traced("perceptron")
    before = trace.arrays["features"].copy()
    features[...] = 0
    np.testing.assert_array_equal(trace.arrays["features"], before)
    for array in trace.arrays.values():
        assert not array.flags.writeable
    assert str(trace) == trace.explain()
    assert repr(trace) == "<Trace of 27 arrays: print it, or look at its .arrays>"


@pytest.mark.parametrize("rows", [0, 65])
def test_a_batch_that_is_none_to_look_at(rows):
    network, _, _, _ = traced("perceptron")
    with pytest.raises(luce.DataError, match=rf"features have {rows} rows; .* 1 to 64 of them"):
        network.trace(np.ones((rows, 4)), np.zeros(rows, int))


def test_the_largest_batch():
    _, _, _, trace = traced("deep", rows=64)
    assert trace.arrays["p - y"].shape == (64, 3)


def test_refusals():
    network, features, _, _ = traced("perceptron")
    with pytest.raises(luce.DataError, match=r"labels\[1\] is 3"):
        network.trace(features, [0, 3, 0])
    with pytest.raises(luce.DataError, match="do not fit"):
        network.trace(np.ones((2, 3)), [0, 1])
