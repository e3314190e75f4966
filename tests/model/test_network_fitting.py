"""How a network comes out of a table: what it learns from, when it stops, what it never sees."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.metrics import log_loss

import luce
from luce.errors import DataError
from luce.model import network_fitting
from luce.model.events import Stage
from luce.model.network import StandardisedDense
from luce.model.network_fitting import SHARE_ASIDE
from luce.model.split import hold_out, set_aside
from luce.training.network import NetworkProgress

N = 400
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(N, 4)).astype(np.float32)
LABELS = np.array(["a", "b"])[((POINTS[:, 0] > 0) ^ (POINTS[:, 1] > 0)).astype(int)]


def numbers(points=POINTS, labels=LABELS):
    return pa.table({f"x{j}": column for j, column in enumerate(points.T)} | {"y": labels})


def vectors(points, labels=LABELS):
    points = np.asarray(points, np.float32)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(points.ravel()), points.shape[1])
    return pa.table({"e": lists, "y": labels})


def maps(points, labels=LABELS):
    entries = [[(j, float(x)) for j, x in enumerate(row) if x] for row in points]
    return pa.table({"e": pa.array(entries, pa.map_(pa.int32(), pa.float32())), "y": labels})


def epochs_of(data, target="y", **options):
    """What was told of each fit."""
    fits = []

    def take(event):
        if isinstance(event, Stage) and "fitting" in event.name:
            fits.append([])
        elif isinstance(event, NetworkProgress):
            fits[-1].append((event.loss, event.validation_loss))

    luce.train(data, target, model="network", report=take, **options)
    return fits


@pytest.fixture
def _few_epochs(monkeypatch):
    """Where it does not matter how well the network does."""
    monkeypatch.setattr(network_fitting, "MOST_EPOCHS", 10)


@pytest.fixture(scope="module")
def network():
    return luce.train(numbers(), "y", model="network", validation=numbers())


class TestFit:
    def test_learns_what_is_not_linear(self):
        linear, network = (luce.train(numbers(), "y", model=m) for m in ("linear", "network"))
        assert linear.document.validation.model.accuracy.value < 0.7
        assert network.document.validation.model.accuracy.value > 0.9

    def test_says_how(self, network):
        fit = network.document.training.fit
        assert fit.kind == "network"
        assert [(each.inputs, each.outputs, each.activation) for each in fit.layers] == [
            *((4, 100, "relu"), (100, 2, "identity")),
        ]
        assert not fit.standardised
        assert 1 <= fit.best_epoch <= fit.epochs <= 200
        assert (fit.validation_rows, fit.batch_size) == (SHARE_ASIDE * N, 16)
        assert network.document.training.choice is None

    def test_the_best_epoch_by_the_rows_set_aside_is_kept(self, network):
        aside = set_aside((LABELS == "b").astype(int), None, np.ones(N), SHARE_ASIDE, 0)
        probabilities = network.predict_proba(numbers())[aside]
        fit = network.document.training.fit
        found = log_loss(LABELS[aside], probabilities)
        assert fit.validation_loss == pytest.approx(found, rel=1e-5)
        (epochs,) = epochs_of(numbers(), validation=numbers())
        validation_losses = [validation_loss for _, validation_loss in epochs]
        assert len(epochs) == fit.epochs
        assert fit.best_epoch == 1 + np.argmin(validation_losses)
        assert fit.validation_loss == min(validation_losses)

    @pytest.mark.usefixtures("_few_epochs")
    def test_rows_set_aside_are_whole_groups(self, patients, monkeypatch):
        seen = []

        def note(labels, groups, *rest):
            aside = set_aside(labels, groups, *rest)
            seen.append((groups[aside], groups[~aside]))
            return aside

        monkeypatch.setattr(network_fitting, "set_aside", note)
        luce.train(patients, "outcome", model="network", group="patient")
        assert len(seen) == 2
        for aside, others in seen:
            assert len(aside) > 0
            assert not set(aside) & set(others)

    @pytest.mark.usefixtures("_few_epochs")
    def test_equal_inputs_give_equal_bytes(self, tmp_path):
        files = set()
        for threads, memory in ((1, None), (2, None), (2, 1)):
            with luce.threads(threads):
                model = luce.train(numbers(), "y", model="network", memory=memory)
            model.save(tmp_path / "model.luce")
            files.add((tmp_path / "model.luce").read_bytes())
        assert len(files) == 1

    @pytest.mark.usefixtures("_few_epochs")
    def test_a_seed_decides_where_it_starts(self, monkeypatch):
        always = set_aside((LABELS == "b").astype(int), None, np.ones(N), SHARE_ASIDE, 0)
        monkeypatch.setattr(network_fitting, "set_aside", lambda *_: always)
        first, other = (
            luce.train(numbers(), "y", model="network", validation=numbers(), seed=seed)
            for seed in (0, 1)
        )
        assert first.scorer.tensors["layers.0.weights"].tobytes() != (
            other.scorer.tensors["layers.0.weights"].tobytes()
        )

    @pytest.mark.usefixtures("_few_epochs")
    def test_rows_that_do_not_fit_in_memory_are_read_from_disk(self):
        told = []
        luce.train(numbers(), "y", model="network", memory=1, report=told.append)
        stages = [event.name for event in told if isinstance(event, Stage)]
        assert sum("read from disk" in stage for stage in stages) == 2

    def test_an_interruption_is_passed_on(self):
        def interrupt(event):
            if isinstance(event, NetworkProgress) and event.epoch == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            luce.train(numbers(), "y", model="network", report=interrupt)


class TestRows:
    @pytest.mark.usefixtures("_few_epochs")
    def test_those_set_aside_are_not_learnt_from(self):
        aside = set_aside((LABELS == "b").astype(int), None, np.ones(N), SHARE_ASIDE, 0)
        table = vectors(POINTS)
        others = vectors(np.where(aside[:, None], POINTS**2, POINTS))
        (told,), (told_of_others,) = (epochs_of(data, validation=table) for data in (table, others))
        assert told[0][0] == told_of_others[0][0]
        assert told[0][1] != told_of_others[0][1]

    @pytest.mark.usefixtures("_few_epochs")
    def test_those_held_out_have_no_part_in_the_fit_that_is_measured(self):
        held = hold_out((LABELS == "b").astype(int), None, 0.2, 0)
        points = np.where(held[:, None], 1000 * POINTS, POINTS)
        (measured, on_all), (changed, on_all_changed) = map(epochs_of, (numbers(), numbers(points)))
        assert measured == changed
        assert on_all != on_all_changed

    @pytest.mark.usefixtures("_few_epochs")
    def test_those_of_weight_0_have_none_either(self):
        """Where the features are levels, which no row scales."""
        levels = np.array(["low", "high"])[(POINTS[:, :2] > 0).astype(int)]
        table = pa.table({"p": levels[:, 0], "q": levels[:, 1], "y": LABELS, "w": np.ones(N)})
        weightless = table.slice(0, 100).set_column(3, "w", pa.array(np.zeros(100)))
        swapped = np.where(LABELS[:100] == "a", "b", "a")
        weightless = weightless.set_column(2, "y", pa.array(swapped))
        options = {"weight": "w", "validation": table}
        assert epochs_of(pa.concat_tables([weightless, table]), **options) == (
            epochs_of(table, **options)
        )

    @pytest.mark.usefixtures("_few_epochs")
    def test_their_weights_count_where_they_are_set_aside(self):
        weights = np.where(LABELS == "a", 5.0, 1.0)
        table = numbers().append_column("w", pa.array(weights))
        model = luce.train(table, "y", model="network", weight="w", validation=table)
        aside = set_aside((LABELS == "b").astype(int), None, weights, SHARE_ASIDE, 0)
        probabilities = model.predict_proba(table)[aside]
        found = log_loss(LABELS[aside], probabilities, sample_weight=weights[aside])
        fit = model.document.training.fit
        assert fit.validation_loss == pytest.approx(found, rel=1e-5)

    def test_a_weight_counts(self):
        weights = np.where(LABELS == "a", 5.0, 1.0)
        table = numbers(np.zeros_like(POINTS) + RANDOM.normal(size=POINTS.shape))
        weighted = table.append_column("w", pa.array(weights))
        model = luce.train(weighted, "y", model="network", weight="w", validation=weighted)
        plain = luce.train(table, "y", model="network", validation=table)
        assert model.predict_proba(table)[:, 0].mean() > 0.7
        assert plain.predict_proba(table)[:, 0].mean() < 0.6

    def test_too_few_to_set_some_aside(self):
        table = pa.table({"x": [0.3, 2.0, 1.5], "y": ["a", "b", "c"]})
        with pytest.raises(DataError, match=r"a network needs rows .* too few: .* linear model"):
            luce.train(table, "y", model="network", validation=table)

    def test_more_features_than_memory_is_for(self, monkeypatch):
        monkeypatch.setattr(network_fitting, "available_memory", lambda: 2**30)
        entries = [[(j % 3, 1.0), (2**24 - 1, 0.5)] for j in range(60)]
        lists = pa.array(entries, pa.map_(pa.int64(), pa.float32()))
        table = pa.table({"e": lists, "y": [str(j % 3) for j in range(60)]})
        with pytest.raises(DataError, match=r"takes 60\.4 GB .* more than there is"):
            luce.train(table, "y", model="network")

    @pytest.mark.usefixtures("_few_epochs")
    def test_a_class_of_one_row_is_learnt_from(self):
        labels = LABELS.astype("U4")
        labels[7] = "once"
        model = luce.train(numbers(labels=labels), "y", model="network")
        assert list(model.classes) == ["a", "b", "once"]


class TestScaling:
    """Embeddings come as they are: of any scale, about any centre."""

    @pytest.mark.usefixtures("_few_epochs")
    @pytest.mark.parametrize("made", [vectors, maps])
    def test_a_scale_makes_no_difference(self, made):
        plain, scaled = (
            luce.train(made(size * POINTS), "y", model="network") for size in (1, 2.0**20)
        )
        np.testing.assert_array_equal(
            scaled.predict_proba(made(2.0**20 * POINTS)), plain.predict_proba(made(POINTS))
        )
        assert plain.document.training.fit.standardised

    def test_a_centre_makes_little(self):
        centre = np.array([100, -30, 0, 1000], np.float32)
        shifted = vectors(POINTS + centre)
        model = luce.train(shifted, "y", model="network")
        assert model.document.validation.model.accuracy.value > 0.9

    def test_each_number_is_centred_and_scaled(self):
        sizes = np.array([1e-6, 1, 1e3, 1e30], np.float32)
        model = luce.train(vectors(sizes * (POINTS + 3)), "y", model="network")
        tensors = model.scorer.tensors
        deviations = sizes * POINTS.std(axis=0)
        np.testing.assert_allclose(tensors["scale"], deviations, rtol=0.1)
        np.testing.assert_allclose(tensors["centre"], 3 * sizes, rtol=0.1)
        assert model.document.validation.model.accuracy.value > 0.85

    @pytest.mark.usefixtures("_few_epochs")
    @pytest.mark.parametrize("made", [vectors, maps])
    def test_what_is_mostly_0_has_the_scale_of_its_other_numbers(self, made):
        points = POINTS.copy()
        points[:, 3] = 0
        points[::50, 3] = 7
        model = luce.train(made(points), "y", model="network")
        assert model.scorer.tensors["scale"][3] == pytest.approx(7, rel=0.1)

    @pytest.mark.usefixtures("_few_epochs")
    @pytest.mark.parametrize("made", [vectors, maps])
    @pytest.mark.parametrize("constant", [0.0, 5.0])
    def test_what_was_constant_is_not_heard(self, made, constant):
        points = POINTS.copy()
        points[:, 3] = constant
        model = luce.train(made(points), "y", model="network")
        first = model.scorer.network.layers[0]
        assert isinstance(first, StandardisedDense)
        expected = model.predict_proba(made(points))
        points[:, 3] = 40
        if constant == 0 or made is vectors:
            np.testing.assert_array_equal(model.predict_proba(made(points)), expected)
        else:  # it was there in each row
            assert first.scale[3] == constant

    @pytest.mark.usefixtures("_few_epochs")
    @pytest.mark.usefixtures("_few_epochs")
    @pytest.mark.parametrize("made", [vectors, maps])
    def test_what_overflows_when_it_is_scaled_is_refused(self, made):
        """Even if it is not heard: infinity times 0 is no number."""
        points = POINTS.copy()
        points[:, 3] = 1e-20 * (1 if made is vectors else POINTS[:, 3])
        model = luce.train(made(points), "y", model="network")
        points[7, 3] = 3e38
        with pytest.raises(DataError, match=r"column 'e', row 8 .*beyond float32"):
            model.predict(made(points))

    def test_other_columns_are_scaled_by_their_encoder(self):
        """Nor are the flags of what is missing."""
        missing = pa.array(np.arange(N) % 10 == 0)
        table = vectors(50 * POINTS)
        lists = pc.if_else(missing, None, table["e"].combine_chunks())
        table = table.set_column(0, "e", lists).append_column("x", pa.array(POINTS[:, 0]))
        model = luce.train(table, "y", model="network")
        first = model.scorer.network.layers[0]
        np.testing.assert_array_equal(first.centre[4:], [0, 0])
        np.testing.assert_array_equal(first.scale[4:], [1, 1])
        assert abs(first.scale[:4] / 50 - 1).max() < 0.2


def test_scores_that_are_not_finite(monkeypatch):
    monkeypatch.setattr(
        network_fitting.EncodedRows, "losses", lambda *_: np.full(int(SHARE_ASIDE * N), np.nan)
    )
    with pytest.raises(DataError, match=r"scores of some rows are not finite.*linear model"):
        luce.train(numbers(), "y", model="network", validation=numbers())
