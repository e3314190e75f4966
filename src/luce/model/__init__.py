"""The whole chain as one object, and how it is made from a table."""

from luce.model.model import Model, Push, load
from luce.model.train import Stage, TrainingTable, train, train_on, understand

__all__ = ["Model", "Push", "Stage", "TrainingTable", "load", "train", "train_on", "understand"]
