"""Parameters are refused by name."""

import numpy as np
import pytest

from luce.decisions.value import check_choice, check_count, check_share, percent
from luce.errors import DataError


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, np.nan, "0.5", None, True, np.array([0.5])])
def test_a_share_is_between_0_and_1(value):
    check_share("risk", 0.5)
    check_share("risk", np.float32(0.5))
    with pytest.raises(DataError, match=r"risk is .*; expected a number above 0 and below 1"):
        check_share("risk", value)


@pytest.mark.parametrize("value", ["b", 1, ["a"]])
def test_a_choice_is_among_those_listed(value):
    check_choice("score", "a", ("a", None))
    check_choice("score", None, ("a", None))
    with pytest.raises(DataError, match=r"score is .*; expected one of 'a', None"):
        check_choice("score", value, ("a", None))


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None])
def test_a_count_is_an_integer(value):
    check_count("seed", 0)
    check_count("seed", np.int64(7))
    with pytest.raises(DataError, match=r"seed is .*; expected an integer of at least 0"):
        check_count("seed", value)


def test_percent():
    assert [percent(share) for share in (0.95, 1.0, 0.0012345)] == ["95%", "100%", "0.123%"]
