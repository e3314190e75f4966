"""What actions cost on labelled rows, block after block."""

from dataclasses import dataclass
from math import nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from luce.calibration import rows as labelled
from luce.decisions.measuring import Sums, groups_of
from luce.decisions.rows import as_distributions

if TYPE_CHECKING:
    from luce.decisions.minimum_cost import MinimumCost


@dataclass(frozen=True)
class CostEvaluation:
    """What a rule cost on labelled rows, between the best that needs no model and a perfect one.

    All are means over the rows, in the unit of the costs.

    Attributes
    ----------
    cost : float
        Of the actions that the rule chose.
    standard_error : float
        Of `cost`; NaN for a single row, or group of rows.
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
    >>> from luce.decisions import MinimumCost
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


class RunningCosts:
    """`MinimumCost.evaluate` of rows that come block after block."""

    def __init__(self, rule: "MinimumCost") -> None:
        self._rule = rule
        self._scale = float(abs(rule.costs).max()) or 1.0
        self._near: float | None = None
        self._sums = Sums(8)
        self._of_classes = np.zeros(len(rule.costs))

    def add(
        self,
        probabilities: npt.ArrayLike,
        labels: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> None:
        """Take up the next rows, also none."""
        rule, k = self._rule, len(self._rule.costs)
        if not len(np.asarray(probabilities)):
            return
        for block in labelled.blocks(probabilities, labels, sample_weight, logarithmic=False):
            if block.values.shape[1] != k:
                as_distributions(block.values, k)
            expected = block.values @ rule.costs
            chosen, _ = rule.choose(expected)
            cost = rule.costs[block.labels, chosen] / self._scale
            if self._near is None and len(cost):
                self._near = float(cost.mean())  # so that little is lost by cancellation
            weights, cost = block.weights, cost - (self._near or 0.0)
            self._sums.add(
                np.stack(
                    [
                        weights,
                        weights * cost,
                        weights * expected[np.arange(len(chosen)), chosen] / self._scale,
                        weights * (chosen == rule.ask),
                        weights**2,
                        weights**2 * cost,
                        weights**2 * cost**2,
                        np.ones(len(cost)),
                    ]
                ),
                groups_of(groups, block.rows),
            )
            self._of_classes += np.bincount(block.labels, weights, k)

    def result(self) -> CostEvaluation:
        """The evaluation of all rows so far.

        Raises
        ------
        DataError
            There was no row of positive weight.
        """
        total, cost, expected, asked, *_, rows = self._sums.totals
        labelled.check_total_weight(total)
        costs, shares = self._rule.costs, self._of_classes / total
        single = shares @ costs
        return CostEvaluation(
            cost=float((cost / total + (self._near or 0.0)) * self._scale),
            standard_error=self._standard_error() * self._scale,
            expected_cost=float(expected / total * self._scale),
            asked=float(asked / total),
            single_action=int(single.argmin()),
            single_cost=float(single.min()),
            perfect_cost=float(shares @ costs.min(axis=1)),
            rows=int(rows),
        )

    def _standard_error(self) -> float:
        """Of a weighted mean; for equal weights the sample's standard deviation over sqrt(n)."""
        if self._sums.grouped:
            return self._sums.ratio_error(1, 0)
        total, cost, _, _, squares, first, second, _ = self._sums.totals
        mean = cost / total
        left = (second - 2 * mean * first + mean**2 * squares) / total**2
        rest = 1 - squares / total**2
        return sqrt(max(left, 0.0) / rest) if rest > 0 else nan
