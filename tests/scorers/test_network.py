import dataclasses
import tracemalloc

import numpy as np
import pytest
import scipy.sparse

import luce
from luce.scorers import Dense, LayerNorm, Network, Tanh, multilayer_perceptron, split
from luce.scorers.network import MOST_ROWS

LAYERS = multilayer_perceptron(6, (7, 7), 4, Tanh(), dropout=0.5, layer_norm=True, residual=True)


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def network(random):
    return Network.initial(LAYERS, random, np.float64)


def by_hand(network, features):
    """The layers one by one, on all rows at once."""
    for layer, own in zip(network.layers, split(network.layers, network.parameters), strict=True):
        features, _ = layer.forward(features, own)
    return features


@pytest.mark.parametrize("map", [luce.Softmax(), luce.Softmax(0.5), luce.Hardmax()], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [0, 1, 5, 2 * MOST_ROWS + 3])
def test_all_answers_are_about_the_scores(random, rows, dtype, map):
    network = Network.initial(LAYERS, random, dtype, map)
    features = random.standard_normal((rows, 6)).astype(dtype)
    scores = by_hand(network, features) if rows else np.empty((0, 4), dtype)
    eps = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(network.scores(features), scores, rtol=eps, atol=eps)
    probabilities = network.probabilities(features)
    assert probabilities.dtype == network.log_probabilities(features).dtype == dtype
    np.testing.assert_allclose(probabilities, map(scores), rtol=eps, atol=eps)
    with np.errstate(divide="ignore"):
        logarithms = np.log(map(scores))
    np.testing.assert_allclose(network.log_probabilities(features), logarithms, rtol=eps, atol=eps)
    winners = network.winners(features)
    assert winners.dtype == np.int64
    np.testing.assert_array_equal(winners, scores.argmax(axis=1))


def test_logarithms_of_tiny_probabilities():
    network = Network((Dense(1, 2),), np.array([0.0, 0.0, 0.0, 1000.0]))
    np.testing.assert_array_equal(network.log_probabilities(np.ones((1, 1))), [[-1000, 0]])


def test_any_layout_of_rows(network, random):
    features = random.standard_normal((30, 6))
    expected = network.scores(features)
    twice = np.repeat(np.repeat(features, 2, axis=0), 2, axis=1)
    read_only = features.copy()
    read_only.setflags(write=False)
    odd = np.empty(features.nbytes + 1, np.uint8)[1:].view(np.float64).reshape(30, 6)
    odd[...] = features
    for given in (
        np.asfortranarray(features),
        twice[::2, ::2],
        features[::-1].copy()[::-1],
        read_only,
        odd,
        scipy.sparse.csr_array(features),
        scipy.sparse.csr_matrix(features),
    ):
        np.testing.assert_allclose(network.scores(given), expected, rtol=1e-13)


def test_csr_features_by_blocks(random):
    network = Network.initial(multilayer_perceptron(50, (5,), 3), random, np.float64)
    features = scipy.sparse.random_array((2 * MOST_ROWS + 3, 50), density=0.1, format="csr", rng=1)
    dense = features.toarray()
    np.testing.assert_allclose(network.scores(features), network.scores(dense), rtol=1e-12)
    labels = random.integers(0, 3, len(dense))
    value, gradient = network.value_and_gradient(features, labels)
    expected, expected_gradient = network.value_and_gradient(dense, labels)
    assert value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-14)


def test_memory_is_bounded_by_a_block(random):
    """Hidden activations of all rows would be 80 MB a layer, the scores 80 MB."""
    network = Network.initial(multilayer_perceptron(3, (200, 200), 200), random)
    features = random.standard_normal((10**5, 3)).astype(np.float32)
    labels = random.integers(0, 200, 10**5)
    for act in (
        lambda: network.winners(features),
        lambda: network.value(features, labels),
        lambda: network.value_and_gradient(features, labels),
    ):
        tracemalloc.start()
        act()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 25e6


def test_value_and_gradient_by_blocks_are_those_of_all_rows(network, random):
    rows = 2 * MOST_ROWS + 3
    features, labels = random.standard_normal((rows, 6)), random.integers(0, 4, rows)
    weights = random.integers(0, 3, rows).astype(float)
    value, gradient = network.value_and_gradient(features, labels, weights, 0.2)
    assert network.value(features, labels, weights, 0.2) == value
    expected = luce.cross_entropy(
        network.scores(features), labels, sample_weight=weights, label_smoothing=0.2
    )
    assert value == pytest.approx(expected, rel=1e-12)
    total = np.zeros(len(gradient))
    for at in range(0, rows, 1000):
        part = slice(at, at + 1000)
        share = weights[part].sum() / weights.sum()
        of_part = network.value_and_gradient(features[part], labels[part], weights[part], 0.2)
        total += share * of_part[1]
    np.testing.assert_allclose(gradient, total, rtol=0, atol=1e-14)


def test_weights_are_repetitions(network, random):
    features, labels = random.standard_normal((5, 6)), np.array([0, 1, 2, 3, 0])
    weights = np.array([2, 0, 1, 3, 1])
    value, gradient = network.value_and_gradient(features, labels, weights)
    repeated = np.repeat(np.arange(5), weights)
    expected, of_repeated = network.value_and_gradient(features[repeated], labels[repeated])
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient, of_repeated, rtol=0, atol=1e-14)


@pytest.mark.parametrize("map", [luce.Softmax(), luce.Softmax(2.0)], ids=repr)
@pytest.mark.parametrize("sparse", [False, True])
def test_a_row_without_weight_is_no_row(random, sparse, map):
    network = Network.initial(LAYERS, random, np.float64, map)
    features, labels = random.standard_normal((3, 6)), np.array([0, 1, 2])
    value, gradient = network.value_and_gradient(features[[0, 2]], labels[[0, 2]])
    features[1] = np.nan
    given = scipy.sparse.csr_array(features) if sparse else features
    found, found_gradient = network.value_and_gradient(given, labels, [1.0, 0.0, 1.0])
    assert found == pytest.approx(value, rel=1e-14)
    assert network.value(given, labels, [1.0, 0.0, 1.0]) == found
    np.testing.assert_allclose(found_gradient, gradient, rtol=0, atol=1e-15)


def test_no_weight_at_all(network):
    for features, labels, weights in [
        (np.empty((0, 6)), np.empty(0, int), None),
        (np.ones((2, 6)), [0, 1], [0.0, 0.0]),
    ]:
        value, gradient = network.value_and_gradient(features, labels, weights)
        assert value == 0
        assert not gradient.any()


def test_nothing_is_dropped_and_nothing_written(network, random):
    features = random.standard_normal((4, 6))
    targets = np.full((4, 4), 0.25)
    network.parameters.setflags(write=False)
    before, aims = features.copy(), targets.copy()
    first = network.value_and_gradient(features, targets)
    second = network.value_and_gradient(features, targets)
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(features, before)
    np.testing.assert_array_equal(targets, aims)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_a_nan_stays_in_its_row_without_a_warning(network, random, bad):
    features = random.standard_normal((3, 6))
    expected = network.scores(features)
    features[1, 2:4] = bad, -bad
    scores = network.scores(features)
    assert np.isnan(scores[1]).all() or bad == 1e300
    np.testing.assert_array_equal(scores[[0, 2]], expected[[0, 2]])


def test_a_network_is_a_value(network):
    other = dataclasses.replace(network, parameters=network.parameters * 2)
    assert other.layers is network.layers
    assert network.classes == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.map = luce.Softmax(2.0)


X = np.ones((3, 6))
MAKING = {
    "too few": (lambda: Network(LAYERS, np.zeros(3)), r"shape \(3,\); expected \(\d+,\)"),
    "matrix": (lambda: Network((Dense(1, 1),), np.zeros((2, 1))), r"expected \(2,\)"),
    "list": (lambda: Network((Dense(1, 1),), [0.0, 0.0]), "parameters are list"),
    "integers": (lambda: Network((Dense(1, 1),), np.zeros(2, int)), "parameters are int64"),
    "half": (lambda: Network((Dense(1, 1),), np.zeros(2, np.float16)), "float16; .* float32 or"),
    "stride": (lambda: Network((Dense(1, 1),), np.zeros(4)[::2]), "side by side"),
    "aligned": (
        lambda: Network((Dense(1, 1),), np.zeros(17, np.uint8)[1:].view(float)),
        "side by side in the machine's own order",
    ),
    "order": (lambda: Network((Dense(1, 1),), np.zeros(2, ">f8")), "machine's own order"),
    "no layer": (lambda: Network((), np.zeros(0)), "at least one layer"),
    "list of layers": (lambda: Network([Dense(1, 1)], np.zeros(2)), "expected a tuple"),
    "activation last": (
        lambda: Network((Dense(1, 1, Tanh()),), np.zeros(2)),
        r"last layer is Dense\(.*Tanh\(\)\); expected a Dense one without an activation",
    ),
    "other last": (lambda: Network((Dense(1, 2), LayerNorm(2)), np.zeros(8)), "last layer is Lay"),
    "neighbours": (
        lambda: Network((Dense(6, 3), Dense(4, 2)), np.zeros(31)),
        r"layers\[1\]: Dense\(inputs=4, .* takes 4 features, and is given 3",
    ),
    "initial": (lambda: Network.initial((Dense(6, 3), Dense(4, 2)), None), r"layers\[1\]"),
    "map": (lambda: Network((Dense(1, 1),), np.zeros(2), luce.softmax), "such as luce.Softmax()"),
    "map class": (lambda: Network((Dense(1, 1),), np.zeros(2), luce.Softmax), "such as"),
    "axis": (lambda: Network((Dense(1, 1),), np.zeros(2), luce.Softmax(axis=0)), "last axis"),
    "temperatures": (
        lambda: Network((Dense(1, 1),), np.zeros(2), luce.Softmax([[1.0], [2.0]])),
        "expected one temperature",
    ),
}
USING = {
    "width": (lambda n: n.scores(np.ones((3, 5))), r"\(3, 5\) do not fit layers\[0\]: .* takes 6"),
    "dtype": (lambda n: n.scores(X.astype(np.float32)), "float32; .* in float64, the dtype of"),
    "row": (lambda n: n.probabilities(X[0]), r"shape \(6,\)"),
    "list": (lambda n: n.winners(X.tolist()), "features are a list; expected an array or a CSR"),
    "csc": (lambda n: n.scores(scipy.sparse.csc_array(X)), "features are a csc_array"),
    "labels": (lambda n: n.value(X, [0, 1, 4]), r"labels\[2\] is 4; expected a class from 0 to 3"),
    "negative": (lambda n: n.value_and_gradient(X, [0, -1, 2]), r"labels\[1\] is -1"),
    "few labels": (lambda n: n.value(X, [0, 1]), r"labels have shape \(2,\)"),
    "no distribution": (lambda n: n.value(X, np.ones((3, 4))), "row 0 sum to 4"),
    "weights": (lambda n: n.value(X, [0, 1, 2], [1.0, -1.0, 1.0]), r"sample_weight\[1\] is -1"),
    "smoothing": (lambda n: n.value(X, [0, 1, 2], None, 1.5), "label_smoothing is 1.5"),
}


@pytest.mark.parametrize("name", MAKING)
def test_what_is_no_network(name):
    make, message = MAKING[name]
    with pytest.raises(luce.DataError, match=message):
        make()


@pytest.mark.parametrize("name", USING)
def test_what_a_network_does_not_take(network, name):
    use, message = USING[name]
    with pytest.raises(luce.DataError, match=message):
        use(network)


def test_csr_features_need_a_dense_layer(random):
    network = Network.initial((LayerNorm(6), Dense(6, 2)), random, np.float64)
    with pytest.raises(luce.DataError, match=r"first layer is LayerNorm\(.*need a Dense one"):
        network.scores(scipy.sparse.csr_array(X))


@pytest.mark.parametrize("index", [-1, 6])
def test_csr_features_whose_indices_lie(network, index):
    features = scipy.sparse.csr_array(X)
    features.indices[4] = index
    with pytest.raises(luce.DataError, match="columns from 0 to 5"):
        network.scores(features)
