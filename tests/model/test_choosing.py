"""The linear model or the network: by rows that neither has seen, and only beyond chance."""

import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.model import choosing
from luce.model.choosing import ERRORS_TO_WIN, SHARE_COMPARED, compared
from luce.model.events import Stage
from luce.model.fitting import GRID
from luce.model.split import hold_out
from luce.training import Progress
from luce.training.network import NetworkProgress

N = 400
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(N, 3))
CROSSED = np.where((POINTS[:, 0] > 0) ^ (POINTS[:, 1] > 0), "a", "b")
STRAIGHT = np.where(POINTS[:, 0] + RANDOM.normal(size=N) > 0, "a", "b")


def table_of(labels, points=POINTS, **others):
    columns = {f"x{j}": column for j, column in enumerate(points.T)}
    return pa.table(columns | others | {"y": labels})


def choice_of(model):
    return model.document.training.choice


class TestCompared:
    def test_the_lower_loss_wins_where_the_difference_is_beyond_its_error(self):
        random = np.random.default_rng(1)
        linear, network = random.normal(1.0, 0.3, 200), random.normal(0.8, 0.3, 200)
        choice = compared(linear, network, np.ones(200), None)
        error = (linear - network).std(ddof=1) / np.sqrt(200)
        assert choice.standard_error == pytest.approx(error)
        assert (choice.linear, choice.network) == pytest.approx((linear.mean(), network.mean()))
        assert choice.rows == 200
        assert choice.chosen == "network"
        assert compared(network, linear, np.ones(200), None).chosen == "linear"

    @pytest.mark.parametrize(("errors", "chosen"), [(0.99, "linear"), (1.01, "network")])
    def test_what_may_be_chance_is_the_linear_models(self, errors, chosen):
        residuals = np.random.default_rng(2).normal(size=100)
        residuals -= residuals.mean()
        error = residuals.std(ddof=1) / 10
        linear = 5 + residuals + errors * ERRORS_TO_WIN * error
        assert compared(linear, np.full(100, 5.0), np.ones(100), None).chosen == chosen

    def test_a_tie_is_the_linear_models(self):
        losses = np.random.default_rng(3).random(50)
        choice = compared(losses, losses, np.ones(50), None)
        assert (choice.chosen, choice.standard_error) == ("linear", 0)

    def test_one_row_or_group_tells_nothing(self):
        for losses, groups in (([1.0], None), ([1.0, 1.1, 1.2], np.zeros(3, np.int64))):
            rows = len(losses)
            choice = compared(np.array(losses), np.zeros(rows), np.ones(rows), groups)
            assert choice.chosen == "linear"
            assert choice.standard_error == choice.linear

    def test_rows_of_a_group_are_drawn_together(self):
        differences = np.repeat(np.random.default_rng(4).normal(size=20), 5)
        groups = np.repeat(np.arange(20), 5)
        apart = compared(differences, np.zeros(100), np.ones(100), None)
        together = compared(differences, np.zeros(100), np.ones(100), groups)
        of_groups = differences[::5].std(ddof=1) / np.sqrt(20)
        assert together.standard_error == pytest.approx(of_groups)
        assert apart.standard_error < 0.5 * together.standard_error

    def test_a_weight_is_as_many_rows_of_a_group(self):
        random = np.random.default_rng(5)
        losses, weights = random.random((2, 30)), random.integers(1, 4, size=30)
        weighted = compared(*losses, weights.astype(float), np.arange(30))
        repeated = compared(
            *np.repeat(losses, weights, axis=1),
            np.ones(weights.sum()),
            np.repeat(np.arange(30), weights),
        )
        for name in ("linear", "network", "standard_error"):
            assert getattr(weighted, name) == pytest.approx(getattr(repeated, name))


class TestAuto:
    def test_the_network_where_it_is_better(self):
        auto = luce.train(table_of(CROSSED), "y", model="auto")
        choice = choice_of(auto)
        assert choice.chosen == auto.document.training.fit.kind == "network"
        assert choice.linear - choice.network > ERRORS_TO_WIN * choice.standard_error
        assert choice.rows == round(SHARE_COMPARED * 0.8 * N)

    def test_the_linear_model_where_the_network_is_no_better(self):
        auto = luce.train(table_of(STRAIGHT), "y", model="auto")
        assert choice_of(auto).chosen == auto.document.training.fit.kind == "linear"

    @pytest.mark.parametrize("labels", [CROSSED, STRAIGHT], ids=["network", "linear"])
    def test_the_winner_is_trained_as_usual(self, labels):
        auto = luce.train(table_of(labels), "y", model="auto")
        told = luce.train(table_of(labels), "y", model=choice_of(auto).chosen)
        assert choice_of(told) is None
        assert auto.document.validation == told.document.validation
        assert auto.document.training.fit == told.document.training.fit
        for name, tensor in told.scorer.tensors.items():
            assert auto.scorer.tensors[name].tobytes() == tensor.tobytes()

    def test_rows_held_out_have_no_say(self):
        held = hold_out((CROSSED == "b").astype(int), None, 0.2, 0)
        points = np.where(held[:, None], 100 * POINTS, POINTS)
        changed = luce.train(table_of(CROSSED, points), "y", model="auto")
        assert choice_of(changed) == choice_of(luce.train(table_of(CROSSED), "y", model="auto"))

    def test_neither_sees_the_rows_that_both_are_compared_on(self, monkeypatch):
        fitted_to, aside, given = [], [], []

        def noting(function, notes, what):
            def noted(*arguments):
                result = function(*arguments)
                notes.append(what(arguments, result))
                return result

            return noted

        for recipe in (choosing.LinearRecipe, choosing.NetworkRecipe):
            fit = noting(recipe.fit, fitted_to, lambda arguments, _: arguments[3:])
            monkeypatch.setattr(recipe, "fit", fit)
        for name, notes, place in (("set_aside", aside, 1), ("compared", given, 0)):
            function = noting(
                *(getattr(choosing, name), notes, lambda *call, place=place: call[place])
            )
            monkeypatch.setattr(choosing, name, function)
        weights = RANDOM.uniform(0.5, 2, size=N)
        table = table_of(CROSSED, w=weights, g=np.arange(N) // 4)
        luce.train(table, "y", model="auto", weight="w", group="g", validation=table)
        ((aside,), ((linear, network, of_rows, groups),)) = aside, given
        assert len(linear) == len(network) == aside.sum()
        np.testing.assert_array_equal(of_rows, weights[aside])
        np.testing.assert_array_equal(groups[::4], groups[3::4])
        (of_linear,), (of_network,), of_winner = fitted_to
        np.testing.assert_array_equal(of_linear, np.where(aside, 0, weights))
        np.testing.assert_array_equal(of_network, of_linear)
        assert of_winner == ()

    def test_a_penalty_is_chosen_once_and_is_the_linear_models(self):
        events = []
        model = luce.train(table_of(STRAIGHT), "y", model="auto", C="auto", report=events.append)
        fit = model.document.training.fit
        assert fit.C in GRID
        assert fit.C_chosen_by == "cross-validation"
        stages = [event.name for event in events if isinstance(event, Stage)]
        assert stages.count("choosing C, part 1 of 5") == 1

    def test_stages_are_told(self):
        events = []
        luce.train(table_of(CROSSED), "y", model="auto", report=events.append)
        kinds = {}
        for event in events:
            if isinstance(event, Stage):
                name = event.name
            elif isinstance(event, Progress | NetworkProgress):
                kinds.setdefault(name, type(event))
        assert kinds == {
            "comparing: linear model on 256 rows": Progress,
            "comparing: network on 256 rows": NetworkProgress,
            "fitting on 320 rows": NetworkProgress,
            "fitting again on all 400 rows": NetworkProgress,
        }
