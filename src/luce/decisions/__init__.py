"""Probabilities to decisions: rules, frozen values with `decide(probabilities) -> Decision`."""

from luce.decisions.abstain import Abstain
from luce.decisions.cost_evaluation import CostEvaluation
from luce.decisions.decision import Decision, Rule
from luce.decisions.measuring import AnswerEvaluation, SetEvaluation
from luce.decisions.minimum_cost import MinimumCost
from luce.decisions.order import Argmax, TopK
from luce.decisions.prediction_set import PredictionSet
from luce.decisions.sample import Sample
from luce.decisions.threshold import Threshold

__all__ = [
    "Abstain",
    "AnswerEvaluation",
    "Argmax",
    "CostEvaluation",
    "Decision",
    "MinimumCost",
    "PredictionSet",
    "Rule",
    "Sample",
    "SetEvaluation",
    "Threshold",
    "TopK",
]
