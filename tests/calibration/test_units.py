import subprocess
import sys

import numpy as np
import pytest

from luce.calibration import units
from luce.calibration.units import Units
from luce.errors import DataError


def numbers(parts_of_blocks):
    """The units of all rows in the end."""
    found = np.empty(0, int)
    for part in (part for parts in parts_of_blocks for part in parts):
        if part.moved is not None:
            found = part.moved[found]
        found = np.append(found, part.units)
    return found


def assert_dealt_by_chance(found):
    counts = np.bincount(found, minlength=units.MOST)
    assert counts.size == units.MOST
    mean = len(found) / units.MOST
    assert counts.var() == pytest.approx(mean, rel=0.1)  # as Poisson's


def test_few_rows_are_a_unit_each():
    found = numbers([Units(0).of_rows(units.MOST)])
    np.testing.assert_array_equal(found, np.arange(units.MOST))


def test_more_rows_are_all_dealt_by_chance():
    dealer = Units(0)
    found = numbers([dealer.of_rows(10_000) for _ in range(17)])
    assert_dealt_by_chance(found)
    assert_dealt_by_chance(found[: units.MOST])


MANY = np.arange(units.MOST * 11)


@pytest.mark.parametrize(
    "names",
    [MANY, MANY * 4096, -MANY, np.array([f"patient {i:07}" for i in MANY])],
    ids=["numbers", "multiples", "negative", "texts"],
)
def test_groups_are_dealt_likewise(names):
    dealer = Units(0)
    few = numbers([dealer.of_groups(names[: units.MOST])])
    np.testing.assert_array_equal(few, np.arange(units.MOST))
    dealer = Units(0)
    found = numbers([dealer.of_groups(part) for part in np.array_split(names, 17)])
    assert_dealt_by_chance(found)
    assert_dealt_by_chance(found[: units.MOST])


@pytest.mark.parametrize("kind", [np.int32, np.uint64, str, object])
def test_a_group_keeps_its_unit(kind, monkeypatch):
    monkeypatch.setattr(units, "MOST", 20)
    groups = np.random.default_rng(0).integers(100, size=1000).astype(str).astype(kind)
    dealer = Units(0)
    found = numbers([dealer.of_groups(part) for part in np.array_split(groups, 130)])
    assert found.max() < 20
    for name in np.unique(groups):
        assert len(set(found[groups == name])) == 1
    np.testing.assert_array_equal(found, numbers([Units(1).of_groups(groups)]))


def test_names_are_not_remembered_beyond_the_limit():
    dealer = Units(0)
    for first in range(0, 100_000, 10_000):
        dealer.of_groups(np.arange(first, first + 10_000))
    assert len(dealer._known) <= units.MOST


def test_another_process_deals_alike():
    script = (
        "import numpy as np\n"
        "from luce.calibration import units\n"
        "units.MOST = 5\n"
        "print(units.Units(0).of_groups(np.array([f'p{i}' for i in range(40)])))"
    )
    said = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]


class TestDealt:
    def test_few_are_a_unit_each(self):
        random = np.random.default_rng(0)
        np.testing.assert_array_equal(units.dealt(5, None, 5, random), np.arange(5))
        groups = np.array(["b", "a", "b"])
        np.testing.assert_array_equal(units.dealt(3, groups, 2, random), [1, 0, 1])

    def test_many_are_dealt_by_chance(self):
        unit = units.dealt(100_000, None, 50, np.random.default_rng(0))
        counts = np.bincount(unit, minlength=50)
        assert counts.size == 50
        assert abs(counts - 2000).max() < 5 * np.sqrt(2000)

    def test_groups_stay_whole(self):
        groups = np.random.default_rng(0).integers(1000, size=5000)
        unit = units.dealt(5000, groups, 30, np.random.default_rng(1))
        assert unit.max() == 29
        assert all(np.ptp(unit[groups == group]) == 0 for group in np.unique(groups))

    def test_types_without_an_order(self):
        with pytest.raises(DataError, match="no common order"):
            units.dealt(2, np.array(["a", 1], object), 5, np.random.default_rng(0))
