"""From scores and labels to a loss and its gradient with respect to the scores."""

from luce.losses.cross_entropy import cross_entropy, cross_entropy_gradient
from luce.losses.fenchel_young import FenchelYoung
from luce.losses.linear_cross_entropy import LinearCrossEntropy, linear_cross_entropy

__all__ = [
    "FenchelYoung",
    "LinearCrossEntropy",
    "cross_entropy",
    "cross_entropy_gradient",
    "linear_cross_entropy",
]
