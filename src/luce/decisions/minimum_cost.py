"""The action whose expected cost is least: Bayes' decision for any cost matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from luce import maps
from luce.calibration.value import Value, frozen
from luce.decisions.cost_evaluation import CostEvaluation, RunningCosts
from luce.decisions.decision import Decision
from luce.decisions.measuring import checked_rows
from luce.decisions.rows import Float64s, as_distributions, blocks, over_rows
from luce.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class MinimumCost(Value):
    """argmin_a sum_c p_c cost_ca: the action whose expected cost is least.

    No rule has a lower expected cost, if the probabilities are true. Actions need not be classes:
    ``Decision.labels`` are then indices of actions, columns of `costs`. One of them may be to ask a
    person: where it is chosen ``answered`` is False, and the label is the best of the others. Of
    costs that are equal but for rounding the action of the lower index is chosen.

    Parameters
    ----------
    costs : array_like of shape (k, m)
        ``costs[c, a]``: what action a costs when the class is c. Finite; gains are negative costs.
    actions : sequence of str, optional
        A name for each action. Without, action c is to say class c.
    ask : int or str, optional
        The action that is to ask a person, by index or name; not the only one.

    Raises
    ------
    DataError
        Costs of another shape or not finite, other than m distinct names, an unknown action.

    Examples
    --------
    >>> rule = MinimumCost([[0, 10, 2], [50, 0, 2]], actions=["pay", "refuse", "ask"], ask="ask")
    >>> decision = rule.decide([[0.99, 0.01], [0.9, 0.1], [0.1, 0.9]])
    >>> decision.labels, decision.answered
    (array([0, 0, 1]), array([ True, False,  True]))
    >>> rule.expected_costs([[0.9, 0.1]])
    array([[5., 9., 2.]])
    """

    costs: npt.NDArray[np.float64]
    actions: Sequence[str] | None = None
    ask: int | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        costs = np.asarray(self.costs)
        if costs.ndim != 2 or not costs.size or costs.dtype.kind not in "fiu":
            raise DataError(
                f"costs have shape {costs.shape} and dtype {costs.dtype}; expected real numbers of "
                "shape (classes, actions)"
            )
        costs = frozen(costs, np.float64)
        if not np.isfinite(costs).all():
            c, a = np.argwhere(~np.isfinite(costs))[0]
            raise DataError(f"the cost of action {a} for class {c} is {costs[c, a]}; give a number")
        self._set(costs=costs)
        m = costs.shape[1]
        if self.actions is not None:
            self._set(actions=_names(self.actions, m))
        if self.ask is not None:
            self._set(ask=_index(self.ask, self.actions, m))

    @property
    def abstains(self) -> bool:
        """Whether there may be rows that a person is asked about."""
        return self.ask is not None

    def names(self, classes: npt.ArrayLike) -> npt.NDArray[Any]:
        """What each label of a decision stands for: names, classes, or else indices of actions.

        Parameters
        ----------
        classes : array_like of shape (k,)
            The names of the classes, which are those of the actions where there is one for each
            and `actions` are not given; the last may be to ask a person.

        Returns
        -------
        ndarray of shape (m,), or (k,) where these are classes
        """
        k, m = self.costs.shape
        if self.actions is not None:
            return np.asarray(self.actions, dtype=object)
        if m == k or (m == k + 1 and self.ask == k):
            return np.asarray(classes)
        return np.arange(m)

    def expected_costs(self, probabilities: npt.ArrayLike) -> Float64s:
        """sum_c p_c cost_ca for each row and action.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        ndarray of float64, shape (n, m)

        Raises
        ------
        DataError
            Unusable probabilities, or another number of classes than the costs have.
        """
        table = as_distributions(probabilities, len(self.costs))
        expected = np.empty((len(table), self.costs.shape[1]))
        for rows, block in blocks(table, self.costs.shape[1]):
            expected[rows] = block @ self.costs
        return expected

    def expected_cost(self, probabilities: npt.ArrayLike) -> Float64s:
        """The expected cost of the action that is chosen for each row.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        DataError
            Unusable probabilities, or another number of classes than the costs have.
        """
        table = as_distributions(probabilities, len(self.costs))
        least = np.empty(len(table))
        for rows, block in blocks(table, self.costs.shape[1]):
            least[rows] = over_rows(np.minimum, block @ self.costs)
        return least

    def decide(self, probabilities: npt.ArrayLike) -> Decision:
        """Choose the action whose expected cost is least.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)

        Returns
        -------
        Decision
            Labels are indices of actions, never that of asking; where asking is best the row is
            not answered. No sets.

        Raises
        ------
        DataError
            Unusable probabilities, or another number of classes than the costs have.
        """
        table = as_distributions(probabilities, len(self.costs))
        labels = np.empty(len(table), dtype=np.intp)
        answered = np.ones(len(table), dtype=bool)
        for rows, block in blocks(table, self.costs.shape[1]):
            chosen, labels[rows] = self.choose(block @ self.costs)
            answered[rows] = chosen == labels[rows]
        return Decision(labels, answered)

    def evaluate(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> CostEvaluation:
        """What the decisions for labelled rows cost, and what they might have.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
            Of rows that neither the model nor its calibration has seen.
        labels : array_like of int, shape (n,)
            Class indices, 0 to k - 1.
        sample_weight : array_like of shape (n,), optional
            Weights >= 0, by default 1 each.
        groups : array_like of shape (n,), optional
            Rows with equal values belong together: the standard error is that of groups.

        Returns
        -------
        CostEvaluation

        Raises
        ------
        DataError
            Unusable input, no row of positive weight, or another number of classes.
        """
        table, groups = checked_rows(probabilities, groups)
        running = RunningCosts(self)
        running.add(table, labels, sample_weight, groups)
        return running.result()

    def choose(self, expected: Float64s) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The action of each row of expected costs (n, m), and the best that is not to ask.

        Both (n,), indices of actions.
        """
        k = len(self.costs)
        rounding = 4 * k * np.finfo(np.float64).eps * abs(self.costs).max()
        chosen = _least(expected, rounding)
        if self.ask is None:
            return chosen, chosen
        answers = np.delete(expected, int(self.ask), axis=1)
        best = _least(answers, rounding)
        return chosen, best + (best >= int(self.ask))


def _least(expected: Float64s, rounding: float) -> npt.NDArray[np.intp]:
    """The first column of each row that is its least but for rounding."""
    near = expected <= over_rows(np.minimum, expected)[:, None] + rounding
    return np.asarray(maps.argmax(near.astype(np.float32)), dtype=np.intp)


def _names(actions: Sequence[str], m: int) -> tuple[str, ...]:
    names = tuple(actions)
    if isinstance(actions, str) or not all(isinstance(name, str) for name in names):
        raise DataError(f"actions are {actions!r}; expected a sequence of names")
    if len(names) != m or len(set(names)) != m:
        raise DataError(
            f"actions are {len(names)} names, {len(set(names))} of them distinct; the costs have "
            f"{m} columns, and each needs a name of its own"
        )
    return names


def _index(ask: int | str, actions: Sequence[str] | None, m: int) -> int:
    if isinstance(ask, str) and actions is not None and ask in actions:
        index = actions.index(ask)
    elif isinstance(ask, int | np.integer) and not isinstance(ask, bool) and 0 <= ask < m:
        index = int(ask)
    else:
        raise DataError(f"ask is {ask!r}; expected the name of an action, or 0 to {m - 1}")
    if m == 1:
        raise DataError("the only action is to ask; give at least one more")
    return index
