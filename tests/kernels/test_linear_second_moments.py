"""Second moments weighted by curvature against their twin in float64, and what is refused."""

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference_linear as reference

SHAPES = [
    (1, 1, 2),
    (5, 2, 3),
    (40, 7, 12),
    (33, 8, 13),
    (700, 9, 2),
    (90, 15, 25),
    (513, 16, 26),
    (5000, 33, 4),
    (260, 65, 10),
    (70, 130, 14),
]
CURVATURES = ["classes", "pairs", "all"]


def problem(n, d, k, real, wide=None, seed=0):
    random = np.random.default_rng(seed)
    return {
        "features": random.standard_normal((n, d)).astype(wide or real),
        "weights": random.uniform(0, 1, n),
        "coef": (random.standard_normal((k, d)) / np.sqrt(d)).astype(real),
        "intercept": random.standard_normal(k).astype(real),
        "centre": random.standard_normal(d).astype(real),
    }


def found(module, given, curvature, **options):
    k, d = given["coef"].shape
    count = {"classes": k, "pairs": k * (k - 1) // 2, "all": 1}[curvature]
    random = np.random.default_rng(1)
    moments, class_moments = random.standard_normal((count, d + 1, d + 1)), np.ones((k + 1, k + 1))
    moments += moments.swapaxes(1, 2)
    module.linear_second_moments(
        **given,
        damping=random.uniform(0, 0.1, count),
        moments=moments,
        class_moments=class_moments,
        curvature=curvature,
        **options,
    )
    return moments, class_moments


def layouts(array):
    yield array
    wide = np.full((2 * len(array), array.shape[1] + 3), np.nan, array.dtype)
    wide[::2, 1:-2] = array
    wide.flags.writeable = False
    yield wide[::2, 1:-2]
    yield np.asfortranarray(array)
    yield np.ascontiguousarray(array[::-1])[::-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("curvature", CURVATURES)
@pytest.mark.parametrize(
    ("real", "wide"), [(np.float32, None), (np.float64, None), (np.float64, np.float32)]
)
def test_moments_are_those_of_the_twin_in_every_layout(shape, curvature, real, wide):
    given = problem(*shape, real, wide)
    expected = found(reference, given, curvature)
    largest = [np.abs(given["features"] - given["centre"]).max() ** 2 + 1, 2]
    for rows in layouts(given["features"]):
        answers = found(kernels, {**given, "features": rows}, curvature, threads=2)
        for answer, wanted, size in zip(answers, expected, largest, strict=True):
            bound = 20 * np.finfo(real).eps * size * shape[0] + 4e-15 * np.abs(wanted).max()
            assert np.abs(answer - wanted).max() <= bound
            np.testing.assert_array_equal(answer, answer.swapaxes(-1, -2))


@pytest.mark.parametrize("curvature", CURVATURES)
def test_without_weights_intercept_centre_and_last_feature(curvature):
    given = problem(300, 20, 5, np.float64)
    given |= dict.fromkeys(("weights", "intercept", "centre"))
    for answer, wanted in zip(
        found(kernels, given, curvature, last=0.0),
        found(reference, given, curvature, last=0.0),
        strict=True,
    ):
        np.testing.assert_allclose(answer, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("wanted", ["moments", "class_moments"])
def test_either_moments_alone(wanted):
    given = problem(3000, 20, 5, np.float32)
    both = dict(zip(("moments", "class_moments"), found(kernels, given, "classes"), strict=True))
    random = np.random.default_rng(1)
    start = random.standard_normal((5, 21, 21))
    start += start.swapaxes(1, 2)
    outs = {"moments": start, "class_moments": np.ones((6, 6))}
    outs |= {name: None for name in outs if name != wanted}
    kernels.linear_second_moments(
        **given, damping=random.uniform(0, 0.1, 5), **outs, curvature="classes"
    )
    np.testing.assert_array_equal(outs[wanted], both[wanted])


@pytest.mark.parametrize("curvature", CURVATURES)
def test_any_number_of_threads_gives_the_same_bits(curvature):
    given = problem(9000, 50, 11, np.float32)
    first, *others = (found(kernels, given, curvature, threads=threads) for threads in (1, 2, 3, 7))
    for other in others:
        for one, another in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, another)


def test_a_row_that_is_no_number_reaches_all():
    given = problem(40, 20, 3, np.float64)
    given["features"][7, 18] = np.nan
    moments, class_moments = found(kernels, given, "classes")
    assert np.isnan(moments).all()
    assert np.isnan(class_moments[:-1]).all()


def test_scores_that_overflow_give_no_number():
    given = problem(40, 20, 3, np.float32)
    given["features"] *= 1e37
    assert not np.isfinite(found(kernels, given, "all")[0]).all()


def test_nothing_is_added_of_no_rows():
    given = problem(0, 3, 2, np.float64)
    moments, class_moments = np.ones((1, 4, 4)), np.ones((3, 3))
    kernels.linear_second_moments(
        **given, damping=np.zeros(1), moments=moments, class_moments=class_moments, curvature="all"
    )
    assert (moments == 1).all()
    assert (class_moments == 1).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"features": np.ones(4)}, ValueError, "features have shape"),
        ({"features": np.ones((4, 2))}, ValueError, "features has shape"),
        ({"features": np.ones((4, 3), np.int64)}, TypeError, "float32 or float64"),
        ({"weights": np.ones(5)}, ValueError, "weights has shape"),
        ({"weights": np.ones(4, np.float32)}, TypeError, "weights has another dtype"),
        ({"intercept": np.ones(3)}, ValueError, "intercept has shape"),
        ({"centre": np.ones(2)}, ValueError, "centre has shape"),
        ({"damping": np.ones(3)}, ValueError, "damping has shape"),
        ({"damping": None}, ValueError, "damping is missing"),
        ({"curvature": "none"}, ValueError, "curvature is 'none'"),
        ({"moments": np.ones((2, 4, 4), np.float32)}, TypeError, "moments must be float64"),
        ({"moments": np.ones((2, 4, 5))}, ValueError, r"expected \(2, 4, 4\)"),
        ({"moments": np.ones((2, 4, 8))[..., ::2]}, ValueError, "C-contiguous"),
        ({"class_moments": np.ones((2, 2))}, ValueError, r"expected \(3, 3\)"),
    ],
)
def test_what_cannot_be_used_is_refused(change, error, message):
    given = {
        "features": np.ones((4, 3)),
        "weights": np.ones(4),
        "coef": np.ones((2, 3)),
        "intercept": np.ones(2),
        "damping": np.zeros(2),
        "moments": np.zeros((2, 4, 4)),
        "class_moments": np.zeros((3, 3)),
        "curvature": "classes",
        **change,
    }
    with pytest.raises(error, match=message):
        kernels.linear_second_moments(**given)


def test_moments_apart_from_what_they_are_made_of():
    memory = np.zeros(100)
    given = problem(4, 3, 2, np.float64) | {"features": memory[:12].reshape(4, 3)}
    with pytest.raises(ValueError, match="overlaps features"):
        kernels.linear_second_moments(
            **given,
            damping=np.zeros(2),
            moments=memory[5:37].reshape(2, 4, 4),
            class_moments=None,
            curvature="classes",
        )
