"""`luce predict`: one row out for each row in, in order, in the labels' own type."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce

READ = {
    ".csv": lambda path: pa_csv.read_csv(path),
    ".parquet": lambda path: pa_parquet.read_table(path),
    ".jsonl": lambda path: pa.Table.from_pylist(
        [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    ),
}
READ[".ndjson"] = READ[".jsonl"]
READ[".arrow"] = lambda path: pa.ipc.open_file(path).read_all()
READ[".CSV"] = READ[".csv"]


@pytest.fixture(params=READ)
def written(request, run, workplace):
    """Predictions of the penguins as a table, through each kind of file."""
    out = workplace / f"predicted{request.param}"

    def predict(*arguments, model="penguins.luce", data="penguins.csv"):
        result = run("predict", model, data, "--out", out, *arguments)
        assert result.stdout == ""
        assert out.name in result.stderr.replace("\n", "")
        return READ[request.param](out)

    return predict


class TestColumns:
    def test_label_and_confidence(self, written, model):
        predicted = written()
        probabilities = model.predict_proba("penguins.csv")
        assert predicted.column_names == ["species", "confidence"]
        assert predicted["species"].to_pylist() == list(model.predict("penguins.csv"))
        confidence = predicted["confidence"].to_numpy().astype(np.float32)
        np.testing.assert_array_equal(confidence, probabilities.max(axis=1))

    def test_probabilities(self, written, model):
        predicted = written("--probabilities")
        found = [predicted[f"probability_{label}"].to_numpy() for label in model.classes]
        expected = model.predict_proba("penguins.csv")
        np.testing.assert_array_equal(np.column_stack(found).astype(np.float32), expected)

    def test_top(self, written, model):
        predicted = written("--top", "2")
        probabilities = model.predict_proba("penguins.csv")
        order = np.argsort(-probabilities, axis=1)
        for rank in range(2):
            assert predicted[f"top_{rank + 1}"].to_pylist() == list(model.classes[order[:, rank]])
            found = predicted[f"top_{rank + 1}_probability"].to_numpy().astype(np.float32)
            np.testing.assert_array_equal(found, probabilities[range(344), order[:, rank]])
        assert predicted["top_1"].to_pylist() == predicted["species"].to_pylist()
        assert "top_3" not in predicted.column_names

    @pytest.mark.parametrize("target", ["confidence", "probability_a", "top_1"])
    def test_a_target_of_one_of_their_names(self, target, run, workplace):
        rows = "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(60))
        (workplace / "t.csv").write_text(f"x,{target}\n" + rows)
        run("train", "t.csv", "--target", target, "--quiet")
        run("predict", "t.luce", "t.csv", "--probabilities", "--top", "1", "--out", "out.parquet")
        predicted = pa_parquet.read_table("out.parquet")
        assert predicted.num_columns == 6
        assert set(predicted[0].to_pylist()) <= {"a", "b"}


class TestRows:
    ODD = (
        "sex,year,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,species\n"
        "female,2007,Biscoe,47.5,15,218,4950,Gentoo\n"
        "NA,NA,NA,NA,NA,NA,NA,NA\n"
        ",,,,,,,\n"
        '"","","","","","",""," "\n'
        "unknown,2031,Atka,47.5,15,218,4950,Emperor\n"
        "male,2007.5,Torgersen, 39.1 ,18.7,181,3750,\n"
    )

    def test_none_is_lost(self, run, workplace):
        (workplace / "odd.csv").write_text(self.ODD)
        run("predict", "penguins.luce", "odd.csv", "--out", "out.jsonl")
        rows = [json.loads(line) for line in (workplace / "out.jsonl").read_text().splitlines()]
        assert len(rows) == 6
        assert rows[0]["species"] == "Gentoo"
        assert rows[5]["species"] == "Adelie"
        assert rows[1] == rows[2] == rows[3]

    def test_levels_never_seen_are_counted(self, run, workplace):
        (workplace / "odd.csv").write_text(self.ODD)
        said = run("predict", "penguins.luce", "odd.csv").stderr.splitlines()
        (island,) = (line for line in said if "island" in line)
        assert "4 rows" in island  # Atka, and missing where no training row was
        (sex,) = (line for line in said if "sex" in line)
        assert "1 row " in sex
        assert len(said) == 2

    def test_nothing_is_said_where_every_level_is_known(self, run):
        assert run("predict", "penguins.luce", "penguins.csv").stderr == ""

    def test_order_is_kept_over_many_blocks(self, run, workplace, table, model):
        rows = np.random.default_rng(0).integers(344, size=20_000)
        pa_parquet.write_table(table.take(rows), workplace / "many.parquet")
        run("predict", "penguins.luce", "many.parquet", "--out", "out.jsonl")
        lines = (workplace / "out.jsonl").read_text().splitlines()
        assert [json.loads(line)["species"] for line in lines] == list(model.predict(table)[rows])

    def test_blocks_do_not_show(self, run, workplace, table, monkeypatch):
        pa_parquet.write_table(pa.concat_tables([table] * 3), workplace / "many.parquet")
        arguments = ("predict", "penguins.luce", "many.parquet", "--probabilities", "--top", "2")
        whole = run(*arguments).stdout
        monkeypatch.setattr("luce.model.rows.MOST_ROWS", 100)
        assert run(*arguments).stdout == whole

    def test_standard_output_is_csv(self, run, workplace):
        result = run("predict", "penguins.luce", "penguins.csv", "--probabilities")
        run("predict", "penguins.luce", "penguins.csv", "--probabilities", "--out", "out.csv")
        assert result.stdout.encode() == (workplace / "out.csv").read_bytes()

    def test_the_columns_of_a_file_may_be_text(self, run, workplace, table, model):
        texts = pa.table({name: table[name].cast(pa.string()) for name in table.column_names})
        pa_parquet.write_table(texts, workplace / "texts.parquet")
        run("predict", "penguins.luce", "texts.parquet", "--out", "out.parquet")
        predicted = pa_parquet.read_table("out.parquet")["species"].to_pylist()
        assert predicted == list(model.predict(table))


LABELS = {
    "text": (["a", "b"], pa.string(), pa.string()),
    "integers": ([7, -3], pa.int16(), pa.int64()),
    "truths": ([True, False], pa.bool_(), pa.bool_()),
    "floats": ([1.0, 2.0], pa.float64(), pa.float64()),
    "half floats": ([1.0, 2.0], pa.float16(), None),
    "dictionary": (["a", "b"], pa.dictionary(pa.int8(), pa.string()), pa.string()),
}


@pytest.mark.parametrize(("labels", "type", "from_csv"), LABELS.values(), ids=LABELS.keys())
@pytest.mark.parametrize("source", ["t.csv", "t.parquet"])
def test_labels_keep_their_type(labels, type, from_csv, source, run, workplace):
    x = np.random.default_rng(0).normal(size=60)
    table = pa.table({"x": x, "y": pa.array(labels * 30, type)})
    pa_parquet.write_table(table, workplace / "t.parquet")
    if source == "t.csv":
        spelt = [f"{value!r}".lower() for value in labels] * 30
        lines = [f"{value},{label}".replace("'", "") for value, label in zip(x, spelt, strict=True)]
        (workplace / "t.csv").write_text("\n".join(["x,y", *lines]))
    run("train", source, "--target", "y", "--quiet")
    run("predict", "t.luce", source, "--top", "1", "--out", "out.parquet")
    predicted = pa_parquet.read_table("out.parquet")
    plain = type.value_type if pa.types.is_dictionary(type) else type
    if source == "t.csv":
        plain = from_csv or pa.float64()
    assert predicted["y"].type == predicted["top_1"].type == plain
    assert set(predicted["y"].to_pylist()) <= set(labels)
    assert list(luce.load("t.luce").predict(source)) == predicted["y"].to_pylist()


def test_labels_may_be_text_views(run, workplace):
    labels = pa.array(["a", "b"] * 30).cast(pa.string_view())
    pa_parquet.write_table(pa.table({"x": np.arange(60) % 7, "y": labels}), "views.parquet")
    run("train", "views.parquet", "--target", "y", "--quiet")
    run("predict", "views.luce", "views.parquet", "--out", "out.csv")
