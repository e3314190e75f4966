"""Train a network by steps over batches, epoch after epoch: what is given, and when it ends."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError, ModelFileError
from luce.scorers.network import Network
from luce.training.network.batches import Batches
from luce.training.network.checkpoint import Checkpoint, require_recordable
from luce.training.network.checks import check_numbers, check_rows
from luce.training.network.course import Course
from luce.training.network.descent import Descent, Steps
from luce.training.network.fingerprint import fit_description
from luce.training.network.optimisers import Adam, Optimiser, require_share
from luce.training.network.result import NetworkFit, NetworkProgress, NetworkState, Stopped
from luce.training.network.schedules import Constant, Cosine, Schedule
from luce.training.network.stopping import Judge, Patience

if TYPE_CHECKING:
    from luce.scorers.layer import Features

ADAM, CONSTANT = Adam(), Constant()


def fit_network(
    network: Network,
    features: "Features",
    targets: NDArray[Any],
    *,
    random: np.random.Generator,
    sample_weight: NDArray[np.float64] | None = None,
    optimiser: Optimiser = ADAM,
    schedule: Schedule = CONSTANT,
    learning_rate: float = 1e-3,
    batch_size: int = 200,
    max_epochs: int = 200,
    penalty: float = 1e-4,
    label_smoothing: float = 0.0,
    shuffle: bool = True,
    max_norm: float | None = None,
    averaging: float | None = None,
    tol: float = 1e-4,
    patience: float = 10,
    validate: Callable[[Network], tuple[float, float]] | None = None,
    max_seconds: float = inf,
    checkpoint: str | os.PathLike[str] | None = None,
    on_epoch: Callable[[NetworkProgress], object] | None = None,
    state: NetworkState | None = None,
) -> NetworkFit:
    """Minimise the weighted mean loss of a network's scores + penalty, by small steps over batches.

    A step minimises, for the rows of one batch, ``(sum of weights * losses + penalty / 2 *
    |matrices|^2) / sum of weights``, the objective of scikit-learn's MLPClassifier, whose meanings
    `tol`, `patience`, `penalty` and the schedules have. All is computed in the features' dtype. The
    result has the same bits for any number of threads; it depends on nothing but the arguments.

    Parameters
    ----------
    network : Network
        To start from; its parameters are not written to. Its map brings the loss: with softmax it
        is the cross-entropy.
    features : C-contiguous array or CSR matrix of shape (n, d)
        float32 or float64, as the network's parameters.
    targets : array
        Labels, int64 of shape (n,), or distributions of shape (n, k) in the features' dtype.
    random : numpy.random.Generator
        Draws the order of the rows at the beginning of each epoch, and what is dropped in each
        step.
    sample_weight : float64 array of shape (n,), optional
        Not negative. Rows of weight 0 are as if they were not there.
    optimiser : Adam or Momentum
    schedule : Constant, InverseScaling, Adaptive or Cosine
    learning_rate : float
        Positive; the schedule's factor makes of it the rate of a step.
    batch_size : int
        At least 1, more than there are rows is all of them. The last batch of an epoch has what is
        left.
    max_epochs : int
        At least 1; an epoch is one reading of all rows.
    penalty : float
        At least 0, on matrices only: vectors (biases) are free.
    label_smoothing : float
        Share of each target that is divided equally among all classes, from 0 to 1.
    shuffle : bool
        Whether the order of the rows is drawn, or as they lie.
    max_norm : float, optional
        Positive; a longer gradient (of the mean loss, without penalty) is shortened to this norm.
    averaging : float, optional
        Decay of a moving average of the parameters, from 0 to below 1; the average is then what is
        validated and returned. Its weights are divided by their sum, so that it does not remember
        the start.
    tol : float
        At least 0, see `patience`.
    patience : float
        The fit ends after more than so many successive epochs whose training loss is not below the
        least before by `tol`; with `validate`, whose score is not above the best by `tol`.
    validate : callable, optional
        Network -> (score, the larger the better; log loss), after each epoch. The network of the
        best score is what is returned. It is handed a view, which the next step changes.
    max_seconds : float
        Positive; the fit stops after the step in which these are over, or a few hundredths of a
        second later. The rows so far are then taken for an epoch.
    checkpoint : path-like, optional
        A file from which the fit goes on if it is there, to the bits of one that was never stopped;
        a fit that had ended is found at its end. It is written at the beginning, after an epoch
        whenever writing takes less than a twentieth of the time, and at the end, and is not
        removed. Everything but `max_epochs` (with `Cosine` that too), `max_seconds`, `on_epoch`,
        and what `validate` does, has to be as it was; `random` one of
        ``numpy.random.default_rng(seed)``, with the same seed.
    on_epoch : callable, optional
        Given a `NetworkProgress` after each epoch; the fit stops if it returns True.
    state : NetworkState, optional
        Of another fit, to go on from: its parameters instead of the network's, what the optimiser
        remembers, the random numbers (`random` is set to them). At least one epoch is done.

    Returns
    -------
    NetworkFit
        Also after Ctrl-C, unless it came before the first step.

    Raises
    ------
    DataError
        For an argument out of range or of another shape or dtype, a checkpoint of another fit, or a
        loss that is not finite: the message says what to do.
    ModelFileError
        The checkpoint is damaged, or no checkpoint.
    OSError
        The checkpoint could not be written.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Network, multilayer_perceptron
    >>> from luce.training.network import fit_network
    >>> random = np.random.default_rng(0)
    >>> features = random.standard_normal((500, 2)).astype(np.float32)
    >>> labels = (features[:, 0] * features[:, 1] > 0).astype(np.int64)
    >>> network = Network.initial(multilayer_perceptron(2, (20,), 2), random)
    >>> fit = fit_network(network, features, labels, random=random, learning_rate=0.03)
    >>> float((fit.network.winners(features) == labels).mean()) > 0.95
    True
    """
    check_rows(network, features, targets, sample_weight)
    check_numbers(
        positive={
            "learning_rate": learning_rate,
            "max_seconds": max_seconds,
            **({} if max_norm is None else {"max_norm": max_norm}),
        },
        counts={"batch_size": batch_size, "max_epochs": max_epochs},
        not_negative={"penalty": penalty, "tol": tol},
    )
    if not patience >= 0:
        raise DataError(f"patience must be at least 0, got {patience!r}.")
    if not 0 <= label_smoothing <= 1:
        raise DataError(f"label_smoothing must be a share from 0 to 1, got {label_smoothing!r}.")
    if averaging is not None:
        require_share("averaging", averaging)
    batches = Batches(features, targets, sample_weight, batch_size)
    if isinstance(schedule, Cosine) and schedule.steps is None:
        first = 0 if state is None else state.steps
        schedule = replace(schedule, steps=max_epochs * len(batches), first=first)
    if state is not None:
        random.bit_generator.state = state.random
    how = Steps(
        optimiser=optimiser,
        schedule=schedule,
        learning_rate=float(learning_rate),
        penalty=float(penalty) * batches.unit,
        label_smoothing=float(label_smoothing),
        max_norm=None if max_norm is None else float(max_norm),
        averaging=None if averaging is None else float(averaging),
    )
    judge = Judge(float(tol), float(patience), schedule, float(learning_rate))
    so_far = Patience() if state is None else state.patience
    course = Course(
        Descent(network, how, state),
        batches,
        random,
        shuffle=bool(shuffle),
        judge=judge,
        patience=so_far.going_on(validate is not None),
        validate=validate,
    )
    file = None
    if checkpoint is not None:
        require_recordable(random)
        description = fit_description(
            network,
            features,
            targets,
            sample_weight,
            course.descent.state(course.patience, random),
            **vars(how),
            batch_size=batches.size,
            shuffle=course.shuffle,
            tol=judge.tol,
            patience=judge.patience,
            validate=validate is not None,
        )
        file = Checkpoint(checkpoint, description)
    return _run(course, max_epochs, max_seconds, file, on_epoch)


def _run(
    course: Course,
    max_epochs: int,
    max_seconds: float,
    file: Checkpoint | None,
    on_epoch: Callable[[NetworkProgress], object] | None,
) -> NetworkFit:
    began = time.monotonic()
    stopped = None if file is None else _take_up(course, file, max_epochs)
    try:
        while stopped is None:
            is_whole = course.epoch(until=began + max_seconds)
            stopped = course.over(max_epochs)
            if on_epoch is not None:
                progress = course.progress(max_epochs, time.monotonic() - began)
                if on_epoch(progress) is True:
                    stopped = stopped or "callback"
            if time.monotonic() - began > max_seconds:
                stopped = stopped or "max_seconds"
            if file is not None and is_whole and (stopped or file.is_due):
                file.write(course.saved())
    except KeyboardInterrupt:
        if not course.has_begun:
            raise
        stopped = "interrupted"
    return course.fit(stopped)


def _take_up(course: Course, file: Checkpoint, max_epochs: int) -> Stopped | None:
    """Go on from the file, or begin it; why the fit had ended, if it had."""
    saved = file.read()
    if saved is None:
        file.write(course.saved())
        return None
    if len(saved.loss_curve) > max_epochs:
        raise DataError(
            f"{file.path}: the checkpoint is of a fit of {len(saved.loss_curve)} epochs already, "
            f"and max_epochs is {max_epochs}. Raise it, or remove the file to begin anew."
        )
    try:
        course.go_on_from(saved)
    except ValueError as error:
        raise ModelFileError(
            f"{file.path}: the checkpoint contradicts itself: {error}. Remove it to begin anew"
        ) from error
    return course.over(max_epochs)
