"""What a layer is: features -> outputs, and the way back.

Conventions of this room: features are (n, d), C-contiguous, float32 or float64; parameters and all
that is computed have their dtype. Layers are counted from 0 in code, as tuples are.
"""

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array, csr_matrix

Array: TypeAlias = NDArray[Any]
Parameters: TypeAlias = tuple[Array, ...]
Features: TypeAlias = "Array | csr_array | csr_matrix"
Shapes: TypeAlias = tuple[tuple[int, ...], ...]


class Layer(Protocol):
    """A function features -> outputs of parameters that are kept elsewhere, and its derivative.

    A layer is a frozen value: the same for any number of threads, batches and networks. `forward`
    returns with the outputs what `backward` needs, so that nothing is hidden in the layer.
    `backward` takes the cotangent, the gradient of some scalar with respect to the outputs, to
    the gradient of that scalar with respect to parameters and features.

    Notes
    -----
    A layer never writes to its features, which others may have kept. The cotangent is its own to
    overwrite, and may be what it returns: a caller who needs it longer hands in a copy. Every entry
    of the gradients is written, not added to. What is given is not checked: `Network` does that
    once, for all of its layers.

    Examples
    --------
    A layer of one's own, the square of each number:

    >>> import numpy as np
    >>> from luce.scorers import Dense, Network
    >>> class Square:
    ...     shapes = ()
    ...     def width(self, inputs):
    ...         return inputs
    ...     def initial(self, random, dtype):
    ...         return ()
    ...     def forward(self, features, parameters, random=None, *, threads=1):
    ...         return features**2, features
    ...     def backward(self, cotangent, kept, parameters, gradients, **how):
    ...         return 2 * kept * cotangent
    >>> layers = Dense(3, 4), Square(), Dense(4, 2)
    >>> network = Network.initial(layers, np.random.default_rng(0), np.float64)
    >>> network.scores(np.ones((1, 3))).shape
    (1, 2)
    """

    @property
    def shapes(self) -> Shapes:
        """Of the parameters. Matrices are penalised, vectors are not."""

    def width(self, inputs: int | None) -> int | None:
        """Columns of the outputs, from those of the features; None where nothing says how many.

        Raises `DataError` where the layer does not take so many.
        """

    def initial(self, random: np.random.Generator, dtype: DTypeLike) -> Parameters:
        """Parameters to begin with."""

    def forward(
        self,
        features: Any,
        parameters: Parameters,
        random: np.random.Generator | None = None,
        *,
        threads: int = 1,
    ) -> tuple[Array, Any]:
        """Outputs, and what `backward` needs; `random` is given while training only."""

    def backward(
        self,
        cotangent: Array,
        kept: Any,
        parameters: Parameters,
        gradients: Parameters,
        *,
        wants_features: bool = True,
        threads: int = 1,
    ) -> Array | None:
        """The gradients of the parameters into `gradients`; returns that of the features."""


Layers: TypeAlias = tuple[Layer, ...]
