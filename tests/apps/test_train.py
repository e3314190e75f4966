"""`luce train`: what it says on the way, what it prints, and the file it writes."""

import json
import re

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

import luce
from luce.apps import progress


def words(text):
    return " ".join(text.split())


class TestText:
    @pytest.fixture
    def result(self, run):
        return run("train", "penguins.csv", "--target", "species", "--out", "new.luce")

    def test_says_what_it_understood(self, result):
        said = words(result.stdout)
        assert "344 rows" in said
        assert "8 columns" in said
        assert re.search(r"3 classes: Adelie 152, Chinstrap 68, Gentoo 124", said)
        for column, kind, missing in [
            ("island", "category", 0),
            ("bill_length_mm", "numeric", 2),
            ("sex", "category", 11),
            ("year", "numeric", 0),
        ]:
            assert re.search(rf"{column} {kind} {missing}\b", said)

    def test_prints_figures_with_intervals_beside_the_guess(self, result, model):
        said = result.stdout.lower()
        validation = model.document.validation
        for name in ("accuracy", "log_loss", "brier_score", "expected_calibration_error"):
            line = next(
                line for line in said.splitlines() if line.startswith(name.replace("_", " "))
            )
            for figures in (validation.model, validation.baseline):
                figure = getattr(figures, name)
                for value in (figure.value, figure.low, figure.high):
                    assert f"{value:.3f}" in line
        assert "69 of 344" in said
        assert "95 %" in said

    def test_prints_the_confusion(self, result, model):
        lines = result.stdout.splitlines()
        for label, row in zip(model.classes, model.confusion, strict=True):
            numbers = [f"{value:.0f}" for value in row]
            assert any(line.split()[:-1] == [label, *numbers] for line in lines)

    def test_prints_certificate_refit_file_and_next_command(self, result, model):
        said = words(result.stdout)
        assert f"{model.document.training.fit.optimality_gap:.1e}" in said
        assert f"{model.document.training.fit.passes} passes" in said
        assert re.search("refitted on all 344", said)
        assert "new.luce" in said
        assert "luce predict new.luce" in said

    def test_writes_the_model(self, result, workplace, model):
        assert (workplace / "new.luce").read_bytes() == (workplace / "penguins.luce").read_bytes()

    def test_progress_is_plain_lines_on_standard_error(self, result):
        lines = result.stderr.splitlines()
        assert len(lines) == 2
        assert "275" in lines[0]
        assert "344" in lines[1]
        assert "\x1b" not in result.stderr
        assert "275 rows: pass" not in result.stdout


class TestJson:
    def test_is_one_document_and_nothing_else(self, run, model):
        result = run("train", "penguins.csv", "--target", "species", "--json")
        document = json.loads(result.stdout)
        assert result.stderr == ""
        assert document["model"] == "penguins.luce"
        expected = json.loads(msgspec.json.encode(model.document))
        columns = document["encoder"]["columns"]
        assert [each["name"] for each in columns] == [
            each["name"] for each in expected.pop("encoder")["columns"]
        ]
        assert {name: document[name] for name in expected} == expected
        assert document["confusion"] == model.confusion.tolist()
        assert document["pushes"].keys() == {"Adelie", "Chinstrap", "Gentoo"}

    def test_text_of_every_kind(self, run, workplace):
        labels = ['"q"\\', "\x1b[31m\n", "🐧"] * 20
        table = pa.table({"x\t": np.random.default_rng(0).normal(size=60), "y": labels})
        pa_csv.write_csv(table, workplace / "t.csv")
        result = run("train", "t.csv", "--target", "y", "--json")
        assert json.loads(result.stdout)["target"]["classes"] == sorted(set(labels))
        assert "\x1b" not in result.stdout


def test_quiet_prints_nothing(run, workplace):
    (workplace / "penguins.luce").unlink()
    result = run("train", "penguins.csv", "--target", "species", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    assert (workplace / "penguins.luce").exists()


class TestOptions:
    """Each is the option of `luce.train` of that name: the same bytes come out."""

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            (["--validation", "0.35"], {"validation": 0.35}),
            (["--validation-data", "penguins.csv"], {"validation": "penguins.csv"}),
            (["--weight", "body_mass_g", "--drop", "island"], None),
            (["--drop", "island", "--drop", "sex"], {"drop": ["island", "sex"]}),
            (
                ["--group", "island", "--validation", "0.34"],
                {"group": "island", "validation": 0.34},
            ),
            (["--kind", "year=category"], {"kinds": {"year": "category"}}),
            (["--model", "network"], {"model": "network"}),
            (["--model", "auto"], {"model": "auto"}),
            (["--C", "0.125"], {"C": 0.125}),
            (["--C", "auto"], {"C": "auto"}),
            (["--seed", "7"], {"seed": 7}),
        ],
        ids=lambda item: item[0].strip("-") if isinstance(item, list) else "",
    )
    def test_as_in_python(self, arguments, options, run, workplace, table):
        data, target = "penguins.csv", "species"
        if options is None:
            rows = table.filter(table["body_mass_g"].is_valid())
            pa_csv.write_csv(rows, workplace / "weighed.csv")
            data, options = "weighed.csv", {"weight": "body_mass_g", "drop": ["island"]}
        if "group" in options:  # a species of one island cannot be held out with it
            data, target = self.of_two_sexes(table, workplace), "sex"
        run("train", data, "--target", target, "--out", "cli.luce", "--quiet", *arguments)
        luce.train(data, target, **options).save("python.luce")
        assert (workplace / "cli.luce").read_bytes() == (workplace / "python.luce").read_bytes()

    def of_two_sexes(self, table, workplace):
        pa_csv.write_csv(table.drop_columns(["species"]), workplace / "sexes.csv")
        return "sexes.csv"

    def test_a_name_with_an_equals_sign_has_a_kind(self, run, workplace):
        rows = "".join(f"{i % 7},{'ab'[i % 2]}\n" for i in range(60))
        (workplace / "t.csv").write_text("a=b,y\n" + rows)
        run("train", "t.csv", "--target", "y", "--kind", "a=b=category", "--quiet")
        (column,) = luce.load("t.luce").document.encoder.columns
        assert (column.name, column.kind) == ("a=b", "category")

    def test_weight_group_drop_and_unlabelled_are_said(self, run, workplace, table):
        labels = [None, None, *table["sex"].to_pylist()[2:]]
        rows = table.set_column(6, "sex", pa.array(labels)).append_column(
            "w", pa.array([1.5] * 344)
        )
        pa_csv.write_csv(rows, workplace / "t.csv")
        said = words(
            run(
                *("train", "t.csv", "--target", "sex", "--weight", "w", "--group", "year"),
                *("--validation", "0.34", "--drop", "island"),
            ).stdout
        )
        assert re.search(r"\bw weight", said)
        assert re.search(r"\byear group", said)
        assert re.search(r"\bisland left out: dropped", said)
        missing = sum(label is None for label in labels)
        assert re.search(rf"{missing} rows without a label", said)

    def test_what_is_left_out_is_said_with_the_reason(self, run, workplace):
        rows = "".join(f"{i},{i % 7},same,{'ab'[i % 2]}\n" for i in range(60))
        (workplace / "t.csv").write_text("number,x,constant,y\n" + rows)
        said = words(run("train", "t.csv", "--target", "y").stdout)
        assert re.search("number numeric 0 left out: the values number the rows", said)
        assert re.search("constant category 0 left out: every value is 'same'", said)

    def test_the_penalty_chosen_is_said(self, run):
        said = run("train", "penguins.csv", "--target", "species", "--C", "auto").stdout
        chosen = luce.load("penguins.luce").document.training.fit.C
        assert re.search(rf"C = {chosen:g}.*cross-validation", said)


class TestProgressLine:
    def test_every_pass_may_have_its_line(self, monkeypatch, run):
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_PLAIN_LINES", -1.0)
        lines = run("train", "penguins.csv", "--target", "species").stderr.splitlines()
        assert any("275 rows: pass 3," in line for line in lines)
        assert any("344 rows: pass 3," in line for line in lines)

    def test_so_may_every_epoch(self, monkeypatch, run):
        arguments = ("train", "penguins.csv", "--target", "species", "--model", "network")
        last = run(*arguments).stderr.splitlines()
        number = r"[\d.e-]+"
        for line, rows in zip(last, ("fitting on 275", "fitting again on all 344"), strict=True):
            assert re.fullmatch(
                rf"{rows} rows: epoch \d+ \(best \d+\), loss {number}, "
                rf"validation loss {number}, {number} s",
                line,
            )
        monkeypatch.setattr(progress, "SECONDS_BETWEEN_PLAIN_LINES", -1.0)
        lines = run(*arguments).stderr.splitlines()
        assert any("275 rows: epoch 3 (best 3)," in line for line in lines)
        assert any("344 rows: epoch 3 (best 3)," in line for line in lines)

    def test_an_error_ends_it(self, capsys):
        with (
            pytest.raises(ZeroDivisionError),
            progress.ProgressLine(shown=True) as line,
        ):
            line(1 / 0)
        assert capsys.readouterr().err == ""
