import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

import luce
from luce import NetworkClassifier
from luce.errors import DataError
from luce.estimators.network_parameters import EXPECTED, layers_of, optimiser_of, penalty_of

WRONG = {
    "hidden_layer_sizes": [0, (3, 0), (2.5,), "10", None, -1, [True]],
    "activation": ["sigmoid", None, ["relu"]],
    "solver": ["newton", None],
    "alpha": [-1, np.nan, np.inf, "0", None, True],
    "batch_size": [0, 2.5, "all", None],
    "learning_rate": ["linear", None],
    "learning_rate_init": [0, -1.0, np.nan, np.inf],
    "power_t": [-1, None],
    "max_iter": [0, -1, 1.5, None],
    "shuffle": ["yes", None, 1],
    "tol": [-1e-4, np.nan],
    "verbose": ["yes", None],
    "warm_start": ["yes", None],
    "momentum": [-0.1, 1.0],
    "nesterovs_momentum": ["yes", None],
    "early_stopping": ["yes", None],
    "validation_fraction": [0, 1, -0.1, 1.5, None],
    "beta_1": [-0.1, 1.0],
    "beta_2": [-0.1, 1.0],
    "epsilon": [0, -1],
    "n_iter_no_change": [0, 1.5, -np.inf, None],
    "max_fun": [0, 1.5],
    "label_smoothing": [-0.1, 1.0, None],
    "dropout": [-0.1, 1.0, None],
    "layer_norm": ["yes", None],
    "residual": ["yes", None],
    "scoring": [1, ["accuracy"]],
    "warmup": [-0.1, 1.0, None],
    "max_norm": [0, -1, np.inf],
    "averaging": [-0.1, 1.0],
    "map": ["softmax", luce.Softmax, luce.softmax, luce.Softmax(axis=0), luce.Softmax([1.0, 2.0])],
    "max_seconds": [0, -1, np.nan],
    "checkpoint": [1, True],
}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_all_parameters_are_checked():
    others = {"random_state", "class_weight", "n_jobs"}  # by scikit-learn, and by luce.threads
    assert WRONG.keys() == EXPECTED.keys() == NetworkClassifier().get_params().keys() - others


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_out_of_range(name, value, iris):
    with pytest.raises(DataError) as caught:
        NetworkClassifier(**{name: value}).fit(*iris)
    words = EXPECTED[name][0]
    assert str(caught.value) == f"NetworkClassifier has {name}={value!r}; expected {words}."


def test_other_parameters(iris):
    for parameters in ({"random_state": "1"}, {"class_weight": "fair"}, {"n_jobs": 0}):
        with pytest.raises(ValueError, match=r"seed|class_weight|whole number"):
            NetworkClassifier(**parameters).fit(*iris)


def test_parameters_that_do_not_fit_each_other(iris):
    with pytest.raises(DataError, match=r"dropout=0.5 and solver='lbfgs'.*dropout=0\."):
        NetworkClassifier(dropout=0.5, solver="lbfgs").fit(*iris)
    with pytest.raises(DataError, match=r"random_state=None; expected a whole number"):
        NetworkClassifier(checkpoint="a file").fit(*iris)


def test_numbers_of_numpy_are_numbers(iris):
    NetworkClassifier(
        hidden_layer_sizes=np.array([4, 5]), alpha=np.float32(0.1), batch_size=np.int64(20),
        max_iter=np.int32(2), shuffle=np.bool_(True), learning_rate="cosine", dropout=np.float32(0),
    ).fit(*iris)  # fmt: skip


def test_alpha_is_a_penalty_or_a_decay():
    for solver in ("adam", "sgd", "lbfgs"):
        assert penalty_of(NetworkClassifier(solver=solver, alpha=0.3)) == 0.3
    assert penalty_of(NetworkClassifier(solver="adamw", alpha=0.3)) == 0.0
    assert optimiser_of(NetworkClassifier(solver="adamw", alpha=0.3)).weight_decay == 0.3
    assert optimiser_of(NetworkClassifier(solver="adam", alpha=0.3)).weight_decay == 0.0


def test_layers():
    shapes = [layer.shapes for layer in layers_of(NetworkClassifier((5, 3)), 4, 2)]
    assert shapes == [((4, 5), (5,)), ((5, 3), (3,)), ((3, 2), (2,))]
    names = [
        type(layer).__name__
        for layer in layers_of(
            NetworkClassifier((5, 5), "gelu", layer_norm=True, residual=True, dropout=0.1), 4, 2
        )
    ]
    assert names == ["Dense", "LayerNorm", "Gelu", "Dropout", "Residual", "Dense"]


@pytest.mark.parametrize(
    ("name", "value", "others"),
    [
        ("activation", "tanh", {}),
        ("solver", "sgd", {}),
        ("solver", "adamw", {"alpha": 0.1}),
        ("solver", "lbfgs", {"tol": 0.1}),
        ("alpha", 1.0, {}),
        ("alpha", 1.0, {"solver": "adamw"}),
        ("alpha", 1.0, {"solver": "lbfgs", "tol": 0.1}),
        ("batch_size", 50, {}),
        ("learning_rate", "invscaling", {}),
        ("learning_rate", "adaptive", {"tol": 1.0}),
        ("learning_rate", "cosine", {}),
        ("learning_rate_init", 0.01, {}),
        ("power_t", 0.3, {"learning_rate": "invscaling"}),
        ("shuffle", False, {"batch_size": 50}),
        ("random_state", 1, {}),
        ("momentum", 0.5, {"solver": "sgd"}),
        ("nesterovs_momentum", False, {"solver": "sgd"}),
        ("beta_1", 0.5, {}),
        ("beta_2", 0.5, {}),
        ("epsilon", 0.1, {}),
        ("max_fun", 3, {"solver": "lbfgs"}),
        ("class_weight", {0: 2.0}, {}),
        ("label_smoothing", 0.2, {}),
        ("label_smoothing", 0.2, {"solver": "lbfgs", "tol": 0.1}),
        ("dropout", 0.2, {}),
        ("layer_norm", True, {}),
        ("residual", True, {}),
        ("scoring", lambda estimator, X, y: -len(vars(estimator)), {"early_stopping": True}),
        ("warmup", 0.5, {"learning_rate": "cosine"}),
        ("max_norm", 0.1, {}),
        ("averaging", 0.5, {}),
        ("map", luce.Softmax(2.0), {}),
        ("max_seconds", 1e-9, {}),
        ("early_stopping", True, {}),
        ("validation_fraction", 0.3, {"early_stopping": True}),
        ("tol", 10.0, {"n_iter_no_change": 1}),
        ("n_iter_no_change", 1, {"tol": 10.0}),
        ("max_iter", 3, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_parameter_matters(name, value, others, iris):
    plain = {"hidden_layer_sizes": (6, 6), "random_state": 0, "max_iter": 5, "batch_size": 60}
    base = NetworkClassifier(**{**plain, **others})
    other = clone(base).set_params(**{name: value}).fit(*iris)
    assert (base.fit(*iris).coefs_[0] != other.coefs_[0]).any()
