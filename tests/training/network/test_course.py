import numpy as np
import pytest

from luce.training.network import Adaptive, fit_network


def fit(network, features, labels, scores, **arguments):
    """A fit whose epochs have these scores; and the parameters after each."""
    seen, scores = [], iter(scores)

    def validate(network):
        seen.append(network.parameters.copy())
        return next(scores), 10.0 + len(seen)

    arguments = {"max_epochs": 6, "batch_size": 25, "learning_rate": 0.05} | arguments
    result = fit_network(
        network, features, labels, random=np.random.default_rng(0), validate=validate, **arguments
    )
    return result, seen


@pytest.mark.parametrize("averaging", [None, 0.9])
def test_the_network_of_the_best_epoch_is_kept(rows, network, averaging):
    scores = [0.1, 0.5, 0.2, 0.5, 0.3, 0.1]
    result, seen = fit(network(), *rows(), scores, averaging=averaging)
    assert (result.best_epoch, result.epochs, result.stopped) == (2, 6, "max_epochs")
    np.testing.assert_array_equal(result.network.parameters, seen[1])
    assert (seen[1] != seen[5]).all()
    np.testing.assert_array_equal(result.validation_scores, scores)
    np.testing.assert_array_equal(result.validation_losses, np.arange(11, 17))


def test_the_fit_goes_on_from_the_last_epoch_not_from_the_best(rows, network):
    result, seen = fit(network(), *rows(), [0.5, 0.1, 0.1, 0.1, 0.1, 0.1])
    np.testing.assert_array_equal(result.network.parameters, seen[0])
    np.testing.assert_array_equal(result.state.parameters, seen[5])


def test_patience_is_of_the_scores(rows, network):
    scores = [0.1, 0.5, 0.5004, 0.6, 0.5, 0.5, 0.5, 0.9]
    result, seen = fit(network(), *rows(), scores, patience=2, tol=1e-3, max_epochs=8)
    assert (result.stopped, result.epochs, result.best_epoch) == ("patience", 7, 4)
    np.testing.assert_array_equal(result.network.parameters, seen[3])


def test_a_rise_below_tol_is_still_the_best(rows, network):
    result, _ = fit(network(), *rows(), [0.5, 0.5001, 0.5002], patience=1, tol=1e-2)
    assert (result.stopped, result.epochs, result.best_epoch) == ("patience", 3, 3)


def test_scores_that_are_nan_or_infinite_are_kept_and_never_the_best(rows, network):
    scores = [np.nan, 0.2, np.nan, -np.inf, 0.1, np.nan]
    result, seen = fit(network(), *rows(), scores)
    assert result.best_epoch == 2
    np.testing.assert_array_equal(result.network.parameters, seen[1])
    np.testing.assert_array_equal(result.validation_scores, scores)
    result, seen = fit(network(), *rows(), [np.nan] * 6)
    assert result.best_epoch == 0
    np.testing.assert_array_equal(result.network.parameters, seen[5])


def test_a_plateau_may_be_of_the_scores(rows, network):
    result, _ = fit(
        network(), *rows(), [0.5] * 30, schedule=Adaptive(epochs=3), max_epochs=30, patience=0
    )
    # 0.05 falls below 1e-6 by 7 divisions.
    assert (result.stopped, result.epochs) == ("patience", 1 + 8 * 3)


def test_progress_tells_of_validation(rows, network):
    seen = []
    fit(network(), *rows(), [0.1, 0.5, 0.2], max_epochs=3, on_epoch=seen.append)
    assert [
        (progress.validation_score, progress.validation_loss, progress.best_epoch)
        for progress in seen
    ] == [(0.1, 11.0, 1), (0.5, 12.0, 2), (0.2, 13.0, 2)]


def test_without_validation_the_best_epoch_is_that_of_the_least_loss(rows, network):
    features, labels = rows()
    result = fit_network(
        network(), features, labels, random=np.random.default_rng(0), learning_rate=0.5,
        batch_size=10, max_epochs=12,
    )  # fmt: skip
    assert result.best_epoch == 1 + result.loss_curve.argmin()
    np.testing.assert_array_equal(result.network.parameters, result.state.parameters)
    assert not np.shares_memory(result.network.parameters, result.state.parameters)
