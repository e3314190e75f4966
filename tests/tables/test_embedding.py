import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from luce.errors import DataError
from luce.tables import (
    EmbeddingColumn,
    describe_columns,
    encode,
    encoder_columns,
    feature_names,
    fit_encoder,
    is_sparse,
    read_types,
    types_of_kinds,
    width,
)
from luce.tables.values import MOST_FEATURES

VECTORS = [[1, 2, 3], None, [4, 5, 6], [7, 8, 9]]
EXPECTED = [[1, 2, 3, 0], [0, 0, 0, 1], [4, 5, 6, 0], [7, 8, 9, 0]]
SPARSE = pa.map_(pa.int32(), pa.float32())
MAPS = pa.array([[(4, 1.5), (0, 2)], None, [], [(2, -1)]], SPARSE)


def fit(table, **kinds):
    table = table if isinstance(table, pa.Table) else pa.table({"x": table})
    return fit_encoder(table, describe_columns(table, table.column_names, kinds=kinds))


def features(encoder, values):
    table = values if isinstance(values, pa.Table) else pa.table({"x": values})
    return encode(encoder, table).features


def run(rows, prefix="e", first=0, type=None):
    columns = np.asarray(rows, object if type else None).T
    return pa.table({f"{prefix}{first + i}": pa.array(x, type) for i, x in enumerate(columns)})


NUMBERS = [pa.float16(), pa.float32(), pa.float64(), pa.int8(), pa.uint64()]
LISTS = [
    *(pa.list_(number, 3) for number in NUMBERS),
    *(pa.list_(number) for number in NUMBERS),
    pa.large_list(pa.float32()),
]


class TestLists:
    @pytest.mark.parametrize("type", LISTS, ids=str)
    def test_numbers_pass_through(self, type):
        encoder = fit(pa.array(VECTORS, type))
        assert encoder.columns == (
            EmbeddingColumn(
                name="x",
                type=str(type),
                columns=("x",),
                length=3,
                sparse=False,
                missing_indicator=True,
            ),
        )
        found = features(encoder, pa.array(VECTORS, type))
        np.testing.assert_array_equal(found, EXPECTED)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        for other in LISTS:
            np.testing.assert_array_equal(features(encoder, pa.array(VECTORS, other)), EXPECTED)

    def test_slices_and_chunks(self):
        values = pa.chunked_array([pa.array(VECTORS, LISTS[1])] * 3).slice(1)
        encoder = fit(values)
        np.testing.assert_array_equal(features(encoder, values), (EXPECTED * 3)[1:])

    def test_missing_where_training_had_none(self):
        encoder = fit(VECTORS[2:])
        for missing in (pa.array([None], LISTS[0]), pa.nulls(1)):
            np.testing.assert_array_equal(features(encoder, missing), [[0, 0, 0]])

    def test_names(self):
        names = feature_names(fit(VECTORS))
        assert names[2].unit == "per 1 in x[2]"
        assert names[3].unit == "when x is missing"

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ([1, 2], "has 2 numbers, where those of the training rows have 3"),
            ([1, 2, 3, 4], "has 4 numbers"),
            ([1, None, 3], "number 2 of the vector is missing or not a number"),
            ([1, 2, np.nan], "number 3 of the vector is missing or not a number"),
            ([-np.inf, 2, 3], "number 1 of the vector is infinite"),
            ([1, 2, 1e300], "number 3 of the vector is infinite, or too large"),
        ],
    )
    def test_what_is_wrong_in_a_vector_is_named(self, row, words):
        encoder = fit(VECTORS)
        values = pa.array([*VECTORS, row], pa.list_(pa.float64()))
        with pytest.raises(DataError, match=rf"column 'x', row 105 \(.*{words}"):
            encode(encoder, pa.table({"x": values}), first_row=100)

    def test_lists_of_different_lengths(self):
        (summary,) = describe_columns(pa.table({"x": [[1], None, [2], [3, 4]]}), ["x"])
        assert summary.left_out == "row 4 has a list of 2, others have 1"
        encoder = fit([[1], [2], [3, 4]], x="embedding")
        with pytest.raises(DataError, match=r"row 1 .*has 1 numbers"):
            features(encoder, [[1], [2, 3]])

    def test_what_is_no_vector(self):
        for values in (["a", "b"], [1.5, 2], [["a"], ["b"]]):
            with pytest.raises(DataError, match=r"'x' has the type .* no vector"):
                fit(values, x="embedding")
        with pytest.raises(DataError, match=r"'x' has the type .* no vector"):
            features(fit(VECTORS), [1.5])
        with pytest.raises(DataError, match="'x' has maps"):
            features(fit(VECTORS), MAPS)
        with pytest.raises(DataError, match="vectors are empty"):
            fit(pa.array([[], []], pa.list_(pa.int8())), x="embedding")

    def test_what_is_left_out(self):
        table = pa.table({"x": pa.nulls(3, pa.list_(pa.float32(), 2)), "y": [["a"]] * 3})
        one, other = describe_columns(table, ["x", "y"])
        assert (one.kind, one.left_out) == ("embedding", "every value is missing")
        assert other.left_out.startswith("the type list")


class TestMaps:
    def test_numbers_pass_through(self):
        encoder = fit(MAPS)
        (column,) = encoder.columns
        assert (column.length, column.sparse, column.missing_indicator) == (5, True, True)
        assert is_sparse(encoder)
        assert width(encoder) == 6
        found = features(encoder, MAPS)
        assert isinstance(found, sparse.csr_array)
        assert (found.dtype, found.indices.dtype) == (np.float32, np.int32)
        assert found.has_canonical_format
        expected = [[2, 0, 0, 0, 1.5, 0], [0] * 5 + [1], [0] * 6, [0, 0, -1, 0, 0, 0]]
        np.testing.assert_array_equal(found.toarray(), expected)

    @pytest.mark.parametrize("key", [pa.int8(), pa.uint64()])
    def test_other_numbers(self, key):
        encoder = fit(MAPS)
        values = MAPS.cast(pa.map_(key, pa.float64()))
        found = features(encoder, pa.chunked_array([values, values]).slice(1, 5)).toarray()
        expected = features(encoder, MAPS).toarray()
        np.testing.assert_array_equal(found, np.concatenate([expected, expected])[1:6])

    def test_indices_never_seen_are_counted_by_row(self):
        encoder = fit(MAPS)
        rows = pa.array([[(5, 1.0), (900, 1.0), (1, 3.0)], [(4, 1.0)], [(7, 1.0)]], SPARSE)
        encoded = encode(encoder, pa.table({"x": rows}))
        assert encoded.unseen == {"x": 2}
        assert encoded.features.toarray()[0].tolist() == [0, 3, 0, 0, 0, 0]

    def test_what_lies_under_a_missing_map_is_nothing(self):
        keys, numbers = pa.array([1, 7, 2], pa.int32()), pa.array([1, np.nan, 3], pa.float32())
        mask = pa.array([False, True, False])
        values = pa.MapArray.from_arrays([0, 1, 2, 3], keys, numbers, mask=mask)
        assert values.null_count == 1
        found = features(fit(values), values).toarray()
        np.testing.assert_array_equal(found, [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 3, 0]])

    def test_zeros_take_no_room(self):
        assert features(fit(MAPS), pa.array([[(0, 0.0), (1, 1.0)]], SPARSE)).nnz == 1

    @pytest.mark.parametrize(
        ("entries", "words"),
        [
            ([(-1, 1.0)], "index -1 is negative"),
            ([(1, None)], "index 1 has no finite number"),
            ([(1, np.nan)], "index 1 has no finite number"),
            ([(3, 1.0), (1, np.inf)], "index 1 has no finite number"),
            ([(1, 1.0), (2, 1.0), (1, 2.0)], "index 1 occurs twice"),
        ],
    )
    def test_what_is_wrong_is_named(self, entries, words):
        values = pa.array([[(1, 1.0)], None, entries], SPARSE)
        with pytest.raises(DataError, match=rf"column 'x', row 3 \(.*{words}"):
            fit(values)
        with pytest.raises(DataError, match=rf"column 'x', row 13 \(.*{words}"):
            encode(fit(MAPS), pa.table({"x": values}), first_row=10)

    def test_an_index_that_would_take_all_memory(self):
        values = pa.array([None, [(MOST_FEATURES, 1.0)]], SPARSE)
        with pytest.raises(DataError, match=r"row 2 \(.*index 16777216 is above 16,777,215"):
            fit(values)
        assert encode(fit(MAPS), pa.table({"x": values})).unseen == {"x": 1}

    def test_other_types(self):
        for values in (
            VECTORS,
            [1.5],
            pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float32())),
        ):
            with pytest.raises(DataError, match=r"'x' has the type .* maps"):
                features(fit(MAPS), values)
        assert features(fit(MAPS), pa.nulls(1)).toarray().tolist() == [[0, 0, 0, 0, 0, 1]]

    def test_one_beside_dense_columns(self):
        table = pa.table({"a": [1.0, 2, 3, 4], "x": MAPS, "b": [True, False, True, True]})
        found = features(fit(table), table).toarray()
        np.testing.assert_array_equal(found[:, 1:-1], features(fit(MAPS), MAPS).toarray())
        np.testing.assert_array_equal(found[:, -1], [1, 0, 1, 1])


class TestRuns:
    ROWS = np.random.default_rng(0).normal(size=(30, 64))

    def test_numbers_pass_through(self):
        table = run(self.ROWS).append_column("mass", pa.array(range(0, 60, 2)))
        (summary, mass) = describe_columns(table, table.column_names)
        assert (summary.name, summary.kind, summary.missing) == ("e0..e63", "embedding", 0)
        assert mass.kind == "numeric"
        encoder = fit(table)
        assert encoder_columns(encoder) == table.column_names
        assert read_types(encoder) == dict.fromkeys(table.column_names, pa.float64())
        np.testing.assert_array_equal(features(encoder, table)[:, :-1], self.ROWS.astype("f4"))
        assert feature_names(encoder)[3].unit == "per 1 in e3"
        shuffled = table.select(table.column_names[::-1])
        np.testing.assert_array_equal(features(encoder, shuffled), features(encoder, table))

    def test_a_row_without_any_is_missing(self):
        rows = [*self.ROWS.tolist(), [None] * 64]
        table = run(rows, "pixel_", 1, pa.float32())
        encoder = fit(table, **{"pixel_1..pixel_64": "embedding"})
        found = features(encoder, table)
        assert found[-1].tolist() == [0] * 64 + [1]
        assert not found[:-1, -1].any()

    def test_numbers_missing_here_and_there_are_no_vector(self):
        rows = self.ROWS.tolist()
        rows[3][5] = None
        table = run(rows, type=pa.float64())
        summaries = describe_columns(table, table.column_names)
        assert [summary.name for summary in summaries] == table.column_names
        assert {summary.kind for summary in summaries} == {"numeric"}
        words = r"column 'e5', row 4 \(.*others of the vector 'e0..e63' are not"
        with pytest.raises(DataError, match=words):
            fit(table, **{"e0..e63": "embedding"})
        with pytest.raises(DataError, match=words):
            features(fit(run(self.ROWS)), table)

    def test_a_gap_in_columns_that_are_measurements_stops_no_prediction(self):
        rows = self.ROWS[:, :28]
        encoder = fit(run(rows, "V", 1))
        assert {column.kind for column in encoder.columns} == {"numeric"}
        with_gap = rows.tolist()
        with_gap[3][5] = None
        assert np.isfinite(features(encoder, run(with_gap, "V", 1, pa.float64()))).all()

    @pytest.mark.parametrize(("factor", "are_one"), [(60, True), (200, False), (0, False)])
    def test_columns_of_other_scales_are_no_vector(self, factor, are_one):
        rows = self.ROWS / self.ROWS.std(axis=0)
        rows[:, 5] *= factor
        rows[:, 6] += 1e6
        table = run(rows)
        assert len(describe_columns(table, table.column_names)) == (1 if are_one else 64)
        chosen = {"e0..e63": "embedding"}
        (summary,) = describe_columns(table, table.column_names, kinds=chosen)
        assert summary.kind == "embedding"

    def test_a_table_without_rows(self):
        table = run(self.ROWS).slice(0, 0)
        summaries = describe_columns(table, table.column_names)
        assert {summary.left_out for summary in summaries} == {"every value is missing"}

    def test_infinity_is_named(self):
        rows = self.ROWS.copy()
        rows[3, 5] = np.inf
        with pytest.raises(DataError, match=r"column 'e5', row 4 \(.*infinite"):
            fit(run(rows))
        rows[3, 5] = 1e300
        with pytest.raises(DataError, match=r"column 'e5', row 4 \(.*too large for float32"):
            features(fit(run(self.ROWS)), run(rows))

    def test_a_kind_of_its_own_breaks_the_run(self):
        table = run(self.ROWS)
        for kinds in ({"e0..e63": "numeric"}, {"e3": "numeric"}):
            summaries = describe_columns(table, table.column_names, kinds=kinds)
            assert [summary.name for summary in summaries] == table.column_names
            assert {summary.kind for summary in summaries} == {"numeric"}
        kinds = {"e0..e63": "numeric", "e3": "category"}
        summaries = describe_columns(table, table.column_names, kinds=kinds)
        assert [summary.kind for summary in summaries].count("category") == 1
        with pytest.raises(DataError, match=r"'e3' is a part of the embedding 'e0..e63'"):
            describe_columns(
                table, table.column_names, kinds={"e0..e63": "embedding", "e3": "numeric"}
            )

    def test_only_the_user_makes_a_run_of_integers_or_a_short_one(self):
        table = run(np.arange(20).reshape(5, 4))
        assert len(describe_columns(table, table.column_names)) == 4
        kinds = {"e0..e2": "embedding"}
        (first, last) = describe_columns(table, table.column_names, kinds=kinds)
        assert (first.name, last.name) == ("e0..e2", "e3")
        assert types_of_kinds(kinds) == dict.fromkeys(["e0", "e1", "e2"], pa.float64())

    def test_the_runs_name_stands_for_its_columns(self):
        table = run(self.ROWS)
        (summary,) = describe_columns(table, ["e0..e63"], kinds={"e0..e63": "embedding"})
        assert summary.name == "e0..e63"
        assert fit_encoder(table, [summary]) == fit(table)

    def test_a_column_of_the_runs_name_is_that_column(self):
        table = run(self.ROWS).append_column("e0..e63", pa.array(["a", "b", "c"] * 10))
        summaries = describe_columns(table, table.column_names)
        assert [summary.name for summary in summaries] == table.column_names

    def test_some_rows_are_copied_a_column_at_a_time(self):
        table, rows = run(np.arange(50_000)[:, None] % 7 * np.ones(100)), np.arange(50_000) % 2 == 0
        tracemalloc.start()
        pool = pa.proxy_memory_pool(ordinary := pa.default_memory_pool())
        pa.set_memory_pool(pool)
        try:
            summaries = describe_columns(table, table.column_names, rows=rows)
            encoder = fit_encoder(table, summaries, rows=rows)
            in_python = tracemalloc.get_traced_memory()[1]
        finally:
            pa.set_memory_pool(ordinary)
            tracemalloc.stop()
        assert encoder.columns[0].length == 100
        assert in_python + pool.max_memory() < table.nbytes / 10

    def test_a_run_that_is_not_there(self):
        table = run(self.ROWS)
        with pytest.raises(DataError, match=r"a kind is given for 'e0..e64'"):
            describe_columns(table, table.column_names, kinds={"e0..e64": "embedding"})
        with pytest.raises(DataError, match="no column 'e63'"):
            features(fit(table), table.drop_columns("e63"))
