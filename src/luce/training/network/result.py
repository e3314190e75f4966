"""What a fit tells while it goes on, what it ends with, and what another goes on from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.scorers.network import Network
from luce.training.network.optimisers import Vector
from luce.training.network.stopping import Patience

Curve: TypeAlias = NDArray[np.float64]

Stopped: TypeAlias = Literal[
    "tol",
    "patience",
    "max_epochs",
    "max_seconds",
    "callback",
    "interrupted",
    "max_fun",
    "precision",
]


@dataclass(frozen=True, eq=False)
class NetworkProgress:
    """State of a fit after an epoch.

    Attributes
    ----------
    epoch : int
        From 1.
    max_epochs : int
    loss : float
        The epoch's part of `NetworkFit.loss_curve`.
    validation_score, validation_loss : float or None
        What `validate` returned.
    best_epoch : int
        That of the best score; without `validate`, of the least loss.
    seconds : float
        Since the fit began, or went on.
    network : Network
        As of now, with a copy of the parameters (their moving average, if there is one).
    """

    epoch: int
    max_epochs: int
    loss: float
    validation_score: float | None
    validation_loss: float | None
    best_epoch: int
    seconds: float
    network: Network


@dataclass(frozen=True, eq=False)
class NetworkState:
    """All that a fit goes on from as if it had never stopped; not to be written to.

    Attributes
    ----------
    parameters : array of shape (p,)
        As the last step left them.
    moments : tuple of arrays of shape (p,)
        What the optimiser remembers.
    average : array of shape (p,) or None
        Moving average of the parameters over the last `averaged` steps.
    averaged : int
    steps : int
        Since the optimiser began.
    rows : int
        Gone through since then.
    patience : Patience
    random : mapping
        State of the bit generator.
    """

    parameters: Vector
    moments: tuple[Vector, ...]
    average: Vector | None
    averaged: int
    steps: int
    rows: int
    patience: Patience
    random: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class NetworkFit:
    """A trained network, and how it came about.

    Attributes
    ----------
    network : Network
        Of the best epoch with `validate`, else of the last; its parameters are the moving average,
        if there is one.
    epochs : int
        The last one may have been cut short by `max_seconds`; one in which the fit was interrupted
        is not counted.
    steps : int
        Of the optimiser, in this fit. Of L-BFGS: evaluations of loss and gradient.
    best_epoch : int
        That of the best score; without `validate`, of the least loss. 0 if there is none.
    loss_curve : float64 array of shape (epochs,)
        Weighted means over the training rows of loss and penalty, each batch's as of the step that
        it took part in. Of L-BFGS: the objective after each iteration.
    loss : float
        The last of them.
    validation_losses, validation_scores : float64 arrays of shape (epochs,)
        What `validate` returned; empty without.
    stopped : str
        Why the fit ended. "tol": the training loss did not fall by `tol` for more than `patience`
        epochs, or the gradient of L-BFGS is small. "patience": the same of the score. "max_epochs",
        "max_seconds", "max_fun": these were used up. "callback": `on_epoch` asked for it.
        "interrupted": by Ctrl-C. "precision": L-BFGS finds no better point in this dtype.
    state : NetworkState or None
        What another fit goes on from; None of L-BFGS.
    """

    network: Network
    epochs: int
    steps: int
    best_epoch: int
    loss_curve: Curve
    loss: float
    validation_losses: Curve
    validation_scores: Curve
    stopped: Stopped
    state: NetworkState | None
