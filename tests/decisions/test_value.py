"""Values with arrays are equal, hashed and shown by what is in them."""

from dataclasses import dataclass

import numpy as np
import pytest

from luce.decisions.value import Value, check_choice, check_count, check_share, frozen, percent
from luce.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Thing(Value):
    numbers: np.ndarray | None = None
    name: str = "thing"


@dataclass(frozen=True, eq=False, repr=False)
class Another(Thing):
    pass


def test_equal_by_shape_and_numbers():
    one = Thing(np.array([1.0, 2.0]))
    assert one == Thing(np.array([1.0, 2.0]))
    assert hash(one) == hash(Thing(np.array([1.0, 2.0])))
    assert len({one, Thing(np.array([1.0, 2.0]))}) == 1
    for other in (
        Thing(np.array([1.0, 3.0])),
        Thing(np.array([[1.0, 2.0]])),
        Thing(),
        Thing(np.array([1.0, 2.0]), "other"),
        Another(np.array([1.0, 2.0])),
    ):
        assert one != other


def test_names_in_arrays_are_compared_as_such():
    assert Thing(np.array(["a", "bc"])) == Thing(np.array(["a", "bc"], dtype="U9"))
    assert Thing(np.array(["a", "b"])) != Thing(np.array(["a", "c"]))


def test_shown_without_what_is_as_usual_and_without_long_arrays():
    assert repr(Thing()) == "Thing()"
    assert repr(Thing(name="a")) == "Thing(name='a')"
    assert repr(Thing(np.arange(3))) == "Thing(numbers=[0, 1, 2])"
    assert repr(Thing(np.ones((40, 50)))) == "Thing(numbers=<40 x 50 of float64>)"


def test_frozen_arrays_are_copies():
    source = np.array([1, 2])
    array = frozen(source, np.float64)
    source[0] = 9
    assert array.tolist() == [1.0, 2.0]
    assert not array.flags.writeable


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
