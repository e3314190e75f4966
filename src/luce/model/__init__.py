"""The whole chain as one object, and how it is made from a table."""

from luce.model.model import Model, Push, load
from luce.model.rows import Comparison
from luce.model.train import train

__all__ = ["Comparison", "Model", "Push", "load", "train"]
