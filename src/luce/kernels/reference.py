"""Plain-NumPy twins of the compiled kernels: same names, same signatures, same results.

They say in a few lines what each kernel computes, and the tests hold both to the same bounds.
float32 is computed in float64 and float64 in ``numpy.longdouble``; where that is no wider than a
double (Windows, macOS on ARM) the float64 twins lose a few units in the last place.
"""

from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)
Wide = NDArray[Any]
Temperature = float | NDArray[np.float64]


def nothing(scores: Wide, temperature: Temperature, out: Wide) -> None:
    """Computes nothing: what a call costs."""


@np.errstate(all="ignore")
def softmax(
    scores: Wide, temperature: Temperature, out: Wide, class_ndim: int = 1, threads: int = 1
) -> None:
    """softmax(scores / temperature) of every row into `out`."""
    rows = _rows(scores, class_ndim)
    distance, undefined = _distance(rows, temperature)
    exponentials = np.exp(distance)
    total = exponentials.sum(axis=1, keepdims=True)
    shares = exponentials / np.where(total == 0, 1, total)
    shares[undefined] = np.nan
    out[...] = shares.reshape(scores.shape)


@np.errstate(all="ignore")
def log_softmax(
    scores: Wide, temperature: Temperature, out: Wide, class_ndim: int = 1, threads: int = 1
) -> None:
    """log(softmax(scores / temperature)) of every row into `out`."""
    rows = _rows(scores, class_ndim)
    distance, undefined = _distance(rows, temperature)
    shares = distance - np.log1p(_sum_of_others(distance))[:, None]
    shares[undefined[:, None] & (rows < np.inf)] = -np.inf
    shares[np.isnan(rows).any(axis=1)] = np.nan
    out[...] = shares.reshape(scores.shape)


@np.errstate(all="ignore")
def logsumexp(scores: Wide, out: Wide, class_ndim: int = 1, threads: int = 1) -> None:
    """log(sum(exp(scores))) of every row into `out`."""
    rows = _rows(scores, class_ndim)
    distance, undefined = _distance(rows, 1.0)
    out[...] = _largest(rows) + np.log1p(_sum_of_others(distance))
    out[undefined] = np.inf


def argmax(scores: Wide, out: NDArray[np.int64], class_ndim: int = 1, threads: int = 1) -> None:
    """Position of the largest scores into `out`: the first of equals, the first NaN of all."""
    rows = _rows(scores, class_ndim)
    if len(rows):
        out[...] = rows.argmax(axis=1)


def masked(scores: Wide, possible: NDArray[np.bool_], out: Wide, threads: int = 1) -> None:
    """The scores of what is possible into `out`, -inf elsewhere."""
    out[...] = np.where(possible, scores, -np.inf)


@np.errstate(all="ignore")
def softmax_jvp(
    probabilities: NDArray[Real],
    tangents: NDArray[Real],
    temperature: Temperature,
    out: NDArray[Real],
    threads: int = 1,
) -> None:
    """The slope p (t - <p, t>) / temperature of every row of probabilities p and tangents t.

    From t less its number at a most probable class: then that class has the digits of the others.
    """
    if not out.size:
        return
    p, t = _wide(probabilities), _wide(tangents)
    top = np.take_along_axis(t, probabilities.argmax(axis=1)[:, None], axis=1)
    moves = np.where(p == 0, 0, t - top)
    slope = p * (moves - (p * moves).sum(axis=1, keepdims=True))
    out[...] = slope / np.broadcast_to(temperature, len(p))[:, None]


@np.errstate(all="ignore")
def weighted_logsumexp(
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
    values: NDArray[np.float64],
    signs: NDArray[np.float64],
    threads: int = 1,
) -> None:
    """Of every row, log |sum weights exp(scores)| and the sum's sign."""
    x, w = np.where(weights == 0, -np.inf, scores).astype(np.longdouble), np.longdouble(weights)
    if x.size:
        sizes = np.where(x == -np.inf, -np.inf, x + np.log(np.abs(w)))
        pivot = np.where(np.isnan(sizes), -np.inf, sizes).argmax(axis=1)[:, None]
        most = np.take_along_axis(sizes, pivot, axis=1)
        ratios = np.sign(w) * np.exp(sizes - most)
        np.put_along_axis(ratios, pivot, 0, axis=1)
        side = np.sign(np.take_along_axis(w, pivot, axis=1))[:, 0]
        rest = ratios.sum(axis=1) * side
        near = np.log1p(np.maximum(rest, -0.5))
        values[...] = most[:, 0] + np.where(rest > -0.5, near, np.log(np.abs(1 + rest)))
        signs[...] = side * np.sign(1 + rest)
    above = ((x == np.inf) & (w > 0)).any(axis=1)
    below = ((x == np.inf) & (w < 0)).any(axis=1)
    nothing = (x == -np.inf).all(axis=1)
    values[above | below], values[nothing] = np.inf, -np.inf
    signs[above], signs[below], signs[nothing] = 1, -1, 0
    undefined = np.isnan(x).any(axis=1) | (above & below)
    values[undefined] = signs[undefined] = np.nan


def topk(scores: Wide, values: Wide, indices: NDArray[np.int64], threads: int = 1) -> None:
    """The largest scores of every row, as many as `values` has columns, and where they stand.

    Largest first; NaN before all numbers, equal ones in the order of their index.
    """
    # A stable sort upwards of the reversed row, read backwards.
    upwards = np.argsort(scores[:, ::-1], axis=1, kind="stable")
    order = scores.shape[1] - 1 - upwards[:, ::-1]
    indices[...] = order[:, : values.shape[1]]
    values[...] = np.take_along_axis(scores, indices, axis=1)


@np.errstate(all="ignore")
def sample(
    scores: Wide,
    uniforms: NDArray[np.float64],
    out: NDArray[np.int64],
    *,
    temperature: float = 1.0,
    top_k: int = 2**31 - 1,
    top_p: float = 1.0,
    min_p: float = 0.0,
    threads: int = 1,
) -> None:
    """The first class up to which the shares of softmax(scores / temperature) exceed the uniform.

    Cut down first to the top_k highest scores (of equal ones the first), of these to the fewest
    that hold the share top_p, of these to the ones at least min_p times the first. -1 where a score
    is NaN or infinity, -2 where no class is possible.
    """
    rows = scores.astype(np.longdouble)
    for i, (row, uniform) in enumerate(zip(rows, uniforms, strict=True)):
        order = np.argsort(-row, kind="stable")[:top_k]
        if not row.max() < np.inf:
            out[i] = -1
        elif row.max() == -np.inf:
            out[i] = -2
        elif temperature == 0:
            out[i] = order[0]
        else:
            shares = np.where(
                row[order] == -np.inf, 0, np.exp((row[order] - row.max()) / temperature)
            )
            held = np.cumsum(shares)
            shares[(held >= top_p * held[-1]).argmax() + 1 :] = 0
            shares[shares < min_p * shares[0]] = 0
            kept = np.zeros_like(row)
            kept[order] = shares
            total = np.cumsum(kept)
            out[i] = np.searchsorted(total, uniform * total[-1], side="right")


@np.errstate(all="ignore")
def divergences(
    targets: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    log_probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
    threads: int = 1,
) -> None:
    """Sums over the classes of y log(y / p) - y + p, each term not negative; 0 log 0 is 0."""
    y, p = targets.astype(np.longdouble), probabilities.astype(np.longdouble)
    less = p - y
    far = y * (np.log(y) - log_probabilities) + less
    # With p = y (1 + d) it is y (d - log(1 + d)): for small d, the first term taken out of the
    # series of log(1 + d) = 2 artanh(s), s = d / (2 + d).
    s = less / (2 * y + less)
    series = sum(s ** (2 * i) / (2 * i + 3) for i in range(8))
    near = less * s - 2 * y * s**3 * series
    terms = np.where(np.abs(less) < 0.1 * y, near, far)
    out[...] = np.where(y == 0, p, terms).sum(axis=1)


@np.errstate(all="ignore")
def negative_entropies(probabilities: NDArray[Real], out: NDArray[Real], threads: int = 1) -> None:
    """The sum of p log p of every row into `out`; 0 log 0 is 0."""
    p = probabilities.astype(np.longdouble)
    out[...] = np.where(p == 0, 0, p * np.log(p)).sum(axis=1)


@np.errstate(all="ignore")
def cross_entropy(
    scores: NDArray[Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[Real] | None,
    *,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    threads: int = 1,
) -> int:
    """`cross_entropy_soft` of the labels.

    Returns the first row whose label is no column, with nothing written; -1 when there is none.
    """
    bad = (labels < 0) | (labels >= scores.shape[1])
    if bad.any():
        return int(bad.argmax())
    if len(scores):
        targets = _targets(scores, labels, label_smoothing, None)
        penalties = np.full(len(scores), z_loss)
        _soft_losses(scores, targets, labels, weights, losses, gradient, temperature, penalties)
    return -1


@np.errstate(all="ignore")
def cross_entropy_soft(
    scores: NDArray[Real],
    targets: NDArray[Real] | NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[Real] | None,
    *,
    class_weights: NDArray[np.float64] | None = None,
    masses: NDArray[np.float64] | None = None,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    threads: int = 1,
) -> None:
    """Cross-entropy to any targets t that are not negative, A = sum t, z = scores / temperature.

    w (A lse(z) - <t, z> + z_loss m lse(z)^2) into `losses`, and its gradient with respect to the
    scores, w ((A + 2 z_loss m lse(z)) softmax(z) - t) / temperature, into `gradient`.

    `targets` are rows of numbers or labels, of which t keeps ``1 - label_smoothing``; the rest is
    shared out equally among the classes that can happen, and each t_c multiplied by its weight.
    m are the `masses`.
    """
    if scores.size:
        wide = _targets(scores, targets, label_smoothing, class_weights)
        if targets.ndim == 2 or class_weights is not None:
            wide = wide.astype(scores.dtype).astype(np.longdouble)
        penalties = np.full(len(scores), z_loss) if masses is None else z_loss * masses
        peaks = wide.argmax(axis=1)
        _soft_losses(scores, wide, peaks, weights, losses, gradient, temperature, penalties)
    else:
        losses[...] = 0


def _targets(
    scores: NDArray[Real],
    given: NDArray[Real] | NDArray[np.int64],
    smoothing: float,
    class_weights: NDArray[np.float64] | None,
) -> Wide:
    possible = scores > -np.inf
    count = possible.sum(axis=1, keepdims=True)
    targets: Wide = possible * (np.longdouble(smoothing) / np.maximum(count, 1))
    kept = np.where(count == 0, 1, 1 - np.longdouble(smoothing))
    if given.ndim == 2:
        targets += kept * given
    else:
        targets[np.arange(len(scores)), given] += kept[:, 0]
    return targets if class_weights is None else targets * class_weights


def _soft_losses(
    scores: NDArray[Real],
    targets: Wide,
    peaks: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[Real] | None,
    temperature: float,
    penalties: NDArray[np.float64],
) -> None:
    """The two above; `peaks` are the classes whose p - t is added up from the other classes'.

    There p and t may both be nearly 1, and their difference would have no digits left.
    """
    scores, targets = np.ascontiguousarray(scores), np.ascontiguousarray(targets)
    rows = np.arange(len(scores))
    weight = np.ones(len(scores)) if weights is None else weights
    distance, undefined = _distance(scores, temperature)
    rest = _sum_of_others(distance)
    lse = _largest(scores) / np.longdouble(temperature) + np.log1p(rest)
    mass = targets.sum(axis=1)
    loss = mass * np.log1p(rest) - np.where(targets == 0, 0, targets * distance).sum(axis=1)
    penalty = np.where(penalties > 0, penalties * lse**2, 0)
    # A score of +inf is infinitely far from what the targets ask for, unless they ask for it.
    asked = ((scores == np.inf) & (targets > 0)).any(axis=1)
    loss[undefined] = np.where(asked, np.nan, np.where(mass > 0, np.inf, 0))[undefined]
    penalty[undefined & (penalties > 0)] = np.inf
    losses[...] = np.where(weight == 0, 0, weight * (loss + penalty))
    if gradient is None:
        return
    exponentials = np.exp(distance)
    total = (1 + rest)[:, None]
    pull = np.where(penalties > 0, 2 * penalties * lse, 0)
    difference = (mass + pull)[:, None] * exponentials / total - targets
    at_peak = exponentials[rows, peaks]
    others = np.where(distance[rows, peaks] == 0, rest, 1 + rest - at_peak)
    other_targets = targets.copy()
    other_targets[rows, peaks] = 0
    difference[rows, peaks] = (
        other_targets.sum(axis=1) + (pull * at_peak - mass * others) / total[:, 0]
    )
    product = (weight / np.longdouble(temperature))[:, None] * difference
    product[np.abs(product) < np.finfo(gradient.dtype).smallest_normal] = 0
    product[(weight == 0) | (scores == -np.inf).all(axis=1)] = 0
    gradient[...] = product


def _wide(scores: NDArray[Any]) -> Wide:
    wide: Wide = scores.astype(np.float64 if scores.dtype == np.float32 else np.longdouble)
    return wide


def _largest(scores: NDArray[Any]) -> Wide:
    """The largest score of every row, NaN when it holds one."""
    largest: Wide = _wide(scores).max(axis=1, initial=-np.inf)
    return largest


def _rows(scores: Wide, class_ndim: int) -> Wide:
    batch = scores.shape[: scores.ndim - class_ndim]
    return scores.reshape(prod(batch), prod(scores.shape[len(batch) :]))


def _distance(scores: Wide, temperature: Temperature) -> tuple[Wide, NDArray[np.bool_]]:
    """Distances to the largest score, over the temperature; and the rows undefined for an inf."""
    largest = _largest(scores)
    temperatures = np.broadcast_to(np.asarray(temperature, np.longdouble), largest.shape)[:, None]
    finite = np.where(np.isinf(largest), 0, largest)
    distance = (_wide(scores) - finite[:, None]) / temperatures
    if scores.size:
        first = np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
        hard = np.where(first & (largest > -np.inf)[:, None], 0, -np.inf)
        distance = np.where(temperatures == 0, hard, distance)
        distance = np.where((temperatures == np.inf) & (scores > -np.inf), 0, distance)
    distance = np.where((temperatures == np.inf) & (scores == -np.inf), -np.inf, distance)
    undefined = (largest == np.inf) & (temperatures[:, 0] > 0)
    distance[undefined | np.isnan(largest)] = np.nan
    return distance, undefined


def _sum_of_others(distance: Wide) -> Wide:
    """The sum of exp(distance) without one of the largest; 0 where no class is possible."""
    tied = distance == 0
    exponentials = np.where(tied, 0, np.exp(distance))
    rest: Wide = exponentials.sum(axis=1) + np.maximum(tied.sum(axis=1) - 1, 0)
    return rest
