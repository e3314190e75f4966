"""The action whose expected cost is least: Bayes' decision for any cost matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from luce.calibration import rows as labelled
from luce.decisions.decision import Decision
from luce.decisions.rows import Float64s, as_distributions, blocks
from luce.decisions.value import Value, frozen
from luce.errors import DataError


@dataclass(frozen=True, eq=False)
class CostEvaluation:
    """What a rule cost on labelled rows, between the best that needs no model and a perfect one.

    All are means over the rows, in the unit of the costs.

    Attributes
    ----------
    cost : float
        Of the actions that the rule chose.
    standard_error : float
        Of `cost`; NaN for a single row.
    expected_cost : float
        What the probabilities promised. Where it is far from `cost`, they are not calibrated.
    asked : float
        The share of rows that a person was asked about.
    single_action : int
        The action that, always chosen, would have cost least on these rows.
    single_cost : float
        What it would have cost.
    perfect_cost : float
        What the best action for each row's label would have cost.
    rows : int
        Rows of positive weight.

    Examples
    --------
    >>> found = MinimumCost([[0, 1], [5, 0]]).evaluate([[0.9, 0.1], [0.3, 0.7]], [0, 1])
    >>> found.cost, found.single_action, found.single_cost, found.worth_of_perfect
    (0.0, 1, 0.5, 0.5)
    """

    cost: float
    standard_error: float
    expected_cost: float
    asked: float
    single_action: int
    single_cost: float
    perfect_cost: float
    rows: int

    @property
    def worth(self) -> float:
        """What the model saves a row, against always the best single action."""
        return self.single_cost - self.cost

    @property
    def worth_of_perfect(self) -> float:
        """What a model that knows every label would save a row: no model is worth more."""
        return self.single_cost - self.perfect_cost


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
            least[rows] = (block @ self.costs).min(axis=1)
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
            chosen, labels[rows] = self._choose(block @ self.costs)
            answered[rows] = chosen == labels[rows]
        return Decision(labels, answered)

    def evaluate(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
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

        Returns
        -------
        CostEvaluation

        Raises
        ------
        DataError
            Unusable input, no row of positive weight, or another number of classes.
        """
        k = len(self.costs)
        weight = np.zeros(k)
        found = []
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            if block.values.shape[1] != k:
                as_distributions(block.values, k)
            expected = block.values @ self.costs
            chosen, _ = self._choose(expected)
            weight += np.bincount(block.labels, block.weights, k)
            found.append(
                (
                    self.costs[block.labels, chosen],
                    expected[np.arange(len(chosen)), chosen],
                    chosen == self.ask,
                    block.weights,
                )
            )
        labelled.check_total_weight(weight.sum())
        cost, expected, asked, weights = (np.concatenate(part) for part in zip(*found, strict=True))
        shares = weights / weights.sum()
        mean = float(shares @ cost)
        single = weight @ self.costs / weight.sum()
        return CostEvaluation(
            cost=mean,
            standard_error=_standard_error(cost - mean, shares),
            expected_cost=float(shares @ expected),
            asked=float(shares @ asked),
            single_action=int(single.argmin()),
            single_cost=float(single.min()),
            perfect_cost=float(weight @ self.costs.min(axis=1) / weight.sum()),
            rows=len(cost),
        )

    def _choose(self, expected: Float64s) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The action of each row, and the best that is not to ask."""
        k = len(self.costs)
        rounding = 4 * k * np.finfo(np.float64).eps * abs(self.costs).max()
        chosen = (expected <= expected.min(axis=1, keepdims=True) + rounding).argmax(axis=1)
        if self.ask is None:
            return chosen, chosen
        answers = np.delete(expected, int(self.ask), axis=1)
        best = (answers <= answers.min(axis=1, keepdims=True) + rounding).argmax(axis=1)
        return chosen, best + (best >= self.ask)


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


def _standard_error(deviations: Float64s, shares: Float64s) -> float:
    """Of a weighted mean; for equal weights the sample's standard deviation over sqrt(n)."""
    rest = 1 - shares @ shares
    return float(np.sqrt(shares**2 @ deviations**2 / rest)) if rest > 0 else float("nan")
