import time
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse

import luce
from luce.errors import DataError
from luce.losses import cross_entropy
from luce.maps import Softmax
from luce.scorers import Network, split
from luce.training.network import Adam, Adaptive, Cosine, InverseScaling, Momentum, fit_network


def fit(network, features, targets, seed=0, **arguments):
    arguments = {"max_epochs": 6, "batch_size": 25, "patience": np.inf} | arguments
    return fit_network(network, features, targets, random=np.random.default_rng(seed), **arguments)


def log_loss(network, features, labels):
    return float(cross_entropy(network.scores(features), labels))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimiser", [Adam(), Adam(weight_decay=0.1), Momentum(0.5)])
def test_it_learns_in_the_dtype_of_the_features(rows, network, dtype, optimiser):
    features, labels = rows(dtype=dtype)
    start = network(dtype=dtype)
    before = start.parameters.copy()
    result = fit(start, features, labels, optimiser=optimiser, learning_rate=0.05, max_epochs=40)
    np.testing.assert_array_equal(start.parameters, before)
    assert result.network.parameters.dtype == dtype
    assert log_loss(result.network, features, labels) < 0.6 * log_loss(start, features, labels)
    assert (result.epochs, result.steps, result.stopped) == (40, 200, "max_epochs")
    assert result.loss == result.loss_curve[-1] < result.loss_curve[0]
    assert len(result.validation_scores) == len(result.validation_losses) == 0


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads(rows, network):
    features, labels = rows(n=2000, d=40, dtype=np.float32)
    start = network(d=40, hidden=(100, 90), dtype=np.float32, dropout=0.2)
    fits = []
    for threads in (1, 2, 5):
        with luce.threads(threads):
            fits.append(fit(start, features, labels, batch_size=500, max_norm=0.1, averaging=0.9))
    for other in fits[1:]:
        np.testing.assert_array_equal(other.network.parameters, fits[0].network.parameters)
        np.testing.assert_array_equal(other.loss_curve, fits[0].loss_curve)
    other = fit(start, features, labels, seed=1, batch_size=500)
    assert (other.network.parameters != fits[0].network.parameters).any()


def test_csr_features_are_learnt_like_dense_ones(rows, network):
    sparse, labels = rows(sparse=True)
    for given in (sparse, scipy.sparse.csr_matrix(sparse)):
        results = [fit(network(), x, labels) for x in (given, sparse.toarray())]
        np.testing.assert_allclose(
            results[0].network.parameters, results[1].network.parameters, atol=1e-12
        )


def test_labels_are_learnt_like_their_distributions(rows, network):
    features, labels = rows()
    results = [
        fit(network(), features, targets, label_smoothing=0.1)
        for targets in (labels, np.eye(3)[labels])
    ]
    np.testing.assert_allclose(
        results[0].network.parameters, results[1].network.parameters, atol=1e-12
    )


def test_another_map_brings_its_loss(rows, network):
    features, labels = rows()
    start = network()
    warm = Network(start.layers, start.parameters, Softmax(temperature=2.0))
    result = fit(warm, features, labels, max_epochs=30, learning_rate=0.05)
    assert result.network.map == Softmax(temperature=2.0)
    assert result.loss < 0.8 * result.loss_curve[0]
    other = fit(start, features, labels, max_epochs=30, learning_rate=0.05)
    assert (result.network.parameters != other.network.parameters).all()


@pytest.mark.parametrize("shuffle", [False, True])
def test_rows_of_weight_0_are_as_if_they_were_not_there(rows, network, shuffle):
    features, labels = rows()
    weights = np.tile([1.0, 0.0, 2.5], 40)
    left = weights > 0
    results = [
        fit(network(), features, labels, sample_weight=weights, shuffle=shuffle),
        fit(network(), features[left], labels[left], sample_weight=weights[left], shuffle=shuffle),
    ]
    np.testing.assert_array_equal(results[0].network.parameters, results[1].network.parameters)
    np.testing.assert_array_equal(results[0].loss_curve, results[1].loss_curve)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weight", [2.0**-200, 2.0**200])
def test_weights_of_any_size_learn_the_same(rows, network, dtype, weight):
    features, labels = rows(dtype=dtype)
    plain = fit(network(dtype=dtype), features, labels, penalty=0.5)
    weighted = fit(
        network(dtype=dtype), features, labels, penalty=0.5 * weight,
        sample_weight=np.full(120, weight),
    )  # fmt: skip
    np.testing.assert_array_equal(weighted.network.parameters, plain.network.parameters)
    np.testing.assert_array_equal(weighted.loss_curve, plain.loss_curve)


def test_in_one_batch_weights_are_repetitions(rows, network):
    features, labels = rows()
    repeats = np.arange(120) % 4
    results = [
        fit(network(), features, labels, sample_weight=repeats.astype(float), batch_size=999),
        fit(network(), np.repeat(features, repeats, 0), np.repeat(labels, repeats), batch_size=999),
    ]
    np.testing.assert_allclose(
        results[0].network.parameters, results[1].network.parameters, atol=1e-9
    )
    np.testing.assert_allclose(results[0].loss_curve, results[1].loss_curve, atol=1e-12)


def test_matrices_are_penalised_and_vectors_are_not(rows, network):
    features, labels = rows()
    result = fit(network(), features, labels, penalty=1e4, max_epochs=300, learning_rate=0.01)
    matrices = [first for first, _ in split(result.network.layers, result.network.parameters)]
    assert all(abs(matrix).max() < 0.01 for matrix in matrices)
    frequencies = np.bincount(labels) / len(labels)
    probabilities = result.network.probabilities(np.zeros((1, 4)))[0]
    np.testing.assert_allclose(probabilities, frequencies, atol=0.02)


def test_the_order_of_the_rows_is_drawn_before_what_is_dropped(rows, network):
    features, labels = rows()
    seen = []

    @dataclass(frozen=True)
    class Watching(Adam):
        def step(self, parameters, gradient, state, **arguments):
            seen.append(gradient.copy())

    for dropout in (0.0, 1e-9):
        fit(network(dropout=dropout), features, labels, optimiser=Watching(), max_epochs=1)
    np.testing.assert_allclose(seen[0], seen[5], rtol=1e-7)


def test_a_fit_that_goes_on_from_another_is_one_fit(rows, network):
    features, labels = rows()
    arguments = {
        "averaging": 0.95,
        "schedule": InverseScaling(0.3),
        "learning_rate": 0.05,
        "max_norm": 0.5,
    }
    start = network(dropout=0.3)
    whole = fit(start, features, labels, **arguments)
    curve, state = [], None
    for _ in range(6):
        random = np.random.default_rng(99)  # its state is replaced
        part = fit_network(
            start, features, labels, random=random, batch_size=25, max_epochs=1, state=state,
            patience=0, tol=100.0, **arguments,
        )  # fmt: skip
        if state is None:
            part = fit(start, features, labels, **arguments | {"max_epochs": 1})
        state = part.state
        curve += part.loss_curve.tolist()
        assert (part.epochs, part.steps) == (1, 5)
    np.testing.assert_array_equal(curve, whole.loss_curve)
    np.testing.assert_array_equal(part.network.parameters, whole.network.parameters)
    assert (state.steps, state.rows) == (30, 720)


def test_a_state_is_not_written_to(rows, network):
    features, labels = rows()
    first = fit(network(), features, labels, averaging=0.9)
    held = [first.state.parameters, first.state.average, *first.state.moments]
    copies = [array.copy() for array in held]
    fit(first.network, features, labels, averaging=0.9, state=first.state)
    for array, copy in zip(held, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_plateaus_go_on_from_fit_to_fit(rows, network):
    features, labels = rows()
    arguments = {"schedule": Adaptive(epochs=2), "tol": 10.0, "learning_rate": 0.1}
    whole = fit(network(), features, labels, max_epochs=9, **arguments)
    state = None
    for _ in range(9):
        part = fit(network(), features, labels, max_epochs=1, state=state, **arguments)
        state = part.state
    assert state.patience == whole.state.patience
    assert state.patience.plateaus == 4
    np.testing.assert_array_equal(part.network.parameters, whole.network.parameters)


def test_a_cosine_spans_the_steps_of_the_fit(rows, network):
    features, labels = rows()
    rates = []

    @dataclass(frozen=True)
    class Watching(Momentum):
        def step(self, parameters, gradient, state, *, rate, **arguments):
            rates.append(rate)

    arguments = {"optimiser": Watching(), "schedule": Cosine(warmup=0.1), "learning_rate": 0.5}
    first = fit(network(), features, labels, **arguments)
    expected = [0.5 * Cosine(30, 0.1).factor(step, 0, 0) for step in range(30)]
    assert rates == expected
    fit(network(), features, labels, state=first.state, **arguments)
    assert rates == expected * 2


def test_max_seconds_end_the_fit_after_the_step(rows, network, monkeypatch):
    features, labels = rows()
    result = fit(network(), features, labels, max_seconds=1e-9, validate=lambda network: (1.0, 2.0))
    assert (result.stopped, result.steps, result.epochs) == ("max_seconds", 1, 1)
    assert len(result.loss_curve) == len(result.validation_scores) == 1

    now = 0.0

    def slow(progress):
        nonlocal now
        now += 0.06

    monkeypatch.setattr(time, "monotonic", lambda: now)
    result = fit(network(), features, labels, max_seconds=0.1, on_epoch=slow)
    assert (result.stopped, result.epochs) == ("max_seconds", 2)


def test_callbacks_hear_of_every_epoch_and_may_end_the_fit(rows, network):
    features, labels = rows()
    seen = []

    def on_epoch(progress):
        seen.append(progress)
        return progress.epoch == 4

    result = fit(network(), features, labels, on_epoch=on_epoch, max_epochs=7)
    assert result.stopped == "callback"
    assert [progress.epoch for progress in seen] == [1, 2, 3, 4]
    assert [progress.loss for progress in seen] == result.loss_curve.tolist()
    assert all(progress.max_epochs == 7 for progress in seen)
    assert (seen[0].validation_score, seen[0].validation_loss) == (None, None)
    assert 0 < seen[0].seconds < seen[3].seconds
    np.testing.assert_array_equal(seen[3].network.parameters, result.network.parameters)
    assert (seen[0].network.parameters != result.network.parameters).all()


def test_a_callback_in_the_last_epoch_ends_nothing(rows, network):
    features, labels = rows()
    assert fit(network(), features, labels, on_epoch=lambda _: True).stopped == "callback"
    result = fit(network(), features, labels, max_epochs=1, on_epoch=lambda _: True)
    assert result.stopped == "max_epochs"


@dataclass(frozen=True)
class Interrupted(Adam):
    """Ctrl-C before the 8th step."""

    at: int = 8

    def step(self, parameters, gradient, state, *, step, **arguments):
        if step == self.at:
            raise KeyboardInterrupt
        super().step(parameters, gradient, state, step=step, **arguments)


def test_an_interrupted_fit_keeps_what_it_has(rows, network):
    features, labels = rows()
    result = fit(network(), features, labels, optimiser=Interrupted())
    assert (result.stopped, result.epochs) == ("interrupted", 1)
    assert (result.network.parameters != network().parameters).all()


def test_an_interrupted_fit_keeps_the_best_network(rows, network):
    features, labels = rows()
    measured = []

    def validate(network):
        measured.append(network.parameters.copy())
        return -len(measured), 0.5

    result = fit(network(), features, labels, optimiser=Interrupted(at=13), validate=validate)
    assert (result.stopped, result.epochs, result.best_epoch) == ("interrupted", 2, 1)
    np.testing.assert_array_equal(result.network.parameters, measured[0])


def test_an_interruption_before_the_first_step_is_the_callers(rows, network):
    features, labels = rows()

    class Interrupting(np.random.Generator):
        def permutation(self, *arguments):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_network(network(), features, labels, random=Interrupting(np.random.PCG64(0)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_loss_that_is_not_finite_says_what_to_do(rows, network, dtype):
    features, labels = rows(dtype=dtype)
    huge = features * dtype(np.finfo(dtype).max / 10)
    with pytest.raises(DataError, match=r"not finite.*Scale the features.*learning_rate \(0.001\)"):
        fit(network(hidden=(), dtype=dtype), huge, labels)
    with pytest.raises(DataError, match="not finite after"):
        fit(
            network(dtype=dtype), features, labels, optimiser=Momentum(), learning_rate=1e30,
            max_epochs=500,
        )  # fmt: skip


def test_parameters_that_a_last_step_made_infinite_are_no_network(rows, network):
    features, labels = rows(dtype=np.float32)
    with pytest.raises(DataError, match="parameters are not finite after step 1:"):
        fit(
            network(dtype=np.float32), features, labels, optimiser=Momentum(), learning_rate=1e300,
            batch_size=120, max_epochs=1,
        )  # fmt: skip


def test_nan_in_a_feature_is_no_silent_loss(rows, network):
    features, labels = rows()
    features[77, 1] = np.nan
    with pytest.raises(DataError, match="loss is not finite"):
        fit(network(), features, labels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": np.nan}, "learning_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"penalty": -1.0}, "penalty"),
        ({"penalty": np.inf}, "penalty"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"max_norm": 0.0}, "max_norm"),
        ({"averaging": 1.0}, "averaging"),
        ({"tol": -1e-3}, "tol"),
        ({"tol": np.nan}, "tol"),
        ({"patience": -1}, "patience"),
        ({"max_seconds": 0.0}, "max_seconds"),
    ],
)
def test_settings_out_of_range_are_refused(rows, network, arguments, message):
    features, labels = rows()
    with pytest.raises(DataError, match=message):
        fit(network(), features, labels, **arguments)
