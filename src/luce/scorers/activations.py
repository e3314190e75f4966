"""Functions of each number alone, as layers of their own or inside a `Dense` one."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import DTypeLike

from luce import kernels
from luce.scorers.layer import Array, Parameters, Shapes


class Activation:
    """A function of each number alone, and its derivative: a layer without parameters.

    As ``Dense(..., activation=Relu())`` it is computed in one pass with the dense layer; as a layer
    of its own, ``Relu()`` in the tuple, it gives the same.

    Attributes
    ----------
    name : str
        That of the kernel.
    keeps_input : bool
        Whether the derivative is taken from the input, rather than from the output.
    formula, derivative : str
        In NumPy, of ``x`` and (the derivative) of ``outputs``: what a trace shows. ``normal`` is
        the share of a standard normal distribution below a number, ``density`` its density there.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Tanh
    >>> outputs, kept = Tanh().forward(np.array([[0.0, 1.0]]))
    >>> outputs.round(3)
    array([[0.   , 0.762]])
    >>> Tanh().backward(np.ones((1, 2)), kept).round(3)
    array([[1.  , 0.42]])
    """

    name: ClassVar[str]
    keeps_input: ClassVar[bool] = False
    formula: ClassVar[str]
    derivative: ClassVar[str]
    shapes: ClassVar[Shapes] = ()

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
        random: object = None,
        *,
        threads: int = 1,
    ) -> tuple[Array, Array]:
        """The function's values, and what its derivative is taken from."""
        outputs = np.empty_like(features)
        kernels.activate(features, self.name, outputs, threads=threads)
        return outputs, features if self.keeps_input else outputs

    def backward(
        self,
        cotangent: Array,
        kept: Array,
        parameters: Parameters = (),
        gradients: Parameters = (),
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array:
        """The cotangent times the derivative, in the cotangent's own memory."""
        kernels.activate_vjp(cotangent, kept, self.name, cotangent, threads=threads)
        return cotangent


@dataclass(frozen=True)
class Identity(Activation):
    """x: no activation.

    Examples
    --------
    >>> from luce.scorers import Dense, Identity
    >>> Dense(3, 2) == Dense(3, 2, Identity())
    True
    """

    name = "identity"
    formula = "x"
    derivative = "1"


@dataclass(frozen=True)
class Relu(Activation):
    """max(x, 0), with derivative 0 at 0.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Relu
    >>> Relu().forward(np.array([[-1.0, 2.0]]))[0]
    array([[0., 2.]])
    """

    name = "relu"
    formula = "maximum(x, 0)"
    derivative = "x > 0"


@dataclass(frozen=True)
class Gelu(Activation):
    """x times the share of a standard normal distribution below x: a relu without the kink.

    Exact, with the error function; not the approximation by tanh.

    References
    ----------
    D. Hendrycks, K. Gimpel, Gaussian Error Linear Units, 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Gelu
    >>> Gelu().forward(np.array([[-1.0, 0.0, 2.0]]))[0].round(3)
    array([[-0.159,  0.   ,  1.954]])
    """

    name = "gelu"
    keeps_input = True
    formula = "x * normal(x)"
    derivative = "normal(x) + x * density(x)"


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(x), from -1 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Tanh
    >>> Tanh().forward(np.array([[-np.inf, 0.0, 0.5]]))[0].round(3)
    array([[-1.   ,  0.   ,  0.462]])
    """

    name = "tanh"
    formula = "tanh(x)"
    derivative = "1 - outputs**2"


@dataclass(frozen=True)
class Logistic(Activation):
    """1 / (1 + exp(-x)), from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.scorers import Logistic
    >>> Logistic().forward(np.array([[-np.inf, 0.0, 2.0]]))[0].round(3)
    array([[0.   , 0.5  , 0.881]])
    """

    name = "logistic"
    formula = "1 / (1 + exp(-x))"
    derivative = "outputs * (1 - outputs)"
