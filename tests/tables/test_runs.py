import pytest

from luce.tables.runs import FEWEST_IN_RUN, columns_of_run, find_runs

N = FEWEST_IN_RUN


def named(prefix, first, end):
    return tuple(f"{prefix}{number}" for number in range(first, end))


def test_runs_start_at_0_or_1_and_have_no_gap():
    names = named("e", 0, N)
    assert find_runs(names) == {f"e0..e{N - 1}": names}
    pixels = named("pixel_", 1, N + 1)
    assert find_runs(pixels) == {f"pixel_1..pixel_{N}": pixels}
    assert find_runs(named("e", 0, N - 1)) == {}
    assert find_runs(named("e", 2, 99)) == {}
    assert find_runs(["e0", *named("e0", 1, 99)]) == {}
    assert find_runs([*names[:5], *names[6:]]) == {}


def test_order_and_other_names_do_not_matter():
    names = [*named("e", 0, N)[::-1], "mass", "e", "e01", "f3", f"e{N + 5}", "7"]
    assert find_runs(names) == {f"e0..e{N - 1}": named("e", 0, N)}
    both = find_runs([*named("a", 0, N), *named("b2_", 1, 99)])
    assert list(both) == [f"a0..a{N - 1}", "b2_1..b2_98"]


def test_numbers_alone_are_a_run():
    assert find_runs(named("", 0, N)) == {f"0..{N - 1}": named("", 0, N)}


@pytest.mark.parametrize("prefix", ["e", "", "a..b", "\n", "é "])
def test_a_runs_name_says_its_columns(prefix):
    for first in (0, 1):
        ((name, columns),) = find_runs(named(prefix, first, 99)).items()
        assert columns_of_run(name) == columns


@pytest.mark.parametrize(
    "name",
    [
        *("e0", "e0..e0", "e0..f3", "e2..e9", "e0..e", "..", "e0..e01", "e0...e3", "e0..e9" * 2),
        *("", "3", "1..1", "e0..e" + "9" * 5000, "e0..e99999999", "0" * 10**6 + ".."),
    ],
)
def test_what_is_no_runs_name(name):
    assert columns_of_run(name) == ()
