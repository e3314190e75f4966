from math import inf, nan

import pytest

from luce.training.network import Adaptive, Constant
from luce.training.network.stopping import Judge, Patience


def epochs_until_over(judge, scores):
    now = Patience()
    for epoch, score in enumerate(scores, start=1):
        now = judge.after(now, score)
        if judge.is_over(now):
            return epoch
    return None


@pytest.mark.parametrize(
    ("patience", "scores", "epochs"),
    [
        (2, [0.0, 1.0, 1.0, 1.0, 1.0, 9.0], 5),
        (2, [0.0, 1.0, 1.05, 1.0, 2.0, 2.0, 2.0, 2.0], 8),
        (2, [0.0, nan, nan, nan], 4),
        (2, [nan, nan, nan], 3),
        (2, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], None),
        (inf, [0.0] * 99, None),
    ],
)
def test_more_than_patience_successive_epochs_without_a_rise_are_the_end(patience, scores, epochs):
    judge = Judge(0.1, patience, Constant(), 0.01)
    assert epochs_until_over(judge, scores) == epochs


def test_small_rises_do_not_add_up_but_move_the_best():
    judge = Judge(0.1, 3, Constant(), 0.01)
    assert epochs_until_over(judge, [0.0, 0.06, 0.12, 0.18, 0.24]) == 5


def test_a_plateau_divides_the_rate_until_it_is_the_smallest():
    judge = Judge(0.1, 0, Adaptive(epochs=2, divisor=10.0, smallest=0.01), 1.0)
    now, plateaus = Patience(), []
    for _ in range(7):
        now = judge.after(now, 0.0)
        plateaus.append((now.plateaus, now.waited, judge.is_over(now)))
    assert plateaus == [
        (0, 0, False),
        (0, 1, False),
        (1, 0, False),
        (1, 1, False),
        (2, 0, False),
        (2, 1, False),
        (2, 2, True),
    ]


def test_scores_of_another_kind_begin_anew_at_the_same_rate():
    before = Patience(best=0.9, waited=3, plateaus=2, of_validation=True)
    assert before.going_on(of_validation=True) == before
    assert before.going_on(of_validation=False) == Patience(plateaus=2)
