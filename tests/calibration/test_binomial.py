import numpy as np
import pytest
from scipy import stats

from luce.calibration.binomial import bounds_of_share, range_of_share


def test_bounds_are_those_of_clopper_and_pearson():
    pairs = [(x, n) for n in (1, 2, 10, 300) for x in {0, 1, n // 2, n - 1, n}]
    low, high = bounds_of_share(*np.array(pairs).T)
    for x, n, *ours in zip(*np.array(pairs).T, low, high, strict=True):
        theirs = stats.binomtest(int(x), int(n)).proportion_ci(0.95, "exact")
        assert ours == pytest.approx([theirs.low, theirs.high], abs=1e-12)


@pytest.mark.parametrize("probability", [0.0, 0.03, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 17, 400])
def test_the_range_holds_the_middle_of_the_distribution(probability, n):
    low, high = range_of_share(np.array([probability]), np.array([n]))
    counts = np.random.default_rng(0).binomial(n, probability, size=20_000)
    inside = (low * n <= counts + 1e-9) & (counts - 1e-9 <= high * n)
    assert inside.mean() >= 0.945
    if n == 400 and probability == 0.5:
        assert inside.mean() < 0.97
