"""A calibrator and rules as a model file holds them: numbers in its document, arrays in tensors.

Infinity, which no tensor holds, is the largest float64 there.
"""

from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.calibration import TemperatureScaling, VectorScaling
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.files import Shapes, Tensors
from luce.model.calibrating import ModelCalibrator
from luce.model.deciding import LARGEST, ModelRule, check_rules
from luce.model.record import (
    LARGEST_PARAMETER,
    AnswerRecord,
    CostRecord,
    Count,
    Parts,
    RuleFit,
    SetRecord,
)
from luce.model.scorer import largest

INFINITY = float(np.finfo(np.float64).max)
MOST_RULES = 2
MOST_ROWS = 2**62  # together

Share = Annotated[float, Meta(gt=0, lt=1)]
Positive = Annotated[float, Meta(ge=1 / LARGEST_PARAMETER, le=LARGEST_PARAMETER)]


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class TemperatureRecord(_Record, frozen=True, tag_field="kind", tag="temperature"):
    """A `TemperatureScaling`."""

    temperature: Positive


class VectorRecord(_Record, frozen=True, tag_field="kind", tag="vector"):
    """A `VectorScaling`, whose scale and bias are tensors; an infinite strength is None."""

    temperature: Positive
    strength: Annotated[float, Meta(gt=0)] | None


class AbstainRecord(_Record, frozen=True, tag_field="kind", tag="abstain"):
    """A fitted `Abstain`; its thresholds, counts and bounds are tensors."""

    risk: Share
    confidence: Share
    by_class: bool
    score: Literal["confidence", "margin", "entropy"]
    fit: RuleFit


class PredictionSetRecord(_Record, frozen=True, tag_field="kind", tag="prediction set"):
    """A fitted `PredictionSet`; its thresholds and counts are tensors."""

    coverage: Share
    score: Literal["lac", "aps", "raps", "saps"]
    conditional: Literal["class"] | None
    randomised: bool
    allow_empty: bool
    penalty: Annotated[float, Meta(ge=0, le=LARGEST["penalty"])]
    unpenalised: Count
    seed: Count
    fit: RuleFit


class MinimumCostRecord(_Record, frozen=True, tag_field="kind", tag="minimum cost"):
    """A `MinimumCost`, whose costs are a tensor: the actions' number, names, and which is to ask.

    `names` are None where the actions have none.
    """

    actions: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    names: tuple[str, ...] | None
    ask: Count | None
    fit: RuleFit


CalibratorRecord: TypeAlias = TemperatureRecord | VectorRecord
RuleRecord: TypeAlias = AbstainRecord | PredictionSetRecord | MinimumCostRecord
Arrays: TypeAlias = dict[str, NDArray[Any]]

_CALIBRATORS: dict[str, type] = {
    "none": NoneType,
    "temperature": TemperatureScaling,
    "vector": VectorScaling,
}
_MEASURED = {Abstain: AnswerRecord, PredictionSet: SetRecord, MinimumCost: CostRecord}
_COUNTS = ("tested", "answered", "errors")


def pack_calibrator(calibrator: ModelCalibrator | None) -> tuple[CalibratorRecord | None, Arrays]:
    """Record and arrays of a calibrator, if there is one."""
    if calibrator is None:
        return None, {}
    if isinstance(calibrator, TemperatureScaling):
        return TemperatureRecord(temperature=calibrator.temperature), {}
    strength = calibrator.strength if np.isfinite(calibrator.strength) else None
    record = VectorRecord(temperature=calibrator.temperature, strength=strength)
    return record, {"scale": calibrator.scale, "bias": calibrator.bias}


def calibrator_shapes(record: CalibratorRecord | None, classes: int) -> Shapes:
    """Names, dtypes and shapes of a calibrator's tensors."""
    if not isinstance(record, VectorRecord):
        return {}
    return {f"calibrator.{name}": (np.float64, (classes,)) for name in ("scale", "bias")}


def unpack_calibrator(record: CalibratorRecord | None, tensors: Tensors) -> ModelCalibrator | None:
    """Calibrator of a record and the tensors of a file.

    Raises
    ------
    ValueError
        No calibrator can be like this.
    """
    if record is None:
        return None
    if isinstance(record, TemperatureRecord):
        return TemperatureScaling(record.temperature)
    strength = np.inf if record.strength is None else record.strength
    scale, bias = tensors["calibrator.scale"], tensors["calibrator.bias"]
    return VectorScaling(record.temperature, scale, bias, strength)


def pack_rule(rule: ModelRule, fit: RuleFit) -> tuple[RuleRecord, Arrays]:
    """Record and arrays of a rule, which is fitted if it learns."""
    if isinstance(rule, MinimumCost):
        names = None if rule.actions is None else tuple(rule.actions)
        ask = None if rule.ask is None else int(rule.ask)
        actions = rule.costs.shape[1]
        record: RuleRecord = MinimumCostRecord(actions=actions, names=names, ask=ask, fit=fit)
        return record, {"costs": rule.costs}
    if rule.thresholds is None:
        raise ValueError(f"a rule is not fitted: {rule}")
    thresholds = np.clip(rule.thresholds, -INFINITY, INFINITY)
    if isinstance(rule, Abstain):
        record = AbstainRecord(fit=fit, **_fields(rule, AbstainRecord))
        arrays = {name: getattr(rule, name) for name in ("bounds", *_COUNTS)}
        return record, {"thresholds": thresholds, **arrays}
    assert rule.rows is not None
    record = PredictionSetRecord(fit=fit, **_fields(rule, PredictionSetRecord))
    return record, {"thresholds": thresholds, "rows": rule.rows}


def rule_shapes(record: RuleRecord, classes: int) -> Shapes:
    """Names, dtypes and shapes of a rule's arrays."""
    match record:
        case MinimumCostRecord():
            return {"costs": (np.float64, (classes, record.actions))}
        case AbstainRecord():
            shape = (classes if record.by_class else 1,)
            floats = dict.fromkeys(("thresholds", "bounds"), (np.float64, shape))
            return {**floats, **dict.fromkeys(_COUNTS, (np.int64, shape))}
        case PredictionSetRecord():
            shape = (1 if record.conditional is None else classes,)
            return {"thresholds": (np.float64, shape), "rows": (np.int64, shape)}


def unpack_rule(record: RuleRecord, classes: int, arrays: Tensors) -> ModelRule:
    """Rule of a record and its arrays, which have the shapes of `rule_shapes`.

    Raises
    ------
    ValueError
        No rule can be like this.
    """
    if isinstance(record, MinimumCostRecord):
        return MinimumCost(arrays["costs"], record.names, ask=record.ask)
    fitted: dict[str, Any] = {**arrays, "thresholds": _unbounded(arrays["thresholds"])}
    told = {name: getattr(record, name) for name in record.__struct_fields__ if name != "fit"}
    if isinstance(record, AbstainRecord):
        return Abstain(**told, **fitted, classes=classes)
    return PredictionSet(**told, **fitted, classes=classes)


def check_fitted(parts: Parts) -> None:
    """Refuse a calibrator and rules that contradict what is said of them, or would overflow in use.

    Raises
    ------
    ValueError
        No model can have them.
    """
    document, calibrator, rules = parts.document, parts.calibrator, parts.rules
    method = "none" if document.calibration is None else document.calibration.method
    if not isinstance(calibrator, _CALIBRATORS[method]):
        raise ValueError(f"its calibrator is none by the method {method!r}")
    if isinstance(calibrator, VectorScaling):
        for array in (calibrator.scale, calibrator.bias):
            if largest(array) > LARGEST_PARAMETER:
                raise ValueError(f"a parameter of the calibrator is above {LARGEST_PARAMETER:g}")
    check_rules(rules, len(document.target.classes))
    if list(map(type, document.validation.decisions)) != [_MEASURED[type(rule)] for rule in rules]:
        raise ValueError("what was measured is not what its rules decide")
    for rule, measured in zip(rules, document.validation.decisions, strict=True):
        match rule:
            case Abstain(bounds=bounds):
                _check_counts("Abstain", *(getattr(rule, name) for name in _COUNTS[::-1]))
                if bounds is None or not 0 <= bounds.min() <= bounds.max() <= 1:
                    raise ValueError("a bound of an Abstain is not from 0 to 1")
            case PredictionSet(rows=rows):
                _check_counts("PredictionSet", rows)
        actions = rule.costs.shape[1] if isinstance(rule, MinimumCost) else 0
        if isinstance(measured, CostRecord) and measured.single_action >= actions:
            raise ValueError("the best single action is none of the actions")


def _check_counts(rule: str, *rising: NDArray[np.int64] | None) -> None:
    """Refuse numbers of rows, each of which is among the next, that are none."""
    least: NDArray[np.int64] | int = 0
    for counts in rising:
        if counts is None or (counts < least).any() or counts.max() > MOST_ROWS // counts.size:
            raise ValueError(f"the rows of a {rule} contradict each other")
        least = counts
    if not np.any(least):
        raise ValueError(f"a {rule} was fitted to no row")


def _fields(rule: ModelRule, record: type[RuleRecord]) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in record.__struct_fields__ if name != "fit"}


def _unbounded(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(abs(thresholds) == INFINITY, np.copysign(np.inf, thresholds), thresholds)
