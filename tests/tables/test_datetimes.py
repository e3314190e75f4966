from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luce.errors import DataError
from luce.tables import Encoder, describe_columns, encode, feature_names, fit_encoder
from luce.tables.datetimes import DAY, moments
from luce.tables.values import ColumnBlock

NOON = datetime(2024, 2, 29, 12)


def fit(values, kind="datetime"):
    table = pa.table({"x": values})
    return fit_encoder(table, describe_columns(table, ["x"], kinds={"x": kind} if kind else None))


def features(encoder, values):
    return encode(encoder, pa.table({"x": values})).features


def read(values, type=None, first_row=0):
    return moments(ColumnBlock("x", pa.chunked_array([values], type), first_row))


EVERY_TYPE = [
    pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC")
]


@pytest.mark.parametrize("type", [*EVERY_TYPE, pa.date32(), pa.date64()], ids=str)
def test_moments_are_microseconds_whatever_the_type(type):
    days = [date(1969, 12, 31), None, date(2024, 2, 29)]
    values, missing = read(pa.array(days, pa.date32()).cast(pa.timestamp("s")).cast(type))
    assert values[[0, 2]].tolist() == [-DAY, 19782 * DAY]
    assert missing.tolist() == [False, True, False]


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_moments_are_those_of_the_standard_library(moment):
    expected = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    for spelt in (moment, moment.isoformat(), moment.isoformat(" ") + "Z"):
        assert read([spelt])[0].tolist() == [expected]


def test_text_is_iso_8601_with_zones_and_markers():
    text = [
        "2024-02-29",
        " 2024-02-29 12:00 ",
        "2024-02-29T12:00:00.5",
        "2024-02-29T12:00:00.123456789",
        "2024-02-29T14:00:00+02:00",
        "2024-02-29T12:00Z",
        "2024-02-29 07:30:00-0430",
        "NA",
        "",
        None,
    ]
    values, missing = read(text)
    noon = 19782 * DAY + DAY // 2
    assert (values[:7] - noon).tolist() == [-DAY // 2, 0, 500_000, 123_456, 0, 0, 0]
    assert missing.tolist() == [False] * 7 + [True] * 3
    assert read(pa.array(text).dictionary_encode())[0].tolist() == values.tolist()
    assert read(pa.array(text, pa.string_view()))[0].tolist() == values.tolist()
    assert read([None], pa.null())[1].tolist() == [True]


@pytest.mark.parametrize(
    "wrong", ["2024-02-30", "yesterday", "12000-01-01", "29.2.2024", "2024-02-29T25:00Z"]
)
def test_text_that_is_no_date_is_named(wrong):
    with pytest.raises(DataError, match=rf"column 'x', row 13 \(.*'{wrong}' is not a date"):
        read(["2024-02-29", "2024-02-29T12:00Z", wrong, "soon"], first_row=10)


def test_a_date_too_far_away_is_named():
    far = pa.array([0, 2**61], pa.timestamp("s"))
    with pytest.raises(DataError, match=r"row 2 \(.*290,000 years"):
        read(far)
    with pytest.raises(DataError, match=r"row 1 \(.*290,000 years"):
        read(pa.array([-(2**31)], pa.date32()))


@pytest.mark.parametrize("values", [[1.5, 2], [True, False], [[1], [2]]])
def test_a_column_without_dates_is_named(values):
    with pytest.raises(DataError, match=r"'x' has the type .*, which holds no dates"):
        fit(values)


def test_dates_have_the_parts_that_vary():
    week = [date(2024, 3, 4) + timedelta(days=day) for day in range(14)]
    assert fit(week, None).columns[0].parts == ("day of week", "day of year")
    mondays = [date(2024, 3, 4) + timedelta(weeks=each) for each in range(5)]
    assert fit(mondays, None).columns[0].parts == ("day of year",)
    hours = [NOON + timedelta(hours=hour) for hour in range(3)]
    assert fit(hours, None).columns[0].parts == ("time of day",)
    (column,) = fit([NOON, NOON, None], None).columns
    assert (column.parts, column.scale, column.missing_indicator) == ((), 1, True)


def test_elapsed_time_is_standardised():
    days = np.array([3, 0, 10, 1])
    moments = [NOON + timedelta(days=int(day)) for day in days]
    expected = (days - days.mean()) / days.std()
    encoder = fit(moments)
    np.testing.assert_allclose(features(encoder, moments)[:, 0], expected, rtol=1e-5)
    assert feature_names(encoder)[0].unit == "per standard deviation (3.91 days)"


def test_parts_are_points_on_circles():
    moments = [datetime(2023, 1, 2), datetime(2023, 1, 5, 6), datetime(2024, 12, 31, 18)]
    encoder = fit(moments)
    names = [feature.level for feature in feature_names(encoder)]
    assert names == [
        None,
        *("sine of the time of day", "cosine of the time of day"),
        *("sine of the day of week", "cosine of the day of week"),
        *("sine of the day of year", "cosine of the day of year"),
    ]
    found = features(encoder, moments)[:, 1:]
    shares = np.array([[0, 0, 1 / 365], [1 / 4, 3 / 7, 4 / 365], [3 / 4, 1 / 7, 365 / 366]])
    shares[0, 2] = 1 / 365
    np.testing.assert_allclose(found[:, ::2], np.sin(2 * np.pi * shares), atol=1e-6)
    np.testing.assert_allclose(found[:, 1::2], np.cos(2 * np.pi * shares), atol=1e-6)
    assert feature_names(encoder)[3].unit == "per 1 in the sine of the day of week of x (UTC)"


def test_zones_are_compared_as_instants():
    east = timezone(timedelta(hours=9))
    utc = [datetime(2024, 1, day, 12, tzinfo=UTC) for day in (1, 2, 4)]
    encoder = fit(pa.array(utc, pa.timestamp("us", "UTC")))
    tokyo = pa.array([moment.astimezone(east) for moment in utc], pa.timestamp("ms", "Asia/Tokyo"))
    text = [moment.astimezone(east).isoformat() for moment in utc]
    for other in (tokyo, text):
        np.testing.assert_array_equal(features(encoder, other), features(encoder, utc))


def test_missing_is_the_median_and_flagged():
    moments = [datetime(2024, 1, day) for day in (1, 2, 9)]
    encoder = fit([*moments, None])
    found = features(encoder, [None, moments[1]])
    np.testing.assert_array_equal(found[0, :-1], found[1, :-1])
    assert found[:, -1].tolist() == [1, 0]
    assert feature_names(encoder)[-1].what == "missing"
    np.testing.assert_array_equal(*features(fit(moments), [None, moments[1]]))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=5, unique=True))
def test_features_are_finite_over_the_whole_range(ticks):
    values = pa.array(ticks, pa.timestamp("us"))
    encoder = fit(values)
    assert np.isfinite(features(encoder, values)).all()
    assert Encoder(encoder.columns) == encoder


def test_what_is_left_out():
    for values, reason in (
        ([NOON] * 3, "every value is 2024-02-29T12:00:00.000000"),
        (pa.nulls(3, pa.date32()), "every value is missing"),
    ):
        (summary,) = describe_columns(pa.table({"x": values}), ["x"])
        assert (summary.kind, summary.left_out) == ("datetime", reason)
