"""A network as a value: layers, their parameters, and the map that ends them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.losses import _checks as checks
from luce.maps.map import Map
from luce.maps.softmax import log_softmax
from luce.maps.softmax_map import Softmax
from luce.scorers.chain import (
    backward,
    count_parameters,
    forward,
    initial_parameters,
    split,
    width,
)
from luce.scorers.ending import SOFTMAX, end
from luce.scorers.layer import Array, Features, Layers
from luce.scorers.layers import Dense

BLOCK_BYTES = 1 << 21  # of the widest layer's outputs
LEAST_ROWS, MOST_ROWS = 64, 1 << 13


@dataclass(frozen=True, eq=False)
class Network:
    """Layers with their parameters, and the map that turns the last scores into probabilities.

    Attributes
    ----------
    layers : tuple of layers
    parameters : array of shape (p,)
        Of all layers, see `split`.
    map : Map
        Ends the network; its Fenchel-Young loss is what the network is trained by.
    """

    layers: Layers
    parameters: Array
    map: Map = SOFTMAX

    def __post_init__(self) -> None:
        _check_layers(self.layers)
        _check_parameters(self.parameters, count_parameters(self.layers)[0])
        _check_map(self.map)

    @classmethod
    def initial(
        cls,
        layers: Layers,
        random: np.random.Generator,
        dtype: DTypeLike = np.float32,
        map: Map = SOFTMAX,
    ) -> Self:
        """A network to be trained."""
        _check_layers(layers)
        return cls(layers, initial_parameters(layers, random, dtype), map)

    @property
    def classes(self) -> int:
        """Scores of a row."""
        classes = width(self.layers)
        assert classes is not None
        return classes

    def scores(self, features: Features) -> Array:
        """(n, k) scores, as at the time of prediction: nothing is dropped."""
        return self._answer(features, lambda scores: scores)

    def probabilities(self, features: Features) -> Array:
        """(n, k) probabilities: the map of the scores."""
        return self._answer(features, self.map)

    def log_probabilities(self, features: Features) -> Array:
        """(n, k) logarithms of the probabilities, with softmax accurate where these are tiny."""
        return self._answer(features, self._logarithms)

    def winners(self, features: Features) -> NDArray[np.int64]:
        """(n,) classes with the highest score, the first of equal ones."""
        winners = np.empty(features.shape[0], np.int64)
        for rows, scores in self._blocks(features):
            kernels.argmax(scores, winners[rows], 1, num_threads())
        return winners

    def value_and_gradient(
        self,
        features: Features,
        targets: ArrayLike,
        sample_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
    ) -> tuple[float, Array]:
        """Weighted mean of the losses, and its gradient with respect to the parameters."""
        self._check_features(features)
        n = features.shape[0]
        smoothing = checks.checked_number(
            label_smoothing, "label_smoothing", "a number from 0 to 1", 1
        )
        aims = self._checked_targets(targets, n)
        if sample_weight is None:
            weights = np.ones(n)
        else:
            weights = checks.checked_sample_weight(sample_weight, n)
        weights = weights / checks.divisor_of(weights, n, "mean")
        parameters = split(self.layers, self.parameters)
        gradient = np.empty_like(self.parameters)
        gradients = split(self.layers, gradient)
        value, total = 0.0, np.zeros(len(gradient))
        for rows in self._cut(features):
            scores, kept = forward(self.layers, parameters, _block(features, rows))
            value += end(self.map, scores, aims[rows], weights[rows], smoothing)
            backward(self.layers, parameters, kept, scores, gradients)
            total += gradient
        return value, total.astype(gradient.dtype, copy=False)

    def _answer(self, features: Features, of_scores: Callable[[Array], Array]) -> Array:
        answer = np.empty((features.shape[0], self.classes), self.parameters.dtype)
        for rows, scores in self._blocks(features):
            answer[rows] = of_scores(scores)
        return answer

    def _logarithms(self, scores: Array) -> Array:
        if isinstance(self.map, Softmax):
            return log_softmax(scores, temperature=self.map.temperature)
        with np.errstate(divide="ignore"):
            logarithms: Array = np.log(self.map(scores))
        return logarithms

    def _blocks(self, features: Features) -> Iterator[tuple[slice, Array]]:
        """Rows, and their scores."""
        self._check_features(features)
        parameters = split(self.layers, self.parameters)
        for rows in self._cut(features):
            yield rows, forward(self.layers, parameters, _block(features, rows))[0]

    def _cut(self, features: Features) -> Iterator[slice]:
        """Blocks of rows: what a layer makes of one of them stays in a cache."""
        n, widest = features.shape
        if not isinstance(features, np.ndarray):
            widest = 1
        for i in range(len(self.layers)):
            widest = max(widest, width(self.layers[: i + 1]) or 1)
        rows = BLOCK_BYTES // (widest * self.parameters.itemsize)
        rows = min(max(rows, LEAST_ROWS), MOST_ROWS)
        return (slice(start, min(start + rows, n)) for start in range(0, n, rows))

    def _check_features(self, features: Features) -> None:
        if isinstance(features, np.ndarray):
            kind = "array"
        elif getattr(features, "format", None) == "csr":
            kind = "CSR matrix"
            if not isinstance(self.layers[0], Dense):
                raise DataError(
                    f"CSR features need a Dense layer first; this network's is {self.layers[0]}"
                )
        else:
            raise DataError(
                f"features are {type(features).__name__}; expected an array or a CSR matrix"
            )
        if features.ndim != 2 or features.dtype != self.parameters.dtype:
            raise DataError(
                f"features are a {kind} of shape {features.shape} and dtype {features.dtype}; "
                f"expected (rows, features) of {self.parameters.dtype}, that of the parameters"
            )
        width(self.layers, features.shape[1])

    def _checked_targets(self, targets: ArrayLike, n: int) -> Array:
        aims = checks.checked_labels(targets, (n, self.classes))
        if aims.ndim == 2:
            return np.ascontiguousarray(aims, self.parameters.dtype)
        outside = (aims < 0) | (aims >= self.classes)
        if outside.any():
            row = int(outside.argmax())
            raise checks.label_out_of_range(row, int(aims[row]), self.classes)
        return aims.astype(np.int64, copy=False)


def _block(features: Features, rows: slice) -> Features:
    if isinstance(features, np.ndarray):
        return np.ascontiguousarray(features[rows])
    whole = rows.stop - rows.start == features.shape[0]
    return features if whole else features[rows]


def _check_layers(layers: Layers) -> None:
    if not isinstance(layers, tuple) or not layers:
        raise DataError(f"layers is {layers!r}; expected a tuple of at least one layer")
    last = layers[-1]
    # The gradient of the scores takes their place: no layer may have kept them.
    if not isinstance(last, Dense) or last.activation.name != "identity":
        raise DataError(
            f"the last layer is {last}; expected a Dense one without an activation, whose outputs "
            "are the scores"
        )
    width(layers)


def _check_parameters(parameters: object, count: int) -> None:
    if not isinstance(parameters, np.ndarray) or parameters.dtype not in (np.float32, np.float64):
        found = getattr(parameters, "dtype", type(parameters).__name__)
        raise DataError(f"parameters are {found}; expected an array of float32 or float64")
    if parameters.shape != (count,):
        raise DataError(
            f"parameters have shape {parameters.shape}; expected ({count},), as many as the "
            "layers have together"
        )
    if not parameters.flags.c_contiguous:
        raise DataError("parameters do not lie side by side: pass numpy.ascontiguousarray of them")


def _check_map(map: object) -> None:
    if isinstance(map, type) or not isinstance(map, Map):
        raise DataError(f"map is {map!r}; expected a value such as luce.Softmax()")
    if getattr(map, "axis", -1) not in (-1, 1) or np.ndim(getattr(map, "temperature", 1.0)):
        raise DataError(f"map is {map!r}; expected one temperature, and classes in the last axis")
