"""From scores to probabilities: every map with its derivatives."""

from luce.maps.hardmax import Hardmax, argmax, hardmax, topk
from luce.maps.logsumexp import logsumexp
from luce.maps.softmax import Softmax, log_softmax, softmax

__all__ = [
    "Hardmax",
    "Softmax",
    "argmax",
    "hardmax",
    "log_softmax",
    "logsumexp",
    "softmax",
    "topk",
]
