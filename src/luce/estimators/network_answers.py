"""What a classifier answers with its network: labels, probabilities, scores, coefficients."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from luce.estimators.network_rows import FLOATS
from luce.estimators.predictions import is_finite, is_plain
from luce.kernels.threads import num_threads, threads
from luce.scorers.chain import split
from luce.scorers.network import Network

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Array = NDArray[np.floating]
Answer = TypeVar("Answer", bound=NDArray[Any])


class NetworkAnswers(ClassifierMixin, BaseEstimator):
    """A classifier that has a network once it is fitted.

    Answers are in X's dtype, and computed by blocks of rows: none but the answer has a number for
    every row of X.
    """

    n_jobs: int | None
    classes_: NDArray[Any]
    network_: Network

    @property
    def coefs_(self) -> list[Array]:
        """Weights of each dense layer: views of the network's parameters."""
        return [own[0] for own in self._dense_layers()]

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of each dense layer: views of the network's parameters."""
        return [own[1] for own in self._dense_layers()]

    def decision_function(self, X: ArrayLike) -> Array:
        """Scores of X (n, d): shape (n, k), or (n,) for two classes, second minus first."""
        scores = self._answer(X, Network.scores)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Label of the highest score for each row of X (n, d): shape (n,)."""
        winners = self._answer(X, Network.winners)
        labels: NDArray[Any] = self.classes_[winners]
        return labels

    def predict_proba(self, X: ArrayLike) -> Array:
        """Probabilities of the classes for each row of X (n, d): shape (n, k), rows sum to 1."""
        return self._answer(X, Network.probabilities)

    def predict_log_proba(self, X: ArrayLike) -> Array:
        """Logarithms of the probabilities, with softmax accurate where they are tiny: (n, k)."""
        return self._answer(X, Network.log_probabilities)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _answer(self, X: ArrayLike, ask: Callable[[Network, "Features"], Answer]) -> Answer:
        is_good = is_plain(self, X) and is_finite(np.asarray(X))
        features: Features = np.asarray(X) if is_good else self._validated(X)
        network = self.network_
        if network.parameters.dtype != features.dtype:
            network = replace(network, parameters=network.parameters.astype(features.dtype))
        with self._threads():
            return ask(network, features)

    def _validated(self, X: ArrayLike) -> "Features":
        check_is_fitted(self)
        features: Features = validate_data(self, X, accept_sparse="csr", dtype=FLOATS, reset=False)
        return features

    def _dense_layers(self) -> list[tuple[Array, ...]]:
        """Weights and biases, and what else a residual layer has: only matrices have biases."""
        own = split(self.network_.layers, self.network_.parameters)
        return [of_layer for of_layer in own if of_layer and of_layer[0].ndim == 2]

    def _threads(self) -> AbstractContextManager[None]:
        if self.n_jobs is None:
            return nullcontext()
        return threads(num_threads() if self.n_jobs == -1 else self.n_jobs)
