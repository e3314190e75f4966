"""The smooth calibration error: the gaps under a kernel that is as wide as what it leaves of them.

The kernel is Gaussian, reflected at 0 and 1: it multiplies the terms of the cosine series of what
it smooths by exp(-(pi m width)^2 / 2). `excess` (CELLS, r) are the sums of confidence minus
correctness over the rows in each of CELLS equal cells of [0, 1], divided by their total weight.
"""

from math import ceil

import numpy as np

from luce.calibration.rows import Float64s

CELLS = 1024
_STEPS = 14
_REACH = 4.6
"""Over the width: the frequency from which on a float32 holds no more of the kernel than 0."""


def smooth_error(excess: Float64s) -> Float64s:
    """The width at which the smoothed gaps have a total size of just that width; (r,).

    By bisection: the size falls as the width grows, and neither is above 1.
    """
    from scipy.fft import dct, idct  # slow to import

    series = dct(excess.astype(np.float32), axis=0)  # digits enough for the bisection
    frequency = np.pi * np.arange(CELLS, dtype=np.float32)[:, None]
    low, high = np.zeros(excess.shape[1]), np.ones(excess.shape[1])
    for _ in range(_STEPS):
        width = (low + high) / 2
        reached = slice(ceil(_REACH / width.min(initial=1)))
        with np.errstate(under="ignore"):
            kernel = frequency[reached] * width.astype(np.float32)
            kernel *= kernel
            kernel *= -0.5
            np.multiply(np.exp(kernel, out=kernel), series[reached], out=kernel)
            smoothed = idct(kernel, n=CELLS, axis=0)
        wider = abs(smoothed).sum(axis=0, dtype=np.float64) > width
        low, high = np.where(wider, width, low), np.where(wider, high, width)
    return (low + high) / 2
