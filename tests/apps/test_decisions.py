"""What is said of a model's calibration and rules, by `train`, `inspect` and `evaluate`."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.apps.decisions import _interval
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.model.record import decision_record

TRAIN = ("train", "mixed.csv", "--target", "y")
COSTS = 'class,"let, go",[b]keep,look\nc,9,9,1\na,0,5,1\nb,5,0.5,1\n'
RULE = MinimumCost([[0, 5, 1], [5, 0.5, 1], [9, 9, 1]], ["let, go", "[b]keep", "look"], ask="look")
ALL = ("--calibrate", "auto", "--abstain-risk", "0.1", "--coverage", "0.9")


def words(text):
    return " ".join(text.split())


@pytest.fixture
def mixed_file(workplace, mixed):
    pa_csv.write_csv(mixed, workplace / "mixed.csv")
    (workplace / "costs.csv").write_text(COSTS)


@pytest.fixture
def others(workplace):
    """Labelled rows that the model has not seen."""
    random = np.random.default_rng(1)
    x = random.normal(size=(500, 4))
    labels = (4 * x[:, :3] + random.gumbel(size=(500, 3))).argmax(axis=1)
    columns = {f"x{j}": x[:, j] for j in range(4)}
    table = pa.table({**columns, "y": np.array(["a", "b", "c"])[labels]})
    pa_parquet.write_table(table, workplace / "others.parquet")
    return "others.parquet"


@pytest.mark.usefixtures("mixed_file")
class TestOptions:
    """Each is the option of `luce.train` of that name: the same bytes come out."""

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            (["--calibrate", "auto"], {"calibrate": "auto"}),
            (["--calibrate", "temperature"], {"calibrate": "temperature"}),
            (["--calibrate", "vector"], {"calibrate": "vector"}),
            (["--calibrate", "none"], {}),
            (["--abstain-risk", "0.1"], {"rules": [Abstain(0.1)]}),
            (["--coverage", "0.9"], {"rules": [PredictionSet(0.9)]}),
            (
                ["--coverage", "0.9", "--rule-rows", "0.3"],
                {"rules": [PredictionSet(0.9)], "rule_rows": 0.3},
            ),
            (["--costs", "costs.csv", "--ask", "look"], {"rules": [RULE]}),
            (
                ["--costs", "costs.csv", "--coverage", "0.9", "--ask", "look"],
                {"rules": [RULE, PredictionSet(0.9)]},
            ),
            (
                ["--costs", "costs.csv"],
                {"rules": [MinimumCost(RULE.costs, ["let, go", "[b]keep", "look"])]},
            ),
            (
                ["--abstain-risk", "0.1", "--coverage", "0.9", "--validation-data", "mixed.csv"],
                {"rules": [Abstain(0.1), PredictionSet(0.9)], "validation": "mixed.csv"},
            ),
        ],
        ids=lambda item: " ".join(item) if isinstance(item, list) else "",
    )
    def test_as_in_python(self, arguments, options, run, workplace):
        run(*TRAIN, "--out", "cli.luce", "--quiet", *arguments)
        luce.train("mixed.csv", "y", **options).save("python.luce")
        assert (workplace / "cli.luce").read_bytes() == (workplace / "python.luce").read_bytes()


@pytest.fixture
def trained(run, mixed_file):
    """What training with a calibration and both rules that learn says, and the model."""
    said = run(*TRAIN, "--out", "m.luce", *ALL).stdout
    return said, luce.load("m.luce")


@pytest.fixture
def with_costs(run, mixed_file):
    said = run(*TRAIN, "--out", "m.luce", "--costs", "costs.csv", "--ask", "look").stdout
    return said, luce.load("m.luce")


def line_of(said, title):
    (line,) = (line for line in said.splitlines() if line.startswith(title))
    return line


def assert_shown(said, title, figure):
    assert re.search(
        rf" {figure.value:.3f} +{figure.low:.3f} to {figure.high:.3f} *$", line_of(said, title)
    )


def assert_answers_and_sets_shown(said, measured):
    answers, sets = measured
    assert_shown(said, "answered", answers.share_answered)
    assert_shown(said, "wrong among the answered", answers.error_rate)
    assert_shown(said, "true class in the set", sets.coverage)
    assert_shown(said, "sets of one class", sets.single)
    assert f" {sets.mean_size:.3f} " in line_of(said, "classes in a set")


class TestTrain:
    def test_says_what_is_promised_and_of_which_rows(self, trained):
        said, model = words(trained[0]), trained[1]
        for rule, fit, title in zip(
            model.rules, model.document.rules, ("Answers", "Sets"), strict=True
        ):
            assert f"{title}: {rule}." in said
            assert fit.rows == 300
            assert "300 of 1,500 rows" in fit.source
            assert "never trained on" in fit.source
        assert said.count(f"Both are fitted to {fit.source}.") == 1

    def test_says_what_was_found_on_the_rows_held_out(self, trained):
        said, model = trained
        assert "Measured on 300 of 1,500 rows, held out at random by class" in said
        assert_answers_and_sets_shown(said, model.document.validation.decisions)

    def test_says_which_rows_the_model_is_fitted_to_again(self, trained):
        assert "refitted on all 1,200 rows that are not its rules'; the figures" in words(
            trained[0]
        )

    def test_says_how_it_is_calibrated(self, trained, mixed_file, run):
        said, model = words(trained[0]), trained[1]
        calibration = model.document.calibration
        reason = calibration.reason.removeprefix(f"{calibration.method}: ")
        assert f"{reason} The rows are {calibration.rows:,} of those trained on" in said

    @pytest.mark.parametrize("command", ["train", "inspect"])
    def test_says_the_temperature(self, command, run, workplace):
        random = np.random.default_rng(0)
        x = random.normal(size=(400, 30))  # too many columns: a model that is too sure
        labels = np.array(["a", "b"])[((x[:, 0] + random.normal(size=400)) > 0).astype(int)]
        columns = {f"x{j}": x[:, j] for j in range(30)}
        pa_parquet.write_table(pa.table({**columns, "y": labels}), workplace / "t.parquet")
        arguments = ("train", "t.parquet", "--target", "y", "--C", "1e4")
        said = run(*arguments, "--calibrate", "temperature").stdout
        if command == "inspect":
            said = run("inspect", "t.luce").stdout
        model = luce.load("t.luce")
        assert model.calibrator.temperature > 1
        assert f"Calibration (temperature {model.calibrator.temperature:.4g}): " in said
        found = json.loads(run("inspect", "t.luce", "--json").stdout)["calibration"]
        assert found["calibrator"]["temperature"] == model.calibrator.temperature
        assert found["log_loss_before"] > found["log_loss_after"]

    def test_says_what_decisions_cost(self, with_costs):
        said, model = with_costs
        asked = "of 'let, go', '[b]keep', 'look'; 'look' hands the row to a person."
        assert f"Decisions: the action of least expected cost, {asked}" in words(said)
        (measured,) = model.document.validation.decisions
        low, high = (measured.cost + sign * 1.96 * measured.standard_error for sign in (-1, 1))
        assert line_of(said, "cost a row  ").split() == [
            *("cost", "a", "row", f"{measured.cost:.4g}", f"{low:.4g}", "to", f"{high:.4g}")
        ]
        single = ["let, go", "[b]keep", "look"][measured.single_action]
        for title, value in (
            (f"cost a row if always '{single}'", measured.single_cost),
            ("cost a row as the probabilities expect", measured.expected_cost),
            ("cost a row of a perfect model", measured.perfect_cost),
        ):
            assert f" {value:.4g} " in line_of(said, title)
        assert f" {measured.asked:.3f} " in line_of(said, "handed to a person")

    def test_json_has_all_of_it(self, run, mixed_file):
        found = json.loads(run(*TRAIN, "--json", *ALL).stdout)
        model = luce.load("mixed.luce")
        answers, sets = model.rules
        assert [rule["kind"] for rule in found["rules"]] == ["Abstain", "PredictionSet"]
        assert found["rules"][0]["promise"] == str(answers)
        assert found["rules"][0]["errors"] == answers.errors.tolist()
        assert found["rules"][1]["thresholds"] == sets.thresholds.tolist()
        assert found["rules"][1]["fit"]["rows"] == 300
        measured = found["validation"]["decisions"]
        assert measured[0]["answered"] == model.document.validation.decisions[0].answered
        assert measured[1]["coverage"]["low"] == model.document.validation.decisions[1].coverage.low
        assert found["calibration"]["method"] == model.document.calibration.method
        assert found["training"]["rule_rows"] == 300

    def test_nothing_is_said_without_rules(self, run, mixed_file):
        said = run(*TRAIN).stdout
        for title in ("Calibration", "Answers", "Sets", "Decisions", "decisions", "rules"):
            assert title not in said
        found = json.loads(run("inspect", "mixed.luce", "--json").stdout)
        assert (found["calibration"], found["rules"]) == (None, [])

    def test_lines_are_no_wider_than_the_screen(self, trained, with_costs):
        for said, _ in (trained, with_costs):
            assert max(map(len, said.splitlines())) <= 81  # the certificate


class TestInspect:
    def test_says_all_that_training_said(self, trained, run):
        said = run("inspect", "m.luce").stdout
        start = trained[0].index("Answers: ")
        assert trained[0][start : trained[0].index("Certificate")] in said
        assert "trained by luce" in said
        assert "on 1,200 rows, 300 more kept for its rules" in words(said)
        assert "Calibration" in said

    def test_shows_the_costs(self, with_costs, run):
        said = run("inspect", "m.luce").stdout
        assert re.search(r"costs +let, go +\[b\]keep +look\n", said)
        assert re.search(r"b +5 +0\.5 +1\n", said)

    def test_costs_of_many_are_for_json(self, run, workplace):
        labels = [f"{i % 13:02}" for i in range(390)]
        table = pa.table({"x": np.random.default_rng(0).normal(size=390), "y": labels})
        costs = MinimumCost(1 - np.eye(13))
        luce.train(table, "y", rules=[costs]).save(workplace / "m.luce")
        said = run("inspect", "m.luce").stdout
        assert "costs of 13 actions for 13 classes: see --json" in said
        assert "of '00', '01'" in said
        assert "and 1 more" in said
        (rule,) = json.loads(run("inspect", "m.luce", "--json").stdout)["rules"]
        assert rule["costs"] == costs.costs.tolist()

    def test_json_has_text_for_what_is_not_finite(self, run, workplace, mixed):
        luce.train(mixed, "y", rules=[Abstain(0.5)]).save(workplace / "m.luce")

        def refuse(constant):
            raise AssertionError(constant)

        said = run("inspect", "m.luce", "--json").stdout
        (rule,) = json.loads(said, parse_constant=refuse)["rules"]
        assert rule["thresholds"] == ["-inf"]
        assert "answers 100% of rows" in words(run("inspect", "m.luce").stdout)


class TestEvaluate:
    def test_says_what_the_rules_do_on_these_rows(self, trained, run, others):
        said = run("evaluate", "m.luce", others).stdout
        measured = tuple(map(decision_record, trained[1].evaluate(others).decisions))
        assert measured[0].rows == 500
        assert_answers_and_sets_shown(said, measured)
        assert f"Answers: {trained[1].rules[0]}." in words(said)
        found = json.loads(run("evaluate", "m.luce", others, "--json").stdout)
        assert found["decisions"][0]["errors"] == measured[0].errors
        assert found["decisions"][1]["covered"] == measured[1].covered

    def test_says_what_decisions_cost_on_these_rows(self, with_costs, run, others):
        said = run("evaluate", "m.luce", others).stdout
        (measured,) = with_costs[1].evaluate(others).decisions
        assert f" {measured.cost:.4g} " in line_of(said, "cost a row  ")
        found = json.loads(run("evaluate", "m.luce", others, "--json").stdout)
        assert found["decisions"][0]["cost"] == measured.cost

    def test_what_is_not_finite_is_a_dash_and_null(self, run, workplace, mixed, with_costs):
        pa_csv.write_csv(mixed[:1], workplace / "one.csv")
        said = run("evaluate", "m.luce", "one.csv").stdout
        assert "nan" not in said
        assert re.search(r" -\s*$", line_of(said, "cost a row  "))
        found = json.loads(run("evaluate", "m.luce", "one.csv", "--json").stdout)
        assert found["decisions"][0]["standard_error"] is None


@pytest.mark.usefixtures("mixed_file")
class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "parts"),
        [
            (["--abstain-risk", "0"], ["--abstain-risk", "above 0 and below 1", "not 0"]),
            (["--abstain-risk", "nan"], ["--abstain-risk", "nan"]),
            (["--coverage", "95"], ["--coverage", "below 1", "95"]),
            (["--coverage", "0.9", "--rule-rows", "1"], ["--rule-rows", "not 1"]),
            (["--rule-rows", "0.3"], ["--rule-rows", "--abstain-risk and --coverage"]),
            (["--ask", "look"], ["--ask", "--costs"]),
            (["--abstain-risk", "0.1", "--costs", "costs.csv"], ["--abstain-risk and --costs"]),
            (["--costs", "absent.csv"], ["absent.csv"]),
            (["--costs", "-"], ["costs", "standard input"]),
            (["--costs", "costs.csv", "--ask", "zoo"], ["costs.csv", "'zoo'", "'look'"]),
            (["--costs", "costs.csv", "--out", "costs.csv"], ["costs.csv", "read by this command"]),
            (["--abstain-risk", "0.0001"], ["300 ", "0.0001", "29956", "needed", "--rule-rows"]),
            (["--coverage", "0.9", "--validation", "0.8"], ["0.8", "0.2"]),
        ],
        ids=lambda item: " ".join(item) if isinstance(item, list) else "",
    )
    def test_writes_nothing(self, arguments, parts, run, workplace):
        before = sorted(path.name for path in workplace.iterdir())
        result = run(*TRAIN, "--quiet", *arguments, code=2)
        message = result.stderr.replace(",", "")
        assert message.startswith("Error: ")
        for part in parts:
            assert part.replace(",", "") in message
        assert sorted(path.name for path in workplace.iterdir()) == before

    def test_an_unknown_method(self, run):
        said = run(*TRAIN, "--calibrate", "matrix", code=2).stderr
        for method in ("matrix", "auto", "temperature", "vector", "none"):
            assert method in said

    def test_weights_that_differ(self, run, workplace, mixed):
        weighed = mixed.append_column("w", pa.array(np.arange(1500) % 3 + 1))
        pa_csv.write_csv(weighed, workplace / "w.csv")
        arguments = ("train", "w.csv", "--target", "y", "--weight", "w", "--quiet")
        said = run(*arguments, "--coverage", "0.9", code=2).stderr
        for part in ("'w'", "differ", "PredictionSet"):
            assert part in said
        run(*arguments, "--costs", "costs.csv", "--calibrate", "auto")

    def test_costs_of_other_classes(self, run, workplace):
        (workplace / "costs.csv").write_text("y,go\na,1\nb,1\nd,1\n")
        said = run(*TRAIN, "--quiet", "--costs", "costs.csv", code=2).stderr
        for part in ("costs.csv", "column 'y'", "row 3", "'d'", "'c'"):
            assert part in said


def test_what_is_guessed_of_the_costs_is_said(run, workplace, mixed_file):
    (workplace / "costs.csv").write_text("y;go;stay\na;1,5;0\nb;0;2\nc;1;1\n")
    said = run(*TRAIN, "--costs", "costs.csv").stderr
    assert said.splitlines()[0] == "costs.csv: semicolons between values, decimal comma"


def test_groups_give_one_row_each(run, workplace, mixed):
    grouped = mixed.append_column("who", pa.array(np.arange(1500) // 5))
    pa_csv.write_csv(grouped, workplace / "g.csv")
    said = words(
        run("train", "g.csv", "--target", "y", "--group", "who", "--coverage", "0.9").stdout
    )
    assert "Fitted to one row of each of 60 groups" in said


def test_hostile_names_of_actions_are_harmless(run, workplace, mixed_file):
    names = ["[red]x[/red]", "\x1b[31mred", "a\u202eb"]
    header = ",".join(["y", *names])
    (workplace / "costs.csv").write_text(f"{header}\na,1,2,3\nb,2,1,3\nc,3,2,1\n")
    said = run(*TRAIN, "--costs", "costs.csv", "--ask", names[1]).stdout
    said += run("inspect", "mixed.luce").stdout + run("evaluate", "mixed.luce", "mixed.csv").stdout
    assert "[red]x[/red]" in said
    assert "\\x1b[31mred" in said
    assert not {c for c in said if not c.isprintable()} - {"\n"}
    run("predict", "mixed.luce", "mixed.csv", "--out", "out.parquet")
    decided = pa_parquet.read_table("out.parquet")["decision"].to_pylist()
    assert set(decided) <= set(names)


def test_an_interval_holds_no_cost_that_cannot_be():
    rule = MinimumCost([[0.0, 2.0], [5.0, 0.0]])
    record = decision_record(rule.evaluate([[0.9, 0.1]] * 40, [0] * 39 + [1]))
    assert record.cost == 5 / 40
    assert _interval(rule, record) == "0 to 0.37"
