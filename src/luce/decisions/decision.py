"""What every rule gives and what every rule is."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Decision:
    """What a rule makes of n rows.

    Attributes
    ----------
    labels : ndarray of intp, shape (n,)
        The class chosen for each row; of a rule for actions (`MinimumCost`) the action's index.
    answered : ndarray of bool, shape (n,)
        False where the rule abstains; the label is then its best guess all the same.
    sets : ndarray of bool, shape (n, k), or None
        The classes the rule holds possible, for rules that give sets.

    Examples
    --------
    >>> from luce.decisions import Argmax
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
    >>> from luce.decisions import Argmax, TopK
    >>> rules: list[Rule] = [Argmax(), TopK(2)]
    >>> [rule.decide([[0.2, 0.8]]).labels.item() for rule in rules]
    [1, 1]
    """

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Decide each row of probabilities (n, k)."""
