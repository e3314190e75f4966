"""Plain-NumPy twins of the compiled kernels of a network: same names, signatures and results.

Products and sums are computed in float64, or in ``numpy.longdouble`` for arrays of float64.
"""

from collections.abc import Sequence
from math import erf, isfinite
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)
Wide = NDArray[Any]


def dense(
    features: NDArray[Real],
    weights: NDArray[Real],
    bias: NDArray[Real],
    activation: str,
    out: NDArray[Real],
    before: NDArray[Real] | None = None,
    *,
    threads: int = 1,
) -> None:
    """activation(features @ weights + bias) into `out`; what is activated into `before`."""
    sums = _wide(features) @ _wide(weights) + _wide(bias)
    if before is not None:
        before[...] = sums
    out[...] = _activated(sums, activation)


def dense_vjp(
    cotangent: NDArray[Real],
    kept: NDArray[Real] | None,
    activation: str,
    features: NDArray[Real],
    weights: NDArray[Real],
    weights_gradient: NDArray[Real],
    bias_gradient: NDArray[Real],
    features_gradient: NDArray[Real] | None = None,
    *,
    threads: int = 1,
) -> None:
    """The gradients of `dense` from that of its output, which becomes that of what is activated."""
    activate_vjp(cotangent, kept, activation, cotangent)
    given = _wide(cotangent)
    weights_gradient[...] = _wide(features).T @ given
    bias_gradient[...] = given.sum(axis=0)
    if features_gradient is not None:
        features_gradient[...] = given @ _wide(weights).T


def activate(
    features: NDArray[Real], activation: str, out: NDArray[Real], *, threads: int = 1
) -> None:
    """activation(features) into `out`, which may be the features."""
    out[...] = _activated(_wide(features), activation)


def activate_vjp(
    cotangent: NDArray[Real],
    kept: NDArray[Real] | None,
    activation: str,
    out: NDArray[Real],
    *,
    threads: int = 1,
) -> None:
    """The cotangent times activation' into `out`, which may be the cotangent.

    The derivative is taken from `kept`: the output of relu, tanh and logistic, the input of gelu;
    identity needs none.
    """
    out[...] = _wide(cotangent) * _slope(kept, activation)


def residuals(
    scores: NDArray[Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    *,
    threads: int = 1,
) -> float:
    """W (softmax(scores) - one-hot labels) in place of the scores, the end that training needs.

    Good to a few units in the last place of a row's largest, where `cross_entropy` is so of each;
    the weighted losses, of which the sum is returned, likewise. Scores are finite, or their row
    becomes NaN.
    """
    shares = np.exp(_wide(scores) - _wide(scores).max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    rows = np.arange(len(scores))
    losses[...] = -weights * np.log(shares[rows, labels])
    shares[rows, labels] = 0
    shares[rows, labels] = -shares.sum(axis=1)
    scores[...] = weights[:, None] * shares
    return float(losses.sum())


def dropout(
    features: NDArray[Real], rate: float, seed: int, out: NDArray[Real], *, threads: int = 1
) -> None:
    """Each feature, with probability `rate`, 0, else divided by 1 - rate, into `out`.

    Which ones is a function of the seed, an integer of 64 bits, and of the place in the array. The
    same call with a cotangent is the derivative. `out` may be the features.
    """
    hashed = np.arange(features.size, dtype=np.uint64) + np.uint64(seed)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashed = (hashed ^ (hashed >> np.uint64(shift))) * np.uint64(factor)
    hashed = (hashed ^ (hashed >> np.uint64(31))) >> np.uint64(40)
    stays = hashed.reshape(features.shape) >= np.uint64(round(rate * 2**24))
    out[...] = np.where(stays, _wide(features) / (1 - rate), 0)


def adam_step(
    parameters: NDArray[Real],
    gradient: NDArray[Real],
    mean: NDArray[Real],
    square: NDArray[Real],
    *,
    step: int,
    rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    penalised: int = 0,
    penalty: float = 0.0,
    decay: float = 0.0,
    scale: float = 1.0,
    threads: int = 1,
) -> None:
    """One step of Adam, in place, of parameters that are one vector; `step` counts from 1.

    g = scale * gradient + penalty * parameters; mean and square are the moving averages of g and of
    its square. The first `penalised` parameters alone have a penalty, and a decay: a share of
    themselves, rate * decay, that is taken away beside the gradient (AdamW).
    """
    first = slice(0, penalised)
    slopes = scale * _wide(gradient)
    slopes[first] += penalty * _wide(parameters[first])
    mean[...] = beta_1 * _wide(mean) + (1 - beta_1) * slopes
    square[...] = beta_2 * _wide(square) + (1 - beta_2) * slopes**2
    spread = np.sqrt(_wide(square) / (1 - beta_2**step)) + epsilon
    moved = _wide(parameters)
    moved[first] *= 1 - rate * decay
    parameters[...] = moved - rate / (1 - beta_1**step) * _wide(mean) / spread


def momentum_step(
    parameters: NDArray[Real],
    gradient: NDArray[Real],
    velocity: NDArray[Real],
    *,
    rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    penalised: int = 0,
    penalty: float = 0.0,
    decay: float = 0.0,
    scale: float = 1.0,
    threads: int = 1,
) -> None:
    """One step of gradient descent with momentum, in place.

    velocity = momentum * velocity - rate * g, g and decay as in `adam_step`; the parameters move by
    it, or with `nesterov` by momentum * velocity - rate * g once more.
    """
    slopes = scale * _wide(gradient)
    slopes[:penalised] += penalty * _wide(parameters[:penalised])
    moved = momentum * _wide(velocity) - rate * slopes
    velocity[...] = moved
    kept = _wide(parameters)
    kept[:penalised] *= 1 - rate * decay
    parameters[...] = kept + (momentum * moved - rate * slopes if nesterov else moved)


def approach(goal: NDArray[Real], share: float, to: NDArray[Real], *, threads: int = 1) -> None:
    """To += share * (goal - to), in place."""
    to[...] = _wide(to) + share * (_wide(goal) - _wide(to))


def squares(vector: NDArray[Real], *, threads: int = 1) -> float:
    """The sum of the squares of all elements."""
    return float((_wide(vector) ** 2).sum())


def perceptron_bytes(layers: Sequence[tuple[int, int, str]], batch_size: int, itemsize: int) -> int:
    """How much memory `perceptron_steps` needs to work in: here none."""
    return 0


def perceptron_steps(
    layers: Sequence[tuple[int, int, str]],
    parameters: NDArray[Real],
    moments: Sequence[NDArray[Real]],
    features: NDArray[Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.int64],
    batch_size: int,
    rates: NDArray[np.float64],
    batch_weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    memory: NDArray[np.uint8],
    *,
    done: int,
    penalty: float = 0.0,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    decay: float = 0.0,
    momentum: float = 0.0,
    nesterov: bool = False,
    average: NDArray[Real] | None = None,
    shares: NDArray[np.float64] | None = None,
    threads: int = 1,
) -> int:
    """Steps of training, one for each batch of the order, in place; returns how many were done.

    They are those of dense layers, (inputs, outputs, activation), the last without an activation,
    that end in softmax cross-entropy; their parameters are all matrices, then all vectors. A step
    has its own rate, the weight of its batch, by which gradient and penalty are divided, and
    leaves the batch's loss: weighted, with penalty / 2 |matrices|^2. It is Adam's with two moments,
    after `done` others, or with one that of gradient descent with momentum; then the parameters'
    share goes into their average. A step whose loss is not finite is not done, nor any after it.
    What `memory` holds before and after does not matter.
    """
    slopes = np.empty_like(parameters)
    views, gradients = _split(layers, parameters), _split(layers, slopes)
    penalised = sum(inputs * outputs for inputs, outputs, _ in layers)
    for step, rate in enumerate(rates.tolist()):
        rows = order[step * batch_size : (step + 1) * batch_size]
        outputs, kept = features[rows], []
        for (matrix, bias), (_, width, activation) in zip(views, layers, strict=True):
            given, outputs = outputs, np.empty((len(rows), width), parameters.dtype)
            before = np.empty_like(outputs)
            dense(given, matrix, bias, activation, outputs, before)
            kept.append((given, before if activation == "gelu" else outputs, activation))
        row_weights = np.ones(len(rows)) if weights is None else weights[rows]
        loss = residuals(outputs, labels[rows], row_weights, np.empty(len(rows)))
        loss += penalty / 2 * squares(parameters[:penalised])
        losses[step] = loss
        if not isfinite(loss):
            return step
        flowing: NDArray[Real] | None = outputs
        for i in reversed(range(len(layers))):
            given, known, activation = kept[i]
            (matrix, _), own = views[i], gradients[i]
            below = np.empty_like(given) if i else None
            assert flowing is not None
            dense_vjp(flowing, known, activation, given, matrix, *own, below)
            flowing = below
        weight = float(batch_weights[step])
        common: dict[str, Any] = {
            "rate": rate,
            "penalised": penalised,
            "penalty": penalty / weight,
            "decay": decay,
            "scale": 1 / weight,
        }
        if len(moments) == 2:
            common |= {"step": done + step + 1, "beta_1": beta_1, "beta_2": beta_2}
            adam_step(parameters, slopes, moments[0], moments[1], epsilon=epsilon, **common)
        else:
            common |= {"momentum": momentum, "nesterov": nesterov}
            momentum_step(parameters, slopes, moments[0], **common)
        if average is not None and shares is not None:
            approach(parameters, float(shares[step]), average)
    return len(rates)


def _split(
    layers: Sequence[tuple[int, int, str]], vector: NDArray[Real]
) -> list[tuple[NDArray[Real], NDArray[Real]]]:
    """Matrix and vector of each layer."""
    matrices, at = [], 0
    for inputs, outputs, _ in layers:
        matrices.append(vector[at : at + inputs * outputs].reshape(inputs, outputs))
        at += inputs * outputs
    vectors = []
    for _, outputs, _ in layers:
        vectors.append(vector[at : at + outputs])
        at += outputs
    return list(zip(matrices, vectors, strict=True))


def _wide(array: NDArray[Real]) -> Wide:
    return array.astype(np.float64 if array.dtype == np.float32 else np.longdouble)


def _activated(x: Wide, activation: str) -> Wide:
    if activation == "identity":
        return x
    if activation == "relu":
        return np.where(x < 0, 0, x)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "logistic":
        return _logistic(x)
    if activation == "gelu":
        return np.where(x == -np.inf, 0, x * _normal(x))
    raise ValueError(f"no activation {activation!r}")


def _slope(kept: Wide | None, activation: str) -> Any:
    if activation == "identity":
        return 1.0
    assert kept is not None
    x = _wide(kept)
    if activation == "relu":
        return np.where(x > 0, 1, 0).astype(x.dtype)
    if activation == "tanh":
        return 1 - x * x
    if activation == "logistic":
        return x * (1 - x)
    if activation == "gelu":
        density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
        return _normal(x) + np.where(np.isinf(x), 0, x) * density
    raise ValueError(f"no activation {activation!r}")


def _logistic(x: Wide) -> Wide:
    decayed = np.exp(-np.abs(x))
    shares: Wide = np.where(x < 0, decayed, 1) / (1 + decayed)
    return shares


def _normal(x: Wide) -> Wide:
    """Share of a normal distribution below x."""
    erfs = np.vectorize(erf, otypes=[np.float64])(np.asarray(x / np.sqrt(2), np.float64))
    return np.asarray((1 + erfs) / 2, x.dtype)
