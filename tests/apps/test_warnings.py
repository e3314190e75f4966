"""What the commands say, or refuse, so that nobody is misled."""

import shutil
import subprocess

import numpy as np
import pytest


def write_rows(path, rows):
    path.write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "penguins.csv", "--target", "species", "--out", "penguins.csv"),
        ("predict", "penguins.luce", "penguins.csv", "--out", "penguins.csv"),
        ("predict", "penguins.luce", "penguins.csv", "--out", "penguins.luce"),
    ],
)
def test_an_output_never_replaces_an_input(arguments, run, workplace):
    before = {path: path.read_bytes() for path in workplace.iterdir()}
    assert "is read by this command" in run(*arguments, code=2).stderr
    assert {path: path.read_bytes() for path in workplace.iterdir()} == before


@pytest.mark.parametrize("data", ["{parts}/*.csv", "{parts}", "file://{parts}/a.csv"])
def test_no_file_of_a_folder_or_glob_is_replaced(data, run, workplace, tmp_path):
    for name in ("a.csv", "b.csv"):
        shutil.copy(workplace / "penguins.csv", tmp_path / name)
    before = (tmp_path / "a.csv").read_bytes()
    out = tmp_path / "a.csv"
    arguments = ("predict", "penguins.luce", data.format(parts=tmp_path), "--out", out)
    assert "is read by this command" in run(*arguments, code=2).stderr
    assert out.read_bytes() == before


def test_a_share_and_a_table_to_validate_on_exclude_each_other(run):
    arguments = ("train", "penguins.csv", "--target", "species", "--validation", "0.3")
    said = run(*arguments, "--validation-data", "penguins.csv", code=2).stderr
    assert "--validation-data exclude each other" in said


def test_validation_rows_that_were_trained_on_are_counted(run, workplace):
    lines = (workplace / "penguins.csv").read_text().splitlines()
    lines[1] = lines[1].replace("39.1", "39.17")
    write_rows(workplace / "others.csv", lines[:101])
    arguments = ("train", "penguins.csv", "--target", "species", "--out", "new.luce")
    said = run(*arguments, "--validation-data", "others.csv").stdout
    assert "99 of them equal rows trained on" in said
    assert "99 of them equal rows trained on" in run("inspect", "new.luce").stdout


def test_evaluating_on_the_training_rows_is_said(run, workplace):
    assert "trained on" in run("evaluate", "penguins.luce", "penguins.csv").stdout
    lines = (workplace / "penguins.csv").read_text().splitlines()
    write_rows(workplace / "others.csv", lines[:200])
    assert "trained on" not in run("evaluate", "penguins.luce", "others.csv").stdout


def test_noise_is_no_better_than_the_guess(run, workplace):
    random = np.random.default_rng(0)
    many = ",".join(f"x{j}" for j in range(30))
    cells = random.random((120, 30)).round(6)
    labels = random.choice(["a", "b"], 120)
    body = [",".join(map(str, row)) + f",{label}" for row, label in zip(cells, labels, strict=True)]
    write_rows(workplace / "noise.csv", [f"{many},y", *body])
    said = run("train", "noise.csv", "--target", "y", "--C", "1e4").stdout
    assert "No better than the guess" in said


def test_a_class_without_a_row_to_measure_is_named(run, workplace):
    rows = [f"{i % 7},{'ab'[i % 2]}" for i in range(60)]
    write_rows(workplace / "t.csv", ["x,y", *rows, "3,seldom"])
    said = run("train", "t.csv", "--target", "y").stdout
    assert "Not measured, for want of rows: seldom" in said


def test_unseen_levels_are_counted_when_evaluating(run, workplace):
    lines = (workplace / "penguins.csv").read_text().replace("Torgersen", "Atka").splitlines()
    write_rows(workplace / "others.csv", lines[:11])
    said = run("evaluate", "penguins.luce", "others.csv").stdout
    assert "island: 10 rows with a level" in said


def test_errors_name_the_file(run, workplace):
    arguments = ("train", "penguins.csv", "--target")
    assert (
        "penguins.csv: the table has no column 'Species'"
        in run(*arguments, "Species", code=2).stderr
    )
    write_rows(workplace / "others.csv", ["species,island", "Adelie,Dream"])
    said = run("predict", "penguins.luce", "others.csv", code=2).stderr
    assert "others.csv: the table has no columns 'bill_length_mm', 'bill_depth_mm', " in said
    assert "its columns are 'species', 'island'" in said
    write_rows(workplace / "others.csv", ["y,x", "a,", "b,"])
    said = run("train", "others.csv", "--target", "y", code=2).stderr
    assert "others.csv: no column can be used: 'x': every value is missing" in said


def test_a_model_is_written_though_nobody_reads_on(program, workplace):
    """As `luce train ... | head -1`."""
    command = [program, "train", "penguins.csv", "--target", "species", "--out", "new.luce"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        running.stdout.readline()
        running.stdout.close()
    assert running.returncode == 0
    assert (workplace / "new.luce").exists()


def test_labels_that_begin_with_a_sign_keep_it(run, workplace):
    rows = [f"{i % 7},{['>50K', '<=50K'][i % 2]}" for i in range(60)]
    write_rows(workplace / "income.csv", ["x,y", *rows])
    run("train", "income.csv", "--target", "y", "--quiet")
    assert run("inspect", "income.luce").stdout.count(">50K") >= 4


class TestGuesses:
    """How a file is written, where it is not what most files are, is told on standard error."""

    @pytest.fixture
    def german(self, workplace):
        lines = (workplace / "penguins.csv").read_text().replace(",", ";").replace(".", ",")
        text = lines.replace("Torgersen", "Zürich")
        (workplace / "german.csv").write_text(text, "cp1252")
        return "german.csv: semicolons between values, decimal comma, Windows-1252\n"

    @pytest.mark.parametrize("arguments", [("predict",), ("evaluate",), ("evaluate", "--json")])
    def test_are_told(self, arguments, german, run):
        command, *options = arguments
        result = run(command, "penguins.luce", "german.csv", *options)
        assert german in result.stderr
        assert "semicolons" not in result.stdout

    @pytest.mark.parametrize("command", ["predict", "evaluate"])
    def test_are_not_told_of_a_plain_file(self, command, run):
        assert "penguins.csv: " not in run(command, "penguins.luce", "penguins.csv").stderr

    def test_are_told_of_rows_to_measure_on(self, german, run):
        arguments = ("train", "penguins.csv", "--target", "species", "--validation-data")
        assert german in run(*arguments, "german.csv").stderr
        assert run(*arguments, "german.csv", "--quiet").stderr == ""
