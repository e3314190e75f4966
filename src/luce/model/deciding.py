"""The rules of a model: which there may be, and the one decision that they make together."""

import reprlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.decisions import Abstain, Argmax, Decision, MinimumCost, PredictionSet
from luce.errors import DataError

LARGEST_COST = 1e100
LARGEST: dict[str, float] = {"penalty": 1e100, "unpenalised": 2**63 - 1, "seed": 2**63 - 1}

ModelRule: TypeAlias = Abstain | PredictionSet | MinimumCost


def decide(
    rules: Sequence[ModelRule],
    probabilities: NDArray[np.float32],
    random: np.random.Generator | None = None,
) -> Decision:
    """The decision of all rules for probabilities (m, k).

    Labels and answers are those of the `Abstain` or `MinimumCost` if there is one, else the most
    probable class; sets are those of the `PredictionSet` if there is one, which draws from
    `random` if it is randomised.
    """
    decision = Argmax().decide(probabilities)
    for rule in rules:
        if isinstance(rule, PredictionSet):
            sets = rule.decide(probabilities, random=random).sets
            decision = Decision(decision.labels, decision.answered, sets)
        else:
            found = rule.decide(probabilities)
            decision = Decision(found.labels, found.answered, decision.sets)
    return decision


def check_rules(rules: Sequence[ModelRule], classes: int | None = None) -> None:
    """Refuse rules that no model, or none of so many classes, can decide by together.

    Raises
    ------
    DataError
        A rule of another kind, two that would contradict each other, costs of other classes,
        numbers beyond those that a model file holds.
    """
    if not isinstance(rules, Sequence):
        raise DataError(f"rules are a list, such as [{reprlib.repr(rules)}], not one rule")
    for rule in rules:
        if not isinstance(rule, Abstain | PredictionSet | MinimumCost):
            raise DataError(
                f"a rule is {reprlib.repr(rule)}; a model can hold Abstain, PredictionSet and "
                "MinimumCost: other rules decide from its predict_proba"
            )
        if isinstance(rule, PredictionSet) and rule.conditional == "group":
            raise DataError(
                "a PredictionSet that is conditional on groups cannot be a model's: what it "
                "predicts need not have groups; leave out conditional, or fit the rule to "
                "probabilities of your own rows"
            )
        if isinstance(rule, MinimumCost) and abs(rule.costs).max() > LARGEST_COST:
            raise DataError(f"a cost is beyond {LARGEST_COST:g}: give the costs in a larger unit")
        for name, most in LARGEST.items() if isinstance(rule, PredictionSet) else ():
            if getattr(rule, name) > most:
                raise DataError(f"{name} is {getattr(rule, name)}; a model can hold {most} at most")
        if classes is not None and isinstance(rule, MinimumCost) and len(rule.costs) != classes:
            raise DataError(
                f"the costs are of {len(rule.costs)} classes, the rows of {classes}: give a row of "
                "costs for each class, in ascending order"
            )
    sets = sum(isinstance(rule, PredictionSet) for rule in rules)
    if sets > 1 or len(rules) - sets > 1:
        which = "PredictionSet" if sets > 1 else "Abstain or MinimumCost"
        raise DataError(
            f"there are {max(sets, len(rules) - sets)} rules {which}; a model decides by one at "
            "most, or it would say two things of a row"
        )
