"""Where probabilities are cut into bins: at equal distances, or between equal shares of the rows.

Edges ascend; a probability on an edge belongs to the bin below it. Those of "quantile" are cut by
the probabilities alone, never by the labels: given the probabilities the bins stand fast, and the
excess of each has the mean 0 if the model is calibrated. Equal probabilities share a bin, so that
there may be fewer bins than asked for.
"""

from typing import Literal

import numpy as np

from luce.calibration.rows import Float64s, Integers
from luce.errors import DataError

Strategy = Literal["uniform", "quantile"]
MOST_BINS = 1000


def uniform_edges(bins: int) -> Float64s:
    """The inner edges of bins of equal width in [0, 1]; (bins - 1,)."""
    return np.arange(1, bins) / bins


def quantile_edges(probabilities: Float64s, bins: int) -> Float64s:
    """The inner edges of bins of as nearly equal counts as can be, a column each; (bins - 1, k)."""
    n = len(probabilities)
    ranks = (-(-np.arange(1, bins) * n // bins) - 1).clip(0, n - 1)
    return np.asarray(np.partition(probabilities, np.unique(ranks), axis=0)[ranks])


def bins_of_classes(probabilities: Float64s, edges: Float64s) -> Integers:
    """The bin of each of (m, k) probabilities, by the edges of its column (bins - 1, k)."""
    places = np.zeros(probabilities.shape, np.min_scalar_type(len(edges)))
    for edge in edges:
        places += probabilities > edge
    return places.astype(np.intp)


def check_bins(bins: int, strategy: str) -> None:
    """Refuse a number of bins, or a strategy, that does not exist."""
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer):
        raise DataError(f"n_bins is {bins!r}; expected an integer")
    if not 1 <= bins <= MOST_BINS:
        raise DataError(f"n_bins is {bins}; expected 1 to {MOST_BINS}")
    if strategy not in ("uniform", "quantile"):
        raise DataError(f"strategy is {strategy!r}; expected 'uniform' or 'quantile'")
