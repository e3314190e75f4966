import pyarrow as pa
import pytest

from luce.tables.type_guess import TypeGuess, agree, has_codes, parse

TIME, ZONED = pa.timestamp("us"), pa.timestamp("us", "UTC")


def guess(*blocks, decimal="."):
    guess = TypeGuess(decimal=decimal)
    for block in blocks:
        guess.see(pa.chunked_array([pa.array(block, pa.string())]))
    return guess.survivors[0]


@pytest.mark.parametrize(
    ("values", "type"),
    [
        (["1", "-2", "0", "-0"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["0", "0.5", "-0"], pa.float64()),
        (["1e5", ".5", "-inf"], pa.float64()),
        (["1", "x"], pa.string()),
        (["1 2"], pa.string()),
        (["00123", "4"], pa.string()),
        (["4", "00"], pa.string()),
        (["0x1F", "4"], pa.string()),
        (["9223372036854775807"], pa.int64()),
        (["9223372036854775808"], pa.string()),
        (["1.5", "12345678901234567890"], pa.string()),
        (["12345678901234567.5"], pa.float64()),
        (["true", "False"], pa.bool_()),
        (["true", "1"], pa.bool_()),
        (["1", "true"], pa.bool_()),
        (["true", "yes"], pa.string()),
        (["2007-11-30", "2007-12-01"], pa.date32()),
        (["2007-11-31"], pa.string()),
        (["2007-11-30", "2007-11-30 12:00"], TIME),
        (["2007-11-30T12:00:00.123456"], TIME),
        (["2007-11-30T12:00:00Z", "2007-11-30T12:00:00+02:00"], ZONED),
        (["2007-11-30T12:00:00Z", "2007-11-30T12:00:00"], pa.string()),
        (["30.11.2007"], pa.string()),
        (["11/30/2007"], pa.string()),
        (["12:30:00"], pa.string()),
        (["1,5"], pa.string()),
        ([None, None], pa.null()),
        ([], pa.null()),
    ],
)
def test_the_narrowest_type_of_all_values_in_any_order_and_in_any_blocks(values, type):
    assert guess(values) == type
    assert guess(values[::-1]) == type
    assert guess(*([value] for value in values)) == type
    assert guess([None], values, [None]) == type


def test_decimal_commas():
    assert guess(["1,5", "2"], decimal=",") == pa.float64()
    assert guess(["1,5", "2.5"], decimal=",") == pa.string()
    assert parse(pa.chunked_array([["1,5"]]), pa.float64(), ",").to_pylist() == [1.5]


def test_codes_are_found_in_slices_and_among_empty_values():
    text = pa.array(["x", "", "07", None, "0", "a"])
    assert has_codes(text)
    assert has_codes(text[1:4])
    assert not has_codes(text[3:])
    assert not has_codes(text[:0])
    assert not has_codes(pa.array([None, None], pa.string()))


def test_types_that_agree():
    integer, number = (pa.int64(), pa.float64(), pa.string()), (pa.float64(), pa.string())
    assert agree(integer, number) == (pa.float64(), pa.string())
    assert agree((pa.int16(),), (pa.int64(),)) == (pa.int64(),)
    assert agree((pa.null(),), (pa.string(),)) == (pa.string(),)
    assert agree((pa.string(),), (pa.int64(),)) == ()
