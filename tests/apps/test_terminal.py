"""Hostile text is shown as text: no markup, no commands to the terminal, no lost names."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

HOSTILE = [
    "[red]x[/red]",
    "\x1b[31mred\x1b[0m",
    "two\nlines",
    "quote\"'",
    "[/]",
    "back\\",
    "\a\b\x7f\x9b31m",
    "a\u202eb",
    " blank ",
    "penguin 🐧",
    "[link=file:///]x[/link]",
]
LABELS = {text.strip(" ") for text in HOSTILE}
SHOWN = ["[red]x[/red]", "\\x1b[31mred", "two\\nlines", "quote\"'", "[/]", "a\\u202eb", "🐧"]


@pytest.fixture
def hostile(workplace):
    """A table whose every name, label and level is hostile."""
    random = np.random.default_rng(0)
    columns = {name: random.normal(size=110) for name in HOSTILE}
    columns["[bold]level"] = [HOSTILE[i % 3] for i in range(110)]
    columns["[bold]label"] = [HOSTILE[i % len(HOSTILE)] for i in range(110)]
    pa_parquet.write_table(pa.table(columns), workplace / "h.parquet")
    return "h.parquet"


def assert_harmless(text):
    commands = {c for c in text if not c.isprintable()} - {"\n"}
    assert not commands


class TestHostileText:
    @pytest.fixture
    def trained(self, run, hostile):
        return run("train", hostile, "--target", "[bold]label")

    def test_is_shown_by_training(self, trained):
        assert_harmless(trained.stdout + trained.stderr)
        for name in SHOWN:
            assert name in trained.stdout
        assert "[bold]label" in trained.stdout

    def test_is_shown_by_inspect_and_evaluate(self, trained, run, hostile):
        said = run("inspect", "h.luce").stdout
        for name in SHOWN:
            assert name in said
        assert_harmless(said + run("evaluate", "h.luce", hostile).stdout)

    def test_is_whole_in_json(self, trained, run):
        said = run("inspect", "h.luce", "--json").stdout
        assert_harmless(said.replace("\x7f", "").replace("\x9b", "").replace("\u202e", ""))
        found = json.loads(said)
        assert set(found["target"]["classes"]) == LABELS
        names = [column["name"] for column in found["encoder"]["columns"]]
        assert names == [*HOSTILE, "[bold]level"]

    @pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
    def test_is_whole_in_predictions(self, ending, trained, run, hostile, workplace):
        out = workplace / f"out.{ending}"
        run("predict", "h.luce", hostile, "--probabilities", "--top", "1", "--out", out)
        options = pa_csv.ParseOptions(newlines_in_values=True)
        predicted = {
            "csv": lambda: pa_csv.read_csv(out, parse_options=options),
            "parquet": lambda: pa_parquet.read_table(out),
            "jsonl": lambda: pa.Table.from_pylist(
                [json.loads(line) for line in out.read_bytes().decode().split("\n")[:-1]]
            ),
        }[ending]()
        assert predicted.num_rows == 110
        assert set(predicted["[bold]label"].to_pylist()) <= LABELS
        assert {f"probability_{label}" for label in LABELS} <= set(predicted.column_names)

    def test_levels_never_seen_are_reported_harmlessly(self, workplace, run):
        rows = [f"{HOSTILE[1]}{'xy'[i % 2]},{'ab'[i % 2]}" for i in range(60)]
        name = "[red]\x1b[31mlevel"
        (workplace / "t.csv").write_text("\n".join([f"{name},y", *rows]))
        run("train", "t.csv", "--target", "y", "--quiet")
        (workplace / "new.csv").write_text(f"{name}\nnew\n")
        said = run("predict", "t.luce", "new.csv").stderr
        assert "[red]\\x1b[31mlevel" in said
        assert_harmless(said)

    def test_names_in_errors(self, run, hostile):
        said = run("train", hostile, "--target", "\x1b[31mabsent", code=2).stderr
        assert "[red]x[/red]" in said
        assert_harmless(said)

    def test_a_file_of_a_hostile_name(self, run, workplace):
        (workplace / "[red]\x1b[31m.csv").write_bytes((workplace / "penguins.csv").read_bytes())
        result = run("train", "[red]\x1b[31m.csv", "--target", "species")
        assert "[red]\\x1b[31m.luce" in result.stdout
        assert_harmless(result.stdout + result.stderr)
        assert_harmless(run("inspect", "[red]\x1b[31m.luce").stdout)


class TestHostileTextInErrors:
    @pytest.mark.parametrize(
        "arguments",
        [
            ("train", "\x1b[31m.csv", "--target", "y"),
            ("train", "penguins.csv", "--target", "species", "--out", "\x1b[31m/new.luce"),
            ("inspect", "\x1b[31m.luce"),
            ("predict", "penguins.luce", "penguins.csv", "--out", "x.\x1b[31m"),
        ],
    )
    def test_names_of_files(self, arguments, run):
        assert_harmless(run(*arguments, code=2).stderr)

    def test_values_of_a_file(self, run, workplace):
        lines = (workplace / "penguins.csv").read_text().splitlines()
        lines[5] = lines[5].replace("2007", "\x1b[31m")
        (workplace / "bad.csv").write_text("\n".join(lines))
        assert_harmless(run("predict", "penguins.luce", "bad.csv", code=2).stderr)


class TestNamesBetweenColons:
    def test_labels_and_columns(self, run, workplace):
        rows = [f"{i % 7},{[':smile:', ':dog:'][i % 2]}" for i in range(60)]
        (workplace / "t.csv").write_text("\n".join([":cat:,y", *rows]))
        said = run("train", "t.csv", "--target", "y").stdout
        assert ":smile:" in said
        assert ":cat:" in said

    def test_errors(self, run):
        assert ":cat:.luce" in run("inspect", ":cat:.luce", code=2).stderr


def test_a_backslash_is_one(run, workplace):
    rows = [f"{i % 7},{'ab'[i % 2]}" for i in range(60)]
    (workplace / "t.csv").write_text("\n".join(["back\\,y", *rows]))
    said = run("train", "t.csv", "--target", "y").stdout
    assert "back\\ " in said
    assert "back\\\\" not in said
