"""How far from the optimum can we be? A bound that costs no further pass over the rows."""

import numpy as np

from luce.training.moments import Moments
from luce.training.objective import SoftmaxRegression, Vector

ROUNDING = 1e-12
SMALLEST = float(np.finfo(np.float64).tiny)


def optimality_gap(
    objective: SoftmaxRegression,
    moments: Moments,
    parameters: Vector,
    value: float,
    gradient: Vector,
) -> float:
    """Upper bound on ``F(parameters) - min F``, from a feasible point of the dual problem.

    By Fenchel duality every choice of one distribution ``q_i`` a row, subject to
    ``mean (q_i - y_i) = 0`` where there is an intercept (it is not penalised), bounds the minimum
    from below by ``mean H(q_i) - |mean (q_i - y_i) x_i'|^2 / (2 l2)``, H the Shannon entropy.

    The probabilities ``p_i`` of the current parameters are nearly such a choice; they miss the
    constraint by the intercept's gradient ``g``. The mixture ``q_i = (1 - e) p_i + e r`` with one
    distribution r for all rows, ``r = f - (1 - e) / e * g`` for class frequencies f, meets it
    exactly, and r is a distribution as soon as ``e / (1 - e) >= max g / f``. H is concave, so the
    mixture's entropy is at least ``(1 - e) H(p_i) + e H(r)``, and the mean of H(p_i) is the loss
    minus ``<gradient of the loss, parameters>``. Collecting terms, with G the mixture's gradient of
    the loss, ``D = r mean' - class sums`` and H(r) >= 0 computed:

        gap <= |l2 coef + G|^2 / (2 l2) + e (loss - H(r) - <D, coef>) + (1 - e) <g, intercept>

    Without a miss e = 0 and this is the familiar |gradient|^2 / (2 l2). All of it comes from the
    value and gradient already at hand. F >= 0, so the value itself is a bound too.

    Parameters
    ----------
    objective : SoftmaxRegression
    moments : Moments
        Of the same rows and weights.
    parameters : array of shape (k, d + 1)
    value, gradient
        What ``objective.value_and_gradient(parameters)`` returned.

    Returns
    -------
    float
        At least 0; may be loose far from the optimum, never too small beyond rounding.
    """
    coef, intercept = parameters[:, :-1], parameters[:, -1]
    of_coef, miss = gradient[:, :-1], gradient[:, -1]
    ratio = float((miss / moments.class_frequencies).max())
    bound = gap_without_miss(objective, gradient)
    if bound > value:
        return value
    if ratio > 0:
        mixed = ratio / (1 + ratio)
        loss = value - objective.l2 / 2 * float(np.vdot(coef, coef))
        common = np.maximum(moments.class_frequencies - miss / ratio, 0.0)
        shift = common[:, None] * moments.mean
        shift -= moments.class_sums
        mixture = (1 - mixed) * of_coef
        mixture += mixed * (shift + objective.l2 * coef)
        bound = float(np.vdot(mixture, mixture)) / (2 * objective.l2)
        entropy = -float(np.vdot(common, np.log(np.maximum(common, SMALLEST))))
        bound += mixed * (loss - entropy - float(np.vdot(shift, coef)))
        bound += (1 - mixed) * float(miss @ intercept)
    if bound < -ROUNDING * value:  # sums that contradict each other prove nothing
        bound = value
    return min(max(bound, 0.0), value)


def gap_without_miss(objective: SoftmaxRegression, gradient: Vector) -> float:
    """The same bound where the intercept's gradient is 0, as it is after `recentred`."""
    of_coef = gradient[:, :-1]
    return float(np.vdot(of_coef, of_coef)) / (2 * objective.l2)
