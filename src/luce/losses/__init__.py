"""From scores and labels to a loss and its gradient with respect to the scores."""

from luce.losses.cross_entropy import cross_entropy, cross_entropy_gradient

__all__ = ["cross_entropy", "cross_entropy_gradient"]
