"""How well labelled rows are predicted, block after block, in memory that does not grow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luce.calibration import Evaluation, RunningEvaluation
from luce.decisions import (
    Abstain,
    AnswerEvaluation,
    CostEvaluation,
    PredictionSet,
    SetEvaluation,
)
from luce.decisions.cost_evaluation import RunningCosts
from luce.decisions.measuring import RunningAnswers, RunningSets
from luce.model.deciding import ModelRule
from luce.model.rows import LabelledRows


@dataclass(frozen=True)
class Comparison:
    """How well rows are predicted by a model, and by always guessing its class frequencies.

    Attributes
    ----------
    model, baseline : luce.calibration.Evaluation
    unlabelled : int
        Rows passed over because they have no label.
    unseen : mapping of str to int
        For each column where there are any, how many rows have a level that no training row had.
    trained_on : bool
        Whether these are exactly the rows that the model was trained on, and those kept for its
        rules: the figures then say nothing about other rows.
    decisions : tuple of AnswerEvaluation, SetEvaluation and CostEvaluation
        What the rules of the model do on the rows, in their order.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> comparison = model.evaluate("examples/penguins.csv")
    >>> comparison.model.log_loss.value < comparison.baseline.log_loss.value
    True
    >>> comparison.trained_on
    True
    """

    model: Evaluation
    baseline: Evaluation
    unlabelled: int
    unseen: Mapping[str, int]
    trained_on: bool
    decisions: tuple[AnswerEvaluation | SetEvaluation | CostEvaluation, ...]


class RunningComparison:
    """Figures of a model, and of the guess of the training rows' class weights, on the same rows.

    Parameters
    ----------
    class_weights : array of shape (k,)
        Rows of each class that the model was trained on, or their weights.
    weighted : bool
        Whether the rows have weights.
    seed : int
        For the intervals.
    rules : sequence of rules
        Of the model.
    """

    def __init__(
        self,
        class_weights: NDArray[np.float64],
        *,
        weighted: bool,
        seed: int,
        rules: Sequence[ModelRule] = (),
    ) -> None:
        self.guess = np.log(class_weights / class_weights.sum())
        self.model, self.baseline = (
            RunningEvaluation(len(class_weights), weighted=weighted, seed=seed) for _ in range(2)
        )
        self.decisions = [_running(rule) for rule in rules]
        self.unseen: Counter[str] = Counter()
        self.rows = 0

    def add(
        self,
        log_probabilities: NDArray[np.floating],
        rows: LabelledRows,
        unseen: Mapping[str, int],
        probabilities: NDArray[np.floating] | None = None,
    ) -> None:
        """Take up the next rows: what the model says of them, and what is true.

        The rules are given the probabilities themselves, which are needed where there are rules.
        """
        guess = np.broadcast_to(self.guess, log_probabilities.shape)
        for running, predicted in ((self.model, log_probabilities), (self.baseline, guess)):
            running.add(predicted, rows.labels, sample_weight=rows.weights, groups=rows.groups)
        for rule in self.decisions:
            assert probabilities is not None
            rule.add(probabilities, rows.labels, rows.weights, rows.groups)
        self.unseen.update(unseen)
        self.rows += len(rows.labels)

    def result(self, *, unlabelled: int = 0, trained_on: bool = False) -> Comparison:
        """The comparison over all rows so far."""
        return Comparison(
            self.model.result(),
            self.baseline.result(),
            unlabelled,
            dict(self.unseen),
            trained_on,
            tuple(rule.result() for rule in self.decisions),
        )


def _running(rule: ModelRule) -> RunningAnswers | RunningSets | RunningCosts:
    if isinstance(rule, Abstain):
        return RunningAnswers(rule)
    return RunningSets(rule) if isinstance(rule, PredictionSet) else RunningCosts(rule)
