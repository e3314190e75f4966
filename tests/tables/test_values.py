import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables.values import (
    BLANKS,
    MISSING_MARKERS,
    ColumnBlock,
    casts,
    column_block,
    first_bad,
    is_usable,
    levels,
    listing,
    may_have_blanks,
    numbers,
    quoted,
    shortened,
    truths,
    without_markers,
)

INTEGERS = [getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
DECIMALS = [pa.decimal128(5, 2), pa.decimal256(5, 2)]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
UNUSABLE = [pa.time32("s"), pa.duration("s"), pa.list_(pa.int8()), pa.struct({"a": pa.int8()})]


def block(values, type=None, first_row=0):
    return ColumnBlock("x", pa.chunked_array([values], type), first_row)


def dictionary(values, value_type):
    kinds = pa.array([values[0], values[2]], value_type)
    array = pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), kinds)
    return ColumnBlock("x", pa.chunked_array([array, array]))


@pytest.mark.parametrize("type", [*INTEGERS, *FLOATS, *DECIMALS], ids=str)
def test_numbers_of_every_width(type):
    one, two = (Decimal(1), Decimal(2)) if type in DECIMALS else (1, 2)
    values = block([one, None, two], type)
    np.testing.assert_array_equal(numbers(values), [1, np.nan, 2])
    assert numbers(values).dtype == np.float64
    encoded = ColumnBlock("x", values.values.dictionary_encode())
    np.testing.assert_array_equal(numbers(encoded), [1, np.nan, 2])


def test_numbers_of_text_nulls_truths_and_nan():
    for type in TEXTS:
        values = block([" 1.5", "NA", "-2e3 ", "", None], type)
        np.testing.assert_array_equal(numbers(values), [1.5, np.nan, -2000, np.nan, np.nan])
    np.testing.assert_array_equal(numbers(block([True, None, False])), [1, np.nan, 0])
    np.testing.assert_array_equal(numbers(block([None], pa.null())), [np.nan])
    np.testing.assert_array_equal(numbers(block([np.nan, 1.0])), [np.nan, 1])
    np.testing.assert_array_equal(numbers(block([2**64 - 1], pa.uint64())), [2.0**64])


@pytest.mark.parametrize("type", TEXTS, ids=str)
def test_dictionaries_of_text_in_chunks(type):
    assert levels(dictionary(["b", None, "a"], type)).to_pylist() == ["b", None, "a"] * 2
    np.testing.assert_array_equal(numbers(dictionary(["1", None, "2"], type)), [1, np.nan, 2] * 2)


def test_truths():
    for values in ([True, None, False], [1, None, 0], [1.0, np.nan, 0.0], ["TRUE", "NA", "0"]):
        np.testing.assert_array_equal(truths(block(values)), [1, np.nan, 0])


@pytest.mark.parametrize(
    ("read", "values", "words"),
    [
        (numbers, ["1", "two", "x"], ["row 12 (", "'two' is not a number"]),
        (numbers, [1.0, 2.0, -np.inf], ["row 13 (", "infinite"]),
        (numbers, ["1", "inf"], ["row 12 (", "infinite"]),
        (truths, ["true", "yes"], ["row 12 (", "'yes' is not true or false"]),
        (truths, [0, 1, 2], ["row 13 (", "2 is neither"]),
        (truths, [0, 1, np.inf], ["row 13 (", "inf is neither"]),
    ],
)
def test_a_value_that_cannot_be_read_is_named(read, values, words):
    with pytest.raises(DataError) as caught:
        read(block(values, first_row=10))
    for word in ["column 'x'", *words]:
        assert word in str(caught.value)


def test_levels_do_not_depend_on_how_a_level_is_stored():
    for type in [*INTEGERS, *FLOATS, *TEXTS]:
        text = type in TEXTS
        values = ["7", None, "12"] if text else [7, None, 12]
        assert levels(block(values, type)).to_pylist() == ["7", None, "12"]
    assert levels(block([True, None])).to_pylist() == ["true", None]
    assert levels(block([0.1, np.nan], pa.float32())).to_pylist() == ["0.1", None]


def test_large_whole_numbers_are_spelt_alike():
    whole = [10**10, -(10**15), 2**53 - 1, 0]
    expected = [str(number) for number in whole]
    assert levels(block(whole, pa.int64())).to_pylist() == expected
    assert levels(block(whole, pa.float64())).to_pylist() == expected
    assert levels(block([1e300, -0.0, 1e10, 0.5])).to_pylist() == [
        "1e+300",
        "0",
        expected[0],
        "0.5",
    ]
    assert levels(block([1e10], pa.float32())).to_pylist() == expected[:1]


def test_dates_are_levels():
    assert levels(block([19723, None], pa.date32())).to_pylist() == ["2024-01-01", None]
    with pytest.raises(DataError, match=r"date32.*cannot be used like this"):
        numbers(block([1], pa.date32()))


def test_rows_that_were_chosen_keep_their_numbers():
    table = pa.table({"x": [1, 2, 3, 4]})
    chosen = column_block(table, "x", 10, rows=np.array([False, True, False, True]))
    assert chosen.values.to_pylist() == [2, 4]
    assert [chosen.row_number(row) for row in (0, 1)] == [12, 14]
    assert chosen.slice(1, 5).row_number(0) == 14
    assert column_block(table, "x", 10).slice(1, 2).row_number(0) == 12


@pytest.mark.parametrize("type", UNUSABLE, ids=str)
def test_a_type_that_cannot_be_used_is_named(type):
    assert not is_usable(type)
    for read in (numbers, truths, levels):
        with pytest.raises(DataError, match="cannot be used like this") as caught:
            read(block([None], type))
        assert str(type) in str(caught.value)


def test_a_column_is_found_by_its_name_alone():
    table = pa.table([[1], [2], [3]], names=["a", "b", "a"])
    assert column_block(table, "b", 5) == ColumnBlock("b", table.column(1), 5)
    with pytest.raises(DataError, match="no column 'c'; its columns are 'a', 'b', 'a'"):
        column_block(table, "c")
    with pytest.raises(DataError, match="2 columns 'a'"):
        column_block(table, "a")


def test_white_space_is_that_of_unicode():
    white = {character for character in map(chr, range(sys.maxunicode)) if character.isspace()}
    assert {*BLANKS} == white - {*"\n\r\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029"}


def test_blanks_around_markers_and_text_are_nothing():
    values = ["a b", " c", "NA\t", "\u3000d\u00a0", "NA\n", None, "e"]
    for type in (pa.string(), pa.large_string()):
        text = pa.chunked_array([pa.array(values, type)])
        expected = ["a b", "c", None, "d", "NA\n", None, "e"]
        assert without_markers(text).equals(pa.chunked_array([pa.array(expected, type)]))
        whole = pa.array(["x", "", None, "y z"] * 2 + values, type)
        assert may_have_blanks(whole)
        assert not may_have_blanks(whole[:8])
        assert [may_have_blanks(whole[row : row + 1]) for row in (9, 10, 11, 12, 14)] == [
            *([True] * 4),
            False,
        ]
        assert not may_have_blanks(whole[:0])
        assert not may_have_blanks(pa.array([None, ""], type))


@pytest.mark.parametrize("marker", MISSING_MARKERS)
@pytest.mark.parametrize("type", [pa.string(), pa.large_string()], ids=str)
def test_markers_are_missing_in_text_and_dictionaries_of_it(marker, type):
    values = ["much too long", "b", marker, None, f" {marker}\t", "b ", "a", f"{marker}."]
    expected = ["much too long", "b", None, None, None, "b", "a", f"{marker}."]
    text = pa.chunked_array([["x", *values[:2]], [], values[2:]], type)[1:]
    known = pa.DictionaryArray.from_arrays(
        pa.array([1, 2, None, 3, 3], pa.int8()),
        pa.array(["not in any row", marker, "a ", None], type),
        ordered=True,
    )
    many = pa.DictionaryArray.from_arrays(
        pa.array([2, None, 0]), pa.array(["x", "y", marker], type)
    )
    for found, wanted in (
        (text, expected),
        (text.dictionary_encode(), expected),
        (pa.chunked_array([many[:2], many[:0], many[2:]]), [None, None, "x"]),
        (pa.chunked_array([known, known[1:]]), [None, "a", *[None] * 3, "a", *[None] * 3]),
    ):
        clean = without_markers(found)
        clean.validate(full=True)
        assert clean.type == found.type
        assert clean.null_count == wanted.count(None)
        assert clean.to_pylist() == wanted


def test_what_has_no_marker_is_not_copied():
    text = pa.array(["long enough", None, "short"])
    for values in (text, text.dictionary_encode(), pa.array([1.5, None]), pa.array([["NA"]])):
        (clean,) = without_markers(pa.chunked_array([values])).chunks
        for own, found in zip(values.buffers(), clean.buffers(), strict=True):
            assert (own and own.address) == (found and found.address)


@given(st.lists(st.booleans(), max_size=40))
def test_the_first_bad_row(wrong):
    asked = []

    def fit(start, stop):
        asked.append((start, stop))
        return not any(wrong[start:stop])

    first = wrong.index(True) if any(wrong) else len(wrong)
    assert first_bad(len(wrong), fit) == first
    assert len(asked) <= len(wrong).bit_length()
    text = pa.chunked_array([pa.array(["x" if bad else "1" for bad in wrong], pa.string())])
    assert first_bad(len(text), casts(text, pa.float64())) == first


def test_long_values_are_shortened():
    assert quoted("a'b\n") == repr("a'b\n")
    assert quoted(1.5) == "1.5"
    assert quoted("x" * 10**6) == f"'{'x' * 60}'... (1,000,000 characters)"
    assert shortened("x" * 10**6) == f"{'x' * 60}... (1,000,000 characters)"
    assert shortened("x" * 60) == "x" * 60
    assert len(listing(["x" * 10**6] * 30)) < 2100


def test_listing_is_short():
    assert listing("ab") == "'a', 'b'"
    assert listing("abc", at_most=2) == "'a', 'b' and 1 more"
