"""What is said of a model's calibration, of its rules, and of what these do on labelled rows."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec
import numpy as np
from rich.console import Console

from luce.apps.layout import MOST_CLASSES, Right, add, counted, new_table, paragraph
from luce.calibration import TemperatureScaling, VectorScaling
from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.model import Model
from luce.model.calibrating import ModelCalibrator
from luce.model.deciding import ModelRule
from luce.model.record import AnswerRecord, CostRecord, DecisionRecord, Figure, SetRecord
from luce.tables.values import listing as quoted_listing
from luce.tables.values import quoted

STANDARD_ERRORS = 1.96
"""From the middle of a normal distribution to either end of its 95 %."""


def print_calibration(out: Console, model: Model) -> None:
    """How the probabilities are calibrated, and why so."""
    calibration = model.document.calibration
    if calibration is None:
        return
    match model.calibrator:
        case None:
            what = "none"
        case TemperatureScaling(temperature=temperature):
            what = f"temperature {temperature:.4g}"
        case VectorScaling():
            what = "a scale and a bias for each class"
        case other:
            assert_never(other)
    reason = calibration.reason.removeprefix(f"{calibration.method}: ")
    paragraph(
        out,
        f"Calibration ({what}): {reason} The rows are {calibration.rows:,} of those trained on, "
        "each scored by a model that was fitted without it.",
    )
    out.print()


def print_decisions(out: Console, model: Model, measured: Sequence[DecisionRecord]) -> None:
    """What the rules promise, and what they did on labelled rows, which are named before."""
    if not model.rules:
        return
    fits = model.document.rules
    alike = len({fit.source for fit in fits if fit.rows}) == 1 < sum(fit.rows > 0 for fit in fits)
    for rule, fit in zip(model.rules, fits, strict=True):
        learnt = f" Fitted to {fit.source}." if fit.rows and not alike else ""
        paragraph(out, f"{_TITLES[type(rule)]}: {promise(model, rule)}.{learnt}")
    if alike:
        paragraph(out, f"Both are fitted to {fits[0].source}.")
    out.print()
    listed = new_table("decisions on these rows", Right("found"), "95 % interval")
    for record in measured:
        for row in _measured(model, record):
            add(listed, *row)
    out.print(listed)
    out.print()


def print_costs(out: Console, model: Model) -> None:
    """What each action costs for each class, where the model decides by costs."""
    for rule in model.rules:
        if isinstance(rule, MinimumCost):
            _print_costs(out, model, rule)
            out.print()


def promise(model: Model, rule: ModelRule) -> str:
    """What a rule promises, in a sentence without its full stop."""
    if not isinstance(rule, MinimumCost):
        return str(rule)
    actions = _actions(model, rule)
    asks = (
        "" if rule.ask is None else f"; {quoted(actions[int(rule.ask)])} hands the row to a person"
    )
    return f"the action of least expected cost, of {quoted_listing(actions, MOST_CLASSES)}{asks}"


def as_json(model: Model) -> Mapping[str, Any]:
    """The calibrator and the rules, with what is recorded of how they were fitted."""
    calibration = model.document.calibration
    return {
        "calibration": None
        if calibration is None
        else {**msgspec.to_builtins(calibration), "calibrator": _as_json(model.calibrator)},
        "rules": [
            {
                **(_as_json(rule) or {}),
                "promise": promise(model, rule),
                "fit": msgspec.to_builtins(fit),
            }
            for rule, fit in zip(model.rules, model.document.rules, strict=True)
        ],
    }


def _measured(model: Model, record: DecisionRecord) -> Iterator[tuple[str, str, str]]:
    """Name, value and interval of each figure."""
    match record:
        case AnswerRecord():
            yield "answered", *_share(record.share_answered)
            yield "wrong among the answered", *_share(record.error_rate)
        case SetRecord():
            yield "true class in the set", *_share(record.coverage)
            yield "sets of one class", *_share(record.single)
            yield "classes in a set, mean", _decimals(record.mean_size), ""
        case CostRecord():
            rule = next(rule for rule in model.rules if isinstance(rule, MinimumCost))
            single = quoted(_actions(model, rule)[record.single_action])
            yield "cost a row", _number(record.cost), _interval(rule, record)
            yield "cost a row as the probabilities expect", _number(record.expected_cost), ""
            yield f"cost a row if always {single}", _number(record.single_cost), ""
            yield "cost a row of a perfect model", _number(record.perfect_cost), ""
            if rule.ask is not None:
                yield "handed to a person", _decimals(record.asked), ""
        case other:
            assert_never(other)


def _print_costs(out: Console, model: Model, rule: MinimumCost) -> None:
    k, m = rule.costs.shape
    if k > MOST_CLASSES or m > MOST_CLASSES:
        out.print(f"costs of {counted(m, 'action')} for {counted(k, 'class')}: see --json")
        return
    listed = new_table("costs", *map(Right, _actions(model, rule)))
    for label, costs in zip(model.document.target.classes, rule.costs, strict=True):
        add(listed, label, *(f"{cost:.6g}" for cost in costs))
    out.print(listed)


def _actions(model: Model, rule: MinimumCost) -> list[str]:
    """What to call each action."""
    named = rule.names(np.array(model.document.target.classes, dtype=object))
    return [*map(str, named), "ask"][: rule.costs.shape[1]]


def _share(figure: Figure) -> tuple[str, str]:
    if figure.low is None or figure.high is None:
        return _decimals(figure.value), "-"
    return _decimals(figure.value), f"{figure.low:.3f} to {figure.high:.3f}"


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(rule: MinimumCost, record: CostRecord) -> str:
    """The 95 % interval of the cost, as far as there are such costs."""
    if record.cost is None or record.standard_error is None:
        return "-"
    distance = STANDARD_ERRORS * record.standard_error
    ends = np.clip(
        [record.cost - distance, record.cost + distance], rule.costs.min(), rule.costs.max()
    )
    return f"{ends[0]:.4g} to {ends[1]:.4g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _as_json(value: ModelRule | ModelCalibrator | None) -> dict[str, Any] | None:
    """A rule or a calibrator by its fields, but for what the document says of its fit."""
    if value is None:
        return None
    names = [field.name for field in dataclasses.fields(value) if field.name != "improvement"]
    return {"kind": type(value).__name__, **{n: _plain(getattr(value, n)) for n in names}}


def _plain(value: Any) -> Any:
    """As JSON has it: arrays as lists, and as text what is not finite."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


_TITLES: Mapping[type[ModelRule], str] = {
    Abstain: "Answers",
    PredictionSet: "Sets",
    MinimumCost: "Decisions",
}
