"""How the command line is told what to read: standard input, options of text, kinds, memory."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce

DISK = "the table is kept on disk, not in memory"
LABELS = np.arange(60) % 2
DAYS = [f"20{20 + i % 2}-01-{1 + i % 6:02}" for i in range(60)]
TEXTS = ["good and cheap", "bad and dear"] * 30
NUMBERS = {f"e{j}": LABELS * j + np.arange(60) % 5.0 for j in range(8)}


def test_the_query_of_a_uri_is_no_part_of_a_name(run, workplace):
    expected = (workplace / "penguins.luce").read_bytes()
    (workplace / "penguins.luce").unlink()
    run("train", f"file://{workplace}/penguins.csv?a=b/c.d&e=*", "--target", "species", "--quiet")
    assert (workplace / "penguins.luce").read_bytes() == expected


class TestStandardInput:
    def test_predict(self, run, workplace):
        expected = run("predict", "penguins.luce", "penguins.csv", "--probabilities")
        content = (workplace / "penguins.csv").read_bytes()
        found = run("predict", "penguins.luce", "-", "--probabilities", input=content)
        assert found.stdout == expected.stdout
        assert len(found.stdout.splitlines()) == 345

    def test_evaluate(self, run, workplace):
        content = (workplace / "penguins.csv").read_bytes()
        found = run("evaluate", "penguins.luce", "-", "--json", input=content)
        expected = run("evaluate", "penguins.luce", "penguins.csv", "--json")
        assert json.loads(found.stdout) == json.loads(expected.stdout)

    def test_train(self, run, workplace):
        content = (workplace / "penguins.csv").read_bytes()
        run("train", "-", "--target", "species", "--out", "new.luce", input=content)
        assert (workplace / "new.luce").read_bytes() == (workplace / "penguins.luce").read_bytes()

    def test_a_model_of_it_has_to_be_named(self, refuse):
        assert "--out" in refuse("train", "-", "--target", "species")

    @pytest.mark.parametrize(
        "arguments",
        [
            ("predict", "penguins.luce", "-"),
            ("evaluate", "penguins.luce", "-"),
            ("train", "-", "--target", "species", "--out", "new.luce"),
        ],
    )
    def test_without_anything_on_it(self, arguments, refuse):
        assert "standard input: the file is empty" in refuse(*arguments)


class TestText:
    """What is told wins over a guess that differs, in each command that reads a table."""

    def test_delimiter(self, run, refuse, workplace):
        rows = "".join(f"{i % 2}|u,{'ab'[i % 2]}\n" for i in range(60))
        (workplace / "t.csv").write_text("x|w,y\n" + rows)
        train = ("train", "t.csv", "--target", "w,y", "--quiet")
        assert "'x|w', 'y'" in refuse(*train)
        run(*train, "--delimiter", "|")
        assert list(luce.load("t.luce").classes) == ["u,a", "u,b"]
        for command in ("predict", "evaluate"):
            assert "'x|w', 'y'" in refuse(command, "t.luce", "t.csv")
            assert run(command, "t.luce", "t.csv", "--delimiter", "|").stdout

    def test_decimal(self, run, refuse, workplace):
        rows = "".join(f"{i % 2},5;{'ab'[i % 2]}\n" for i in range(60))
        (workplace / "t.csv").write_text("x;y\n" + rows)
        train = ("train", "t.csv", "--target", "y", "--quiet")
        for told, kind in ((["--decimal", "."], "category"), ([], "numeric")):
            run(*train, *told)
            (column,) = luce.load("t.luce").document.encoder.columns
            assert column.kind == kind
        for command in ("predict", "evaluate"):
            assert run(command, "t.luce", "t.csv").stdout
            said = refuse(command, "t.luce", "t.csv", "--delimiter", ";", "--decimal", ".")
            assert "'x', row 1 " in said
            assert "'0,5' is not a number" in said

    def test_encoding(self, run, workplace):
        rows = "".join(f"{w},{w}\n" for w in ("\u0107", "\u017c") * 30)  # c and z of Polish
        (workplace / "t.csv").write_bytes(("x,y\n" + rows).encode("cp1250"))
        train = ("train", "t.csv", "--target", "y", "--quiet")
        run(*train)
        assert list(luce.load("t.luce").classes) != ["\u0107", "\u017c"]
        run(*train, "--encoding", "cp1250")
        assert list(luce.load("t.luce").classes) == ["\u0107", "\u017c"]
        assert "row 1" in run("evaluate", "t.luce", "t.csv", code=2).stderr
        assert "60 rows" in run("predict", "t.luce", "t.csv").stderr  # have levels never seen
        told = ("t.luce", "t.csv", "--encoding", "cp1250")
        assert "60 rows" in run("evaluate", *told).stdout
        assert run("predict", *told).stderr == ""


class TestMemory:
    def test_what_does_not_fit_is_kept_on_disk_and_gives_the_same_model(self, run, workplace):
        x = np.arange(100_000) % 7
        pa_csv.write_csv(pa.table({"x": x, "y": x % 2 == 0}), workplace / "t.csv")
        models = []
        for memory, said in (("1MB", True), ("1GB", False)):
            result = run("train", "t.csv", "--target", "y", "--memory", memory)
            assert (DISK in " ".join(result.stdout.split())) is said
            models.append((workplace / "t.luce").read_bytes())
        assert models[0] == models[1]

    def test_no_amount(self, refuse):
        said = refuse("train", "penguins.csv", "--target", "species", "--memory", "much")
        assert "'much' is no amount of memory" in said


class TestKinds:
    """Each gives a model that predicts, from a table for which another kind is guessed."""

    @pytest.mark.parametrize(
        ("columns", "name", "kind", "guess"),
        [
            ({"d": DAYS}, "d", "datetime", "category"),
            ({"t": TEXTS}, "t", "text", "category"),
            (NUMBERS, "e0..e7", "embedding", "numeric"),
        ],
        ids=lambda item: item if isinstance(item, str) else "",
    )
    def test_a_model_of_it_predicts(self, columns, name, kind, guess, run, workplace):
        pa_parquet.write_table(pa.table({**columns, "y": LABELS}), workplace / "t.parquet")
        train = ("train", "t.parquet", "--target", "y")
        run(*train, "--quiet")
        assert {c.kind for c in luce.load("t.luce").document.encoder.columns} == {guess}
        said = run(*train, "--kind", f"{name}={kind}").stdout
        assert kind in said
        (column,) = luce.load("t.luce").document.encoder.columns
        assert (column.name, column.kind) == (name, kind)
        run("predict", "t.luce", "t.parquet", "--out", "out.parquet")
        found = pa_parquet.read_table("out.parquet")["y"].to_numpy()
        np.testing.assert_array_equal(found, LABELS)


def test_columns_without_a_type_are_missing(run, workplace):
    """Of every kind, as a file has them whose rows hold nothing but nulls."""
    path = Path(__file__).parents[1] / "model" / "formats" / "3" / "every-kind.luce"
    names = [
        name
        for column in luce.load(path).document.encoder.columns
        for name in (column.columns if column.kind == "embedding" else (column.name,))
    ]
    pa_parquet.write_table(pa.table({name: pa.nulls(3) for name in names}), "nulls.parquet")
    (workplace / "nulls.jsonl").write_text(3 * (json.dumps(dict.fromkeys(names)) + "\n"))
    found = [run("predict", path, f"nulls.{ending}").stdout for ending in ("parquet", "jsonl")]
    assert found[0] == found[1]
    assert len(set(found[0].splitlines()[1:])) == 1
    assert len(found[0].splitlines()) == 4
