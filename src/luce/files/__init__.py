"""Tensors and one JSON document in one file that is data, never code."""

from luce.files.atomic import replacing
from luce.files.codec import Shapes, load, save

__all__ = ["Shapes", "load", "replacing", "save"]
