"""The network in plain NumPy: what everybody's answers are compared with."""

from itertools import islice

import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy.special import logsumexp, softmax

from benchmarks.network.cases import RATE, Case, Parameters, Rows, Split, batches_of, initial

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
BLOCK = 4096


def in_dtype(parameters: Parameters, dtype: DTypeLike) -> Parameters:
    """The same numbers."""
    return [(weights.astype(dtype), bias.astype(dtype)) for weights, bias in parameters]


def scores_of(parameters: Parameters, features: NDArray) -> list[NDArray]:
    """The features, the outputs of every hidden layer, and the scores."""
    outputs = [features]
    for place, (weights, bias) in enumerate(parameters):
        sums = outputs[-1] @ weights + bias
        outputs.append(sums if place == len(parameters) - 1 else np.maximum(sums, 0))
    return outputs


def mean_loss(parameters: Parameters, rows: Rows) -> float:
    """Mean cross-entropy of these rows, in float64."""
    parameters = in_dtype(parameters, np.float64)
    total = 0.0
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        scores = scores_of(parameters, rows.features[block].astype(np.float64))[-1]
        labels = rows.labels[block]
        total += float((logsumexp(scores, axis=1) - scores[np.arange(len(labels)), labels]).sum())
    return total / len(rows)


def wrong_winners(parameters: Parameters, features: NDArray, winners: NDArray) -> int:
    """How many rows have a score that is clearly above that of their winner."""
    parameters = in_dtype(parameters, np.float64)
    wrong = 0
    for start in range(0, len(features), BLOCK):
        block = slice(start, start + BLOCK)
        scores = scores_of(parameters, features[block].astype(np.float64))[-1]
        chosen = np.take_along_axis(scores, winners[block, None], axis=1)[:, 0]
        wrong += int((scores.max(axis=1) - chosen > 1e-3).sum())
    return wrong


def first_losses(case: Case, split: Split, count: int, dtype: DTypeLike) -> list[float]:
    """Loss of each of the first batches, as of the step that it takes part in, on a path in dtype.

    Where a sum that relu looks at is nearly 0, a path in float64 leaves that in float32 by as much
    as 4e-4 in 50 steps.
    """
    rows = Rows(split.training.features.astype(dtype, copy=False), split.training.labels)
    parameters = in_dtype(initial(case, split), dtype)
    means = [tuple(np.zeros_like(a) for a in layer) for layer in parameters]
    squares = [tuple(np.zeros_like(a) for a in layer) for layer in parameters]
    losses = []
    for step, chosen in enumerate(islice(batches_of(case, len(rows)), count), 1):
        batch = Rows(rows.features[chosen], rows.labels[chosen])
        losses.append(mean_loss(parameters, batch))
        gradients = gradients_of(parameters, batch)
        for layers in zip(parameters, gradients, means, squares, strict=True):
            for parameter, gradient, mean, square in zip(*layers, strict=True):
                mean += (1 - BETA_1) * (gradient - mean)
                square += (1 - BETA_2) * (gradient**2 - square)
                spread = np.sqrt(square / (1 - BETA_2**step)) + EPSILON
                parameter -= RATE / (1 - BETA_1**step) * mean / spread
    return losses


def gradients_of(parameters: Parameters, batch: Rows) -> Parameters:
    """Of the mean loss of a batch."""
    outputs = scores_of(parameters, batch.features)
    scores = outputs.pop()
    one_hot = np.eye(scores.shape[1], dtype=scores.dtype)[batch.labels]
    flowing = (softmax(scores, axis=1) - one_hot) / len(batch)
    gradients = []
    for (weights, _), features in zip(reversed(parameters), reversed(outputs), strict=True):
        gradients.append((features.T @ flowing, flowing.sum(axis=0)))
        flowing = flowing @ weights.T * (features > 0)
    return gradients[::-1]
