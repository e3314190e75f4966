"""From scores and labels to a loss and its gradient with respect to the scores."""

from luce.losses.cross_entropy import cross_entropy, cross_entropy_gradient
from luce.losses.fenchel_young import FenchelYoung

__all__ = ["FenchelYoung", "cross_entropy", "cross_entropy_gradient"]
