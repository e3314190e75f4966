"""Which calibration? The simplest that held-out rows do not speak against."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from luce.calibration.calibrator import Calibrator, fitted
from luce.calibration.given import Rows, checked_scores, labelled, scores_of
from luce.calibration.held_out import compared, folds_of, sampled
from luce.calibration.isotonic import IsotonicScaling
from luce.calibration.matrix import MatrixScaling
from luce.calibration.temperature import TemperatureScaling
from luce.calibration.vector import VectorScaling
from luce.errors import DataError
from luce.training.blas import single_threaded_blas

METHODS: dict[str, type[Calibrator]] = {
    "temperature": TemperatureScaling,
    "vector": VectorScaling,
    "matrix": MatrixScaling,
    "isotonic": IsotonicScaling,
}
MOST_CLASSES_OF_MATRIX = 32  # beyond, trying it would take longer than all else together
LEAST_ROWS_OF_ISOTONIC = 1000


@dataclass(frozen=True, eq=False)
class Choice:
    """What `calibrate` chose.

    Attributes
    ----------
    calibrator : Calibrator
        The identity is a `TemperatureScaling` of temperature 1.
    method : str
        "none", "temperature", "vector", "matrix" or "isotonic".
    reason : str
        Why, in a sentence or two.
    log_losses : mapping from str to float
        Mean loss on held-out rows of every method tried, and of "none".

    Examples
    --------
    >>> choice = calibrate([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [0, 1, 0])
    >>> choice.method, choice.calibrator.is_identity
    ('none', True)
    """

    calibrator: Calibrator
    method: str
    reason: str
    log_losses: Mapping[str, float]


def calibrate(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    method: str | Sequence[str] = "auto",
    as_is: bool = False,
) -> Choice:
    """Fit the calibrator of a method, or of the one that held-out rows speak for.

    "auto" tries no calibration, temperature, vector, matrix (with at most 32 classes) and isotonic
    scaling (with at least 1000 rows), in this order and on the same folds. One takes the place of
    a simpler one only where it is better by what a `Calibrator` asks of itself: more than one
    standard error of the difference, and odds of 20 to 1.

    Parameters
    ----------
    scores : array_like of shape (n, k)
        Of rows that the model was not trained on, or from cross-fitting; -inf for a class that
        cannot happen.
    labels : array_like of int, shape (n,)
        Class indices, 0 to k - 1.
    sample_weight : array_like of shape (n,), optional
        Not negative.
    groups : array_like of shape (n,), optional
        Rows with equal values belong together, and may depend on each other.
    method : {"auto", "temperature", "vector", "matrix", "isotonic", "none"} or some of them
        By default "auto".
        A method that is named keeps the identity, too, where it does not help. A sequence of such
        names is as "auto", of these methods and no calibration.
    as_is : bool, default False
        Do not warn of scores that look like probabilities.

    Returns
    -------
    Choice

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    See Also
    --------
    calibrate_from_probabilities : the same of probabilities.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> scores = random.normal(size=(5000, 3))
    >>> labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    >>> choice = calibrate(3 * scores, labels)
    >>> choice.method, round(choice.calibrator.temperature, 1)
    ('temperature', 3.0)
    >>> print(choice.reason.split(" on ")[0])
    temperature: log loss 1.2148 -> 0.8705
    """
    checked = checked_scores(scores, as_is=as_is)
    return _chosen(labelled(checked, labels, sample_weight, groups), method)


def calibrate_from_probabilities(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    groups: npt.ArrayLike | None = None,
    method: str | Sequence[str] = "auto",
    as_is: bool = False,
) -> Choice:
    """`calibrate` of probabilities: their logarithms are the scores.

    Parameters
    ----------
    probabilities : array_like of shape (n, k)
        Each row sums to 1.
    labels, sample_weight, groups, method
        As for `calibrate`.
    as_is : bool, default False
        Divide rows by their sums instead of refusing those that do not sum to 1.

    Returns
    -------
    Choice

    Raises
    ------
    DataError
        Unusable input; the message names the row.

    Examples
    --------
    >>> calibrate_from_probabilities([[0.9, 0.1], [0.2, 0.8]], [0, 1], method="temperature").method
    'none'
    """
    checked = scores_of(probabilities, as_is=as_is)
    return _chosen(labelled(checked, labels, sample_weight, groups), method)


def _chosen(rows: Rows, method: str | Sequence[str]) -> Choice:
    if isinstance(method, Sequence) and not isinstance(method, str):
        if not method or not all(name in METHODS for name in method):
            listed = ", ".join(map(repr, METHODS))
            raise DataError(f"methods are {method!r}; expected some of {listed}")
        return _best(rows, {name: each for name, each in METHODS.items() if name in method})
    if method not in ("auto", "none", *METHODS):
        listed = ", ".join(map(repr, METHODS))
        raise DataError(f"method is {method!r}; expected 'auto', {listed} or 'none'")
    if method == "auto":
        return _best(rows, _worth_trying(rows))
    if method == "none":
        return Choice(TemperatureScaling(), "none", "none: not asked for.", {})
    calibrator = fitted(METHODS[method], rows)
    assert calibrator.improvement is not None
    log_losses = {"none": calibrator.log_loss_before, method: calibrator.log_loss_after}
    kept = "none" if calibrator.is_identity else method
    why = f", too little to calibrate by {method}." if kept == "none" else "."
    return Choice(calibrator, kept, f"{kept}: {calibrator.improvement}{why}", log_losses)


def _best(rows: Rows, methods: Mapping[str, type[Calibrator]]) -> Choice:
    with single_threaded_blas():
        sample = sampled(rows)
        folds, before = folds_of(sample), sample.losses()
        kept, losses, finish = "none", before, None
        log_losses = {"none": compared(before, before, sample).log_loss_before}
        for name, method in methods.items():
            trial = method._trial(sample, folds)
            improvement = compared(losses, trial.losses, sample)
            log_losses[name] = improvement.log_loss_after
            if improvement.is_real:
                kept, losses, finish = name, trial.losses, trial.finish
        improvement = compared(before, losses, sample)
        calibrator = TemperatureScaling() if finish is None else finish(rows)
    told = str(improvement) if finish else f"log loss {log_losses['none']:.4f} on held-out rows"
    others = [f"{name} {loss:.4f}" for name, loss in log_losses.items() if name != kept]
    reason = f"{kept}: {told}. Of the others none is surely better: {', '.join(others)}."
    return Choice(calibrator.proved(improvement), kept, reason, log_losses)


def _worth_trying(rows: Rows) -> dict[str, type[Calibrator]]:
    methods = dict(METHODS)
    if rows.classes > MOST_CLASSES_OF_MATRIX:
        del methods["matrix"]
    if len(rows) < LEAST_ROWS_OF_ISOTONIC:
        del methods["isotonic"]
    return methods
