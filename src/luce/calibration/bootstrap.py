"""Bootstrap resamples, as counts of how often each unit was drawn."""

from collections.abc import Iterator

import numpy as np

from luce.calibration.rows import Float64s
from luce.errors import DataError

COVERAGE = 0.95
_DRAWS_AT_ONCE = 2**20
_SUMS_AT_ONCE = 2**22


def resampled(
    units: int, resamples: int, random: np.random.Generator, *, sums: int = 1
) -> Iterator[tuple[slice, Float64s]]:
    """Some resamples after others, counts (units, r), so that r times `sums` is bounded too."""
    step = max(1, min(_DRAWS_AT_ONCE // units, _SUMS_AT_ONCE // sums))
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = random.integers(units, size=(size, units)) + units * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        yield slice(start, start + size), counts.T.astype(np.float64)


def interval(figures: Float64s) -> tuple[Float64s, Float64s]:
    """The ends of the middle 95 % of (..., resamples), which may be infinite but not NaN."""
    figures = np.sort(figures, axis=-1)
    # Order statistics, not interpolation: between two infinite losses that would be NaN.
    last = figures.shape[-1] - 1
    outside = int((1 - COVERAGE) / 2 * last)
    return figures[..., outside], figures[..., last - outside]


def check_resamples(resamples: int) -> None:
    """Refuse fewer than an interval needs."""
    if resamples < 40:
        raise DataError(f"resamples is {resamples}; a 95 % interval needs at least 40")
