"""Layers, each with its forward and its backward side by side."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from luce import kernels
from luce.errors import DataError
from luce.scorers.activations import Activation, Identity, Logistic
from luce.scorers.layer import Array, Features, Parameters, Shapes

IDENTITY = Identity()


class DenseKept(NamedTuple):
    """What goes back through a `Dense` layer: its features, and what its activation kept."""

    features: Features
    activated: Array | None


@dataclass(frozen=True)
class Dense:
    """outputs = activation(features @ weights + bias), in one pass.

    Its parameters are weights (inputs, outputs), as in scikit-learn's ``coefs_``, and bias
    (outputs,). CSR features go in as they are: nothing dense of their shape is made, and their own
    gradient, which would be dense, is not to be had.

    Attributes
    ----------
    inputs, outputs : int
        At least 1.
    activation : Activation, default Identity()

    Raises
    ------
    DataError
        A number below 1, or an activation that is no value such as ``Relu()``.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dense, Relu
    >>> weights, bias = np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([0.0, -1.0])
    >>> outputs, kept = Dense(2, 2, Relu()).forward(np.array([[1.0, 1.0]]), (weights, bias))
    >>> outputs
    array([[1.5, 0. ]])
    """

    inputs: int
    outputs: int
    activation: Activation = IDENTITY

    def __post_init__(self) -> None:
        _check_count("inputs", self.inputs)
        _check_count("outputs", self.outputs)
        if not isinstance(self.activation, Activation):
            raise DataError(f"activation is {self.activation!r}; expected a value such as Relu()")

    @property
    def shapes(self) -> Shapes:
        """Of weights and bias."""
        return (self.inputs, self.outputs), (self.outputs,)

    def width(self, inputs: int | None) -> int:
        """`outputs`."""
        _check_width(self, self.inputs, inputs)
        return self.outputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Uniform within sqrt(6 / (inputs + outputs)) (Glorot, Bengio, 2010); 2 for logistic."""
        factor = 2.0 if isinstance(self.activation, Logistic) else 6.0
        bound = np.sqrt(factor / (self.inputs + self.outputs))
        return tuple(random.uniform(-bound, bound, shape).astype(dtype) for shape in self.shapes)

    def forward(
        self, features: Features, parameters: Parameters, random: object = None, *, threads: int = 1
    ) -> tuple[Array, DenseKept]:
        """activation(features @ weights + bias)."""
        weights, bias = parameters
        name, keeps_input = self.activation.name, self.activation.keeps_input
        if isinstance(features, np.ndarray):
            outputs = np.empty((len(features), self.outputs), weights.dtype)
            before = np.empty_like(outputs) if keeps_input else None
            kernels.dense(features, weights, bias, name, outputs, before, threads=threads)
        else:
            before = features @ weights
            before += bias
            outputs = np.empty_like(before) if keeps_input else before
            kernels.activate(before, name, outputs, threads=threads)
        activated = before if keeps_input else outputs
        return outputs, DenseKept(features, None if name == "identity" else activated)

    def backward(
        self,
        cotangent: Array,
        kept: DenseKept,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The chain rule: through the activation, then to weights, bias and features.

        With delta = cotangent * activation'(features @ weights + bias), which replaces the
        cotangent: weights_gradient = features.T @ delta, bias_gradient = delta.sum(axis=0),
        features_gradient = delta @ weights.T.
        """
        features, activated = kept
        weights, _ = parameters
        weights_gradient, bias_gradient = gradients
        name = self.activation.name
        if not isinstance(features, np.ndarray):
            if wants_features:
                raise DataError("the gradient of CSR features would be dense: do not ask for it")
            kernels.activate_vjp(cotangent, activated, name, cotangent, threads=threads)
            weights_gradient[...] = features.T @ cotangent
            bias_gradient[...] = cotangent.sum(axis=0, dtype=np.float64)
            return None
        features_gradient = np.empty_like(features) if wants_features else None
        kernels.dense_vjp(
            cotangent,
            activated,
            name,
            features,
            weights,
            weights_gradient,
            bias_gradient,
            features_gradient,
            threads=threads,
        )
        return features_gradient


@dataclass(frozen=True)
class Dropout:
    """In training, each feature is 0 with probability `rate`, else divided by 1 - rate.

    So its mean stays what it is, and nothing has to be done at the time of prediction. What is
    dropped is a function of one number that is drawn from the generator: a fit that is gone on with
    drops the same.

    Attributes
    ----------
    rate : float
        At least 0 and below 1.

    Raises
    ------
    DataError
        The rate is no such number.

    References
    ----------
    N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, Dropout: a simple way
    to prevent neural networks from overfitting, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Dropout
    >>> features = np.ones((1, 5))
    >>> Dropout(0.5).forward(features, random=np.random.default_rng(2))[0]
    array([[0., 2., 0., 2., 2.]])
    >>> Dropout(0.5).forward(features)[0]
    array([[1., 1., 1., 1., 1.]])
    """

    rate: float

    shapes: ClassVar[Shapes] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise DataError(f"rate is {self.rate!r}; expected a number of at least 0 and below 1")

    def width(self, inputs: int | None) -> int | None:
        """As many outputs as features."""
        return inputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Nothing."""
        return ()

    def forward(
        self,
        features: Array,
        parameters: Parameters = (),
        random: np.random.Generator | None = None,
        *,
        threads: int = 1,
    ) -> tuple[Array, int | None]:
        """Outputs, and the seed that says what was dropped; without `random` the features."""
        if random is None:
            return features, None
        seed = int(random.integers(1 << 63))
        outputs = np.empty_like(features)
        kernels.dropout(features, self.rate, seed, outputs, threads=threads)
        return outputs, seed

    def backward(
        self,
        cotangent: Array,
        kept: int | None,
        parameters: Parameters = (),
        gradients: Parameters = (),
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array:
        """The same of the cotangent, in its own memory."""
        if kept is not None:
            kernels.dropout(cotangent, self.rate, kept, cotangent, threads=threads)
        return cotangent


class LayerNormKept(NamedTuple):
    """What goes back through a `LayerNorm`: (n, width) and (n, 1)."""

    normalised: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True)
class LayerNorm:
    """outputs = normalised * scale + shift, each row normalised to mean 0 and variance 1.

    Its parameters are scale and shift, both (inputs,), which begin as 1 and 0. Sums are in float64,
    whatever the features.

    Attributes
    ----------
    inputs : int
        At least 1; as many outputs.
    epsilon : float, default 1e-5
        Added to the variance: a row of equal numbers becomes 0.

    Raises
    ------
    DataError
        `inputs` is below 1, or `epsilon` is not a finite number above 0.

    References
    ----------
    J. L. Ba, J. R. Kiros, G. E. Hinton, Layer normalization, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import LayerNorm
    >>> layer = LayerNorm(3)
    >>> begin = layer.initial(np.random.default_rng(0), np.float64)
    >>> layer.forward(np.array([[1.0, 2.0, 3.0], [7.0, 7.0, 7.0]]), begin)[0].round(3)
    array([[-1.225,  0.   ,  1.225],
           [ 0.   ,  0.   ,  0.   ]])
    """

    inputs: int
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        _check_count("inputs", self.inputs)
        if not 0 < self.epsilon < np.inf:
            raise DataError(f"epsilon is {self.epsilon!r}; expected a finite number above 0")

    @property
    def shapes(self) -> Shapes:
        """Of scale and shift."""
        return (self.inputs,), (self.inputs,)

    def width(self, inputs: int | None) -> int:
        """As many outputs as features."""
        _check_width(self, self.inputs, inputs)
        return self.inputs

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Scale 1 and shift 0."""
        return np.ones(self.inputs, dtype), np.zeros(self.inputs, dtype)

    @np.errstate(all="ignore")
    def forward(
        self, features: Array, parameters: Parameters, random: object = None, *, threads: int = 1
    ) -> tuple[Array, LayerNormKept]:
        """(features - mean) / deviation * scale + shift, row by row."""
        scale, shift = parameters
        normalised = features.astype(np.float64)
        normalised -= normalised.mean(axis=1, keepdims=True)
        variance = np.vecdot(normalised, normalised)[:, None] / self.inputs
        deviation = np.sqrt(variance + self.epsilon)
        normalised /= deviation
        outputs = np.multiply(normalised, scale, dtype=features.dtype, casting="same_kind")
        outputs += shift
        return outputs, LayerNormKept(normalised, deviation)

    @np.errstate(all="ignore")
    def backward(
        self,
        cotangent: Array,
        kept: LayerNormKept,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The chain rule: to scale and shift, then through the deviation and the mean.

        A row that is moved along a constant, or along its own normalised values, stays as it is
        when it is normalised again (but for epsilon). So what goes back is delta without its part
        along these two, divided by the deviation.
        """
        normalised, deviation = kept
        scale, _ = parameters
        scale_gradient, shift_gradient = gradients
        delta = cotangent.astype(np.float64, copy=False)
        scale_gradient[...] = np.einsum("ij,ij->j", delta, normalised)
        shift_gradient[...] = delta.sum(axis=0)
        if not wants_features:
            return None
        delta *= scale
        along = np.vecdot(delta, normalised)[:, None] / self.inputs
        delta -= delta.mean(axis=1, keepdims=True)
        delta -= along * normalised
        return np.divide(delta, deviation, out=cotangent, casting="same_kind")


def _check_count(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise DataError(f"{name} is {value!r}; expected a whole number of at least 1")


def _check_width(layer: object, takes: int, given: int | None) -> None:
    if given is not None and given != takes:
        raise DataError(f"{layer} takes {takes} features, and is given {given}")
