"""Every exception that luce raises on purpose, in one place.

A message says what was wrong, where (row, column, class), what was expected, and what to do.
"""

__all__ = ["DataError", "LuceError", "ModelFileError", "NotDifferentiableError"]


class LuceError(Exception):
    """Base of all errors below: catch it to catch whatever luce raises on purpose."""


class DataError(LuceError, ValueError):
    """The data handed in cannot be used: the message names the row, column or class."""


class ModelFileError(LuceError, ValueError):
    """A model file is damaged, of another version, or not a model file at all."""


class NotDifferentiableError(LuceError, TypeError):
    """A derivative was asked of a map that has none: the message names maps that do."""
