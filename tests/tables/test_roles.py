"""Targets, weights and groups: what is understood, and what is refused with row and reason."""

import time

import numpy as np
import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import roles
from luce.tables.roles import (
    MISSING_LABEL,
    Target,
    class_indices,
    fit_target,
    label_types,
    row_groups,
    row_weights,
)
from luce.tables.values import levels

HOSTILE = {
    "newline": "two\nlines",
    "quote": "a 'quoted', \"name\"",
    "emoji": "🐧🇮🇹",
    "megabyte": "é" * 1_000_000,
}

LABELS = {
    "text": (pa.array(["b", "a", None, "b"]), ("a", "b")),
    "large text": (pa.array(["b", "a", None, "b"], pa.large_string()), ("a", "b")),
    "dictionary": (pa.array(["b", "a", None, "b"]).dictionary_encode(), ("a", "b")),
    "dictionary of numbers": (pa.array([7, 3, None, 7]).dictionary_encode(), (3, 7)),
    "integers": (pa.array([10, 9, None, 10]), (9, 10)),
    "small integers": (pa.array([-1, -2, None, -1], pa.int8()), (-2, -1)),
    "the largest integers": (pa.array([2**64 - 1, 0, None, 2**64 - 1], "uint64"), (0, 2**64 - 1)),
    "truths": (pa.array([True, False, None, True]), (False, True)),
    "floats": (pa.array([2.0, 1.0, None, 2.0]), (1.0, 2.0)),
    "short floats": (pa.array([2.0, 1.0, None, 2.0], pa.float32()), (1.0, 2.0)),
    "half floats": (pa.array([2.0, 1.0, None, 2.0], pa.float16()), (1.0, 2.0)),
    "empty text": (pa.array(["b", "", None, "b"]), ("", "b")),
    "order of code points": (pa.array(["é", "Z", None, "é"]), ("Z", "é")),
}  # fmt: skip


@pytest.fixture(params=LABELS.values(), ids=LABELS.keys())
def labels(request):
    return request.param


class TestTarget:
    def test_classes_ascend(self, labels):
        values, classes = labels
        target = fit_target(pa.table({"y": values}), "y")
        assert target.column == "y"
        assert target.classes == classes
        assert [type(label) for label in target.classes] == [type(label) for label in classes]

    def test_rows_find_their_class(self, labels):
        table = pa.table({"y": labels[0]})
        indices = class_indices(fit_target(table, "y"), table)
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(indices, [1, 0, MISSING_LABEL, 1])

    def test_labels_come_back_in_their_type(self, labels):
        values, _ = labels
        target = fit_target(pa.table({"y": values}), "y")
        back = target.labels.take(np.array([1, 0, 1], np.uint8))
        dictionary = pa.types.is_dictionary(values.type)
        assert back.type == (values.type.value_type if dictionary else values.type)
        assert back.to_pylist() == values.take([0, 1, 3]).to_pylist()
        assert tuple(target.labels.to_pylist()) == target.classes

    def test_text_views_come_back(self):
        target = fit_target(pa.table({"y": pa.array(["b", "a"], pa.string_view())}), "y")
        assert target.labels.take(np.array([1, 0])).to_pylist() == ["b", "a"]

    def test_nan_is_a_missing_label(self):
        table = pa.table({"y": pa.array(np.array([1.0, np.nan, 2.0]))})
        target = fit_target(table, "y")
        assert target.classes == (1.0, 2.0)
        np.testing.assert_array_equal(class_indices(target, table), [0, MISSING_LABEL, 1])

    def test_chunks_of_one_dictionary_each(self):
        chunks = [pa.array(["b", "a"]).dictionary_encode(), pa.array(["c"]).dictionary_encode()]
        table = pa.table({"y": pa.chunked_array(chunks)})
        target = fit_target(table, "y")
        np.testing.assert_array_equal(class_indices(target, table), [1, 0, 2])

    @pytest.mark.parametrize(
        "others",
        [pa.array(["2", "1"]), pa.array([2, 1]), pa.array([2.0, 1.0]), pa.array([2, 1], pa.int8())],
        ids=lambda others: str(others.type),
    )
    def test_the_same_labels_in_another_type_are_understood(self, others):
        target = Target("y", "int64", (1, 2))
        np.testing.assert_array_equal(class_indices(target, pa.table({"y": others})), [1, 0])

    def test_an_unknown_class_names_row_and_classes(self):
        target = Target("y", "string", ("a", "b"))
        with pytest.raises(DataError, match=r"'y', row 3 .*'c'.*'a', 'b'"):
            class_indices(target, pa.table({"y": ["a", None, "c", "d"]}))

    @pytest.mark.parametrize(
        ("values", "complaint"),
        [
            (pa.array([0.5, 1.0, 2.25]), r"0\.5.*not labels"),
            (pa.array(["a", "a", None]), "one class only, 'a'"),
            (pa.array([None, None], pa.string()), "no label at all"),
            (pa.array([1, 2], pa.timestamp("s")), r"timestamp\[s\].*cannot be a label"),
            (pa.array([[1], [2]]), "cannot be a label"),
            (pa.nulls(2), "no label at all"),
        ],
        ids=["continuous", "one class", "no label", "times", "lists", "nulls"],
    )
    def test_what_cannot_be_a_target(self, values, complaint):
        with pytest.raises(DataError, match=f"'y'.*{complaint}"):
            fit_target(pa.table({"y": values}), "y")

    def test_a_class_with_one_row_is_kept(self):
        target = fit_target(pa.table({"y": ["a"] * 9 + ["b"]}), "y")
        assert target.classes == ("a", "b")

    @pytest.mark.parametrize("type", [pa.int64(), pa.float64()], ids=str)
    def test_very_many_numbers_are_no_classes(self, type):
        numbers = pa.array(range(1200)).cast(type)
        with pytest.raises(
            DataError, match=r"1,200 different numbers in 2,000 rows.*kind .category."
        ):
            fit_target(pa.table({"y": pa.concat_arrays([numbers, numbers[:800]])}), "y")
        with pytest.raises(DataError, match="into classes"):
            fit_target(pa.table({"y": numbers.dictionary_encode()}), "y")
        for values, classes in (
            (numbers.cast(pa.int64()).cast(pa.string()), 1200),
            (pa.concat_arrays([numbers, numbers]), 1200),
            (numbers[:1000], 1000),
        ):
            assert len(fit_target(pa.table({"y": values}), "y").classes) == classes

    def test_two_columns_of_one_name(self):
        with pytest.raises(DataError, match="2 columns 'y': rename all but one"):
            fit_target(pa.table([["a"], ["b"]], names=["y", "y"]), "y")

    def test_ten_thousand_classes_are_quick(self):
        names = [f"class {i:05}" for i in range(10_000)]
        table = pa.table({"y": names[::-1] * 10})
        began = time.process_time()
        target = fit_target(table, "y")
        assert target.classes == tuple(names)
        for first in range(0, 100_000, 10_000):
            found = class_indices(target, table.slice(first, 10_000))
            np.testing.assert_array_equal(found, np.arange(10_000)[::-1])
        assert time.process_time() - began < 3

    @pytest.mark.parametrize("label", HOSTILE.values(), ids=HOSTILE.keys())
    def test_a_label_may_hold_anything(self, label):
        table = pa.table({"y": [label, "plain", label]})
        target = fit_target(table, "y")
        found = class_indices(target, table)
        assert target.labels.take(found).to_pylist() == table["y"].to_pylist()
        with pytest.raises(DataError) as caught:
            class_indices(target, pa.table({"y": [label + "!"]}))
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
        with pytest.raises(DataError) as caught:
            fit_target(pa.table({"y": [label]}), "y")
        assert len(str(caught.value)) < 200

    def test_infinity_is_no_label(self):
        with pytest.raises(DataError, match="inf"):
            fit_target(pa.table({"y": [1.0, np.inf]}), "y")

    def test_rows_are_counted_from_those_before(self):
        with pytest.raises(DataError, match=r"'y', row 101 "):
            class_indices(Target("y", "string", ("a", "b")), pa.table({"y": ["c"]}), first_row=100)
        with pytest.raises(DataError, match=r"'w', row 102 "):
            row_weights(pa.table({"w": [1, -1]}), "w", first_row=100)
        with pytest.raises(DataError, match=r"'g', row 102 "):
            row_groups(pa.table({"g": ["a", None]}), "g", first_row=100)

    def test_an_absent_column_names_those_there_are(self):
        table = pa.table({"species": ["a"], "mass": [1]})
        with pytest.raises(DataError, match=r"'specie'.*'species', 'mass'"):
            fit_target(table, "specie")
        with pytest.raises(DataError, match=r"'specie'.*'species', 'mass'"):
            class_indices(Target("specie", "string", ("a", "b")), table)

    @pytest.mark.parametrize(
        ("type", "classes"),
        [
            ("int8", (1, 300)),
            ("uint64", (-1, 1)),
            ("int64", ("a", "b")),
            ("string", (1, 2)),
            ("bool", ("a", "b")),
            ("timestamp[s]", (1, 2)),
            ("nonsense", ("a", "b")),
        ],
    )
    def test_a_type_that_does_not_hold_its_classes(self, type, classes):
        with pytest.raises(DataError, match=f"are no {type}".replace("[", r"\[")):
            _ = Target("y", type, classes).labels


class TestLabelsOfAnotherFile:
    @pytest.mark.parametrize(
        ("type", "classes", "expected"),
        [
            ("string", ("a", "b"), pa.string()),
            ("large_string", ("a", "b"), pa.string()),
            ("bool", (False, True), pa.bool_()),
            ("int8", (1, 2), pa.float64()),
            ("double", (1.0, 2.0), pa.float64()),
            ("int64", (0, 2**53 - 1), pa.float64()),
            ("int64", (0, 2**60), pa.string()),
            ("uint64", (0, 2**64 - 1), pa.string()),
        ],
    )
    def test_every_type_is_read_without_inference(self, type, classes, expected):
        assert label_types(Target("y", type, classes)) == {"y": expected}

    @pytest.mark.parametrize(
        ("labels", "spelt"),
        [
            ([1, 2], "1 2.0"),
            ([1.0, 2.0], "1.0 2"),
            ([10**10, 2 * 10**15], "10000000000 2e15"),
            ([2**60, 2**60 + 1], f"{2**60} {2**60 + 1}"),
            ([False, True], "false true"),
            ([False, True], "0 1"),
            (["007", "7"], "007 7"),
        ],
    )
    def test_labels_are_found(self, read_table, tmp_path, labels, spelt):
        target = fit_target(pa.table({"y": labels}), "y")
        path = tmp_path / "t.csv"
        path.write_text("\n".join(["x,y", *(f"3,{label}" for label in spelt.split()), ""]))
        table = read_table(path, types=label_types(target))
        np.testing.assert_array_equal(class_indices(target, table), [0, 1])


class TestWeights:
    @pytest.mark.parametrize(
        "values",
        [pa.array([2, 0, 1]), pa.array([2.0, 0.0, 1.0], pa.float32()), pa.array(["2", "0", "1"])],
        ids=lambda values: str(values.type),
    )
    def test_numbers_of_any_kind(self, values):
        weights = row_weights(pa.table({"w": values}), "w")
        assert weights.dtype == np.float64
        np.testing.assert_array_equal(weights, [2, 0, 1])

    @pytest.mark.parametrize(
        ("values", "complaint"),
        [
            ([1.0, 2.0, -0.5], r"row 3 .*-0\.5"),
            ([1.0, None, -1.0], "row 2 .*missing"),
            ([1.0, 2.0, np.inf], "row 3 .*infinite"),
            (["1", "2", "heavy"], "row 3 .*'heavy'"),
        ],
        ids=["negative", "missing", "infinite", "text"],
    )
    def test_what_is_no_weight_is_named(self, values, complaint):
        with pytest.raises(DataError, match=f"'w', {complaint}"):
            row_weights(pa.table({"w": values}), "w")

    def test_an_absent_column(self):
        with pytest.raises(DataError, match=r"no column 'w'.*'x'"):
            row_weights(pa.table({"x": [1]}), "w")


class TestGroups:
    @pytest.mark.parametrize(
        "values",
        [["b", "a", "b", "c"], [20, 7, 20, -1]],
        ids=["text", "integers"],
    )
    def test_equal_values_are_one_group(self, values):
        table = pa.table({"g": values})
        groups = row_groups(table, "g")
        assert [list(groups).index(group) for group in groups] == [0, 1, 0, 3]
        assert groups.dtype == np.int64

    def test_chunks_share_their_groups(self):
        table = pa.table({"g": pa.chunked_array([["a", "b"], ["b", "a", "c"]])})
        groups = row_groups(table, "g")
        assert [list(groups).index(group) for group in groups] == [0, 1, 1, 0, 4]

    def test_groups_are_the_same_in_every_table(self):
        first, second = (
            row_groups(pa.table({"g": rows}), "g") for rows in (["a", "b"], ["c", "b"])
        )
        assert first[1] == second[1]
        assert len({*first, *second}) == 3

    def test_a_missing_group_names_its_row(self):
        with pytest.raises(DataError, match=r"'g', row 2 .*missing"):
            row_groups(pa.table({"g": ["a", None]}), "g")

    def test_an_absent_column(self):
        with pytest.raises(DataError, match="no column 'g'"):
            row_groups(pa.table({"x": [1]}), "g")


def test_zero_has_no_sign():
    assert fit_target(pa.table({"y": [0.0, -0.0, 1.0]}), "y").classes == (0.0, 1.0)


def test_labels_are_made_once_for_all_blocks(monkeypatch):
    made = []
    monkeypatch.setattr(roles, "levels", lambda block: made.append(block.name) or levels(block))
    target = Target("y", "int64", tuple(range(10_000)))
    for block in (pa.table({"y": [7]}), pa.table({"y": ["9999", None]})):
        class_indices(target, block)
    assert len(made) == 3
    assert target.labels is target.labels
    assert target.labels.take(np.array([5, 2])).to_pylist() == [5, 2]
    assert target == Target("y", "int64", tuple(range(10_000)))
