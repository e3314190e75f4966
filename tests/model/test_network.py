"""The network as a classifier of encoded rows: what it is given, its bounds, what it is made of."""

import dataclasses

import numpy as np
import pytest
from scipy.sparse import csr_array

from luce.model.network import NetworkScorer, StandardisedDense
from luce.scorers import Dense, Gelu, Identity, Logistic, Network, Relu, Tanh, forward, split

D, K = 6, 3
ACTIVATIONS = [Identity(), Relu(), Gelu(), Tanh(), Logistic()]


def first_layer(activation, outputs=5, *, standardised):
    if not standardised:
        return Dense(D, outputs, activation)
    random = np.random.default_rng(1)
    centre, scale = random.normal(size=D), random.uniform(0.1, 3, size=D)
    return StandardisedDense(
        *(D, outputs, activation), centre=centre.astype("f4"), scale=scale.astype("f4")
    )


def scorer_of(activation, *, standardised=False, size=1.0):
    layers = (
        first_layer(activation, standardised=standardised),
        Dense(5, 4, activation),
        Dense(4, K),
    )
    network = Network.initial(layers, np.random.default_rng(2))
    network.parameters[:] = size * np.random.default_rng(3).normal(size=len(network.parameters))
    return NetworkScorer(network)


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    kept = random.random((300, D)) < 0.6
    return (random.normal(size=(300, D)) * kept).astype(np.float32)


class TestStandardisedDense:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_is_a_dense_layer_of_standardised_features(self, activation, features):
        layer = first_layer(activation, standardised=True)
        parameters = layer.initial(np.random.default_rng(4), np.float32)
        before = features.copy()
        found, _ = layer.forward(features, parameters)
        seen = (features - layer.centre) / layer.scale
        expected, _ = Dense(D, 5, activation).forward(seen, parameters)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(features, before)

    def test_sparse_features_are_scaled_and_stay_sparse(self, features):
        layer = first_layer(Relu(), standardised=True)
        parameters = layer.initial(np.random.default_rng(4), np.float32)
        sparse = csr_array(features)
        found, _ = layer.forward(sparse, parameters)
        expected, _ = Dense(D, 5, Relu()).forward(features / layer.scale, parameters)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_array_equal(sparse.toarray(), features)

    @pytest.mark.parametrize("wants_features", [True, False])
    def test_gradients_are_differences(self, wants_features):
        layer = first_layer(Tanh(), standardised=True)
        random = np.random.default_rng(5)
        parameters = layer.initial(random, np.float64)
        features, cotangent = random.normal(size=(4, D)), random.normal(size=(4, 5))

        def value(shift, weights_shift):
            weights, bias = parameters
            outputs, _ = layer.forward(features + shift, (weights + weights_shift, bias))
            return (outputs * cotangent).sum()

        gradients = tuple(np.empty_like(each) for each in parameters)
        _, kept = layer.forward(features, parameters)
        found = layer.backward(
            *(cotangent.copy(), kept, parameters, gradients), wants_features=wants_features
        )
        step, direction = 1e-6, random.normal(size=(D, 5))
        difference = (value(0, step * direction) - value(0, -step * direction)) / (2 * step)
        assert (gradients[0] * direction).sum() == pytest.approx(difference, rel=1e-6)
        if not wants_features:
            assert found is None
            return
        way = random.normal(size=(4, D))
        difference = (value(step * way, 0) - value(-step * way, 0)) / (2 * step)
        assert (found * way).sum() == pytest.approx(difference, rel=1e-6)


class TestNetworkScorer:
    @pytest.mark.parametrize("standardised", [True, False])
    @pytest.mark.parametrize("made", [np.asarray, csr_array])
    def test_probabilities(self, made, standardised, features):
        scorer = scorer_of(Relu(), standardised=standardised)
        flowing = features.astype(np.float64)
        if standardised:
            centre = 0 if made is csr_array else scorer.tensors["centre"].astype(np.float64)
            flowing = (flowing - centre) / scorer.tensors["scale"]
        for place in range(3):
            weights, bias = (scorer.tensors[f"layers.{place}.{n}"] for n in ("weights", "bias"))
            flowing = flowing @ weights.astype(np.float64) + bias
            flowing = flowing if place == 2 else np.maximum(flowing, 0)
        expected = np.exp(flowing - flowing.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        found = scorer.probabilities(made(features))
        assert (found.dtype, found.shape) == (np.float32, (300, K))
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(
            np.exp(scorer.log_probabilities(made(features))), expected, atol=1e-5
        )

    @pytest.mark.parametrize("standardised", [True, False])
    @pytest.mark.parametrize("size", [0.1, 1, 10])
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    @pytest.mark.parametrize("made", [np.asarray, csr_array])
    def test_no_number_is_beyond_the_bounds(self, made, activation, size, standardised, features):
        scorer = scorer_of(activation, standardised=standardised, size=size)
        layers, parameters = (
            scorer.network.layers,
            split(scorer.network.layers, scorer.network.parameters),
        )
        highest = np.zeros(len(features))
        for count in range(1, 4):
            outputs, _ = forward(layers[:count], parameters[:count], made(features))
            highest = np.maximum(highest, abs(outputs).max(axis=1))
        bounds = scorer.bounds(made(abs(features).astype(np.float64)))
        assert (highest <= bounds * (1 + 1e-5)).all()
        assert bounds.max() <= scorer.bound(float(abs(features).max()))

    def test_what_is_subtracted_counts(self):
        layer = first_layer(Relu(), K, standardised=True)
        layer = dataclasses.replace(
            layer, activation=Identity(), centre=np.full(D, 1e6, np.float32)
        )
        scorer = NetworkScorer(Network.initial((layer,), np.random.default_rng(2)))
        nothing = np.zeros((1, D), np.float32)
        highest = abs(scorer.network.scores(nothing)).max()
        assert highest > 1e4
        assert highest <= scorer.bounds(nothing.astype(np.float64))[0] <= scorer.bound(0.0)

    def test_nothing_is_bound_that_is_no_number(self):
        scorer = scorer_of(Relu())
        assert np.isnan(scorer.bound(np.nan))
        assert scorer.bound(np.inf) == np.inf

    @pytest.mark.parametrize("standardised", [True, False])
    def test_a_step_of_1_changes_no_score_by_more_than_its_reach(self, standardised, features):
        scorer = scorer_of(Tanh(), standardised=standardised)
        scores = scorer.network.scores(features)
        for feature, reach in enumerate(scorer.reaches()):
            moved = features.copy()
            moved[:, feature] += 1
            assert abs(scorer.network.scores(moved) - scores).max() <= reach

    @pytest.mark.parametrize("standardised", [True, False])
    def test_the_reach_of_one_layer(self, standardised):
        layer = first_layer(Identity(), K, standardised=standardised)
        scorer = NetworkScorer(Network.initial((layer,), np.random.default_rng(2)))
        weights = abs(scorer.tensors["layers.0.weights"].astype(np.float64)).sum(axis=1)
        scale = layer.scale if standardised else 1
        np.testing.assert_allclose(scorer.reaches(), weights / scale)

    @pytest.mark.parametrize("standardised", [True, False])
    def test_what_it_is_made_of(self, standardised):
        scorer = scorer_of(Gelu(), standardised=standardised)
        assert scorer.shape == (K, D)
        assert scorer.numbers_a_row == 5 + 4 + 3
        assert scorer.standardised is standardised
        assert [(each.inputs, each.outputs, each.activation) for each in scorer.described] == [
            *((D, 5, "gelu"), (5, 4, "gelu"), (4, K, "identity")),
        ]
        assert {name: tensor.shape for name, tensor in scorer.tensors.items()} == {
            "layers.0.weights": (D, 5),
            "layers.0.bias": (5,),
            "layers.1.weights": (5, 4),
            "layers.1.bias": (4,),
            "layers.2.weights": (4, K),
            "layers.2.bias": (K,),
            **({"centre": (D,), "scale": (D,)} if standardised else {}),
        }
