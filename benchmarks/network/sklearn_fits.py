"""scikit-learn's MLPClassifier as a contestant.

An epoch is one `partial_fit` on rows that are in order already: gathering them all at once, into
the same memory every time, takes less time than its own way, batch by batch.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer

from benchmarks.network.cases import RATE, Case, Parameters, Split, orders
from benchmarks.network.contestants import Stepwise
from benchmarks.network.reference import EPSILON


class _EnoughError(Exception):
    """Ends an epoch from inside."""


class _Adam(AdamOptimizer):
    """With the epsilon where Kingma and Ba first had it, and everybody else has: the same steps."""

    @property
    def epsilon(self) -> float:
        """To be added to the biased root."""
        return EPSILON * (1 - self.beta_2**self.t) ** 0.5

    @epsilon.setter
    def epsilon(self, _: float) -> None:
        pass


class Sklearn(Stepwise):
    """MLPClassifier with the first weights of everybody."""

    def __init__(self, case: Case, split: Split) -> None:
        super().__init__(case, split)
        self.features = np.empty_like(split.training.features)
        self.labels = np.empty_like(split.training.labels)

    def reset(self) -> None:
        """A new model."""
        self.model = with_parameters(self.start, self.split, self.case)

    def epoch(self, order: NDArray[np.intp]) -> float:
        """One `partial_fit`."""
        rows = self.split.training
        np.take(rows.features, order, axis=0, out=self.features, mode="clip")
        np.take(rows.labels, order, out=self.labels, mode="clip")
        return float(self.model.partial_fit(self.features, self.labels).loss_)

    def first_losses(self, count: int) -> list[float]:
        """As its backpropagation returns them."""
        self.reset()
        losses: list[float] = []
        backprop, random = self.model._backprop, orders()

        def watched(*arguments: object) -> object:
            if len(losses) == count:
                raise _EnoughError
            found = backprop(*arguments)
            losses.append(float(found[0]))
            return found

        self.model._backprop = watched
        try:
            while True:
                self.epoch(random.permutation(len(self.labels)))
        except _EnoughError:
            return losses

    def parameters(self) -> Parameters:
        """Coefficients and intercepts."""
        pairs = zip(self.model.coefs_, self.model.intercepts_, strict=True)
        return [(weights.copy(), bias.copy()) for weights, bias in pairs]


def with_parameters(start: Parameters, split: Split, case: Case) -> MLPClassifier:
    """A model with these parameters, as if it had been fitted, whose Adam has not begun."""
    model = MLPClassifier(
        case.hidden, alpha=0.0, batch_size=case.batch, learning_rate_init=RATE, shuffle=False
    )
    rows = split.training
    model.partial_fit(
        rows.features[: case.batch], rows.labels[: case.batch], classes=np.arange(split.classes)
    )
    for (weights, bias), coef, intercept in zip(
        start, model.coefs_, model.intercepts_, strict=True
    ):
        coef[...], intercept[...] = weights, bias
    model._optimizer = _Adam(model.coefs_ + model.intercepts_, RATE)
    return model
