"""Probabilities to decisions: rules, frozen values with `decide(probabilities) -> Decision`."""

from luce.decisions.rules import Argmax, Decision, Rule, TopK
from luce.decisions.sample import Sample

__all__ = ["Argmax", "Decision", "Rule", "Sample", "TopK"]
