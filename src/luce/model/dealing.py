"""Which rows are trained on, which are held out, and which are kept for rules: no row is two."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luce.decisions import Abstain, MinimumCost
from luce.decisions.error_control import fewest_rows
from luce.errors import DataError
from luce.model.deciding import ModelRule
from luce.model.rows import LabelledRows
from luce.model.split import hold_out
from luce.model.understand import TrainingTable

FOR_RULES, OF_GROUPS = 1, 2  # what is drawn from the seed beside the rows held out


@dataclass(frozen=True, eq=False)
class RuleRows:
    """Rows to fit rules to, independent of one another, that the model is never trained on.

    `kept` are so many as are not trained on; `source` says in words which these rows are.
    """

    rows: LabelledRows
    kept: int
    source: str


@dataclass(frozen=True, eq=False)
class Dealt:
    """The labelled rows of a table.

    `first` are those of the fit that is measured, on `held_out`; `all` are both, those of the fit
    that is saved. Where nothing is held out, the two are one.
    """

    first: LabelledRows
    all: LabelledRows
    held_out: LabelledRows | None
    for_rules: RuleRows | None
    source: str = ""


def deal(
    table: TrainingTable,
    share: float | None,
    rules: Sequence[ModelRule],
    rule_share: float,
    seed: int,
) -> Dealt:
    """Hold out a share of the rows, if one is given, and keep another for rules that learn.

    Rows are drawn at random by class. Where they come in groups, whole groups are: for the rules
    at random, since their promise is for groups that are drawn as those to come, and for one row of
    a group (where large groups are the difficult ones, it is not for all of their rows).

    Raises
    ------
    DataError
        The shares are none, a class would not be trained on, rows have weights that the rules
        cannot count, or too few are left for a rule to keep its promise.
    """
    if share is not None and not 0 < share < 1:
        raise DataError(f"validation is a share between 0 and 1 or a table, not {share!r}")
    learning = [rule for rule in rules if not isinstance(rule, MinimumCost)]
    rows = table.rows
    n = len(rows.labels)
    held, kept = np.zeros((2, n), np.bool_)
    if learning:
        _check_share(rule_share, share)
        _require_equal_weights(table, learning)
    if learning and rows.groups is not None:
        kept = _drawn_groups(rows.groups, rule_share, seed)
    if share is not None:
        rest = np.flatnonzero(~kept)
        groups = None if rows.groups is None else rows.groups[rest]
        of_rest = share * n / len(rest) if kept.any() else share
        if of_rest >= 1:
            raise DataError("too few rows are left beside those kept for rules: keep fewer")
        held[rest[hold_out(rows.labels[rest], groups, of_rest, seed)]] = True
    if learning and rows.groups is None:
        kept = _drawn_rows(rows.labels, held, rule_share, seed)
    training = rows.take(~held & ~kept)
    totals = training.class_weights(len(table.roles.target.classes))
    if not totals.all():
        raise DataError(
            f"every row of class {table.roles.target.classes[int(np.argmin(totals))]!r} is in the "
            "groups held out, or has weight 0: use another seed, or a validation table of your own"
        )
    for_rules = _rows_for_rules(rows, kept, seed) if learning else None
    if for_rules is not None:
        _require_enough(for_rules, learning)
    if share is None:
        return Dealt(training, training, None, for_rules)
    how = "at random by class" if rows.groups is None else "in whole groups"
    source = f"{held.sum():,} of {n:,} rows, held out {how}"
    return Dealt(training, rows.take(~kept), rows.take(held), for_rules, source)


def _check_share(rule_share: float, share: float | None) -> None:
    if not 0 < rule_share < 1:
        raise DataError(f"rule_rows is a share between 0 and 1, not {rule_share!r}")
    if share is not None and share + rule_share >= 1:
        raise DataError(
            f"a share of {share:g} for the validation and of {rule_share:g} for the rules leave no "
            "row to train on: make them smaller"
        )


def _require_equal_weights(table: TrainingTable, learning: Sequence[ModelRule]) -> None:
    weights = table.rows.weights
    if weights is not None and len(np.unique(weights[weights > 0])) > 1:
        name = type(learning[0]).__name__
        raise DataError(
            f"the weights in column {table.roles.weight!r} differ, and {name} counts rows, each "
            "drawn as those to come: it has no exact promise for weights that differ. Train "
            f"without weights, or without {name}; MinimumCost works with weights"
        )


def _drawn_groups(groups: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    names = np.unique(groups)
    count = round(share * len(names))
    if not 0 < count < len(names):
        raise DataError(
            f"the rows are of {len(names)} group{'s' if len(names) > 1 else ''}, too few to keep a "
            f"share of {share:g} for rules: bring more groups, or do without"
        )
    drawn = np.random.default_rng([seed, FOR_RULES]).choice(names, count, replace=False)
    return np.isin(groups, drawn)


def _drawn_rows(
    labels: NDArray[np.int64], held: NDArray[np.bool_], share: float, seed: int
) -> NDArray[np.bool_]:
    rest = np.flatnonzero(~held)
    kept = np.zeros(len(labels), np.bool_)
    try:
        drawn = hold_out(labels[rest], None, share * len(labels) / len(rest), [seed, FOR_RULES])
    except DataError as error:
        raise DataError(
            f"{len(rest):,} rows are too few to keep some of each class for rules: keep a larger "
            "share of them (--rule-rows, rule_rows=), or bring more"
        ) from error
    kept[rest[drawn]] = True
    return kept


def _rows_for_rules(rows: LabelledRows, kept: NDArray[np.bool_], seed: int) -> RuleRows:
    there = kept if rows.weights is None else kept & (rows.weights > 0)
    number = int(kept.sum())
    if rows.groups is None:
        source = (
            f"{there.sum():,} of {len(kept):,} rows, drawn at random by class, that the model is "
            "never trained on"
        )
        return RuleRows(rows.take(there), number, source)
    places = np.random.default_rng([seed, OF_GROUPS]).permutation(np.flatnonzero(there))
    _, first = np.unique(rows.groups[places], return_index=True)
    one = np.zeros(len(kept), np.bool_)
    one[places[first]] = True
    source = (
        f"one row of each of {len(first):,} groups, drawn at random, that the model is never "
        "trained on; the promise is for a row that is drawn so"
    )
    return RuleRows(rows.take(one), number, source)


def _require_enough(for_rules: RuleRows, learning: Sequence[ModelRule]) -> None:
    """Refuse, before any work, what no result could save."""
    rows = len(for_rules.rows.labels)
    if not rows:
        raise DataError("all rows kept for rules have weight 0: use another seed")
    for rule in learning:
        if isinstance(rule, Abstain) and rows < fewest_rows(rule.risk, 1 - rule.confidence):
            raise DataError(
                f"{rows:,} rows ({for_rules.source}) cannot show an error rate of at most "
                f"{rule.risk:g} with confidence {rule.confidence:g}: even if none is wrong, at "
                f"least {fewest_rows(rule.risk, 1 - rule.confidence):,} are needed; keep a larger "
                "share of rows for the rules (--rule-rows, rule_rows=), bring more, or allow a "
                "higher risk"
            )
