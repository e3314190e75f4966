"""Every exception that luce raises on purpose, and every warning of its own, in one place.

A message says what was wrong, where (row, column, class), what was expected, and what to do.
"""

__all__ = [
    "CalibrationWarning",
    "DataError",
    "LuceError",
    "ModelFileError",
    "NotDifferentiableError",
]


class LuceError(Exception):
    """Base of all errors below: catch it to catch whatever luce raises on purpose.

    Examples
    --------
    >>> import luce
    >>> try:
    ...     luce.load("nothing.luce")
    ... except luce.LuceError as error:
    ...     print(error)
    nothing.luce: no such file; check the path
    """


class DataError(LuceError, ValueError):
    """The data handed in cannot be used: the message names the row, column or class.

    Examples
    --------
    >>> import luce
    >>> try:
    ...     luce.cross_entropy([[0.0, 1.0]], [2])
    ... except luce.DataError as error:
    ...     print(error)
    labels[0] is 2; expected a class from 0 to 1, a column of scores
    """


class ModelFileError(LuceError, ValueError):
    """A model file is damaged, of another version, or not a model file at all.

    Examples
    --------
    >>> import luce
    >>> try:
    ...     luce.load("examples/penguins.csv")
    ... except luce.ModelFileError as error:
    ...     print("refused")
    refused
    """


class NotDifferentiableError(LuceError, TypeError):
    """A derivative was asked of a map that has none: the message names maps that do.

    Examples
    --------
    >>> import luce
    >>> try:
    ...     luce.Hardmax().jacobian([[1.0, 0.0]])
    ... except luce.NotDifferentiableError:
    ...     print("argmax has no derivative to learn from")
    argmax has no derivative to learn from
    """


class CalibrationWarning(UserWarning):
    """What a calibrator was given looks like something else, or can teach it less than it seems.

    Examples
    --------
    >>> import warnings
    >>> from luce.calibration import TemperatureScaling
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     probabilities = TemperatureScaling(2.0).probabilities([[0.25, 0.75], [0.5, 0.5]])
    >>> [warning.category.__name__ for warning in caught]
    ['CalibrationWarning']
    """
