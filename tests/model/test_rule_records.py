"""Calibrators and rules come back from a file as they were, and a file's lies are refused."""

import dataclasses
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

import luce
from luce import files
from luce.calibration import TemperatureScaling, VectorScaling
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.errors import ModelFileError
from luce.model import record_v3
from luce.model.record import Parts, RuleFit
from luce.model.rule_records import (
    pack_calibrator,
    pack_rule,
    rule_shapes,
    unpack_calibrator,
    unpack_rule,
)

FIT = RuleFit(rows=7, source="some rows")
KEPT = Path(__file__).parent / "formats" / "3"


@pytest.fixture(scope="module")
def problem():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.3] * 4, 600)
    labels = (probabilities.cumsum(axis=1) < random.random((600, 1))).sum(axis=1).clip(max=3)
    return probabilities, labels


RULES = [
    Abstain(0.2),
    Abstain(0.9),
    Abstain(0.35, 0.8, by_class=True, score="entropy"),
    PredictionSet(0.9),
    PredictionSet(0.999),
    PredictionSet(0.8, "raps", "class", randomised=True, penalty=0.3, unpenalised=2, seed=9),
    PredictionSet(0.8, "saps", allow_empty=True),
    MinimumCost(1 - np.eye(4)),
    MinimumCost(np.ones((4, 3)), ["☂", "", "z"], ask="z"),
    MinimumCost(np.ones((4, 5)), ask=4),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_comes_back(rule, problem):
    fitted = rule if isinstance(rule, MinimumCost) else rule.fit(*problem)
    record, arrays = pack_rule(fitted, FIT)
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
        name: (np.dtype(dtype), shape) for name, (dtype, shape) in rule_shapes(record, 4).items()
    }
    typed = msgspec.json.decode(msgspec.json.encode(record), type=type(record))
    again = unpack_rule(typed, 4, arrays)
    assert again == fitted
    assert typed.fit == FIT


def test_infinite_thresholds_are_among_them(problem):
    thresholds = [rule.fit(*problem).thresholds for rule in (RULES[1], RULES[2], RULES[4])]
    assert thresholds[0] == -np.inf
    assert np.inf in thresholds[1]
    assert thresholds[2] == np.inf


@pytest.mark.parametrize(
    "calibrator",
    [
        None,
        TemperatureScaling(0.3),
        VectorScaling(2.0, np.array([1.0, -0.5]), np.array([0.0, 3.0]), 0.1),
        VectorScaling(2.0, np.ones(2), np.zeros(2)),
    ],
)
def test_a_calibrator_comes_back(calibrator):
    record, arrays = pack_calibrator(calibrator)
    again = unpack_calibrator(record, {f"calibrator.{name}": a for name, a in arrays.items()})
    assert type(again) is type(calibrator)
    for field in () if calibrator is None else dataclasses.fields(calibrator):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(calibrator, field.name))


def test_a_rule_that_is_not_fitted_is_not_held():
    for rule in (Abstain(0.1), PredictionSet(0.9)):
        with pytest.raises(ValueError, match="not fitted"):
            pack_rule(rule, FIT)


def opened(name):
    """A kept model's document as plain data, and its tensors."""
    model = luce.load(KEPT / f"{name}.luce")
    kept = Parts(
        model.document, model.scorer, model.confusion, _replay(name), model.calibrator, model.rules
    )
    record, tensors = record_v3.to_record(kept)
    return json.loads(msgspec.json.encode(record)), {
        key: array.copy() for key, array in tensors.items()
    }


def _replay(name):
    return files.load(
        KEPT / f"{name}.luce", {3: files.Format(*dataclasses.astuple(record_v3.FORMAT))}
    ).replay


def loaded(document, tensors, path):
    files.save(path, msgspec.convert(document, record_v3.DocumentRecord), tensors)
    return luce.load(path)


def rule(place, **values):
    return lambda document, _: document["rules"][place].update(values)


def document(**values):
    return lambda document, _: document.update(values)


def tensor(name, place, value):
    return lambda _, tensors: tensors[name].__setitem__(place, value)


def at(*places, value):
    def change(document, _):
        for place in places[:-1]:
            document = document[place]
        document[places[-1]] = value

    return change


LIES = {
    "a rule more than can be": ("abstain", lambda d, _: d["rules"].append(d["rules"][0])),
    "two of a kind": ("abstain", lambda d, _: d["rules"].__setitem__(0, d["rules"][1])),
    "a rule of no kind": ("abstain", rule(0, kind="sample")),
    "a rule without its arrays": ("abstain", lambda _, t: t.pop("rules.0.bounds")),
    "arrays without a rule": ("abstain", lambda d, _: d["rules"].pop()),
    "a field more": ("abstain", rule(0, groups=[])),
    "by class, with one threshold": ("abstain", rule(0, by_class=True)),
    "a risk of 0": ("abstain", rule(0, risk=0.0)),
    "a risk of 1": ("abstain", rule(0, risk=1.0)),
    "confidence above 1": ("abstain", rule(0, confidence=1.5)),
    "a score that there is not": ("abstain", rule(0, score="exec")),
    "errors that were not answered": ("abstain", tensor("rules.0.errors", 0, 2**40)),
    "fewer than no errors": ("abstain", tensor("rules.0.errors", 0, -1)),
    "tested on no row": (
        "abstain",
        lambda _, t: [t[f"rules.0.{n}"].fill(0) for n in ("tested", "answered", "errors")],
    ),
    "2**63 - 1 rows": ("abstain", tensor("rules.0.tested", 0, 2**63 - 1)),
    "a bound above 1": ("abstain", tensor("rules.0.bounds", 0, 1.5)),
    "a threshold that is NaN": ("abstain", tensor("rules.0.thresholds", 0, np.nan)),
    "an infinite one": ("abstain", tensor("rules.0.thresholds", 0, np.inf)),
    "conditional on groups": ("abstain", rule(1, conditional="group")),
    "conditional with one threshold": ("abstain", rule(1, conditional="class")),
    "a part of certain classes": ("abstain", rule(1, randomised=True)),
    "coverage below 0": ("abstain", rule(1, coverage=-0.5)),
    "a penalty beyond all": ("costs", rule(1, penalty=1e200)),
    "a seed of 65 bits": ("costs", rule(1, seed=2**64)),
    "no rows of any class": ("costs", lambda _, t: t["rules.1.rows"].fill(0)),
    "fewer than no rows": ("costs", tensor("rules.1.rows", 0, -1)),
    "costs of fewer actions": ("costs", rule(0, actions=3, names=["a", "b", "c"])),
    "2**62 actions": ("costs", rule(0, actions=2**62)),
    "2**31 - 1 actions": ("costs", rule(0, actions=2**31 - 1, names=None)),
    "fewer names": ("costs", rule(0, names=["a", "b"])),
    "a name twice": ("costs", rule(0, names=["a", "a", "b", "c"])),
    "another action asks": ("costs", rule(0, ask=4)),
    "a cost beyond all": ("costs", tensor("rules.0.costs", (0, 0), 1e101)),
    "a cost that is NaN": ("costs", tensor("rules.0.costs", (0, 0), np.nan)),
    "fitted to fewer than no rows": ("costs", at("rules", 1, "fit", "rows", value=-1)),
    "a temperature of 0": ("abstain", at("calibrator", "temperature", value=0.0)),
    "a temperature beyond all": ("abstain", at("calibrator", "temperature", value=1e31)),
    "another temperature": ("abstain", at("calibrator", "temperature", value=2.0)),
    "a calibrator of no kind": ("abstain", document(calibrator={"kind": "isotonic"})),
    "a calibrator without record": ("abstain", document(calibration=None)),
    "a record without calibrator": ("abstain", document(calibrator=None)),
    "a record of another": ("abstain", at("calibration", "method", value="vector")),
    "a method of no kind": ("abstain", at("calibration", "method", value="exec")),
    "none that was asked for": ("abstain", at("calibration", "asked", value="none")),
    "a loss below 0": ("abstain", at("calibration", "log_loss_after", value=-1.0)),
    "a scale beyond all": ("costs", tensor("calibrator.scale", 0, 1e31)),
    "another bias": ("costs", tensor("calibrator.bias", 0, 3.0)),
    "no bias": ("costs", lambda _, t: t.pop("calibrator.bias")),
    "strength below 0": ("costs", at("calibrator", "strength", value=-1.0)),
    "measured for a rule more": (
        "abstain",
        lambda d, _: d["validation"]["decisions"].append(d["validation"]["decisions"][0]),
    ),
    "measured for another rule": ("abstain", lambda d, _: d["validation"]["decisions"].reverse()),
    "measured on fewer than no rows": (
        "abstain",
        at("validation", "decisions", 0, "rows", value=-1),
    ),
    "the best of 2**40 actions": (
        "costs",
        at("validation", "decisions", 0, "single_action", value=2**40),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie, tmp_path):
    name, change = LIES[lie]
    plain, tensors = opened(name)
    change(plain, tensors)
    with pytest.raises((ModelFileError, msgspec.ValidationError)) as caught:
        loaded(plain, tensors, tmp_path / "model.luce")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", ["abstain", "costs"])
def test_an_untouched_document_is_loaded(name, tmp_path):
    model = loaded(*opened(name), tmp_path / "model.luce")
    assert len(model.rules) == 2
    assert (tmp_path / "model.luce").read_bytes() == (KEPT / f"{name}.luce").read_bytes()
