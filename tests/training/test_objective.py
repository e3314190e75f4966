"""Value, gradient and Hessian of the objective against exact differences."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp, mpf

from luce.training import moments as moments_of
from luce.training.moments import centre_of, first_moments
from luce.training.objective import WORTH_SHARING, blocks_of_rows, shared_rows
from luce.training.sample import Sample


def exact_value(objective, parameters):
    """The objective in 50 digits."""
    features = objective.features
    dense = features.toarray() if objective.centre is None else features - objective.centre
    weights = np.ones(len(dense)) if objective.weights is None else objective.weights
    total = mpf(0)
    for row, label, weight in zip(dense, objective.labels, weights, strict=True):
        scores = [
            sum(mpf(float(x)) * mpf(w) for x, w in zip(row, line[:-1], strict=True)) + mpf(line[-1])
            for line in parameters
        ]
        total += mpf(float(weight)) * (mp.log(sum(mp.exp(s) for s in scores)) - scores[label])
    penalty = sum(mpf(w) ** 2 for line in parameters for w in line[:-1])
    return total / len(dense) + mpf(objective.l2) / 2 * penalty


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_value_and_gradient(make, parameters, sparse, weighted, dtype, tolerance):
    objective = make(dtype, sparse, weighted)
    value, gradient = objective.value_and_gradient(parameters)
    with mp.workdps(50):
        exact = parameters.astype(object)
        assert value == pytest.approx(float(exact_value(objective, exact)), rel=tolerance)
        step = mpf(10) ** -20
        for index in np.ndindex(parameters.shape):
            moved = exact.copy()
            moved[index] += step
            slope = (exact_value(objective, moved) - exact_value(objective, exact)) / step
            assert gradient[index] == pytest.approx(float(slope), abs=10 * tolerance)


def test_without_intercept_its_gradient_is_zero(make, parameters):
    objective = make(fit_intercept=False)
    _, gradient = objective.value_and_gradient(parameters)
    assert not gradient[:, -1].any()
    assert gradient[:, :-1].all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("many", [1, 5])
def test_moments(make, weighted, many, monkeypatch):
    monkeypatch.setattr(moments_of, "MANY_CLASSES", many)
    objective = make(weighted=weighted)
    sparse = make(weighted=weighted, sparse=True)
    weights = np.ones(9) if objective.weights is None else objective.weights
    with shared_rows(WORTH_SHARING) as over_rows:
        moments = first_moments(objective)
        uncentred = replace(objective, centre=None)
        np.testing.assert_allclose(
            centre_of(Sample(uncentred, None, None), over_rows),
            np.average(objective.features, axis=0, weights=weights),
        )
        assert centre_of(Sample(objective, None, None), over_rows) is None
        mean = np.average(objective.features - objective.centre, axis=0, weights=weights)
        np.testing.assert_allclose(moments.mean, mean)
        np.testing.assert_allclose(moments.class_frequencies.sum(), 1)
        of_third = objective.labels == 2
        third = (weights * of_third) @ (objective.features - objective.centre) / 9
        np.testing.assert_allclose(moments.class_sums[2], third)
        raw = np.average(objective.features, axis=0, weights=weights)
        np.testing.assert_allclose(first_moments(sparse).mean, raw)


def test_lanes_depend_on_the_shape_alone():
    blocks = blocks_of_rows(100_000, 300)
    assert blocks[0].start == 0
    assert blocks[-1].stop == 100_000
    assert all(a.stop == b.start for a, b in pairwise(blocks))
    with shared_rows(WORTH_SHARING) as over_rows:
        seen = over_rows(lambda lane: np.array([sum(b.stop - b.start for b in lane), 1.0]), blocks)
    np.testing.assert_array_equal(seen, [100_000, 16])
