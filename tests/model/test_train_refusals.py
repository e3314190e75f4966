"""What `luce.train` refuses: one DataError that names what is wrong."""

import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.errors import DataError
from luce.model.split import hold_out
from luce.tables.roles import class_indices, fit_target


def refused(data, target, complaint, **options):
    with pytest.raises(DataError, match=complaint) as caught:
        luce.train(data, target, **options)
    assert len(str(caught.value)) < 1000


@pytest.fixture(scope="module")
def few():
    random = np.random.default_rng(0)
    return pa.table(
        {
            "x": random.normal(size=40),
            "w": [1.0] * 40,
            "g": np.arange(40) // 2,
            "y": ["a", "b", "c", "a"] * 10,
        }
    )


class TestColumns:
    @pytest.mark.parametrize("role", ["weight", "group"])
    def test_an_absent_role(self, few, role):
        refused(few, "y", "'absent'.*'x', 'w', 'g', 'y'", **{role: "absent"})

    def test_an_absent_target_or_drop(self, few):
        refused(few, "absent", "'absent'.*'x', 'w', 'g', 'y'")
        refused(few, "y", "'absent'.*'x', 'w', 'g', 'y'", drop=["x", "absent"])

    def test_an_unknown_kind(self, few):
        refused(few, "y", "'x'.*'number'.*'numeric', 'boolean', 'category'", kinds={"x": "number"})

    def test_a_kind_of_an_absent_column(self, few):
        refused(few, "y", "'absent'", kinds={"absent": "numeric"})

    @pytest.mark.parametrize(("letter", "count"), [("x", 20), ("\x01", 3)])
    def test_names_that_no_model_file_holds(self, few, letter, count, monkeypatch):
        """A letter that JSON escapes takes more room."""
        names = [2**20 * letter + str(number) for number in range(count)]
        long = pa.table({**dict.fromkeys(names, few["x"]), "y": few["y"]})
        monkeypatch.setattr("luce.model.understand.stored", None)  # Nothing is read.
        complaint = rf"names of the {count + 1} columns .*room for 16,777,216: rename or drop"
        refused(long, "y", complaint)

    def test_names_of_columns_left_out_may_be_long(self, few):
        names = [2**20 * "x" + str(number) for number in range(20)]
        long = pa.table({**dict.fromkeys(names, few["x"]), "x": few["x"], "y": few["y"]})
        luce.train(long, "y", drop=names)

    def test_nothing_to_learn_from(self, few):
        refused(few, "y", "no column can be used", drop=["x", "w", "g"])

    def test_what_is_no_table(self, few):
        refused([1, 2], "y", "list is not a table")
        refused(few, "y", "object is not a table", validation=object())

    def test_no_such_file(self, tmp_path):
        refused(tmp_path / "absent.csv", "y", r"absent\.csv: there is no such file")


class TestTargets:
    @pytest.mark.parametrize(
        ("labels", "complaint"),
        [
            (pa.array(["a"] * 40), "one class only, 'a'"),
            (pa.nulls(40, pa.string()), "no label at all"),
            (pa.array(np.linspace(0, 1, 40)), "not labels"),
        ],
        ids=["one class", "no label", "continuous"],
    )
    def test_what_cannot_be_predicted(self, few, labels, complaint):
        refused(few.set_column(3, "y", labels), "y", f"'y'.*{complaint}")

    def test_infinity(self, few):
        refused(few.set_column(3, "y", pa.array([1.0, np.inf] * 20)), "y", "inf")


class TestWeights:
    @pytest.mark.parametrize(
        ("weight", "complaint"),
        [(-1.0, "row 7 .*-1"), (None, "row 7 .*missing"), (np.inf, "row 7 .*infinite")],
    )
    def test_a_bad_weight_names_its_row(self, few, weight, complaint):
        weights = [1.0] * 6 + [weight] + [1.0] * 33
        refused(few.set_column(1, "w", pa.array(weights)), "y", f"'w', {complaint}", weight="w")

    def test_rows_without_a_label_count_in_a_complaint(self, few):
        weights = [1.0] * 6 + [-1.0] + [1.0] * 33
        bad = few.set_column(1, "w", pa.array(weights))
        bad = bad.set_column(3, "y", pa.array([None, None, *few["y"].to_pylist()[2:]]))
        refused(bad, "y", "'w', row 7 ", weight="w")

    def test_a_class_without_weight(self, few):
        weights = [0.0 if label == "b" else 1.0 for label in few["y"].to_pylist()]
        bad = few.set_column(1, "w", pa.array(weights))
        refused(bad, "y", "class 'b' have weight 0", weight="w")

    def test_a_class_whose_weight_is_all_held_out(self, few):
        weights = np.ones(40)
        weights[np.array(few["y"].to_pylist()) == "b"] = 0
        weights[1] = 1
        bad = few.set_column(1, "w", pa.array(weights))
        labels = class_indices(fit_target(bad, "y"), bad)
        seed = next(seed for seed in range(100) if hold_out(labels, None, 0.2, seed)[1])
        refused(bad, "y", "class 'b'.*weight 0", weight="w", seed=seed)

    def test_no_weight_among_the_rows_held_out(self, few):
        others = few[:5].set_column(1, "w", pa.array([0.0] * 5))
        refused(few, "y", "weights", weight="w", validation=others)


class TestGroups:
    def test_a_missing_group_names_its_row(self, few):
        groups = [1] * 6 + [None] + [2] * 33
        refused(few.set_column(2, "g", pa.array(groups)), "y", "'g', row 7 .*missing", group="g")

    def test_fewer_groups_than_parts(self, few):
        groups = [1] * 40
        refused(few.set_column(2, "g", pa.array(groups)), "y", "1 group", group="g")

    def test_a_class_in_one_group(self, few):
        groups = [0 if label == "b" else i for i, label in enumerate(few["y"].to_pylist())]
        bad = few.set_column(2, "g", pa.array(groups))
        refused(bad, "y", "class 'b'|two groups", group="g", C="auto")


class TestParameters:
    @pytest.mark.parametrize("C", [0, -1, float("nan"), float("inf"), 0.0])
    def test_a_penalty_is_positive_and_finite(self, few, C):
        refused(few, "y", "C is a positive finite number", C=C)

    @pytest.mark.parametrize("kind", ["deep", None, "Linear", ["linear"]])
    def test_models_of_no_kind(self, few, kind):
        refused(few, "y", "model is one of linear, network, auto, not", model=kind)

    @pytest.mark.parametrize("C", [0.1, "auto"])
    def test_a_penalty_of_a_network(self, few, C):
        refused(few, "y", "C is of linear models; a network has none", model="network", C=C)

    @pytest.mark.parametrize("C", ["best", "1.0", None])
    def test_a_penalty_is_a_number_or_auto(self, few, C):
        refused(few, "y", "C is a positive finite number", C=C)

    @pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, 1.5, -0.2, float("nan"), True])
    def test_a_share_is_between_0_and_1(self, few, share):
        refused(few, "y", "validation is a share between 0 and 1", validation=share)

    def test_a_share_too_small_for_the_rows(self, few):
        refused(few, "y", "too few to hold out", validation=0.01)

    @pytest.mark.parametrize("options", [{"seed": -1}, {"seed": 2**32, "group": "g"}])
    def test_a_seed_is_used_or_refused(self, few, options):
        try:
            luce.train(few, "y", **options)
        except DataError as error:
            assert "seed" in str(error)  # noqa: PT017

    def test_an_unknown_class_in_the_validation_names_its_row(self, few):
        others = few[:3].set_column(3, "y", pa.array(["a", None, "z"]))
        refused(few, "y", "'y', row 3 .*'z'.*'a', 'b', 'c'", validation=others)

    def test_a_validation_without_labels(self, few):
        refused(few, "y", "'y'", validation=few.drop_columns(["y"]))
        others = few[:3].set_column(3, "y", pa.nulls(3, pa.string()))
        refused(few, "y", "no row has a label", validation=others)

    def test_auto_with_a_class_of_one_weight(self, few):
        weights = [
            1.0 if i < 4 or label == "a" else 0.0 for i, label in enumerate(few["y"].to_pylist())
        ]
        bad = few.set_column(1, "w", pa.array(weights))
        refused(bad, "y", "C=auto|class 'b'|class 'c'", weight="w", C="auto", validation=few)


def test_columns_of_two_roles(few):
    refused(few, "y", "two are the same", weight="g", group="g")
    refused(few, "y", "two are the same", weight="y")


def test_a_text_where_columns_are_listed(few):
    refused(few, "y", "list of columns", drop="g")
