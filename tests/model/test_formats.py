"""Files of every version of the format load for ever, and predict what they did when written."""

import dataclasses
import json
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.model.calibrating import ModelCalibrator
from luce.model.deciding import ModelRule
from luce.model.model import FORMATS
from luce.model.record import ActivationName
from luce.tables import Column

NEWEST = str(max(FORMATS))
FILES = sorted((Path(__file__).parent / "formats").glob("*/*.luce"))
WITH_RULES = [path for path in FILES if path.stem in {"abstain", "costs"}]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_kept_file_predicts_what_it_did(path):
    kept = json.loads(path.with_suffix(".json").read_text("utf-8"))
    model = luce.load(path)
    probabilities = model.predict_proba(pa.Table.from_pylist(kept["rows"]))
    np.testing.assert_allclose(probabilities, kept["probabilities"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("path", WITH_RULES, ids=lambda path: path.stem)
def test_a_kept_file_decides_what_it_did(path):
    kept = json.loads(path.with_suffix(".json").read_text("utf-8"))
    model = luce.load(path)
    decision = model.decide(pa.Table.from_pylist(kept["rows"]))
    assert model.actions[decision.labels].tolist() == kept["labels"]
    assert decision.answered.tolist() == kept["answered"]
    assert decision.sets.tolist() == kept["sets"]


def test_the_newest_format_has_a_file_of_every_calibrator_and_rule():
    models = [luce.load(path) for path in WITH_RULES]
    assert {type(model.calibrator) for model in models} == set(get_args(ModelCalibrator))
    rules = [rule for model in models for rule in model.rules]
    assert {type(rule) for rule in rules} == set(get_args(ModelRule))


def test_every_format_has_its_files():
    for version in FORMATS:
        kept = {path.stem for path in FILES if path.parent.name == str(version)}
        assert kept >= {"penguins", "two-classes", "many-classes"}


def test_the_newest_format_has_a_file_of_every_kind_of_column():
    (path,) = (path for path in FILES if path.stem == "every-kind" and path.parent.name == NEWEST)
    columns = luce.load(path).document.encoder.columns
    assert {type(column) for column in columns} == set(get_args(Column))


def test_the_newest_format_has_a_file_of_every_layer():
    fits = [luce.load(path).document.training.fit for path in FILES if path.parent.name == NEWEST]
    layers = [layer for fit in fits if fit.kind == "network" for layer in fit.layers]
    assert {layer.activation for layer in layers} == set(get_args(ActivationName))
    assert {fit.standardised for fit in fits if fit.kind == "network"} == {True, False}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_kept_file_is_of_the_format_that_it_is_kept_for(path):
    assert f'{{\\"format\\":{path.parent.name},' in path.read_bytes().decode("latin-1")


@pytest.mark.parametrize("name", ["penguins", "two-classes", "many-classes", "every-kind"])
def test_a_model_of_two_formats_is_the_same(name):
    """But for why its kind was chosen, which format 2 does not say."""
    old, new = (
        luce.load(path).document
        for path in FILES
        if path.stem == name and path.parent.name in {"2", "3"}
    )
    assert old.training.choice is None
    training = msgspec.structs.replace(new.training, choice=None)
    assert old == dataclasses.replace(new, training=training)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_saving_writes_the_newest_format(path, tmp_path):
    model = luce.load(path)
    model.save(tmp_path / "again.luce")
    again = luce.load(tmp_path / "again.luce")
    assert again.document == model.document
    assert again.rules == model.rules
    assert again.scorer.tensors.keys() == model.scorer.tensors.keys()
    for name, tensor in model.scorer.tensors.items():
        assert again.scorer.tensors[name].tobytes() == tensor.tobytes()
