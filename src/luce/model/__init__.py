"""The whole chain as one object, and how it is made from a table."""

from luce.model.measuring import Comparison
from luce.model.model import Model, Predicted, Push, load
from luce.model.train import train

__all__ = ["Comparison", "Model", "Predicted", "Push", "load", "train"]
