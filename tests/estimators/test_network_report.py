import re
from typing import get_args

import numpy as np
import pytest
from sklearn.datasets import load_iris

from luce import NetworkClassifier
from luce.estimators.network_report import end_line, why_unfinished
from luce.training.network import NetworkFit
from luce.training.network.result import Stopped


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def brief(**parameters):
    few = {"hidden_layer_sizes": (8,), "max_iter": 4, "learning_rate": "cosine", "random_state": 0}
    return NetworkClassifier(**{**few, **parameters})


def test_a_line_for_each_epoch_and_the_end(iris, capsys):
    brief(verbose=True).fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert re.fullmatch(r"epoch 1 of 4: loss \d\.\d{6}, \d+\.\d\d s", lines[0])
    assert lines[4].startswith("Ended after 4 epochs: all of max_iter=4 were used up; the tr")
    classifier = brief(verbose=1, early_stopping=True, scoring="accuracy").fit(*iris)
    lines = capsys.readouterr().out.splitlines()
    loss, score = classifier.validation_loss_curve_[3], classifier.validation_scores_[3]
    assert f"validation loss {loss:.6f}, score {score:.6f}, best epoch" in lines[3]
    assert re.search(r"epoch \d was the best on the held-out rows, and is kept", lines[4])
    brief().fit(*iris)
    assert capsys.readouterr().out == ""
    brief(verbose=True).partial_fit(*iris, classes=[0, 1, 2])
    assert capsys.readouterr().out.startswith("epoch 1 of 1: loss ")


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({"tol": 10.0}, "the loss has not improved by tol=10.0 for more than n_iter_no_ch"),
        ({"tol": 10.0, "early_stopping": True}, "the score has not improved by tol=10.0 for"),
        ({"solver": "lbfgs", "tol": 0.1}, "the gradient is within tol=0.1"),
    ],
)
def test_why_a_fit_has_ended(parameters, why, iris, capsys):
    brief(verbose=True, max_iter=100, **parameters).fit(*iris)
    assert why in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("stopped", get_args(Stopped))
def test_every_end_is_told(stopped, iris):
    classifier = brief(learning_rate="constant")
    fit = NetworkFit(network=None, epochs=3, steps=9, best_epoch=2, loss_curve=np.ones(3),
                     loss=1.0, validation_losses=np.ones(3), validation_scores=np.ones(3),
                     stopped=stopped, state=None)  # fmt: skip
    assert end_line(classifier, fit).startswith("Ended after 3 epochs: ")
    is_warned_of = stopped in {"max_epochs", "max_seconds", "max_fun", "precision"}
    assert (why_unfinished(classifier, fit) is not None) == is_warned_of
