"""`__all__` is exact: what it lists is there, and what is there it lists."""

from types import ModuleType

import pytest

import luce


def own_names(room: ModuleType) -> set[str]:
    """Public names of a room that were made in the room itself, rather than imported into it."""
    return {
        name
        for name, value in vars(room).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and f"{getattr(value, '__module__', '')}.".startswith(f"{room.__name__}.")
    }


def problems(room: ModuleType) -> list[str]:
    listed = getattr(room, "__all__", None)
    if listed is None:
        return [f"{room.__name__} has no __all__"]
    return [
        *(f"{room.__name__}.{name} is not in __all__" for name in own_names(room) - set(listed)),
        *(f"{room.__name__}.{name} does not exist" for name in listed if not hasattr(room, name)),
        *(f"{room.__name__}.{name} is listed twice" for name in listed if listed.count(name) > 1),
    ]


def test_every_room_lists_its_public_names(rooms):
    found = [problem for room in rooms for problem in problems(room)]
    assert not found, "\n".join(found)


def test_the_package_lists_its_public_names():
    public = {
        name
        for name in dir(luce)
        if not name.startswith("_")
        and (name in luce.__all__ or not isinstance(getattr(luce, name), ModuleType))
    }
    assert {name for name in luce.__all__ if not name.startswith("_")} == public
    assert len(luce.__all__) == len(set(luce.__all__))


@pytest.mark.parametrize("name", luce.__all__)
def test_every_listed_name_resolves(name):
    assert getattr(luce, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="softmaxx"):
        _ = luce.softmaxx


def test_a_name_left_out_and_a_name_too_many_are_found():
    room = ModuleType("room")
    exec("def kept(): ...\ndef forgotten(): ...\nfrom pathlib import Path", vars(room))
    room.__all__ = ["kept", "absent", "kept"]
    assert sorted(set(problems(room))) == [
        "room.absent does not exist",
        "room.forgotten is not in __all__",
        "room.kept is listed twice",
    ]
