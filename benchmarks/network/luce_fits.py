"""luce as a contestant: `fit_network`, and `NetworkClassifier` around it."""

import time
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.network.cases import (
    RATE,
    Case,
    Parameters,
    Split,
    batches_of,
    initial,
    orders,
)
from benchmarks.network.contestants import Trained
from luce.scorers.chain import count_parameters, split
from luce.scorers.layer import Layers
from luce.scorers.network import Network
from luce.scorers.perceptron import multilayer_perceptron
from luce.training.network import NetworkFit, fit_network


class Luce:
    """`fit_network` with the first weights of everybody."""

    compile_seconds = 0.0
    remark = ""

    def __init__(self, case: Case, split: Split) -> None:
        self.case, self.split = case, split
        self.network = network_of(initial(case, split))

    def fit(self, **how: Any) -> NetworkFit:
        """The case's fit, with some more arguments."""
        rows = self.split.training
        return fit_network(
            self.network,
            rows.features,
            rows.labels,
            **how,
            learning_rate=RATE,
            batch_size=self.case.batch,
            penalty=0.0,
            random=orders(),
        )

    def train(self, epochs: int) -> Trained:
        """One fit, watched by its validation."""
        trained, aside = Trained(), 0.0

        def validate(network: Network) -> tuple[float, float]:
            nonlocal aside
            now = time.perf_counter()
            trained.seconds.append(now - begin - aside)
            trained.parameters.append(parameters_of(network.layers, network.parameters))
            aside += time.perf_counter() - now
            return float(len(trained.seconds)), 0.0  # every epoch is the best so far

        begin = time.perf_counter()
        fit = self.fit(max_epochs=epochs, validate=validate)
        trained.losses = fit.loss_curve.tolist()
        return trained

    def first_losses(self, count: int) -> list[float]:
        """Each of a fit of one step, which goes on from the one before."""
        rows = self.split.training
        state, losses = None, []
        for chosen in islice(batches_of(self.case, len(rows)), count):
            fit = fit_network(
                self.network,
                rows.features[chosen],
                rows.labels[chosen],
                learning_rate=RATE,
                batch_size=self.case.batch,
                penalty=0.0,
                random=orders(),
                max_epochs=1,
                shuffle=False,
                state=state,
            )
            state = fit.state
            losses.append(fit.loss)
        return losses


class Estimator(Luce):
    """`NetworkClassifier.fit` of as many epochs; weights and orders are its own."""

    def train(self, epochs: int) -> Trained:
        """One fit, of which only the whole time is known."""
        rows = self.split.training
        classifier = classifier_of(self.case, epochs)
        begin = time.perf_counter()
        classifier.fit(rows.features, rows.labels)
        return Trained([time.perf_counter() - begin])

    def first_losses(self, count: int) -> list[float]:
        """None: they have nothing to be compared with."""
        return []


def network_of(parameters: Parameters) -> Network:
    """With relu, and a copy of these parameters."""
    widths = [weights.shape[0] for weights, _ in parameters]
    classes = len(parameters[-1][1])
    layers = multilayer_perceptron(widths[0], widths[1:], classes)
    vector = np.empty(count_parameters(layers)[0], parameters[0][0].dtype)
    for views, arrays in zip(split(layers, vector), parameters, strict=True):
        for view, array in zip(views, arrays, strict=True):
            view[...] = array
    return Network(layers, vector)


def parameters_of(layers: Layers, vector: NDArray[Any]) -> Parameters:
    """A copy, layer by layer."""
    return [(weights, bias) for weights, bias in split(layers, vector.copy())]


def classifier_of(case: Case, epochs: int) -> Any:
    """To be fitted for so many epochs."""
    from luce import NetworkClassifier

    return NetworkClassifier(
        case.hidden,
        alpha=0.0,
        batch_size=case.batch,
        learning_rate_init=RATE,
        max_iter=epochs,
        n_iter_no_change=np.inf,
        random_state=0,
    )
