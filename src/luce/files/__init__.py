"""Tensors and one JSON document in one file that is data, never code."""

from luce.files.atomic import replacing
from luce.files.codec import Format, Shapes, Tensors, load, save

__all__ = ["Format", "Shapes", "Tensors", "load", "replacing", "save"]
