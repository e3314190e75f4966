"""The fit of a `NetworkClassifier`: what its parameters and rows make of a network."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import get_scorer

from luce.errors import DataError
from luce.estimators import network_parameters as parameters
from luce.estimators.network_rows import Rows, class_weights, read_rows, split_off
from luce.estimators.network_validation import validation
from luce.scorers.network import Network
from luce.training.network import (
    NetworkFit,
    NetworkProgress,
    NetworkState,
    fit_network,
    fit_network_lbfgs,
)

Classes = NDArray[Any]


def start(
    estimator: Any,
    rows: Rows,
    classes: Classes,
    random: np.random.Generator,
    earlier: Network | None,
) -> Network:
    """The network to begin with, in the features' dtype: new, or with an earlier one's weights."""
    features = rows.features
    layers = parameters.layers_of(estimator, features.shape[1], len(classes))
    map = parameters.map_of(estimator)
    if earlier is None:
        return Network.initial(layers, random, features.dtype, map)
    if [layer.shapes for layer in layers] != [layer.shapes for layer in earlier.layers]:
        raise DataError(
            "The fit goes on with layers whose weights have other shapes than those that "
            f"hidden_layer_sizes={estimator.hidden_layer_sizes!r}, layer_norm and residual ask "
            "for; set these back, or begin anew (warm_start=False)."
        )
    return Network(layers, earlier.parameters.astype(features.dtype), map)


def hold_out(
    estimator: Any,
    rows: Rows,
    classes: Classes,
    validation_data: tuple[ArrayLike, ...] | None,
    random_state: np.random.RandomState,
) -> tuple[Rows, Rows | None]:
    """Rows to train on and, if the fit is to stop early, rows to validate on; all with weights."""
    of_classes = None
    if estimator.class_weight is not None:
        of_classes = class_weights(rows, classes, estimator.class_weight)
        rows = rows.weighted(of_classes)
    if validation_data is not None:
        if estimator.solver == "lbfgs":
            raise DataError(
                "validation_data is for stopping early, and solver='lbfgs' does not; expected "
                "another solver."
            )
        return rows, _given(estimator, rows, classes, validation_data, of_classes)
    if estimator.early_stopping and estimator.solver != "lbfgs":
        return split_off(rows, estimator.validation_fraction, random_state)
    return rows, None


def descend(
    estimator: Any,
    network: Network,
    rows: Rows,
    held_out: Rows | None,
    classes: Classes,
    random: np.random.Generator,
    on_epoch: Callable[[NetworkProgress], bool] | None,
) -> NetworkFit:
    """Train by all epochs that the estimator allows, keeping the best if rows are held out."""
    if estimator.solver == "lbfgs":
        return fit_network_lbfgs(
            network,
            rows.features,
            rows.targets,
            sample_weight=rows.weights,
            penalty=parameters.penalty_of(estimator),
            label_smoothing=float(estimator.label_smoothing),
            tol=float(estimator.tol),
            max_epochs=int(estimator.max_iter),
            max_fun=int(estimator.max_fun),
            max_seconds=_seconds(estimator),
            on_epoch=on_epoch,
        )
    validate = None
    if held_out is not None:
        validate = validation(held_out, scored_by(estimator, held_out, classes))
    return fit_network(
        network,
        rows.features,
        rows.targets,
        random=random,
        max_epochs=int(estimator.max_iter),
        patience=estimator.n_iter_no_change,
        validate=validate,
        max_seconds=_seconds(estimator),
        checkpoint=estimator.checkpoint,
        on_epoch=on_epoch,
        **_steps(estimator, rows),
    )


def one_epoch(
    estimator: Any,
    network: Network,
    rows: Rows,
    random: np.random.Generator,
    state: NetworkState | None,
    on_epoch: Callable[[NetworkProgress], object],
) -> NetworkFit:
    """Train by one epoch that goes on from `state`."""
    return fit_network(
        network,
        rows.features,
        rows.targets,
        random=random,
        max_epochs=1,
        patience=np.inf,
        state=state,
        on_epoch=on_epoch,
        **_steps(estimator, rows),
    )


def scored_by(estimator: Any, rows: Rows, classes: Classes) -> Callable[[Network], float] | None:
    """The estimator's scoring of a network on rows; None if it has none.

    Raises
    ------
    DataError
        The rows have soft targets, which no scorer takes.
    """
    if estimator.scoring is None:
        return None
    if not rows.are_labelled:
        raise DataError(
            f"scoring={estimator.scoring!r} needs labels, and the rows to validate on have soft "
            "targets; leave scoring out for the log loss, or pass validation_data with labels."
        )
    scorer = get_scorer(estimator.scoring)
    labels = classes[rows.targets]
    weights = {} if rows.weights is None else {"sample_weight": rows.weights}

    def score(network: Network) -> float:
        fitted = copy.copy(estimator)
        vars(fitted).pop("feature_names_in_", None)  # the rows are an array without names
        fitted.classes_, fitted.network_ = classes, network
        return float(scorer(fitted, rows.features, labels, **weights))

    return score


def _given(
    estimator: Any,
    rows: Rows,
    classes: Classes,
    validation_data: tuple[ArrayLike, ...],
    of_classes: NDArray[np.float64] | None,
) -> Rows:
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise DataError(
            f"validation_data is {type(validation_data).__name__}; expected a tuple (X, y) or "
            "(X, y, sample_weight)."
        )
    X, y, *weights = validation_data
    dtype = rows.features.dtype
    try:
        held_out, _ = read_rows(
            estimator, X, y, next(iter(weights), None), classes=classes, reset=False, dtype=dtype
        )
    except ValueError as error:
        raise DataError(f"validation_data: {error}") from error
    held_out = held_out.take(held_out.places())
    return held_out if of_classes is None else held_out.weighted(of_classes)


def _steps(estimator: Any, rows: Rows) -> dict[str, Any]:
    """What both `fit_network`s above are told of the rows and the steps."""
    return {
        "sample_weight": rows.weights,
        "optimiser": parameters.optimiser_of(estimator),
        "schedule": parameters.schedule_of(estimator, len(rows.places())),
        "learning_rate": float(estimator.learning_rate_init),
        "batch_size": parameters.batch_size_of(estimator),
        "penalty": parameters.penalty_of(estimator),
        "label_smoothing": float(estimator.label_smoothing),
        "shuffle": bool(estimator.shuffle),
        "max_norm": estimator.max_norm,
        "averaging": estimator.averaging,
        "tol": float(estimator.tol),
    }


def _seconds(estimator: Any) -> float:
    return np.inf if estimator.max_seconds is None else float(estimator.max_seconds)
