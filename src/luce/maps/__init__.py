"""From scores to probabilities: every map with its derivatives."""

from luce.maps.hardmax import Hardmax, argmax, hardmax, topk
from luce.maps.logsumexp import logsumexp
from luce.maps.map import Map
from luce.maps.softmax import log_softmax, softmax
from luce.maps.softmax_map import Softmax

__all__ = [
    "Hardmax",
    "Map",
    "Softmax",
    "argmax",
    "hardmax",
    "log_softmax",
    "logsumexp",
    "softmax",
    "topk",
]
