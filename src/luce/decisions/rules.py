"""The rules that need nothing but the order of the probabilities: argmax and top-k.

Conventions: `probabilities` (n, k), float32 or float64; n may be 0, k is at least 1. Of equal
probabilities the lower class index goes first. A row with NaN is a `luce.errors.DataError` that
names it: nothing is decided on a number that is not there.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.errors import DataError


@dataclass(frozen=True, eq=False)
class Decision:
    """What a rule makes of n rows.

    Attributes
    ----------
    labels : ndarray of intp, shape (n,)
        The class chosen for each row.
    answered : ndarray of bool, shape (n,)
        False where the rule abstains; the label is then its best guess all the same.
    sets : ndarray of bool, shape (n, k), or None
        The classes the rule holds possible, for rules that give sets.

    Examples
    --------
    >>> decision = Argmax().decide([[0.2, 0.8]])
    >>> decision.labels, decision.answered, decision.sets
    (array([1]), array([ True]), None)
    """

    labels: npt.NDArray[np.intp]
    answered: npt.NDArray[np.bool_]
    sets: npt.NDArray[np.bool_] | None = None


class Rule(Protocol):
    """A frozen value that makes a decision of probabilities: what every rule here is.

    Examples
    --------
    >>> rules: list[Rule] = [Argmax(), TopK(2)]
    >>> [rule.decide([[0.2, 0.8]]).labels.item() for rule in rules]
    [1, 1]
    """

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Decide each row of probabilities (n, k)."""


@dataclass(frozen=True)
class Argmax:
    """argmax_c p_c: the most probable class, which is wrong least often.

    Examples
    --------
    >>> Argmax().decide([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]]).labels
    array([1, 0])
    """

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Choose the first of the most probable classes.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        Decision
            Every row answered, no sets.

        Raises
        ------
        DataError
            A wrong shape or dtype, no class, or a row with NaN.
        """
        table = _as_table(probabilities)
        labels = np.asarray(maps.argmax(table), dtype=np.intp)
        return Decision(labels, np.ones(len(labels), dtype=bool))


@dataclass(frozen=True)
class TopK:
    """The set of the k most probable classes, of fixed size and so of varying certainty.

    Parameters
    ----------
    k : int
        Size of the sets, 1 to the number of classes.

    Raises
    ------
    DataError
        `k` is no integer of at least 1.

    Examples
    --------
    >>> decision = TopK(2).decide([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    >>> decision.labels
    array([1, 0])
    >>> decision.sets
    array([[False,  True,  True],
           [ True, False,  True]])
    """

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int | np.integer) or self.k < 1:
            raise DataError(f"k is {self.k!r}; expected an integer of at least 1")

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Choose the k most probable classes, and the first of them as the label.

        Parameters
        ----------
        probabilities : array_like of shape (n, classes)

        Returns
        -------
        Decision
            Every row answered, exactly k classes in each set.

        Raises
        ------
        DataError
            A wrong shape or dtype, fewer than k classes, or a row with NaN.
        """
        table = _as_table(probabilities)
        n, classes = table.shape
        if self.k > classes:
            raise DataError(
                f"k is {self.k}, but there are {classes} classes; expected at most that"
            )
        _, chosen = maps.topk(table, self.k)
        sets = np.zeros((n, classes), dtype=bool)
        np.put_along_axis(sets, chosen, True, axis=1)
        return Decision(np.asarray(chosen[:, 0], dtype=np.intp), np.ones(n, dtype=bool), sets)


def _as_table(probabilities: npt.ArrayLike) -> npt.NDArray[np.floating]:
    table = np.asarray(probabilities)
    if table.ndim != 2 or table.dtype.kind != "f" or table.shape[1] == 0:
        raise DataError(
            f"the probabilities have shape {table.shape} and dtype {table.dtype}; expected floats "
            "of shape (rows, classes) with at least one class"
        )
    unknown = np.isnan(table.max(axis=1))
    if unknown.any():
        row = int(unknown.argmax())
        column = int(np.isnan(table[row]).argmax())
        raise DataError(f"row {row}: the probability of class {column} is NaN; expected a number")
    return table
