"""Values with arrays are equal, hashed and shown by what is in them."""

import copy
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from luce.calibration.value import Value, frozen


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


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_are_frozen_too(copied):
    thing = Thing(frozen([1.0, 2.0]))
    again = copied(thing)
    assert again == thing
    with pytest.raises(ValueError, match="read-only"):
        again.numbers[0] = 9


def test_frozen_arrays_are_copies():
    source = np.array([1, 2])
    array = frozen(source, np.float64)
    source[0] = 9
    assert array.tolist() == [1.0, 2.0]
    assert not array.flags.writeable
