"""One fit of all that a model consists of: a classifier, its calibration, its rules."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from luce.decisions import Abstain, MinimumCost, PredictionSet
from luce.errors import DataError
from luce.model import calibrating
from luce.model.calibrating import Calibrate, ModelCalibrator
from luce.model.cross_fitting import calibrated
from luce.model.dealing import RuleRows
from luce.model.deciding import ModelRule
from luce.model.events import Report, Stage
from luce.model.fitting import EncodedRows, Recipe
from luce.model.record import Calibration, LinearTraining, NetworkTraining, RuleFit
from luce.model.rows import LabelledRows
from luce.model.scorer import Scorer
from luce.tables import Encoded, Encoder

MOST_NUMBERS, LEAST_ROWS = 2**26, 2**14  # of probabilities that a rule is fitted to


@dataclass(frozen=True, eq=False)
class Chain:
    """A classifier with its calibrator and rules, and what is to be said of each."""

    scorer: Scorer
    fit: LinearTraining | NetworkTraining
    calibrator: ModelCalibrator | None
    calibration: Calibration | None
    rules: tuple[ModelRule, ...]
    rule_fits: tuple[RuleFit, ...]


def fit_chain(
    recipe: Recipe,
    data: EncodedRows,
    calibrate: Calibrate,
    rules: Sequence[ModelRule],
    for_rules: RuleRows | None,
    seed: int,
    report: Report,
    *,
    before: Calibration | None = None,
) -> Chain:
    """Fit the classifier to the rows, the calibrator by cross-fitting them, the rules to others.

    `before` is the calibration of an earlier fit: what was chosen there is kept.

    Raises
    ------
    DataError
        The rows are too few to be dealt into folds, or a rule cannot keep its promise.
    """
    fitted = recipe.fit(data, report)
    calibrator, calibration = None, None
    if calibrate != "none":
        calibrator, calibration = calibrated(recipe, data, calibrate, before, seed, report)
    rules, fits = _fit_rules(
        rules, for_rules, fitted.scorer, calibrator, data.encoder, seed, report
    )
    return Chain(fitted.scorer, fitted.record, calibrator, calibration, rules, fits)


def encoded_blocks(
    rows: LabelledRows, encoder: Encoder, scorer: Scorer
) -> Iterator[tuple[LabelledRows, Encoded]]:
    """Rows in blocks, with their features, of which scores can be found."""
    for block in rows.blocks_to_encode(encoder, scorer.numbers_a_row):
        encoded = block.encoded(encoder)
        scorer.require_scores(encoder, encoded.features, block.first_row + block.places)
        yield block, encoded


def _fit_rules(
    rules: Sequence[ModelRule],
    for_rules: RuleRows | None,
    scorer: Scorer,
    calibrator: ModelCalibrator | None,
    encoder: Encoder,
    seed: int,
    report: Report,
) -> tuple[tuple[ModelRule, ...], tuple[RuleFit, ...]]:
    """The rules fitted, and to what."""
    as_given = RuleFit(rows=0, source="the costs as they were given: no rows are needed")
    if for_rules is None:
        return tuple(rules), (as_given,) * len(rules)
    rows, source = _few_enough(for_rules, scorer.shape[0], seed)
    report(Stage(f"fitting rules to {len(rows.labels):,} rows"))
    probabilities = _probabilities(rows, scorer, calibrator, encoder)
    of_rows = RuleFit(rows=len(rows.labels), source=source)
    fitted = [
        rule if isinstance(rule, MinimumCost) else _fit_rule(rule, probabilities, rows, source)
        for rule in rules
    ]
    fits = [as_given if isinstance(rule, MinimumCost) else of_rows for rule in rules]
    return tuple(fitted), tuple(fits)


def _few_enough(for_rules: RuleRows, classes: int, seed: int) -> tuple[LabelledRows, str]:
    """The rows, or as many of them, drawn at random, as memory is to be taken for."""
    rows = for_rules.rows
    most = max(MOST_NUMBERS // classes, LEAST_ROWS)
    if len(rows.labels) <= most:
        return rows, for_rules.source
    some = np.zeros(len(rows.labels), np.bool_)
    some[np.random.default_rng(seed).choice(len(some), most, replace=False)] = True
    return rows.take(some), f"{most:,} rows, drawn at random of: {for_rules.source}"


def _probabilities(
    rows: LabelledRows, scorer: Scorer, calibrator: ModelCalibrator | None, encoder: Encoder
) -> NDArray[np.float32]:
    found = np.empty((len(rows.labels), scorer.shape[0]), np.float32)
    done = 0
    for block, encoded in encoded_blocks(rows, encoder, scorer):
        some = slice(done, done + len(block.labels))
        found[some] = calibrating.probabilities(scorer, calibrator, encoded.features)
        done = some.stop
    return found


def _fit_rule(
    rule: Abstain | PredictionSet,
    probabilities: NDArray[np.float32],
    rows: LabelledRows,
    source: str,
) -> Abstain | PredictionSet:
    # The rows are scored by the very model that is used.
    rule = replace(rule, cross_fitted=False)
    try:
        return rule.fit(probabilities, rows.labels)
    except DataError as error:
        raise DataError(
            f"{error}. The rows are {source}: keep a larger share for the rules "
            "(--rule-rows, rule_rows=), or bring more"
        ) from error
