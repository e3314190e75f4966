"""Exact bounds on shares, from counts."""

import numpy as np

from luce.calibration.rows import Float64s, Integers

_OUTSIDE = 0.025


def bounds_of_share(
    successes: Float64s | Integers, trials: Float64s | Integers
) -> tuple[Float64s, Float64s]:
    """95 % bounds (Clopper and Pearson) of the probability behind so many successes.

    They hold it at least that often, also where the trials' probabilities differ, for their mean.
    Numbers of trials need not be whole.
    """
    from scipy.special import betaincinv  # slow to import

    successes, failures = np.asarray(successes, np.float64), np.asarray(trials - successes)
    with np.errstate(invalid="ignore"):
        low = betaincinv(successes, failures + 1, _OUTSIDE)
        high = betaincinv(successes + 1, failures, 1 - _OUTSIDE)
    return np.where(successes > 0, low, 0.0), np.where(failures > 0, high, 1.0)


def range_of_share(probability: Float64s, trials: Float64s | Integers) -> tuple[Float64s, Float64s]:
    """The middle 95 % of shares of successes that trials of this mean probability give."""
    from scipy.stats import binom  # slow to import

    probability = np.clip(probability, 0.0, 1.0)
    low, high = (binom.ppf(q, trials, probability) for q in (_OUTSIDE, 1 - _OUTSIDE))
    return np.asarray(low / trials), np.asarray(high / trials)
