"""What a layer is: features -> outputs, and the way back.

Conventions of this room: features are (n, d), C-contiguous, float32 or float64, or CSR where a
layer says so; parameters and all that is computed have their dtype. `forward` returns the outputs
and what `backward` needs: nothing is hidden in the layer, which is a frozen value. A layer never
writes to its features, and may write to the cotangent that it is given. `backward` writes the
gradients of the parameters into arrays of the caller's.
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
    """features -> outputs, with parameters that are kept elsewhere."""

    @property
    def shapes(self) -> Shapes:
        """Of the parameters. Matrices are penalised, vectors are not."""

    def width(self, inputs: int | None) -> int | None:
        """Columns of the outputs, given those of the features; None where nothing says how many.

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
        """From the gradient of the outputs those of the parameters, and of the features."""


Layers: TypeAlias = tuple[Layer, ...]
