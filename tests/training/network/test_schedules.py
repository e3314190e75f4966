import numpy as np
import pytest

from luce.errors import DataError
from luce.training.network import Adaptive, Constant, Cosine, InverseScaling


def test_cosine_rises_in_equal_steps_and_falls_along_half_a_wave():
    schedule = Cosine(steps=100, warmup=0.2)
    factors = np.array([schedule.factor(step, 0, 0) for step in range(101)])
    np.testing.assert_allclose(factors[:20], np.arange(1, 21) / 20)
    np.testing.assert_allclose(factors[20:], (1 + np.cos(np.pi * np.arange(81) / 80)) / 2)
    assert schedule.factor(1000, 0, 0) == 0


def test_cosine_without_a_rise_begins_at_the_full_rate():
    assert Cosine(steps=10).factor(0, 0, 0) == 1


def test_cosine_can_begin_later():
    late, early = Cosine(steps=10, warmup=0.3, first=50), Cosine(steps=10, warmup=0.3)
    assert [late.factor(50 + i, 0, 0) for i in range(12)] == [
        early.factor(i, 0, 0) for i in range(12)
    ]


@pytest.mark.parametrize("schedule", [Constant(), InverseScaling(), Adaptive(), Cosine(steps=30)])
def test_every_schedule_begins_at_1_and_never_exceeds_it(schedule):
    assert schedule.factor(0, 0, 0) == 1
    for step in range(100):
        assert 0 <= schedule.factor(step, 20 * step, step // 10) <= 1


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: InverseScaling(-1.0), "power_t"),
        (lambda: Adaptive(epochs=0), "epochs"),
        (lambda: Adaptive(divisor=1.0), "divisor"),
        (lambda: Adaptive(smallest=0.0), "smallest"),
        (lambda: Cosine(steps=0), "steps"),
        (lambda: Cosine(warmup=1.0), "warmup"),
    ],
)
def test_constants_out_of_range_are_refused(make, name):
    with pytest.raises(DataError, match=name):
        make()
