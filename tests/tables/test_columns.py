from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import MISSING_MARKERS, ColumnSummary, describe_columns, types_of_kinds

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"


def describe(values, kind=None):
    table = pa.table({"x": values})
    (summary,) = describe_columns(table, ["x"], kinds={"x": kind} if kind else None)
    return summary


def test_the_shipped_example(read_table):
    table = read_table(PENGUINS)
    names = table.column_names[1:]
    summaries = describe_columns(table, names, kinds={"year": "category"})
    assert [summary.name for summary in summaries] == names
    assert [summary.kind for summary in summaries] == [
        "category",
        *["numeric"] * 4,
        "category",
        "category",
    ]
    assert [summary.missing for summary in summaries] == [0, 2, 2, 2, 2, 11, 0]
    assert [summary.levels for summary in summaries] == [3, None, None, None, None, 2, 3]
    assert all(summary.left_out is None for summary in summaries)


def test_kinds_are_guessed_from_types():
    assert describe([True, False]).kind == "boolean"
    assert describe([1, 2]).kind == "numeric"
    assert describe([1.5, 2]).kind == "numeric"
    assert describe(["a", "b"]).kind == "category"
    assert describe(pa.array([1, 2]).dictionary_encode()).kind == "category"
    assert describe([datetime(2007, 1, 1), None]).kind == "datetime"
    assert describe([datetime(2007, 1, 1).date(), None]).kind == "datetime"
    assert describe([[1, 2], [3, 4]]).kind == "embedding"
    assert describe(pa.array([[(1, 2.0)]], pa.map_(pa.int32(), pa.float32()))).kind == "embedding"


def test_what_is_left_out_and_why():
    n = 20
    assert describe([None] * n).left_out == "every value is missing"
    assert describe([np.nan] * n).left_out == "every value is missing"
    assert describe([3] * n).left_out == "every value is 3"
    assert describe(["a"] * n).left_out == "every value is 'a'"
    assert describe([True] * n).left_out == "every value is 1"
    assert describe(list(range(7, 7 + n))).left_out == "the values number the rows"
    assert describe(list(range(n))[::-1]).left_out == "the values number the rows"
    assert describe([f"id{i}" for i in range(n)]).left_out.startswith("every value is different")
    assert describe([f"id{i}" for i in range(n - 1)]).left_out == "no level has 5 rows or more"
    assert describe(["a", "b"] * 4).left_out == "no level has 5 rows or more"
    assert describe([datetime(2007, 1, 1)] * n).left_out.startswith("every value is 2007-01-01T")
    assert describe([{"a": 1}] * n) == ColumnSummary(
        "x", None, "struct<a: int64>", 0, None, "the type struct<a: int64> cannot be used"
    )


@pytest.mark.parametrize(
    "values",
    [
        list(range(19)),
        [*range(19), 20],
        [*range(18), 19, 19],
        [*range(19), None],
        [i / 1 for i in range(20)],
        [i + 0.5 for i in range(20)],
        [3, None],
        [True, None],
        ["a"] * 5 + [None],
        ["a"] * 5 + [f"id{i}" for i in range(20)],
    ],
)
def test_what_is_kept(values):
    assert describe(values).left_out is None


def test_a_chosen_kind_wins():
    n = 20
    assert describe(list(range(n)), "numeric").left_out is None
    assert describe([str(i) for i in range(n)], "numeric").left_out is None
    assert describe([str(i) for i in range(n)], "numeric").kind == "numeric"
    assert describe([0, 1], "boolean").kind == "boolean"
    year = describe([2007] * 5 + [2008] * 5, "category")
    assert (year.kind, year.levels, year.left_out) == ("category", 2, None)
    assert describe([3] * n, "numeric").left_out == "every value is 3"
    assert describe(list(range(n)), "category").left_out == "no level has 5 rows or more"


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (["1", "2", "three"], "numeric", ["row 3 (", "'three' is not a number"]),
        ([0, 2], "boolean", ["row 2 (", "2 is neither"]),
        ([datetime(2007, 1, 1)], "numeric", ["timestamp[us]"]),
        ([[1.5]], "numeric", ["list<item: double>"]),
        ([[1.5]], "category", ["list<item: double>"]),
        ([[1.5]], "text", ["list<item: double>"]),
        ([1, 2], "datetime", ["int64", "holds no dates"]),
        (["2007-01-01", "soon"], "datetime", ["row 2 (", "'soon' is not a date"]),
        (["a"], "embedding", ["string", "no vector"]),
        ([1, 2], "embedding", ["int64", "no vector"]),
        (["x" * 10**6], "numeric", ["row 1 (", "(1,000,000 characters) is not a number"]),
        ([1.0, np.inf], "numeric", ["row 2 (", "infinite"]),
        ([1], "number", ["'number'", "'numeric', 'boolean', 'category', 'datetime', 'text'"]),
    ],
)
def test_a_kind_that_cannot_be(values, kind, words):
    with pytest.raises(DataError) as caught:
        describe(values, kind)
    for word in ["'x'", *words]:
        assert word in str(caught.value)


def test_dates_as_categories():
    days = [datetime(2007, 1, day).date() for day in (1, 2)] * 5
    summary = describe(days, "category")
    assert (summary.kind, summary.levels, summary.left_out) == ("category", 2, None)


def test_missing_markers_are_the_same_wherever_text_is_parsed():
    for kind, present in (("numeric", "1"), ("boolean", "true"), ("datetime", "2007-01-01")):
        assert describe([*MISSING_MARKERS, present, None], kind).missing == len(MISSING_MARKERS) + 1
    for kind in ("category", "text"):
        assert describe([*MISSING_MARKERS, None], kind).missing == 1


def test_two_columns_of_one_name():
    table = pa.table([[1, 2], [3, 4]], names=["a", "a"])
    with pytest.raises(DataError, match="2 columns 'a': rename"):
        describe_columns(table, ["a"])


def test_unknown_columns():
    table = pa.table({"a": [1, 2], "b": [3, 4]})
    with pytest.raises(DataError, match="given for 'c', not among the columns 'a'"):
        describe_columns(table, ["a"], kinds={"c": "numeric"})
    with pytest.raises(DataError, match="no column 'c'"):
        describe_columns(table, ["a", "c"])


def test_types_of_kinds():
    assert types_of_kinds({"a": "numeric", "b": "boolean", "c": "category"}) == {
        "a": pa.float64(),
        "b": pa.bool_(),
        "c": pa.string(),
    }
    assert types_of_kinds(
        {"d": "datetime", "t": "text", "v": "embedding", "e0..e1": "numeric"}
    ) == {
        "d": pa.string(),
        "t": pa.string(),
        "e0..e1": pa.float64(),
        "e0": pa.float64(),
        "e1": pa.float64(),
    }
    with pytest.raises(DataError, match="column 'a': there is no kind 'date'"):
        types_of_kinds({"a": "date"})


@pytest.mark.parametrize("rest", [[f"{i}.5" for i in range(40)], ["7"] * 3 + ["8", "-9e2"] * 2])
def test_numbers_with_a_bad_cell_among_them_are_named(rest):
    summary = describe([*rest[:2], "abc", None, *rest[2:]])
    assert summary.left_out is not None
    assert f"{len(rest)} of {len(rest) + 1} values are numbers" in summary.left_out
    assert "row 3 has 'abc'" in summary.left_out
