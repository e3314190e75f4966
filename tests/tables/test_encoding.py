import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from luce.errors import DataError
from luce.tables import (
    BooleanColumn,
    CategoryColumn,
    Encoder,
    FeatureName,
    NumericColumn,
    describe_columns,
    encode,
    feature_names,
    fit_encoder,
    read_types,
    width,
)
from luce.tables.assembly import BLOCK_ROWS
from luce.tables.category import MOST_LEVELS

PENGUINS = Path(__file__).parents[2] / "examples" / "penguins.csv"


def fit(table, **kinds):
    return fit_encoder(table, describe_columns(table, table.column_names, kinds=kinds))


@pytest.fixture(scope="module")
def penguins(read_table):
    return read_table(PENGUINS)


def test_the_shipped_example(penguins):
    encoder = fit(penguins.drop_columns("species"), year="category")
    features, unseen = (encoded := encode(encoder, penguins)).features, encoded.unseen
    assert features.shape == (344, 3 + 4 * 2 + 3 + 3)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    assert not unseen
    names = feature_names(encoder)
    assert len(names) == features.shape[1]
    assert names[0] == FeatureName("island", "level", "Biscoe", "when island = Biscoe")
    unit = "per standard deviation (5.44)"
    assert names[3] == FeatureName("bill_length_mm", "value", None, unit)
    assert names[4] == FeatureName(
        "bill_length_mm", "missing", None, "when bill_length_mm is missing"
    )
    assert names[-1].unit == "when year = 2009"
    for place, name in enumerate(names):
        if name.what == "level":
            spelt = [str(value) for value in penguins[name.column].to_pylist()]
            np.testing.assert_array_equal(features[:, place], np.equal(spelt, name.level))
        if name.what == "missing":
            missing = penguins[name.column].is_null().to_numpy()
            np.testing.assert_array_equal(features[:, place], missing)


FINITE = st.floats(-1e6, 1e6, width=32)


@given(values=st.lists(st.one_of(FINITE, st.none()), min_size=2, max_size=60))
def test_numeric_agrees_with_scikit_learn(values):
    present = [value for value in values if value is not None]
    if len(set(present)) < 2:
        return
    table = pa.table({"x": pa.array(values, pa.float64())})
    encoder = fit(table)
    matrix = np.array(values, float)[:, None]
    imputed = SimpleImputer(strategy="median", add_indicator=True).fit_transform(matrix)
    scaler = StandardScaler().fit(imputed[:, :1])
    (column,) = encoder.columns
    assert column.median == np.median(present)
    np.testing.assert_allclose(column.mean, scaler.mean_[0], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(column.scale, scaler.scale_[0], rtol=1e-9)
    expected = np.column_stack([scaler.transform(imputed[:, :1]), imputed[:, 1:]])
    np.testing.assert_allclose(encode(encoder, table).features, expected, rtol=1e-5, atol=1e-6)


LEVELS = st.sampled_from(["a", "b", "c", "d", "é", "", "10", "9"])


@given(train=st.lists(LEVELS, min_size=10, max_size=80), new=st.lists(LEVELS, min_size=1))
def test_category_agrees_with_scikit_learn(train, new):
    table = pa.table({"x": train})
    if describe_columns(table, ["x"])[0].left_out:
        return
    reference = OneHotEncoder(
        min_frequency=5, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(np.array(train, object)[:, None])
    encoder = fit(table)
    for rows in (train, new):
        expected = reference.transform(np.array(rows, object)[:, None])
        encoded = encode(encoder, pa.table({"x": rows}))
        np.testing.assert_array_equal(encoded.features, expected)
        unseen = sum(row not in train for row in rows)
        assert encoded.unseen == ({"x": unseen} if unseen else {})


def test_missing_categories_have_a_feature_if_training_had_them():
    with_missing = fit(pa.table({"x": ["a"] * 5 + ["b"] * 5 + [None]}))
    without = fit(pa.table({"x": ["a"] * 5 + ["b"] * 5}))
    with_rare = fit(pa.table({"x": ["a"] * 5 + ["b"]}))
    rows = pa.table({"x": [None, "a", "z"]})
    encoded = encode(with_missing, rows)
    np.testing.assert_array_equal(encoded.features, [[0, 0, 1], [1, 0, 0], [0, 0, 0]])
    assert encoded.unseen == {"x": 1}
    encoded = encode(without, rows)
    np.testing.assert_array_equal(encoded.features, [[0, 0], [1, 0], [0, 0]])
    assert encoded.unseen == {"x": 2}
    encoded = encode(with_rare, rows)
    np.testing.assert_array_equal(encoded.features, [[0, 1], [1, 0], [0, 1]])
    assert encoded.unseen == {"x": 2}
    assert feature_names(with_rare)[1] == FeatureName(
        "x", "rare", None, "when x is one of 1 rare levels, or was never seen"
    )


def test_the_most_frequent_levels_are_kept():
    many = [f"{i:03}" for i in range(MOST_LEVELS + 10)]
    (column,) = fit(pa.table({"x": many * 5 + many[10:]})).columns
    assert column.levels == tuple(many[10:])
    assert column.rare == tuple(many[:10])
    (column,) = fit(pa.table({"x": many[::-1] * 5})).columns
    assert column.rare == tuple(many[MOST_LEVELS:])


def test_unseen_levels_are_counted_over_the_whole_table():
    encoder = fit(pa.table({"x": ["a", "b"] * 5}))
    assert encode(encoder, pa.table({"x": ["z"] * 3 * BLOCK_ROWS})).unseen == {"x": 3 * BLOCK_ROWS}


def test_boolean():
    encoder = fit(pa.table({"x": [True, False, None, True]}))
    assert encoder.columns == (
        BooleanColumn(name="x", type="bool", most_frequent=True, missing_indicator=True),
    )
    encoded = encode(encoder, pa.table({"x": [None, 0, 1]}))
    np.testing.assert_array_equal(encoded.features, [[1, 1], [0, 0], [1, 0]])
    assert [name.unit for name in feature_names(encoder)] == ["when x is true", "when x is missing"]
    assert not fit(pa.table({"x": [True, False]})).columns[0].most_frequent


def test_missing_where_training_had_none_is_the_median():
    encoder = fit(pa.table({"x": [1.0, 2.0, 6.0]}))
    features = encode(encoder, pa.table({"x": [None, 2.0]})).features
    assert features.shape == (2, 1)
    assert features[0] == features[1] == np.float32((2 - 3) / encoder.columns[0].scale)


def test_the_only_value_beside_missing_ones():
    encoder = fit(pa.table({"x": [3.0, None, 3.0]}))
    assert encoder.columns[0].scale == 1
    np.testing.assert_array_equal(
        encode(encoder, pa.table({"x": [3.0, None, 4.0]})).features, [[0, 0], [0, 1], [1, 0]]
    )


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1.0, 1e200, 8e307])
def test_magnitudes_of_every_size(size):
    values = np.array([-1.0, 0.0, 1.0, 1.0]) * size
    (column,) = fit(table := pa.table({"x": values})).columns
    assert np.isfinite([column.median, column.mean, column.scale]).all()
    features = encode(Encoder((column,)), table).features
    if size > 1e-300:
        np.testing.assert_allclose(
            features[:, 0], (np.array([-1, 0, 1, 1]) - 0.25) / np.sqrt(0.6875), rtol=1e-6
        )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_features_are_finite_or_the_value_is_named(values):
    table = pa.table({"x": values})
    if describe_columns(table, ["x"])[0].left_out:
        return
    encoder = fit(table)
    try:
        features = encode(encoder, table).features
    except DataError as error:
        assert "too far" in str(error)  # noqa: PT017
        assert max(values) - min(values) > 1e308
    else:
        assert np.isfinite(features).all()


def test_a_value_without_a_feature_is_named_with_its_row():
    table = pa.table({"x": [0.0, 1.0] * BLOCK_ROWS})
    encoder = fit(table)
    row = BLOCK_ROWS + 3
    for value, word in ((np.inf, "infinite"), (1e300, "1e\\+300 is too far")):
        values = np.zeros(2 * BLOCK_ROWS)
        values[row] = value
        with pytest.raises(DataError, match=rf"column 'x', row {row + 1} \(.*{word}"):
            encode(encoder, pa.table({"x": values}))


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.default_rng(0)
    n = 3 * BLOCK_ROWS + 17
    number = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    level = rng.choice(["a", "b", "c", None], n)
    truth = rng.random(n) < 0.5
    return pa.table({"number": number, "level": level.tolist(), "truth": truth})


@given(rows=st.lists(st.integers(0, 3 * BLOCK_ROWS + 16), min_size=1, max_size=20))
def test_each_row_is_encoded_by_itself(mixed, rows):
    encoder = fit(mixed)
    whole = encode(encoder, mixed).features
    np.testing.assert_array_equal(encode(encoder, mixed.take(rows)).features, whole[rows])


def test_chunks_column_order_and_other_columns_do_not_matter(mixed):
    encoder = fit(mixed)
    whole = encode(encoder, mixed)
    pieces = pa.concat_tables([mixed.slice(0, 5), mixed.slice(5, 9000), mixed.slice(9005)])
    pieces = pieces.select(["truth", "number", "level"]).append_column("other", mixed["truth"])
    np.testing.assert_array_equal(encode(encoder, pieces).features, whole.features)


def test_a_level_is_found_however_it_is_stored():
    years = [2007] * 6 + [2008] * 5
    encoder = fit(pa.table({"x": years}), x="category")
    expected = np.repeat(np.eye(2), [6, 5], axis=0)
    text = pa.array([str(year) for year in years])
    for values in (
        pa.array(years, pa.int16()),
        pa.array(years, pa.float64()),
        text,
        text.cast(pa.string_view()),
        text.cast(pa.large_string()),
        text.dictionary_encode(),
        pa.array(years).dictionary_encode(),
    ):
        encoded = encode(encoder, pa.table({"x": values}))
        np.testing.assert_array_equal(encoded.features, expected)
        assert not encoded.unseen


def test_each_kind_is_fitted(mixed):
    assert [type(column) for column in fit(mixed).columns] == [
        NumericColumn,
        CategoryColumn,
        BooleanColumn,
    ]


def test_read_types_read_the_same_column_from_another_file(read_table, tmp_path):
    (tmp_path / "one.csv").write_text("year,id,ok\n" + "2007,1,true\n2008,2,false\n" * 5)
    encoder = fit(read_table(tmp_path / "one.csv"), id="category")
    types = read_types(encoder)
    assert types == {"year": pa.float64(), "id": pa.string(), "ok": pa.bool_()}
    (tmp_path / "two.csv").write_text("year,id,ok\n2007.5,2,1\nNA,x,NA\n")
    table = read_table(tmp_path / "two.csv", types=types)
    encoded = encode(encoder, table)
    np.testing.assert_array_equal(encoded.features, [[0, 0, 1, 1], [0, 0, 0, 0]])
    assert encoded.unseen == {"id": 1}


def test_a_level_is_spelt_as_in_csv_and_as_short_as_possible_elsewhere(read_table, tmp_path):
    (tmp_path / "whole.csv").write_text("v,id\n" + "1,a\n2,b\n" * 5)
    encoder = fit(read_table(tmp_path / "whole.csv", types={"v": pa.string()}), v="category")
    (tmp_path / "spelt.csv").write_text("v,id\n1.0,a\n01,b\n")
    (tmp_path / "numbers.jsonl").write_text('{"v": 1.0, "id": "a"}\n{"v": 1, "id": "b"}\n')
    pa_parquet.write_table(pa.table({"v": [1, 1], "id": ["a", "b"]}), tmp_path / "whole.parquet")
    pa_parquet.write_table(pa.table({"v": [1.0, 1], "id": ["a", "b"]}), tmp_path / "float.parquet")
    for name, unseen in {
        "spelt.csv": {"v": 2},
        "numbers.jsonl": {},
        "whole.parquet": {},
        "float.parquet": {},
    }.items():
        table = read_table(tmp_path / name, types=read_types(encoder))
        assert encode(encoder, table).unseen == unseen


def test_only_some_rows_are_learnt_from(mixed):
    rows = np.random.default_rng(1).random(mixed.num_rows) < 0.3
    table = mixed.append_column("text", pa.array(["word one", "two words"] * 12296 + ["x"]))
    kinds = {"text": "text"}
    summaries = describe_columns(table, table.column_names, kinds=kinds, rows=rows)
    some = table.filter(pa.array(rows))
    assert summaries == describe_columns(some, table.column_names, kinds=kinds)
    assert fit_encoder(table, summaries, rows=rows) == fit_encoder(some, summaries)


def test_rows_are_named_as_in_the_whole_table():
    table = pa.table({"x": [1.0, np.inf, 2.0, 3.0, np.inf]})
    rows = np.array([True, False, True, False, True])
    with pytest.raises(DataError, match=r"row 5 \("):
        describe_columns(table, ["x"], rows=rows)
    table = pa.table({"x": ["1", "a", "2", "b", "c"]})
    with pytest.raises(DataError, match=r"row 5 \(.*'c' is not a number"):
        describe_columns(table, ["x"], kinds={"x": "numeric"}, rows=rows)


def test_names_are_made_when_they_are_asked_for():
    encoder = fit(pa.table({"a": [1.0, None, 2.0], "b": [True, False, True], "c": [3, 4, 6]}))
    names = feature_names(encoder)
    assert len(names) == 4 == width(encoder)
    assert [name.column for name in names] == ["a", "a", "b", "c"]
    assert names[-1] == names[3] == names[np.int64(3)] == list(names)[3]
    assert names[1:3] == (names[1], names[2])
    with pytest.raises(IndexError):
        names[4]


HOSTILE = {
    "newline": "two\nlines",
    "quote": "a 'quoted', \"name\"",
    "emoji": "🐧🇮🇹",
    "markup": "[bold]x[/]",
    "megabyte": "é" * 1_000_000,
}


@pytest.mark.parametrize("level", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_level_may_hold_anything(level):
    table = pa.table({"x": [level, "plain", None] * 5})
    encoder = fit(table)
    encoded = encode(encoder, pa.table({"x": [level, level + "!", "plain"]}))
    np.testing.assert_array_equal(encoded.features.sum(axis=1), [1, 0, 1])
    assert encoded.unseen == {"x": 1}
    names = [name for name in feature_names(encoder) if name.level == level]
    assert len(names) == 1
    assert len(names[0].unit) < 100
    assert names[0].unit.startswith(f"when x = {level[:20]}")
    with pytest.raises(DataError) as caught:
        encode(fit(pa.table({"x": [1.0, 2.0]})), table)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_column_may_be_called_anything(name):
    table = pa.table({name: [1.0, None, 2.0]})
    encoder = fit(table)
    assert encode(encoder, table).features.shape == (3, 2)
    assert len(feature_names(encoder)[1].unit) < 120
    with pytest.raises(DataError) as caught:
        encode(encoder, pa.table({"y": [1]}))
    assert len(str(caught.value)) < 300


def test_many_columns_are_quick():
    random = np.random.default_rng(0)
    table = pa.table({f"x{i}y": random.normal(size=20) for i in range(8_000)})
    names = table.column_names
    began = time.process_time()
    summaries = describe_columns(table, names, kinds=dict.fromkeys(names, "numeric"))
    encoder = fit_encoder(table, summaries)
    assert encode(encoder, table).features.shape == (20, 8_000)
    assert feature_names(encoder)[7_999].column == "x7999y"
    assert time.process_time() - began < 6


def test_many_levels_are_quick():
    levels = [f"level {i}" for i in range(100_000)]
    table = pa.table({"x": levels + levels[:50] * 5})
    began = time.process_time()
    encoder = fit(table)
    (column,) = encoder.columns
    assert (len(column.levels), len(column.rare)) == (50, 99_950)
    few = table.slice(40, 20)
    for _ in range(500):
        encode(encoder, few)
    assert time.process_time() - began < 3


def test_tables_that_do_not_fit_the_encoder():
    encoder = fit(pa.table({"x": [1.0, 2.0]}))
    with pytest.raises(DataError, match="no column 'x'; its columns are 'y'"):
        encode(encoder, pa.table({"y": [1.0]}))
    with pytest.raises(DataError, match=r"column 'x' has the type list<.*> *, which"):
        encode(encoder, pa.table({"x": [[1.0]]}))
    with pytest.raises(DataError, match=r"column 'x', row 2 \(.*'b' is not a number"):
        encode(encoder, pa.table({"x": ["1", "b"]}))
    assert encode(encoder, pa.table({"x": pa.array([], pa.float64())})).features.shape == (0, 1)


def test_no_column_at_all():
    with pytest.raises(DataError, match="no column can be used: 'x': every value is 1"):
        fit(pa.table({"x": [1, 1]}))
    with pytest.raises(DataError, match="there is none beside the target"):
        fit_encoder(pa.table({"x": [1, 2]}), ())


def test_dates_are_read_the_same_from_another_file(read_table, tmp_path):
    (tmp_path / "one.csv").write_text("x\n2024-01-01\n2024-01-05\nNA\n")
    encoder = fit(read_table(tmp_path / "one.csv"))
    assert read_types(encoder) == {"x": pa.string()}
    (tmp_path / "two.csv").write_text("x\n2024-01-01T01:00:00+01:00\nNA\n")
    found = encode(encoder, read_table(tmp_path / "two.csv", types=read_types(encoder))).features
    expected = encode(encoder, read_table(tmp_path / "one.csv")).features[[0, 2]]
    np.testing.assert_array_equal(found, expected)
