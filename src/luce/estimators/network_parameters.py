"""What `NetworkClassifier`'s parameters may be, and what is made of them."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from luce.errors import DataError
from luce.maps.map import Map
from luce.maps.softmax_map import Softmax
from luce.scorers.activations import Gelu, Identity, Logistic, Relu, Tanh
from luce.scorers.layer import Layers
from luce.scorers.perceptron import multilayer_perceptron
from luce.training.network.optimisers import Adam, Momentum, Optimiser
from luce.training.network.schedules import (
    Adaptive,
    Constant,
    Cosine,
    InverseScaling,
    Schedule,
)

Expectation: TypeAlias = tuple[str, Callable[[Any], bool]]
"""What a value should be, in words, and whether it is."""

ACTIVATIONS = {
    activation.name: activation for activation in (Identity(), Logistic(), Tanh(), Relu(), Gelu())
}


def _number(words: str, holds: Callable[[Any], bool]) -> Expectation:
    def is_one(value: Any) -> bool:
        return not isinstance(value, bool) and isinstance(value, Real) and holds(value)

    return f"a number {words}", is_one


def _whole(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, Integral) and int(value) >= 1


def _one_of(*names: str) -> Expectation:
    listed = ", ".join(map(repr, names[:-1]))
    return f"{listed} or {names[-1]!r}", lambda value: isinstance(value, str) and value in names


def _or(name: object, expectation: Expectation) -> Expectation:
    words, holds = expectation
    return (
        f"{words}, or {name!r}",
        lambda value: value is name or (isinstance(value, str) and value == name) or holds(value),
    )


def _is_sizes(value: Any) -> bool:
    return _whole(value) or (
        isinstance(value, Sequence | np.ndarray)
        and not isinstance(value, str)
        and all(map(_whole, value))
    )


def _is_map(value: Any) -> bool:
    return (
        isinstance(value, Map)
        and not isinstance(value, type)
        and getattr(value, "axis", -1) == -1
        and np.ndim(getattr(value, "temperature", 1.0)) == 0
    )


WHOLE = ("a whole number of at least 1", _whole)
TRUTH: Expectation = ("True or False", lambda value: isinstance(value, bool | np.bool_))
ABOVE_0 = _number("above 0", lambda value: 0 < value < np.inf)
FROM_0 = _number("from 0 up", lambda value: 0 <= value < np.inf)
FROM_0_BELOW_1 = _number("from 0 to below 1", lambda value: 0 <= value < 1)

EXPECTED: dict[str, Expectation] = {
    "hidden_layer_sizes": ("whole numbers of at least 1, one for each hidden layer", _is_sizes),
    "activation": _one_of(*ACTIVATIONS),
    "solver": _one_of("adam", "adamw", "sgd", "lbfgs"),
    "alpha": FROM_0,
    "batch_size": _or("auto", WHOLE),
    "learning_rate": _one_of("constant", "invscaling", "adaptive", "cosine"),
    "learning_rate_init": ABOVE_0,
    "power_t": FROM_0,
    "max_iter": WHOLE,
    "shuffle": TRUTH,
    "tol": FROM_0,
    "verbose": ("True, False or a whole number", lambda v: isinstance(v, Integral | np.bool_)),
    "warm_start": TRUTH,
    "momentum": FROM_0_BELOW_1,
    "nesterovs_momentum": TRUTH,
    "early_stopping": TRUTH,
    "validation_fraction": _number("above 0 and below 1", lambda value: 0 < value < 1),
    "beta_1": FROM_0_BELOW_1,
    "beta_2": FROM_0_BELOW_1,
    "epsilon": ABOVE_0,
    "n_iter_no_change": (
        "a whole number of at least 1, or infinity",
        lambda value: _whole(value) or (isinstance(value, Real) and value == np.inf),
    ),
    "max_fun": WHOLE,
    "label_smoothing": FROM_0_BELOW_1,
    "dropout": FROM_0_BELOW_1,
    "layer_norm": TRUTH,
    "residual": TRUTH,
    "scoring": (
        "the name of a scikit-learn scorer, a function of (estimator, X, y), or None",
        lambda value: value is None or isinstance(value, str) or callable(value),
    ),
    "warmup": FROM_0_BELOW_1,
    "max_norm": _or(None, ABOVE_0),
    "averaging": _or(None, FROM_0_BELOW_1),
    "map": _or(
        None,
        ("a map of each row's scores at one temperature, such as luce.Softmax()", _is_map),
    ),
    "max_seconds": _or(None, _number("above 0", lambda value: value > 0)),
    "checkpoint": (
        "a path, or None",
        lambda value: value is None or isinstance(value, str | PathLike),
    ),
}


def check_parameters(estimator: Any) -> None:
    """Raise `DataError` for the first parameter that is out of range, or does not fit another."""
    for name, (words, holds) in EXPECTED.items():
        value = getattr(estimator, name)
        if not holds(value):
            raise DataError(f"NetworkClassifier has {name}={value!r}; expected {words}.")
    if estimator.solver == "lbfgs" and estimator.dropout > 0:
        raise DataError(
            f"NetworkClassifier has dropout={estimator.dropout!r} and solver='lbfgs', which needs "
            "the same loss for the same weights; expected another solver, or dropout=0."
        )
    if estimator.solver == "lbfgs" and estimator.checkpoint is not None:
        raise DataError(
            f"NetworkClassifier has checkpoint={estimator.checkpoint!r} and solver='lbfgs', which "
            "writes none; expected another solver, or checkpoint=None."
        )
    if estimator.checkpoint is not None and not isinstance(estimator.random_state, Integral):
        raise DataError(
            f"NetworkClassifier has a checkpoint and random_state={estimator.random_state!r}; "
            "expected a whole number, by which a fit that goes on draws what the killed one drew."
        )


def refuse_for_partial_fit(estimator: Any) -> None:
    """Raise `DataError` for what needs all rows at once."""
    if estimator.early_stopping:
        raise DataError(
            "partial_fit has no rows to hold out: set early_stopping=False, and stop when your own "
            "validation rows say so."
        )
    if estimator.class_weight == "balanced":
        raise DataError(
            "class_weight='balanced' needs all rows at once; for partial_fit give the weight of "
            "each class as a dict."
        )


def hidden_sizes(estimator: Any) -> tuple[int, ...]:
    """Units of each hidden layer."""
    sizes = estimator.hidden_layer_sizes
    return (int(sizes),) if isinstance(sizes, Integral) else tuple(map(int, sizes))


def layers_of(estimator: Any, inputs: int, classes: int) -> Layers:
    """All layers; see `multilayer_perceptron`."""
    return multilayer_perceptron(
        inputs,
        hidden_sizes(estimator),
        classes,
        ACTIVATIONS[estimator.activation],
        dropout=float(estimator.dropout),
        layer_norm=bool(estimator.layer_norm),
        residual=bool(estimator.residual),
    )


def map_of(estimator: Any) -> Map:
    """The map that ends the network."""
    return Softmax() if estimator.map is None else estimator.map


def optimiser_of(estimator: Any) -> Optimiser:
    """Adam, AdamW or gradient descent with momentum, each with its constants."""
    if estimator.solver == "sgd":
        return Momentum(float(estimator.momentum), bool(estimator.nesterovs_momentum))
    decay = float(estimator.alpha) if estimator.solver == "adamw" else 0.0
    return Adam(float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon), decay)


def penalty_of(estimator: Any) -> float:
    """The penalty that is part of the loss: AdamW's decay is none."""
    return 0.0 if estimator.solver == "adamw" else float(estimator.alpha)


def batch_size_of(estimator: Any) -> int:
    """Rows of a batch, more than there are for all."""
    return 200 if estimator.batch_size == "auto" else int(estimator.batch_size)


def schedule_of(estimator: Any, rows: int) -> Schedule:
    """How the learning rate goes on, over so many rows an epoch."""
    steps = int(estimator.max_iter) * -(-rows // batch_size_of(estimator))
    schedules: dict[str, Schedule] = {
        "constant": Constant(),
        "invscaling": InverseScaling(float(estimator.power_t)),
        "adaptive": Adaptive(),
        "cosine": Cosine(steps, float(estimator.warmup)),
    }
    return schedules[estimator.learning_rate]
