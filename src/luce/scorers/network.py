"""A network as a value: layers, their parameters, and the map that ends them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.maps.map import Map
from luce.maps.softmax import log_softmax
from luce.maps.softmax_map import Softmax
from luce.scorers.admission import (
    check_features,
    check_layers,
    check_map,
    check_parameters,
    checked_smoothing,
    checked_targets,
    checked_weights,
)
from luce.scorers.chain import backward, count_parameters, forward, initial_parameters, split, width
from luce.scorers.ending import SOFTMAX, end
from luce.scorers.layer import Array, Features, Layers
from luce.scorers.trace import Trace, trace

BLOCK_BYTES = 1 << 21  # of the widest layer's outputs
LEAST_ROWS, MOST_ROWS = 64, 1 << 13
MOST_TRACED = 64


@dataclass(frozen=True, eq=False)
class Network:
    """probabilities = map(f_L(... f_2(f_1(features)))): layers, and the map that ends them.

    A value: nothing in it changes. It is trained by the Fenchel-Young loss of its map, with softmax
    cross-entropy, whose gradient with respect to the scores is p - y. Rows go through it in blocks,
    so that beyond features and results memory is bounded by a block, whatever the number of rows.

    Attributes
    ----------
    layers : tuple of Layer
        Such as `multilayer_perceptron` makes. The last is a `Dense` one without an activation,
        whose outputs are the scores.
    parameters : array of shape (p,), float32 or float64
        Those of all layers in one vector, see `split`. All is computed in their dtype, and the
        features have to have it.
    map : Map, default Softmax()

    Raises
    ------
    DataError
        Layers that do not fit each other, parameters of another number or dtype than theirs, or a
        map that is none. By the methods: features of another width or dtype, targets or weights
        that are none.

    Notes
    -----
    The methods take features as arrays (n, d) or CSR matrices, of which nothing dense is made. Rows
    that are not adjacent in memory are copied, a block at a time. Features are not checked for NaN
    and infinity, which make their own row's results NaN or infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Network, multilayer_perceptron
    >>> random = np.random.default_rng(0)
    >>> features = random.standard_normal((100, 2))
    >>> labels = (features[:, 0] * features[:, 1] > 0).astype(int)
    >>> network = Network.initial(multilayer_perceptron(2, (8,), 2), random, np.float64)
    >>> for _ in range(200):
    ...     loss, gradient = network.value_and_gradient(features, labels)
    ...     network = Network(network.layers, network.parameters - gradient)
    >>> bool(loss < 0.1), bool((network.winners(features) == labels).mean() > 0.95)
    (True, True)
    """

    layers: Layers
    parameters: Array
    map: Map = SOFTMAX

    def __post_init__(self) -> None:
        check_layers(self.layers)
        check_parameters(self.parameters, count_parameters(self.layers)[0])
        check_map(self.map)

    @classmethod
    def initial(
        cls,
        layers: Layers,
        random: np.random.Generator,
        dtype: DTypeLike = np.float32,
        map: Map = SOFTMAX,
    ) -> Self:
        """A network to be trained: its parameters are what the layers begin with."""
        check_layers(layers)
        return cls(layers, initial_parameters(layers, random, dtype), map)

    @property
    def classes(self) -> int:
        """Scores of a row, k."""
        classes = width(self.layers)
        assert classes is not None
        return classes

    def scores(self, features: Features) -> Array:
        """Scores (n, k), as at the time of prediction: nothing is dropped."""
        return self._matrix(features, lambda scores: scores)

    def probabilities(self, features: Features) -> Array:
        """Probabilities (n, k): the map of the scores."""
        return self._matrix(features, self.map)

    def log_probabilities(self, features: Features) -> Array:
        """Logarithms (n, k) of the probabilities, with softmax accurate where these are tiny."""
        return self._matrix(features, self._logarithms)

    def winners(self, features: Features) -> NDArray[np.int64]:
        """Indices (n,) of the classes with the highest score, the first of equal ones."""
        self._check(features)
        winners = np.empty(features.shape[0], np.int64)
        for rows, scores in self._blocks(features):
            kernels.argmax(scores, winners[rows], 1, num_threads())
        return winners

    def value(
        self,
        features: Features,
        targets: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
    ) -> float:
        """The mean loss: `value_and_gradient` without the gradient, as fast as predicting."""
        smoothing = checked_smoothing(label_smoothing)
        parameters = split(self.layers, self.parameters)
        value = 0.0
        for block, aims, weights in self._weighed(features, targets, sample_weight):
            scores, _ = forward(self.layers, parameters, block)
            value += end(self.map, scores, aims, weights, smoothing)
        return value

    def value_and_gradient(
        self,
        features: Features,
        targets: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
    ) -> tuple[float, Array]:
        """The mean loss of the rows, and its gradient with respect to the parameters.

        Nothing is dropped, nothing penalised.

        Parameters
        ----------
        features : array of shape (n, d) or CSR matrix
        targets : array
            Labels, integers (n,) from 0 to k - 1, or distributions (n, k).
        sample_weight : array of shape (n,), optional
            The mean is by these; a row of weight 0 is no row. Without any weight it is 0.
        label_smoothing : float, default 0
            From 0 to 1: the share of each target that is divided equally among all classes.

        Returns
        -------
        value : float
        gradient : array of shape (p,)
            In the parameters' dtype; blocks of rows are added up in float64.

        Examples
        --------
        >>> import numpy as np
        >>> from luce.scorers import Dense, Network
        >>> network = Network((Dense(1, 2),), np.zeros(4))
        >>> value, gradient = network.value_and_gradient(np.array([[3.0], [1.0]]), [0, 1])
        >>> round(value, 6)
        0.693147
        >>> gradient
        array([-0.5,  0.5,  0. ,  0. ])
        """
        smoothing = checked_smoothing(label_smoothing)
        parameters = split(self.layers, self.parameters)
        gradient = np.empty_like(self.parameters)
        gradients = split(self.layers, gradient)
        value, total = 0.0, np.zeros(len(gradient))
        for block, aims, weights in self._weighed(features, targets, sample_weight):
            scores, kept = forward(self.layers, parameters, block)
            value += end(self.map, scores, aims, weights, smoothing)
            backward(self.layers, parameters, kept, scores, gradients)
            total += gradient
        return value, total.astype(gradient.dtype, copy=False)

    def trace(self, features: Features, targets: ArrayLike) -> Trace:
        """Every array of one way through the network and back, named: for a few rows, to look at.

        Parameters
        ----------
        features : array of shape (n, d) or CSR matrix, n from 1 to 64
        targets : array
            Labels, integers (n,) from 0 to k - 1, or distributions (n, k).

        Returns
        -------
        Trace
            Its gradients are those of `value_and_gradient`; print it to read the chain rule.
        """
        self._check(features)
        rows = features.shape[0]
        if not 1 <= rows <= MOST_TRACED:
            raise DataError(
                f"features have {rows} rows; a trace keeps every array to be looked at, so give "
                f"it 1 to {MOST_TRACED} of them"
            )
        aims = checked_targets(targets, rows, self.classes, self.parameters.dtype)
        dense = features if isinstance(features, np.ndarray) else features.toarray()
        parameters = split(self.layers, self.parameters)
        return trace(self.layers, parameters, self.map, _block(dense, slice(0, rows)), aims)

    def _check(self, features: Features) -> None:
        check_features(features, self.layers, self.parameters.dtype)

    def _weighed(
        self, features: Features, targets: ArrayLike, sample_weight: ArrayLike | None
    ) -> Iterator[tuple[Features, Array, NDArray[np.float64]]]:
        """Blocks of the rows that have a weight, with their targets and weights, of sum 1."""
        self._check(features)
        n = features.shape[0]
        aims = checked_targets(targets, n, self.classes, self.parameters.dtype)
        weights = checked_weights(sample_weight, n)
        for rows in self._cut(features):
            block, present = _block(features, rows), weights[rows] > 0
            if present.all():
                yield block, aims[rows], weights[rows]
            elif present.any():
                yield block[present], aims[rows][present], weights[rows][present]

    def _matrix(self, features: Features, of_scores: Callable[[Array], Array]) -> Array:
        self._check(features)
        matrix = np.empty((features.shape[0], self.classes), self.parameters.dtype)
        for rows, scores in self._blocks(features):
            matrix[rows] = of_scores(scores)
        return matrix

    def _logarithms(self, scores: Array) -> Array:
        if isinstance(self.map, Softmax):
            return log_softmax(scores, temperature=self.map.temperature)
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.map(scores))
        return logarithms

    def _blocks(self, features: Features) -> Iterator[tuple[slice, Array]]:
        """Rows, and their scores."""
        parameters = split(self.layers, self.parameters)
        for rows in self._cut(features):
            yield rows, forward(self.layers, parameters, _block(features, rows))[0]

    def _cut(self, features: Features) -> Iterator[slice]:
        """Blocks of rows: what a layer makes of one stays in a cache."""
        n, inputs = features.shape
        before = range(1, len(self.layers) + 1)
        widest = max(width(self.layers[:i], inputs) or 1 for i in before)
        if isinstance(features, np.ndarray):
            widest = max(widest, inputs)
        rows = BLOCK_BYTES // (widest * self.parameters.itemsize)
        rows = min(max(rows, LEAST_ROWS), MOST_ROWS)
        return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def _block(features: Features, rows: slice) -> Features:
    """Some rows as the layers take them: adjacent in memory."""
    if isinstance(features, np.ndarray):
        return np.require(features[rows], requirements=["C", "A", "E"])
    whole = rows.stop - rows.start == features.shape[0]
    return features if whole else features[rows]
