import numpy as np
import pytest
import scipy.sparse

from luce.errors import DataError
from luce.scorers import Dense, Dropout, Gelu, LayerNorm, Logistic, Relu, Tanh


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.mark.parametrize("kind", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
@pytest.mark.parametrize("activation", [Dense(1, 1).activation, Relu(), Gelu(), Tanh()], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csr_features_give_what_dense_ones_do(random, kind, activation, dtype):
    features = (random.standard_normal((9, 6)) * (random.random((9, 6)) < 0.4)).astype(dtype)
    layer = Dense(6, 4, activation)
    parameters = layer.initial(random, dtype)
    cotangent = random.standard_normal((9, 4)).astype(dtype)
    results = []
    for given in (features, kind(features)):
        outputs, kept = layer.forward(given, parameters)
        gradients = tuple(map(np.empty_like, parameters))
        back = layer.backward(cotangent.copy(), kept, parameters, gradients, wants_features=False)
        assert back is None
        assert outputs.dtype == dtype
        assert outputs.flags.c_contiguous
        results.append((outputs, *gradients))
    for dense, sparse in zip(*results, strict=True):
        np.testing.assert_allclose(sparse, dense, rtol=0, atol=30 * np.finfo(dtype).eps)


def test_repeated_and_unsorted_entries_of_csr_features_are_added():
    data, indices, indptr = np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), np.array([0, 3, 3])
    features = scipy.sparse.csr_array((data, indices, indptr), shape=(2, 2))
    parameters = np.eye(2), np.zeros(2)
    outputs, kept = Dense(2, 2).forward(features, parameters)
    np.testing.assert_array_equal(outputs, [[2, 5], [0, 0]])
    gradients = np.empty((2, 2)), np.empty(2)
    Dense(2, 2).backward(np.ones((2, 2)), kept, parameters, gradients, wants_features=False)
    np.testing.assert_array_equal(gradients[0], [[2, 2], [5, 5]])


def test_the_bias_of_many_csr_rows_does_not_lose_any():
    rows = 10**6
    features = scipy.sparse.csr_array((rows, 1), dtype=np.float32)
    parameters = np.ones((1, 2), np.float32), np.zeros(2, np.float32)
    _, kept = Dense(1, 2).forward(features, parameters)
    gradients = np.empty((1, 2), np.float32), np.empty(2, np.float32)
    cotangent = np.full((rows, 2), 0.1, np.float32)
    Dense(1, 2).backward(cotangent, kept, parameters, gradients, wants_features=False)
    np.testing.assert_allclose(gradients[1], rows * float(np.float32(0.1)), rtol=1e-6)


def test_wide_csr_features_are_not_made_dense(random):
    """Dense they would be 80 GB."""
    features = scipy.sparse.eye_array(10**5, format="csr")
    layer = Dense(10**5, 2, Relu())
    parameters = layer.initial(random, np.float64)
    outputs, kept = layer.forward(features, parameters)
    gradients = tuple(map(np.empty_like, parameters))
    layer.backward(outputs.copy(), kept, parameters, gradients, wants_features=False)
    assert outputs.shape == (10**5, 2)


def test_the_gradient_of_csr_features_is_refused():
    features = scipy.sparse.csr_array(np.eye(2))
    parameters = np.eye(2), np.zeros(2)
    _, kept = Dense(2, 2).forward(features, parameters)
    with pytest.raises(DataError, match="would be dense"):
        Dense(2, 2).backward(np.ones((2, 2)), kept, parameters, parameters)


def test_no_rows():
    features = np.empty((0, 3))
    for layer in (Dense(3, 2, Tanh()), LayerNorm(3)):
        parameters = layer.initial(np.random.default_rng(0), np.float64)
        outputs, kept = layer.forward(features, parameters)
        assert len(outputs) == 0
        gradients = tuple(np.full(shape, np.nan) for shape in layer.shapes)
        assert layer.backward(outputs.copy(), kept, parameters, gradients).shape == (0, 3)
        assert not any(gradient.any() for gradient in gradients)


def test_where_a_dense_layer_begins():
    for layer, factor in [(Dense(40, 60), 6), (Dense(40, 60, Logistic()), 2)]:
        weights, bias = layer.initial(np.random.default_rng(0), np.float32)
        assert weights.dtype == bias.dtype == np.float32
        bound = np.sqrt(factor / 100)
        assert 0.95 * bound < np.abs(weights).max() <= bound
        assert 0 < np.abs(bias).max() <= bound
        assert weights.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


def test_dropout_drops_its_share_and_keeps_the_mean():
    features = np.ones((500, 400), np.float32)
    outputs, seed = Dropout(0.25).forward(features, random=np.random.default_rng(7))
    assert set(np.unique(outputs)) == {0, np.float32(1 / 0.75)}
    assert (outputs == 0).mean() == pytest.approx(0.25, abs=0.005)
    assert (features == 1).all()
    again, other = Dropout(0.25).forward(features, random=np.random.default_rng(7))
    assert other == seed
    np.testing.assert_array_equal(again, outputs)


def test_dropout_draws_anew_every_time():
    random, features = np.random.default_rng(0), np.ones((1, 64))
    first, second = (Dropout(0.5).forward(features, random=random)[0] for _ in range(2))
    assert (first != second).any()


def test_what_was_dropped_feels_nothing():
    features = np.arange(1.0, 13).reshape(3, 4)
    outputs, seed = Dropout(0.5).forward(features, random=np.random.default_rng(1))
    back = Dropout(0.5).backward(np.ones((3, 4)), seed)
    np.testing.assert_array_equal(back, outputs / features)


def test_dropout_is_for_training_only():
    features, cotangent = np.ones((2, 3)), np.full((2, 3), 5.0)
    outputs, kept = Dropout(0.5).forward(features)
    assert outputs is features
    assert Dropout(0.5).backward(cotangent, kept) is cotangent
    assert (cotangent == 5).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_normalised_however_far_from_zero(random, dtype):
    layer, spread = LayerNorm(64), random.integers(-8, 9, (5, 64))
    features = (spread + 2**20).astype(dtype)
    outputs, _ = layer.forward(features, layer.initial(random, dtype))
    expected = (spread - spread.mean(axis=1, keepdims=True)) / np.sqrt(
        spread.var(axis=1, keepdims=True) + 1e-5
    )
    assert outputs.dtype == dtype
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=8 * np.finfo(dtype).eps)


def test_the_sums_of_layer_norm_do_not_lose_rows():
    layer, rows = LayerNorm(2), 10**6
    features = np.tile(np.array([[0.0, 1.0]], np.float32), (rows, 1))
    parameters = layer.initial(np.random.default_rng(0), np.float32)
    _, kept = layer.forward(features, parameters)
    gradients = np.empty(2, np.float32), np.empty(2, np.float32)
    cotangent = np.full((rows, 2), 0.1, np.float32)
    layer.backward(cotangent, kept, parameters, gradients)
    np.testing.assert_allclose(gradients[1], rows * float(np.float32(0.1)), rtol=1e-6)


def test_an_even_row_becomes_the_shift():
    parameters = np.full(3, 2.0), np.array([1.0, 2.0, 3.0])
    outputs, kept = LayerNorm(3).forward(np.full((1, 3), 7.0), parameters)
    np.testing.assert_array_equal(outputs, [[1, 2, 3]])
    gradients = np.empty(3), np.empty(3)
    back = LayerNorm(3).backward(np.array([[1.0, 0.0, 0.0]]), kept, parameters, gradients)
    assert np.isfinite(back).all()


def test_a_nan_stays_in_its_row():
    parameters = np.ones(3), np.zeros(3)
    features = np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 4.0]])
    outputs, _ = LayerNorm(3).forward(features, parameters)
    assert np.isnan(outputs[0]).all()
    assert np.isfinite(outputs[1]).all()


REFUSALS = {
    "inputs": (lambda: Dense(0, 2), "inputs is 0; expected a whole number of at least 1"),
    "outputs": (lambda: Dense(2, 2.5), "outputs is 2.5"),
    "truth": (lambda: Dense(True, 2), "inputs is True"),
    "class": (lambda: Dense(2, 2, Relu), r"expected a value such as Relu\(\)"),
    "word": (lambda: Dense(2, 2, "relu"), "activation is 'relu'"),
    "rate": (lambda: Dropout(1.0), "rate is 1.0; expected a number of at least 0 and below 1"),
    "negative": (lambda: Dropout(-0.1), "rate is -0.1"),
    "nan": (lambda: Dropout(float("nan")), "rate is nan"),
    "norm": (lambda: LayerNorm(-1), "inputs is -1"),
    "epsilon": (lambda: LayerNorm(3, 0.0), "epsilon is 0.0; expected a finite number above 0"),
    "width": (lambda: Dense(3, 2).width(4), r"Dense\(.* takes 3 features, and is given 4"),
    "norm width": (lambda: LayerNorm(3).width(2), r"LayerNorm\(.* takes 3 features"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    function, message = REFUSALS[name]
    with pytest.raises(DataError, match=message):
        function()


def test_numpy_numbers_are_numbers():
    assert Dense(np.int64(3), 2) == Dense(3, 2)
    assert hash(Dense(3, 2, Relu())) == hash(Dense(3, 2, Relu()))
