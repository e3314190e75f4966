import numpy as np
import pytest

import luce
from luce.errors import DataError
from luce.scorers import (
    Dense,
    Dropout,
    Gelu,
    LayerNorm,
    Relu,
    backward,
    count_parameters,
    forward,
    initial_parameters,
    split,
)
from luce.scorers.chain import width

LAYERS = Dense(3, 4, Gelu()), LayerNorm(4), Dropout(0.5), Dense(4, 2)


@pytest.fixture
def parameters():
    return split(LAYERS, initial_parameters(LAYERS, np.random.default_rng(0), np.float64))


@pytest.fixture
def gradients():
    return split(LAYERS, np.full(count_parameters(LAYERS)[0], np.nan))


def test_matrices_come_first():
    assert count_parameters(LAYERS) == (12 + 8 + 4 + 4 + 4 + 2, 12 + 8)
    assert count_parameters(()) == (0, 0)
    vector = np.arange(34)
    (weights, bias), (scale, shift), nothing, (last, last_bias) = split(LAYERS, vector)
    assert nothing == ()
    in_order = [weights, last, bias, scale, shift, last_bias]
    np.testing.assert_array_equal(np.concatenate([a.ravel() for a in in_order]), vector)
    assert [a.shape for a in in_order] == [(3, 4), (4, 2), (4,), (4,), (4,), (2,)]
    assert all(np.shares_memory(a, vector) for a in in_order)


def test_a_vector_that_is_too_short():
    with pytest.raises(ValueError, match="reshape"):
        split(LAYERS, np.zeros(10))


def test_both_dtypes_begin_alike():
    double = initial_parameters(LAYERS, np.random.default_rng(1), np.float64)
    single = initial_parameters(LAYERS, np.random.default_rng(1), np.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_the_same_bits_for_any_number_of_threads(parameters):
    features = np.random.default_rng(2).standard_normal((1000, 3))
    results = []
    for threads in (1, 3):
        vector = np.empty(34)
        scores, kept = forward(
            LAYERS, parameters, features, np.random.default_rng(3), threads=threads
        )
        cotangent = np.cos(scores)
        backward(LAYERS, parameters, kept, cotangent, split(LAYERS, vector), threads=threads)
        results.append((scores, vector))
    with luce.threads(2):
        results.append((forward(LAYERS, parameters, features, np.random.default_rng(3))[0], vector))
    for scores, vector in results[1:]:
        np.testing.assert_array_equal(scores, results[0][0])
        np.testing.assert_array_equal(vector, results[0][1])


def test_the_gradient_of_the_features_is_for_those_who_want_it(parameters, gradients):
    features = np.random.default_rng(2).standard_normal((5, 3))
    scores, kept = forward(LAYERS, parameters, features)
    assert backward(LAYERS, parameters, kept, scores.copy(), gradients) is None
    wanted = backward(LAYERS, parameters, kept, scores, gradients, wants_features=True)
    assert wanted.shape == (5, 3)


def test_nothing_is_dropped_without_a_generator(parameters):
    features = np.ones((5, 3))
    again = forward(LAYERS, parameters, features)[0]
    np.testing.assert_array_equal(forward(LAYERS, parameters, features)[0], again)
    assert (forward(LAYERS, parameters, features, np.random.default_rng(0))[0] != again).any()


def test_parameters_of_other_layers(parameters):
    with pytest.raises(ValueError, match="shorter"):
        forward(LAYERS, parameters[:2], np.ones((1, 3)))


def test_width():
    assert width(LAYERS) == width(LAYERS, 3) == 2
    assert width((Relu(), Dropout(0.1))) is None
    assert width((Relu(),), 7) == 7
    with pytest.raises(DataError, match=r"layers\[0\]: Dense\(.* takes 3 .* is given 4"):
        width(LAYERS, 4)
    with pytest.raises(DataError, match=r"layers\[2\]: LayerNorm\(.* takes 5 .* is given 4"):
        width((Dense(3, 4), Relu(), LayerNorm(5)))
