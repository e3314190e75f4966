"""The rules that need nothing but the order of the probabilities: argmax and top-k.

Of equal probabilities the lower class index goes first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.decisions.decision import Decision
from luce.decisions.rows import as_table
from luce.errors import DataError


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
        table = as_table(probabilities)
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
        table = as_table(probabilities)
        n, classes = table.shape
        if self.k > classes:
            raise DataError(
                f"k is {self.k}, but there are {classes} classes; expected at most that"
            )
        _, chosen = maps.topk(table, self.k)
        sets = np.zeros((n, classes), dtype=bool)
        np.put_along_axis(sets, chosen, True, axis=1)
        return Decision(np.asarray(chosen[:, 0], dtype=np.intp), np.ones(n, dtype=bool), sets)
