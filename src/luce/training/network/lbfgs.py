"""Train a network by L-BFGS, with all rows at once: for small problems."""

import time
from collections.abc import Callable
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.scorers.chain import backward, count_parameters, forward, split
from luce.scorers.ending import end
from luce.scorers.layer import Layers
from luce.scorers.layers import Dropout
from luce.scorers.network import Network
from luce.scorers.residual import Residual
from luce.training.blas import single_threaded_blas
from luce.training.network.batches import Batches
from luce.training.network.checks import check_numbers, check_rows
from luce.training.network.result import NetworkFit, NetworkProgress, Stopped

if TYPE_CHECKING:
    from luce.scorers.layer import Features

BLOCK = 1000  # rows whose activations are in memory at once


class _Stop(Exception):  # noqa: N818 - nothing has gone wrong
    def __init__(self, reason: Stopped) -> None:
        self.reason: Stopped = reason


def fit_network_lbfgs(
    network: Network,
    features: "Features",
    targets: NDArray[Any],
    *,
    sample_weight: NDArray[np.float64] | None = None,
    max_epochs: int = 200,
    max_fun: int = 15_000,
    penalty: float = 1e-4,
    label_smoothing: float = 0.0,
    tol: float = 1e-4,
    max_seconds: float = inf,
    on_epoch: Callable[[NetworkProgress], object] | None = None,
) -> NetworkFit:
    """Minimise the weighted mean loss of all rows + penalty, as `fit_network` that of a batch.

    SciPy's L-BFGS-B, as scikit-learn's MLPClassifier has it. Loss and gradient are computed in the
    features' dtype, in blocks of rows.

    Parameters
    ----------
    network, features, targets, sample_weight
        As for `fit_network`.
    max_epochs : int
        Most iterations, each of which is an epoch of `on_epoch` and of the curve.
    max_fun : int
        Most evaluations of loss and gradient; an iteration is not cut short.
    penalty, label_smoothing
        As for `fit_network`.
    tol : float
        Positive; the fit ends where no entry of the gradient is larger.
    max_seconds : float
        Positive; the fit stops after the evaluation in which these are over, with what the last
        iteration came to.
    on_epoch : callable, optional
        Given a `NetworkProgress` after each iteration; the fit stops if it returns True.

    Returns
    -------
    NetworkFit
        Also after Ctrl-C, unless it came before the first iteration was done.

    Raises
    ------
    DataError
        For an argument out of range or of another shape or dtype, for layers that drop at random,
        or a loss that is not finite at the start.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Network, Tanh, multilayer_perceptron
    >>> from luce.training.network import fit_network_lbfgs
    >>> features, labels = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> layers = multilayer_perceptron(2, (5,), 2, Tanh())
    >>> network = Network.initial(layers, np.random.default_rng(0), np.float64)
    >>> fit = fit_network_lbfgs(network, features, labels)
    >>> fit.network.winners(features), fit.stopped
    (array([0, 1, 1, 0]), 'tol')
    """
    from scipy.optimize import minimize

    check_rows(network, features, targets, sample_weight)
    check_numbers(
        positive={"max_seconds": max_seconds, "tol": tol},
        counts={"max_epochs": max_epochs, "max_fun": max_fun},
        not_negative={"penalty": penalty},
    )
    if not 0 <= label_smoothing <= 1:
        raise DataError(f"label_smoothing must be a share from 0 to 1, got {label_smoothing!r}.")
    if drops(network.layers):
        raise DataError("L-BFGS needs the same loss each time: train by Adam, or without dropout.")
    began, evaluations = time.monotonic(), 0
    objective = Objective(
        network, Batches(features, targets, sample_weight, BLOCK), penalty, label_smoothing
    )
    point = network.parameters.astype(np.float64)
    curve: list[float] = []

    def evaluate(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        nonlocal evaluations
        if time.monotonic() - began > max_seconds:
            raise _Stop("max_seconds")
        evaluations += 1
        value, gradient = objective(parameters)
        if evaluations == 1 and not isfinite(value):
            raise DataError(
                "the loss of the first weights is not finite: scale the features (to a mean of 0 "
                "and a deviation of 1)."
            )
        return value, gradient

    def iterated(intermediate_result: Any) -> None:
        nonlocal point
        point = intermediate_result.x.copy()
        curve.append(float(intermediate_result.fun))
        if on_epoch is not None:
            progress = NetworkProgress(
                epoch=len(curve),
                max_epochs=max_epochs,
                loss=curve[-1],
                validation_score=None,
                validation_loss=None,
                best_epoch=len(curve),
                seconds=time.monotonic() - began,
                network=objective.network_at(point),
            )
            if on_epoch(progress) is True:
                raise _Stop("callback")

    stopped: Stopped
    try:
        # Its products are of a few numbers: threads would only wait for each other.
        with single_threaded_blas():
            solution = minimize(
                evaluate,
                point,
                jac=True,
                method="L-BFGS-B",
                callback=iterated,
                options={"maxiter": max_epochs, "maxfun": max_fun, "gtol": tol},
            )
        stopped = "tol" if solution.success else "precision"
        if not solution.success and len(curve) >= max_epochs:
            stopped = "max_epochs"
        elif not solution.success and evaluations >= max_fun:
            stopped = "max_fun"
    except _Stop as stop:
        stopped = stop.reason
    except KeyboardInterrupt:
        if not curve:
            raise
        stopped = "interrupted"
    empty = np.empty(0)
    return NetworkFit(
        network=objective.network_at(point),
        epochs=len(curve),
        steps=evaluations,
        best_epoch=len(curve),
        loss_curve=np.array(curve),
        loss=curve[-1] if curve else objective(point)[0],
        validation_losses=empty,
        validation_scores=empty,
        stopped=stopped,
        state=None,
    )


class Objective:
    """Parameters -> mean loss + penalty, and its gradient, both float64.

    Parameters
    ----------
    network : Network
        Its layers, map and dtype.
    blocks : Batches
    penalty, label_smoothing : float
    """

    def __init__(
        self, network: Network, blocks: Batches, penalty: float, label_smoothing: float
    ) -> None:
        self.network, self.blocks = network, blocks
        self.penalty, self.label_smoothing = penalty * blocks.unit, label_smoothing

    def network_at(self, parameters: NDArray[np.float64]) -> Network:
        """The network with these parameters, in its own dtype."""
        own = parameters.astype(self.network.parameters.dtype)
        return Network(self.network.layers, own, self.network.map)

    @np.errstate(all="ignore")  # SciPy's search shies away from what is not finite.
    def __call__(self, parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Value and gradient."""
        network, threads = self.network_at(parameters), num_threads()
        layers = network.layers
        views = split(layers, network.parameters)
        gradient = np.empty_like(network.parameters)
        slopes = split(layers, gradient)
        matrices = slice(0, count_parameters(layers)[1])
        total = self.penalty / 2 * float(np.square(parameters[matrices]).sum())
        gradients = np.zeros(len(gradient))
        gradients[matrices] = self.penalty * parameters[matrices]
        for features, targets, weights, _ in self.blocks.in_order():
            scores, kept = forward(layers, views, features, threads=threads)
            total += end(
                network.map, scores, targets, weights, self.label_smoothing, threads=threads
            )
            backward(layers, views, kept, scores, slopes, threads=threads)
            gradients += gradient
        return total / self.blocks.weight, gradients / self.blocks.weight


def drops(layers: Layers) -> bool:
    """Whether there is dropout among the layers."""
    return any(
        (isinstance(layer, Dropout) and layer.rate > 0)
        or (isinstance(layer, Residual) and drops(layer.layers))
        for layer in layers
    )
