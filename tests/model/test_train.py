"""`luce.train`: what it takes, what it records, and that equal inputs give equal files."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.errors import DataError
from luce.model.events import RowsDone, Stage
from luce.model.train import train_on
from luce.model.understand import understand
from luce.tables import encode
from luce.training import Progress


def bytes_of(model, folder):
    model.save(folder / "model.luce")
    return (folder / "model.luce").read_bytes()


def reasons(model):
    return {left.column: left.reason for left in model.document.left_out}


class TestTables:
    def test_penguins(self, model):
        document = model.document
        assert document.target.classes == ("Adelie", "Chinstrap", "Gentoo")
        assert document.training.class_weights == (152, 68, 124)
        assert (document.training.rows, document.training.unlabelled) == (344, 0)
        assert {column.name: column.kind for column in document.encoder.columns} == {
            "island": "category",
            "bill_length_mm": "numeric",
            "bill_depth_mm": "numeric",
            "flipper_length_mm": "numeric",
            "body_mass_g": "numeric",
            "sex": "category",
            "year": "numeric",
        }
        sex = next(column for column in document.encoder.columns if column.name == "sex")
        assert (sex.levels, sex.missing) == (("female", "male"), True)
        assert document.left_out == ()

    @pytest.mark.parametrize("made", [pa.Table.to_pandas, lambda t: t, pa.Table.to_reader])
    def test_dataframes_give_the_model_of_the_file(self, made, table, model):
        other = luce.train(made(table), "species")
        np.testing.assert_allclose(other.scorer.coef, model.scorer.coef, atol=1e-12)
        assert other.document.training.fingerprint == model.document.training.fingerprint

    def test_a_parquet_file(self, table, model, tmp_path):
        pa_parquet.write_table(table, tmp_path / "penguins.parquet")
        other = luce.train(tmp_path / "penguins.parquet", "species")
        assert other.document.training.fingerprint == model.document.training.fingerprint
        np.testing.assert_allclose(other.scorer.coef, model.scorer.coef, atol=1e-12)

    def test_polars(self, penguins, model):
        polars = pytest.importorskip("polars")
        frame = polars.read_csv(penguins, null_values="NA")
        other = luce.train(frame, "species")
        assert list(other.predict(frame)) == list(model.predict(penguins))

    def test_a_filtered_pandas_frame_has_no_index_column(self, table):
        frame = table.to_pandas()
        other = luce.train(frame[frame.year > 2007], "species")
        assert "__index_level_0__" not in {c.name for c in other.document.encoder.columns}
        assert other.document.training.rows == int((frame.year > 2007).sum())

    def test_rows_without_a_label_are_passed_over(self, table, model):
        unlabelled = table.set_column(0, "species", pa.nulls(344, pa.string())).slice(0, 40)
        other = luce.train(pa.concat_tables([unlabelled, table]), "species")
        assert (other.document.training.rows, other.document.training.unlabelled) == (344, 40)
        np.testing.assert_array_equal(other.scorer.coef, model.scorer.coef)


class TestColumns:
    def test_what_cannot_help_is_left_out_with_the_reason(self):
        random = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "useful": random.normal(size=60),
                "number": np.arange(60),
                "name": [f"row {i}" for i in range(60)],
                "constant": 3.5,
                "same": "x",
                "empty": pd.array([None] * 60, "Float64"),
                "when": pd.Timestamp("2020-01-01"),
                "y": ["a", "b"] * 30,
            }
        )
        model = luce.train(frame, "y")
        assert [column.name for column in model.document.encoder.columns] == ["useful"]
        found = reasons(model)
        assert found.keys() == {"number", "name", "constant", "same", "empty", "when"}
        for column, word in {
            "number": "number the rows",
            "name": "identifier",
            "constant": "3.5",
            "same": "'x'",
            "empty": "missing",
            "when": "every value is 2020",
        }.items():
            assert word in found[column]

    def test_drop_weight_and_group_are_no_features(self, patients):
        model = luce.train(patients, "outcome", weight="area", group="patient", drop=["ward"])
        assert [column.name for column in model.document.encoder.columns] == ["pulse"]
        assert (model.document.training.weight, model.document.training.group) == (
            "area",
            "patient",
        )

    def test_a_kind_wins_over_the_guess(self, penguins, table):
        model = luce.train(penguins, "species", kinds={"year": "category"})
        year = next(c for c in model.document.encoder.columns if c.name == "year")
        assert (year.kind, year.levels) == ("category", ("2007", "2008", "2009"))
        numbered = table.append_column("row", pa.array(range(344)))
        assert reasons(luce.train(numbered, "species")).keys() == {"row"}
        assert not reasons(luce.train(numbered, "species", kinds={"row": "numeric"}))


class TestTargetKind:
    def test_numbers_that_are_names(self, tmp_path):
        codes = np.random.default_rng(0).permutation(np.repeat(np.arange(1100), 2)[:2199])
        table = pa.table({"x": codes % 7.0, "code": codes})
        pa_csv.write_csv(table, tmp_path / "codes.csv")
        for data in (table, tmp_path / "codes.csv"):
            with pytest.raises(DataError, match='kind "category"'):
                luce.train(data, "code", validation=0.5)
        told = {"code": "category"}
        rows = understand(tmp_path / "codes.csv", "code", kinds=told)
        assert rows.roles.target.type == "large_string"
        assert rows.roles.target.classes[:3] == ("0", "1", "10")
        few = table.set_column(1, "code", pa.array(np.arange(2199) % 3 + 0.5))
        model = luce.train(few, "code", kinds=told)
        assert list(model.classes) == ["0.5", "1.5", "2.5"]
        assert model.evaluate(few).model.rows == 2199

    def test_no_other_kind(self, penguins):
        with pytest.raises(DataError, match="'species' is given the kind 'text'"):
            luce.train(penguins, "species", kinds={"species": "text"})
        with pytest.raises(DataError, match="'year', which is no feature"):
            luce.train(penguins, "species", weight="year", kinds={"year": "numeric"})


class TestWeights:
    def test_a_weight_is_as_many_rows(self, patients):
        """Where the features are levels, which weights do not scale."""
        few = patients.select(["ward", "area", "outcome"])
        many = few.take(np.repeat(np.arange(90), few["area"].to_numpy()))
        weighted = luce.train(few, "outcome", weight="area", validation=few)
        repeated = luce.train(many, "outcome", drop=["area"], validation=few)
        assert weighted.document.training.class_weights == (
            repeated.document.training.class_weights
        )
        np.testing.assert_allclose(
            weighted.predict_proba(few), repeated.predict_proba(few), atol=2e-3
        )
        unweighted = luce.train(few, "outcome", drop=["area"], validation=few)
        assert abs(unweighted.predict_proba(few) - repeated.predict_proba(few)).max() > 1e-2

    def test_rows_of_weight_0_do_not_count(self, patients):
        few = patients.select(["ward", "outcome"])
        weight = np.where(np.arange(90) < 60, 1.0, 0.0)
        model = luce.train(
            few.append_column("w", pa.array(weight)), "outcome", weight="w", validation=few[:60]
            .append_column("w", pa.array(weight[:60])),
        )  # fmt: skip
        without = luce.train(few[:60], "outcome", validation=few[:60])
        np.testing.assert_allclose(model.predict_proba(few), without.predict_proba(few), atol=2e-3)


class TestClasses:
    def test_a_class_of_one_row_stays_in_training(self):
        x = np.arange(41.0) % 7
        labels = ["a"] * 20 + ["b"] * 20 + ["only"]
        model = luce.train(pa.table({"x": x, "y": labels}), "y")
        assert list(model.classes) == ["a", "b", "only"]
        np.testing.assert_array_equal(model.confusion.sum(axis=1), [4, 4, 0])

    def test_many_classes_keep_no_confusion(self):
        labels = np.arange(404) % 101
        table = pa.table({"x": np.random.default_rng(0).normal(size=404) + labels, "y": labels})
        model = luce.train(table, "y", validation=0.25)
        assert model.confusion is None
        assert model.predict_proba(table).shape == (404, 101)


class TestEqualFiles:
    @pytest.mark.parametrize("options", [{}, {"group": "patient"}, {"C": "auto"}])
    def test_equal_inputs_give_equal_bytes(self, options, patients, tmp_path):
        files = set()
        for threads in (1, 2, 2):
            with luce.threads(threads):
                files.add(bytes_of(luce.train(patients, "outcome", **options), tmp_path))
        assert len(files) == 1

    @pytest.mark.parametrize("options", [{"group": "patient"}, {"C": "auto", "weight": "area"}])
    def test_rows_that_do_not_fit_in_memory_give_the_same_bytes(self, options, patients, tmp_path):
        pa_parquet.write_table(patients, tmp_path / "patients.parquet")
        files = {
            bytes_of(luce.train(data, "outcome", memory=memory, **options), tmp_path)
            for data in (patients, tmp_path / "patients.parquet")
            for memory in (None, 1, int(2.2 * patients.nbytes))
        }
        assert len(files) == 1

    def test_it_is_said_that_rows_are_kept_on_disk(self, patients, tmp_path):
        pa_parquet.write_table(patients, tmp_path / "patients.parquet")
        told = []
        table = understand(tmp_path / "patients.parquet", "outcome", memory=1)
        train_on(table, report=told.append)
        assert table.notes == ("the table is kept on disk, not in memory",)
        stages = [event.name for event in told if isinstance(event, Stage)]
        assert sum("read from disk" in stage for stage in stages) == 2
        assert not understand(patients, "outcome", memory=1).notes

    def test_another_seed_holds_out_others(self, patients, tmp_path):
        zero, one = (luce.train(patients, "outcome", seed=seed) for seed in (0, 1))
        assert zero.document.validation != one.document.validation
        assert zero.document.training.fingerprint == one.document.training.fingerprint
        np.testing.assert_array_equal(zero.scorer.coef, one.scorer.coef)


def test_stages_and_passes_are_reported(penguins):
    events = []
    model = luce.train(penguins, "species", report=events.append)
    stages = [event.name for event in events if isinstance(event, Stage)]
    assert stages == [
        *(f"reading {penguins}", "encoding 275 rows", "fitting on 275 rows"),
        *("measuring on 69 rows", "encoding 344 rows", "fitting again on all 344 rows"),
    ]
    assert [event.rows for event in events if isinstance(event, RowsDone)] == [344, 275, 344]
    assert isinstance(events[-1], Progress)
    assert events[-1].passes == model.document.training.fit.passes


@pytest.mark.parametrize("target", ["sex", "species"])
def test_c_means_what_it_means_to_the_classifier(table, target):
    table = table.drop_columns(["island"])
    model = luce.train(table, target, C=0.3)
    rows = table.filter(table[target].is_valid())
    features = encode(model.document.encoder, rows).features
    classifier = luce.SoftmaxClassifier(C=0.3, tol=1e-10).fit(features, rows[target].to_numpy())
    np.testing.assert_allclose(
        model.scorer.probabilities(features), classifier.predict_proba(features), atol=1e-3
    )


def test_10_000_classes():
    labels = [f"class {place}" for place in range(10_000)]
    table = pa.table({"x": np.linspace(0, 1, 10_000), "y": labels})
    model = luce.train(table, "y", validation=table[:50])
    probabilities = model.predict_proba(table[:3])
    assert probabilities.shape == (3, 10_000)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert sorted(model.classes) == sorted(labels)


def test_4_200_columns():
    """More than have eigenvectors, and than there are rows."""
    random = np.random.default_rng(0)
    labels = np.array(["a", "b"] * 12)
    table = pa.table({f"c{i}x": random.normal(size=24) + (labels == "b") for i in range(4_200)})
    table = table.append_column("y", pa.array(labels))
    model = luce.train(table, "y", validation=table[:4])
    assert model.scorer.coef.shape == (2, 4_200)
    assert list(model.predict(table)) == list(labels)


def test_blas_takes_its_memory_before_a_table_does():
    script = (
        "import sys, pyarrow as pa; from luce.model.understand import understand;"
        "print('scipy.linalg' in sys.modules);"
        "table = pa.table({'x': [1, 2] * 9, 'y': ['a', 'b'] * 9});"
        "understand(table, 'y', report=lambda event: print('scipy.linalg' in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.split()[:2] == ["False", "True"]
