"""What is said of a model's classifier, linear or a network, and why it is the one or the other."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest

import luce
from luce.apps.classifier import chosen
from luce.model.record import Choice

FORMATS = Path(__file__).parents[1] / "model" / "formats" / "3"
TRAIN = ("train", "penguins.csv", "--target", "species", "--out", "new.luce")


def words(text):
    return " ".join(text.split())


@pytest.fixture
def network(run):
    """What training a network says, and the model."""
    said = words(run(*TRAIN, "--model", "network").stdout)
    return said, luce.load("new.luce")


class TestNetwork:
    def test_training_says_how_it_went(self, network):
        said, model = network
        fit = model.document.training.fit
        assert (
            f"Network: epoch {fit.best_epoch} of {fit.epochs}, the best by its log loss, "
            f"{fit.validation_loss:.3f}, on {fit.validation_rows} rows of those fitted on, set "
            "aside to tell when to stop."
        ) in said
        assert "Certificate" not in said
        assert "refitted on all 344" in said
        assert f"{model.document.validation.model.log_loss.value:.3f}" in said

    def test_inspect_shows_layers(self, network, run):
        said = run("inspect", "new.luce").stdout
        first = said.splitlines()[0]
        assert first.startswith("new.luce: softmax network of 100 relu units, 3 classes, 15 feat")
        assert "1,903 parameters" in first
        assert re.search(r"1 dense +15 +100 +relu +1,600\n", said)
        assert re.search(r"2 dense +100 +3 +none: softmax +303\n", said)
        assert "learning rate 0.001, batches of 16 rows" in said
        assert "pushes" not in said
        assert "C =" not in said

    def test_json_has_layers_and_no_pushes(self, network, run):
        found = json.loads(run("inspect", "new.luce", "--json").stdout)
        fit = found["training"]["fit"]
        assert fit["kind"] == "network"
        assert fit["layers"] == [
            {"kind": "dense", "inputs": 15, "outputs": 100, "activation": "relu"},
            {"kind": "dense", "inputs": 100, "outputs": 3, "activation": "identity"},
        ]
        assert "pushes" not in found
        trained = json.loads(run(*TRAIN, "--model", "network", "--json").stdout)
        assert trained.pop("model") == "new.luce"
        assert trained == found

    def test_predict_and_evaluate(self, network, run, workplace):
        _, model = network
        run("predict", "new.luce", "penguins.csv", "--probabilities", "--out", "out.parquet")
        written = pa_parquet.read_table("out.parquet")
        found = np.column_stack([written[f"probability_{label}"] for label in model.classes])
        np.testing.assert_array_equal(found, model.predict_proba("penguins.csv"))
        assert written["species"].to_pylist() == list(model.predict("penguins.csv"))
        said = run("evaluate", "new.luce", "penguins.csv").stdout
        assert "344 rows evaluated, by a softmax network of 100 relu units\n" in said
        assert "trained on" in said
        assert json.loads(run("evaluate", "new.luce", "penguins.csv", "--json").stdout)["kind"] == (
            "network"
        )

    def test_layers_of_every_kind(self, run):
        said = run("inspect", FORMATS / "every-kind-network.luce").stdout
        assert "softmax network of 3 relu and 4 gelu and 5 tanh and 4 logistic units" in words(said)
        assert "the numbers of embeddings are centred and scaled before" in words(said)
        parameters = sum(
            (inputs + 1) * outputs
            for inputs, outputs in [(1055, 3), (3, 4), (4, 5), (5, 4), (4, 3)]
        )
        assert f"{parameters:,} parameters" in said


class TestLinear:
    def test_evaluate_says_which_it_is(self, run):
        said = run("evaluate", "penguins.luce", "penguins.csv").stdout
        assert "344 rows evaluated, by a linear softmax classifier\n" in said
        found = json.loads(run("evaluate", "penguins.luce", "penguins.csv", "--json").stdout)
        assert found["kind"] == "linear"

    def test_inspect_shows_the_penalty_and_pushes(self, run):
        said = run("inspect", "penguins.luce").stdout
        assert "C = 1, seed 0" in said
        assert "What pushes each class most" in said


class TestChoice:
    @pytest.mark.parametrize(
        ("linear", "network", "error", "said"),
        [
            (
                *(0.31, 0.231, 0.01),
                "network: validation log loss 0.231, linear 0.310; difference 0.079 +- 0.010, "
                "on 55 rows of those fitted on, set aside from both",
            ),
            (
                *(0.31, 0.35, 0.01),
                "linear: validation log loss 0.310, network 0.350; difference 0.040 +- 0.010, "
                "on 55 rows of those fitted on, set aside from both",
            ),
            (
                *(0.31, 0.3, 0.01),
                "linear: validation log loss 0.310, network 0.300; difference 0.010 +- 0.010, "
                "on 55 rows of those fitted on, set aside from both; within 2 standard errors "
                "it may be chance, and the simpler model is taken",
            ),
        ],
    )
    def test_is_said_with_the_reason(self, linear, network, error, said):
        choice = Choice(
            chosen=said.partition(":")[0],
            rows=55,
            linear=linear,
            network=network,
            standard_error=error,
        )
        assert words(chosen(choice)) == said
        assert max(map(len, chosen(choice).splitlines())) <= 80

    @pytest.mark.parametrize("kind", ["linear", "network"])
    def test_is_said_by_train_and_inspect(self, kind, run, workplace):
        random = np.random.default_rng(0)
        points, noise = random.normal(size=(400, 2)), random.logistic(size=400)
        crossed = (points[:, 0] > 0) ^ (points[:, 1] > 0)
        labels = crossed if kind == "network" else points.sum(axis=1) > noise
        table = pa.table({"a": points[:, 0], "b": points[:, 1], "y": labels})
        pa_parquet.write_table(table, workplace / "t.parquet")
        said = run("train", "t.parquet", "--target", "y", "--model", "auto").stdout
        choice = luce.load("t.luce").document.training.choice
        assert choice.chosen == kind
        assert chosen(choice) in said
        assert chosen(choice) in run("inspect", "t.luce").stdout
        found = json.loads(run("inspect", "t.luce", "--json").stdout)["training"]["choice"]
        assert found["chosen"] == kind
        assert (found["linear"], found["network"]) == (choice.linear, choice.network)

    def test_nothing_is_said_where_it_was_told(self, run):
        assert "validation log loss" not in run(*TRAIN, "--model", "network").stdout
        assert "validation log loss" not in run("inspect", "penguins.luce").stdout
