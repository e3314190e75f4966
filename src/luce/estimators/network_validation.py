"""How good a network is on rows that it does not learn from."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.estimators.network_rows import Rows
from luce.scorers.ending import SOFTMAX, end
from luce.scorers.network import Network

if TYPE_CHECKING:
    pass

BLOCK_BYTES = 1 << 21  # of scores
LEAST_ROWS, MOST_ROWS = 64, 1 << 12


def mean_losses(network: Network, rows: Rows) -> tuple[float, float]:
    """Means, by weight, of the loss that belongs to the network's map, and of the log loss.

    With softmax they are the same. The log loss is infinite where a map gives what is true the
    probability 0.
    """
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    own = log = 0.0
    for block in _blocks(len(rows), network.classes):
        features, targets = rows.features[block], rows.targets[block]
        own += end(network.map, network.scores(features), targets, weights[block])
        if network.map != SOFTMAX:
            log += float(weights[block] @ _log_losses(network.log_probabilities(features), targets))
    total = weights.sum()
    return own / total, (own if network.map == SOFTMAX else log) / total


def validation(
    rows: Rows, score: Callable[[Network], float] | None
) -> Callable[[Network], tuple[float, float]]:
    """What measures a network on rows: its score, the larger the better, and its log loss.

    Without `score` that is minus the loss that the network is trained by.
    """

    def measure(network: Network) -> tuple[float, float]:
        own, log = mean_losses(network, rows)
        return -own if score is None else score(network), log

    return measure


def _blocks(n: int, classes: int) -> Iterator[slice]:
    rows = min(max(BLOCK_BYTES // (8 * classes), LEAST_ROWS), MOST_ROWS)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def _log_losses(logarithms: NDArray[Any], targets: NDArray[Any]) -> NDArray[Any]:
    if targets.ndim == 1:
        losses: NDArray[Any] = -np.take_along_axis(logarithms, targets[:, None], axis=1)[:, 0]
        return losses
    terms = np.zeros_like(logarithms)
    np.multiply(targets, logarithms, out=terms, where=targets > 0)
    entropies: NDArray[Any] = terms.sum(axis=1)
    return -entropies
