"""Second moments weighted by class against their twin in float64, and what is refused."""

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference_linear as reference

SHAPES = [
    (1, 1, 1),
    (5, 2, 3),
    (40, 7, 12),
    (33, 8, 13),
    (700, 9, 2),
    (90, 16, 25),
    (513, 17, 26),
    (300, 33, 5),
    (260, 65, 10),
    (70, 130, 37),
]


def problem(n, d, k, real, seed=0):
    random = np.random.default_rng(seed)
    return random.standard_normal((n, d)).astype(real), random.uniform(0, 1, (n, k)).astype(real)


def layouts(array):
    yield array
    wide = np.full((2 * len(array), array.shape[1] + 3), np.nan, array.dtype)
    wide[::2, 1:-2] = array
    wide.flags.writeable = False
    yield wide[::2, 1:-2]
    yield np.ascontiguousarray(array[::-1])[::-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_moments_are_those_of_the_twin_in_every_layout(shape, real):
    _, d, k = shape
    features, weights = problem(*shape, real)
    given = np.random.default_rng(1).standard_normal((k, d, d))
    expected = given.copy()
    reference.second_moments(features, weights, expected)
    sizes = np.zeros((k, d, d))
    reference.second_moments(abs(features), weights, sizes)
    for rows in layouts(features):
        for each in layouts(weights):
            found = given.copy()
            kernels.second_moments(rows, each, found, threads=2)
            bound = 600 * np.finfo(real).eps * sizes + 4 * np.finfo(float).eps * abs(given)
            assert (abs(found - expected) <= bound).all()
            above = np.triu_indices(d, 1)
            np.testing.assert_array_equal(found[:, *above], given[:, *above])


def test_any_number_of_threads_gives_the_same_bits():
    features, weights = problem(2000, 50, 11, np.float32)
    found = []
    for threads in (1, 2, 3, 7):
        moments = np.zeros((11, 50, 50))
        kernels.second_moments(features, weights, moments, threads=threads)
        found.append(moments)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_row_that_is_no_number_reaches_what_it_is_part_of():
    features, weights = problem(40, 20, 3, np.float64)
    features[7, 18] = np.nan
    weights[7, 2] = 0
    moments = np.zeros((3, 20, 20))
    kernels.second_moments(features, weights, moments)
    no_number = np.zeros((20, 20), bool)
    no_number[18, :19] = no_number[19, 18] = True
    for moment in moments:
        np.testing.assert_array_equal(np.isnan(moment), no_number)


@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (4, 3, 0)])
def test_nothing_is_added_of_nothing(shape):
    features, weights = problem(*shape, np.float64)
    moments = np.ones((shape[2], shape[1], shape[1]))
    kernels.second_moments(features, weights, moments)
    assert (moments == 1).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"features": np.ones(4)}, ValueError, "features have shape"),
        ({"weights": np.ones(4)}, ValueError, "weights have shape"),
        ({"weights": np.ones((5, 2))}, ValueError, "weights has shape"),
        ({"weights": np.ones((4, 2), np.float32)}, TypeError, "weights has another dtype"),
        ({"features": np.ones((4, 3), np.int64)}, TypeError, "float32 or float64"),
        ({"features": np.ones((3, 4)).T}, ValueError, "adjacent"),
        ({"weights": np.ones((2, 4)).T}, ValueError, "adjacent"),
        ({"moments": np.ones((2, 3, 3), np.float32)}, TypeError, "moments must be float64"),
        ({"moments": np.ones((2, 3, 4))}, ValueError, "moments have shape"),
        ({"moments": np.ones((2, 3, 6))[..., ::2]}, ValueError, "C-contiguous"),
    ],
)
def test_what_cannot_be_used_is_refused(change, error, message):
    given = {
        "features": np.ones((4, 3)),
        "weights": np.ones((4, 2)),
        "moments": np.zeros((2, 3, 3)),
        **change,
    }
    with pytest.raises(error, match=message):
        kernels.second_moments(*given.values())


def test_moments_apart_from_what_they_are_made_of():
    memory = np.zeros(100)
    with pytest.raises(ValueError, match="overlaps features"):
        kernels.second_moments(
            memory[:12].reshape(4, 3), np.ones((4, 2)), memory[5:23].reshape(2, 3, 3)
        )
