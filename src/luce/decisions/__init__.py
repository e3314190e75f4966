"""Probabilities to decisions: rules, frozen values with `decide(probabilities) -> Decision`."""

from luce.decisions.rules import Argmax, Decision, Rule, TopK

__all__ = ["Argmax", "Decision", "Rule", "TopK"]
