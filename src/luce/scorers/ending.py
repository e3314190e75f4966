"""The end of a network: scores and targets -> loss, and the gradient that starts the way back."""

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.kernels.threads import num_threads
from luce.losses.fenchel_young import FenchelYoung
from luce.maps.map import Map
from luce.maps.softmax_map import Softmax
from luce.scorers.layer import Array

SOFTMAX = Softmax()


def end(
    map: Map,
    scores: Array,
    targets: Array,
    weights: NDArray[np.float64],
    label_smoothing: float = 0.0,
    *,
    threads: int | None = None,
) -> float:
    """The weighted sum of the losses of all rows; w (p - y), their gradient, replaces the scores.

    The loss is the one that belongs to the map (`luce.FenchelYoung`); for softmax cross-entropy,
    with distributions as targets too, in one fused pass.

    Parameters
    ----------
    map : Map
    scores : array of shape (n, k), float32 or float64
        Overwritten by their gradient.
    targets : array
        Labels, int64 of shape (n,), each a class; or distributions (n, k) in the scores' dtype.
        Neither is checked for softmax.
    weights : float64 array of shape (n,)
    label_smoothing : float, default 0
        From 0 to 1: the share of each target that is divided equally among all classes.
    threads : int, optional
        By default `luce.num_threads()`. The results do not depend on it.

    Returns
    -------
    float

    Raises
    ------
    DataError
        A target is none, where the map is not softmax.

    Examples
    --------
    >>> import numpy as np
    >>> import luce
    >>> from luce.scorers import end
    >>> scores = np.zeros((1, 2))
    >>> round(end(luce.Softmax(), scores, np.array([0]), np.ones(1)), 6)
    0.693147
    >>> scores
    array([[-0.5,  0.5]])
    """
    if map is not SOFTMAX and map != SOFTMAX:
        return _end_in_any_map(map, scores, targets, weights, label_smoothing)
    if threads is None:
        threads = num_threads()
    losses = np.empty(len(scores))
    if targets.ndim == 1 and not label_smoothing:
        return kernels.residuals(scores, targets, weights, losses, threads=threads)
    kernel = kernels.cross_entropy if targets.ndim == 1 else kernels.cross_entropy_soft
    kernel(
        scores,
        targets,
        weights,
        losses,
        scores,
        label_smoothing=label_smoothing,
        threads=threads,
    )
    return float(losses.sum())


def _end_in_any_map(
    map: Map,
    scores: Array,
    targets: Array,
    weights: NDArray[np.float64],
    label_smoothing: float,
) -> float:
    if label_smoothing:
        if targets.ndim == 1:
            targets = np.eye(scores.shape[1], dtype=scores.dtype)[targets]
        targets = smooth(targets, label_smoothing)
    values, gradient = FenchelYoung(map).value_and_gradient(scores, targets)
    scores[...] = gradient * weights[:, None]
    return float(weights @ values)


def smooth(targets: Array, label_smoothing: float) -> Array:
    """Distributions of which a share is divided equally among all classes."""
    smoothed: Array = (1 - label_smoothing) * targets + label_smoothing / targets.shape[1]
    return smoothed
