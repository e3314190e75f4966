import numpy as np
import pytest

from luce.calibration.gaps import gap_norm, mean_square_gap

WEIGHT = np.array([[2.0], [1.0], [0.0]])
EXCESS = np.array([[0.5, -1.0], [-0.5, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (1, [1 / 3, 1 / 3]),
        (2, [np.sqrt((0.125 + 0.25) / 3), np.sqrt(0.5 / 3)]),
        (np.inf, [0.5, 0.5]),
    ],
)
def test_norms_by_hand_an_empty_cell_counting_nothing(norm, expected):
    np.testing.assert_allclose(gap_norm(WEIGHT, EXCESS, norm), expected)


def test_the_mean_square_is_the_mean_product_of_two_units():
    random = np.random.default_rng(0)
    weight, excess = random.gamma(1, size=(2, 5)), random.normal(size=(2, 5))

    def pairs(values):
        return values.sum() ** 2 - (values**2).sum()

    slow = sum(
        w.sum() / weight.sum() * pairs(e) / pairs(w) for w, e in zip(weight, excess, strict=True)
    )
    sums = weight, excess, weight**2, excess**2
    ours = mean_square_gap(*(values.sum(axis=1, keepdims=True) for values in sums))
    np.testing.assert_allclose(ours, [slow])


@pytest.mark.parametrize("weight", [1.0, 0.1, 1e-8])
def test_a_unit_by_itself_says_nothing(weight):
    weights, excess = np.array([[weight], [3.0]]), np.array([[0.9 * weight], [2.0]])
    squares = np.array([[weight**2], [3.0]]), np.array([[(0.9 * weight) ** 2], [1.5]])
    expected = 3 * (4 - 1.5) / (9 - 3) / (3 + weight)
    np.testing.assert_allclose(mean_square_gap(weights, excess, *squares), [expected])
