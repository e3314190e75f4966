"""The lowest threshold above which the error rate is shown to be at most a risk.

A threshold t is tested by the rows that it answers, those of a score >= t: were their error rate
above the risk, as few errors as were seen would have had at most the probability of a binomial
tail. This holds for a threshold that was chosen without these rows. So a twentieth of the rows,
drawn at random, lend their scores as thresholds and are not tested; the others are.

Of many thresholds, tested one after the other from strict to loose, none is accepted wrongly with a
probability above `level` (the fallback procedure, whatever the scores): each start has a part of
the level; an accepted threshold hands the level that it was tested at on to the next; a refused one
loses it. Half of the level starts where just so many rows are answered that a test can succeed,
the rest where all rows are answered, half of them, a quarter, and so on: a single start among few
rows would stop at the first unlucky error.

References
----------
B. L. Wiens, A. Dmitrienko, "The fallback procedure for evaluating a single family of hypotheses",
J. Biopharm. Stat. 15 (2005). A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan, L. Lei,
"Learn then test", Ann. Appl. Stat. 19 (2025). C. J. Clopper, E. S. Pearson, Biometrika 26 (1934).
"""

from dataclasses import dataclass
from math import ceil, floor, inf, log, log1p, log2

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_SHARE_FOR_THRESHOLDS = 0.05
_LIKELY = 0.9
_MOST_ROWS = 10**12


@dataclass(frozen=True)
class Tested:
    """A threshold, and of `rows` that were tested those that it answers, with their errors.

    `bound` is the upper end of the error rate at the level of the test; the threshold was accepted
    where that is at most the risk.
    """

    threshold: float
    rows: int
    answered: int
    errors: int
    bound: float


def fewest_rows(risk: float, level: float) -> int:
    """The fewest rows that show an error rate of at most the risk, if none of them is wrong."""
    return ceil(log(level) / log1p(-risk))


def rows_needed(rate: float, risk: float, level: float) -> int | None:
    """About how many answered rows show it at this rate of errors; None if it is not below."""
    if rate >= risk:
        return None
    from scipy.special import bdtr

    n = fewest_rows(risk, level)
    while bdtr(floor(rate * n), n, risk) > level and n < _MOST_ROWS:
        n = ceil(n * 1.1)
    return n


def upper_bound(errors: float, rows: float, level: float) -> float:
    """Clopper and Pearson's: exceeded by the error rate with at most the probability `level`."""
    from scipy.special import betaincinv

    return 1.0 if errors >= rows else float(betaincinv(errors + 1, rows - errors, 1 - level))


def share_interval(part: float, rows: float, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval for a share, between two such bounds."""
    level = (1 - confidence) / 2
    return 1 - upper_bound(rows - part, rows, level), upper_bound(part, rows, level)


def lowest_threshold(scores: Float64s, wrong: Bools, risk: float, level: float) -> Tested:
    """Test thresholds on these rows; the loosest that was accepted, or the nearest to it.

    There must be at least `fewest_rows`.
    """
    from scipy.special import bdtr

    thresholds, levels, tested = _plan(scores, risk, level)
    order = np.argsort(-scores[tested], kind="stable")
    sorted_scores, errors_so_far = scores[tested][order], np.cumsum(wrong[tested][order])
    answered = np.searchsorted(-sorted_scores, -thresholds, side="right")
    errors = np.append(0, errors_so_far)[answered]
    tails = np.where(answered > 0, bdtr(errors, answered, risk), 1.0)
    passed, handed_on = -1, 0.0
    for place, tail in enumerate(tails):
        levels[place] += handed_on
        handed_on = levels[place] if tail <= levels[place] else 0.0
        passed = place if handed_on else passed
    tried = np.divide(tails, levels, out=np.full(len(tails), inf), where=levels > 0)
    place = passed if passed >= 0 else int(tried.argmin())
    n, e = int(answered[place]), int(errors[place])
    return Tested(
        threshold=float(thresholds[place]) if passed >= 0 else inf,
        rows=len(sorted_scores),
        answered=n,
        errors=e,
        bound=upper_bound(e, n, levels[place]),
    )


def _plan(
    scores: Float64s, risk: float, level: float
) -> tuple[Float64s, Float64s, npt.NDArray[np.intp]]:
    """Thresholds from strict to loose, the part of the level that starts at each, rows to test."""
    n = len(scores)
    lending = ceil(_SHARE_FOR_THRESHOLDS * n)
    first = _first_rank(lending, fewest_rows(risk, level))
    if first > lending:
        return np.array([-inf]), np.array([level]), np.arange(n)
    starts = [(first, level)]
    first = _first_rank(lending, fewest_rows(risk, level / 2))
    halvings = floor(log2(lending / first)) if first <= lending else 0
    if halvings:
        others = [lending + 1, *(ceil(lending * 0.5**i) for i in range(1, halvings))]
        starts = [(first, level / 2), *((rank, level / 2 / halvings) for rank in others)]
    shuffled = np.random.default_rng(0).permutation(n)
    lent = np.append(np.sort(scores[shuffled[:lending]])[::-1], -inf)
    thresholds = np.unique(lent)[::-1]
    levels = np.zeros(len(thresholds))
    for rank, part in starts:
        levels[np.searchsorted(-thresholds, -lent[rank - 1])] += part
    return thresholds, levels, shuffled[lending:]


def _first_rank(lending: int, fewest: int) -> int:
    """The first lent score that is likely to answer that many tested rows; else lending + 1.

    It does if fewer than `rank` of the surest ``fewest + rank - 1`` rows are lending ones.
    """
    from scipy.special import bdtr

    ranks = np.arange(1, lending + 1)
    likely = bdtr(ranks - 1, fewest + ranks - 1, _SHARE_FOR_THRESHOLDS) >= _LIKELY
    return int(ranks[likely][0]) if likely.any() else lending + 1
