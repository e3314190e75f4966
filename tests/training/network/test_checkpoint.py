import os
import pickle
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
import safetensors

from luce import files
from luce.errors import DataError, ModelFileError
from luce.losses import cross_entropy
from luce.scorers import Network, Relu, multilayer_perceptron
from luce.training.network import (
    Adam,
    Adaptive,
    Cosine,
    InverseScaling,
    Momentum,
    checkpoint,
    fit_network,
)
from luce.training.network.checkpoint import CheckpointRecord, _content, _shapes

SETTINGS = {"batch_size": 25, "max_epochs": 6, "patience": 4, "learning_rate": 0.03}


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", np.inf)
    return tmp_path / "fit.luce"


@pytest.fixture
def fit(rows, network, path):
    """The same fit each time it is called, but for what is changed."""

    def run(path=path, data=None, start=None, seed=0, **changed):
        features, labels = rows() if data is None else data
        return fit_network(
            network(dropout=0.2) if start is None else start,
            features,
            labels,
            random=np.random.default_rng(seed),
            checkpoint=path,
            **SETTINGS | changed,
        )

    return run


def stop_after(epochs):
    return lambda progress: progress.epoch == epochs


def assert_same(one, other):
    np.testing.assert_array_equal(one.network.parameters, other.network.parameters)
    np.testing.assert_array_equal(one.loss_curve, other.loss_curve)
    np.testing.assert_array_equal(one.validation_scores, other.validation_scores)
    np.testing.assert_array_equal(one.validation_losses, other.validation_losses)
    for name in ("epochs", "steps", "best_epoch", "loss", "stopped"):
        assert getattr(one, name) == getattr(other, name)
    assert one.state.random == other.state.random
    assert one.state.patience == other.state.patience


def held_out(rows):
    features, labels = rows(n=50, seed=9)

    def validate(network):
        loss = float(cross_entropy(network.scores(features), labels))
        return -loss, loss

    return validate


@pytest.mark.parametrize(
    "settings",
    [
        {"optimiser": Adam()},
        {"optimiser": Momentum(), "schedule": Adaptive(), "tol": 0.05},
        {"optimiser": Adam(weight_decay=0.1), "averaging": 0.9, "schedule": Cosine(warmup=0.2)},
        {"max_norm": 0.1, "schedule": InverseScaling(), "shuffle": False},
        {"validated": True, "averaging": 0.9},
        {"validated": True, "tol": 0.2, "patience": 1},
        {"label_smoothing": 0.1, "sample_weight": np.arange(120) % 3 / 2},
    ],
)
@pytest.mark.parametrize("epochs", [1, 2, 5])
def test_a_fit_that_was_stopped_goes_on_to_the_same_bits(fit, rows, path, settings, epochs):
    settings = dict(settings)
    if settings.pop("validated", False):
        settings["validate"] = held_out(rows)
    whole = fit(path=None, **settings)
    first = fit(on_epoch=stop_after(epochs), **settings)
    assert first.epochs == min(epochs, whole.epochs)
    assert_same(fit(**settings), whole)


def test_scores_of_any_kind_go_into_the_file_and_come_back(fit):
    scores = [0.5, np.nan, -np.inf, 0.25, np.inf, 0.0]

    def validation(done=0):
        left = iter(scores[done:])
        return lambda network: (next(left), np.inf)

    whole = fit(path=None, validate=validation())
    fit(validate=validation(), on_epoch=stop_after(3))
    assert_same(fit(validate=validation(3)), whole)
    assert whole.best_epoch == 5


def test_a_finished_fit_is_found_finished(fit, path):
    for settings in ({}, {"tol": 10.0, "patience": 1}):
        path.unlink(missing_ok=True)
        whole = fit(**settings)
        before = path.read_bytes()
        again = fit(on_epoch=lambda progress: pytest.fail("an epoch was done"), **settings)
        assert_same(again, whole)
        assert path.read_bytes() == before


def test_more_epochs_may_be_asked_for(fit):
    fit(max_epochs=3)
    assert_same(fit(max_epochs=6), fit(path=None, max_epochs=6))


def test_fewer_epochs_than_were_done_are_refused(fit):
    fit(max_epochs=6)
    with pytest.raises(DataError, match="6 epochs already, and max_epochs is 5"):
        fit(max_epochs=5)


def test_a_cosine_over_other_steps_is_another_fit(fit):
    fit(schedule=Cosine(), max_epochs=3)
    with pytest.raises(DataError, match="schedule"):
        fit(schedule=Cosine(), max_epochs=6)


def test_a_piece_of_an_epoch_is_not_written_and_done_again(fit, path):
    whole = fit(path=None)
    fit(on_epoch=stop_after(2))
    before = path.read_bytes()
    stopped = fit(max_seconds=1e-9)
    assert (stopped.stopped, stopped.epochs, stopped.steps) == ("max_seconds", 3, 11)
    assert path.read_bytes() == before
    assert_same(fit(), whole)


def test_an_interrupted_fit_goes_on(fit, path):
    whole = fit(path=None)

    def interrupt(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    assert fit(on_epoch=interrupt).stopped == "interrupted"
    assert_same(fit(), whole)


def test_an_interruption_at_once_keeps_what_the_file_had(fit):
    fit(on_epoch=stop_after(2))

    @dataclass(frozen=True)
    class Interrupting(Adam):
        def step(self, *arguments, **named):
            raise KeyboardInterrupt

        def __repr__(self):
            return repr(Adam())

    result = fit(optimiser=Interrupting())
    assert (result.stopped, result.epochs) == ("interrupted", 2)


def test_a_fit_from_a_state_goes_on_too(fit):
    state = fit(path=None).state
    whole = fit(path=None, state=state)
    fit(state=state, on_epoch=stop_after(3))
    assert_same(fit(state=state), whole)
    with pytest.raises(DataError, match="start"):
        fit()


def test_it_is_written_before_the_first_epoch_so_that_a_wrong_place_is_known(fit, tmp_path):
    with pytest.raises(FileNotFoundError, match="not written"):
        fit(tmp_path / "nowhere" / "fit.luce", on_epoch=lambda _: pytest.fail("too late"))


def test_writing_takes_a_small_share_of_the_time(fit, path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHARE", 1e-9)
    writes = []
    monkeypatch.setattr(
        checkpoint, "save", lambda *arguments: writes.append(files.save(*arguments))
    )
    fit(max_epochs=50, patience=np.inf)
    assert len(writes) == 2  # at the beginning and at the end
    with pytest.raises(DataError, match="50 epochs already"):
        fit(max_epochs=49, patience=np.inf)


DIFFERENT = {
    "learning_rate": {"learning_rate": 0.01},
    "optimiser": {"optimiser": Adam(beta_1=0.8)},
    "schedule": {"schedule": InverseScaling()},
    "batch_size": {"batch_size": 24},
    "penalty": {"penalty": 0.5},
    "label_smoothing": {"label_smoothing": 0.1},
    "shuffle": {"shuffle": False},
    "max_norm": {"max_norm": 1.0},
    "averaging": {"averaging": 0.9},
    "tol": {"tol": 1e-3},
    "patience": {"patience": 5},
    "validate": {"validate": lambda network: (0.0, 0.0)},
    "sample_weight": {"sample_weight": np.ones(120)},
    "start": {"seed": 1},
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_checkpoint_of_other_settings_is_refused_with_what_differs(fit, path, name):
    fit(max_epochs=2)
    before = path.read_bytes()
    with pytest.raises(DataError, match=rf"fit.luce: .*its {name} is .*, here it is .*remove"):
        fit(max_epochs=4, **DIFFERENT[name])
    assert path.read_bytes() == before


def test_a_checkpoint_of_other_data_is_refused_with_what_differs(fit, rows):
    features, labels = rows()
    fit(max_epochs=2)
    touched = features.copy()
    touched[63, 2] = np.nextafter(touched[63, 2], 9)
    relabelled = labels.copy()
    relabelled[5] = (relabelled[5] + 1) % 3
    for data, name in (
        ((touched, labels), "features is float64 array of shape .* and checksum"),
        ((features[1:].copy(), labels[1:]), r"features is .* here it is .*\(119, 4\)"),
        ((features, relabelled), "targets"),
        ((features, np.eye(3)[labels]), "targets"),
        (rows(sparse=True), "CSR matrix"),
    ):
        with pytest.raises(DataError, match=name):
            fit(data=data)


def test_a_checkpoint_of_another_network_is_refused_with_what_differs(fit, network):
    fit(max_epochs=2)
    with pytest.raises(DataError, match=r"its layers is \(Dense\(inputs=4, outputs=8"):
        fit(start=network(hidden=(9,)))
    layers = multilayer_perceptron(4, (8,), 3, Relu(), dropout=0.2)
    with pytest.raises(DataError, match=r"Tanh.*Relu"):
        fit(start=Network(layers, network().parameters))


def test_a_generator_that_does_not_fit_into_a_file_is_refused(rows, network, path):
    features, labels = rows()
    for kind in (np.random.MT19937, np.random.Philox, np.random.SFC64):
        with pytest.raises(DataError, match=r"default_rng\(seed\)"):
            fit_network(
                network(), features, labels, random=np.random.Generator(kind(0)), checkpoint=path
            )
    random = np.random.Generator(np.random.PCG64DXSM(0))
    fit_network(network(), features, labels, random=random, max_epochs=1, checkpoint=path)
    assert not list(path.parent.glob(".luce-*"))


def test_it_is_a_safetensors_file(fit, path):
    result = fit()
    with safetensors.safe_open(path, "numpy") as file:
        assert set(file.keys()) == {
            "parameters", "moment_0", "moment_1", "loss_curve", "validation_losses",
            "validation_scores",
        }  # fmt: skip
        np.testing.assert_array_equal(file.get_tensor("parameters"), result.state.parameters)


# What an attacker may have written.


def held(path):
    """Document and tensors of a file."""
    formats = {
        2: files.Format(CheckpointRecord, _shapes, lambda record, tensors: (record, tensors))
    }
    return files.load(path, formats)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "appended", "empty", "pickle"])
def test_a_damaged_file_is_refused_and_left(fit, path, damage):
    fit(max_epochs=2)
    whole = path.read_bytes()

    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(path.parent / "executed"),)

    bad = {
        "truncated": whole[:-9],
        "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
        "appended": whole + b"x",
        "empty": b"",
        "pickle": pickle.dumps(Hostile()),
    }[damage]
    path.write_bytes(bad)
    with pytest.raises(ModelFileError, match=r"fit.luce: .*remove it to begin anew"):
        fit()
    assert path.read_bytes() == bad
    assert not (path.parent / "executed").exists()


def test_a_model_file_is_no_checkpoint(fit, checkout_model):
    with pytest.raises(ModelFileError, match="remove it to begin anew"):
        fit(checkout_model)


@pytest.fixture
def checkout_model(request):
    return request.config.rootpath / "tests/model/formats/2/penguins.luce"


def rewritten(path, tensors=None, **fields):
    record, held_tensors = held(path)
    document = msgspec.structs.replace(record, **fields)
    files.save(path, document, held_tensors | (tensors or {}))


@pytest.mark.parametrize(
    ("fields", "tensors"),
    [
        ({"parameters": 3}, {"parameters": np.zeros(3), "moment_0": np.zeros(3)}),
        ({"epochs": 2**40}, {}),
        ({"epochs": 3}, {}),
        ({"moments": 1}, {}),
        ({"averaging": True}, {}),
        ({"averaging": True}, {"average": np.zeros(67)}),
        ({"validated": True}, {"best": np.zeros(67)}),
        ({"dtype": "float32"}, {}),
        ({}, {"another": np.zeros(2)}),
        ({}, {"parameters": np.zeros((67, 1))}),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(fit, path, fields, tensors):
    fit(max_epochs=2)
    rewritten(path, tensors, **fields)
    with pytest.raises(ModelFileError, match=r"[Rr]emove it to begin anew"):
        fit()


def test_a_file_of_another_size_is_refused_though_it_agrees_with_itself(fit, path):
    fit(max_epochs=2)
    small = dict.fromkeys(("parameters", "moment_0", "moment_1"), np.zeros(5))
    rewritten(path, small, parameters=5)
    with pytest.raises(ModelFileError, match=r"contradicts itself: it holds .*Remove it"):
        fit()


@pytest.mark.parametrize(
    "changes",
    [
        {"generator": "MT19937"},
        {"generator": "PCG64DXSM"},
        {"state": "f" * 33},
        {"state": "-1"},
        {"state": ""},
        {"increment": "0x12"},
        {"increment": "１"},
        {"has_uint32": 2},
        {"uinteger": 2**32},
        {"uinteger": -1},
    ],
)
def test_random_numbers_of_no_generator_are_refused(fit, path, changes):
    fit(max_epochs=2)
    record, tensors = held(path)
    loose = msgspec.to_builtins(record)
    loose["random"] |= changes
    struct = msgspec.defstruct("Loose", [(name, type(value)) for name, value in loose.items()])
    files.save(path, struct(**loose), tensors)
    with pytest.raises(ModelFileError, match="emove it to begin anew"):
        fit()


def test_words_of_a_hostile_file_are_shortened_and_printable(fit, path):
    fit(max_epochs=2)
    record, _ = held(path)
    rewritten(path, fit=record.fit | {"optimiser": "\x1b[2J" + "A" * 10**6})
    with pytest.raises(DataError, match="its optimiser is") as refusal:
        fit()
    assert len(str(refusal.value)) < 1000
    assert str(refusal.value).isprintable()


def test_a_setting_too_many_is_refused(fit, path):
    fit(max_epochs=2)
    record, _ = held(path)
    rewritten(path, fit=record.fit | {"gravity": "9.81"})
    with pytest.raises(DataError, match="another fit: of more settings"):
        fit()


def test_content_is_read_back_as_it_was(fit, path):
    result = fit(averaging=0.5, validate=lambda network: (1.0, np.nan))
    formats = {2: files.Format(CheckpointRecord, _shapes, _content)}
    _, saved = files.load(path, formats)
    np.testing.assert_array_equal(saved.average, result.state.average)
    np.testing.assert_array_equal(saved.best, result.network.parameters)
    np.testing.assert_array_equal(saved.validation_losses, [np.nan] * result.epochs)
    assert saved.random == result.state.random
