"""Encoded rows -> probabilities, by a classifier made ready to be asked about many blocks."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables import Encoder, feature_names
from luce.tables.values import quoted

if TYPE_CHECKING:
    from luce.scorers.linear import Features

LARGEST_SCORE = float(np.finfo(np.float32).max) / 2
"""Any two scores within this have a difference that float32 holds."""


class Scorer(ABC):
    """A classifier of encoded rows: n of them have d features, float32, dense or CSR."""

    @property
    @abstractmethod
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """All parameters, by the names that a model file has for them."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Classes and features: (k, d)."""

    @property
    @abstractmethod
    def numbers_a_row(self) -> int:
        """How many numbers a row takes on the way from its features to its probabilities."""

    @abstractmethod
    def probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Probabilities of encoded rows, shape (n, k)."""

    @abstractmethod
    def log_probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Logarithms of the probabilities of encoded rows, shape (n, k)."""

    @abstractmethod
    def bounds(self, sizes: "Features") -> NDArray[np.float64]:
        """For features (n, d) within these sizes, what no number of each row will exceed, (n,).

        Float64, infinity and NaN where there is no telling.
        """

    @abstractmethod
    def bound(self, size: float) -> float:
        """For any features within this size, what no number of a row will exceed."""

    @abstractmethod
    def reaches(self) -> NDArray[np.float64]:
        """How much a step of 1 in each feature can change a score, at most: shape (d,)."""

    def require_scores(
        self, encoder: Encoder, features: "Features", places: Sequence[int] | NDArray[np.int64]
    ) -> None:
        """Refuse the first row of features (n, d) whose scores may overflow, however summed.

        `places` (n,) are the rows' positions in their table, from 0. Where nothing is extreme this
        looks at each feature once, and at no product.

        Raises
        ------
        DataError
            A row's score may be beyond float32: row and column are named.
        """
        values = features if isinstance(features, np.ndarray) else features.data
        if self.bound(largest(values)) <= LARGEST_SCORE:
            return
        sizes = abs(features.astype(np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            beyond = ~(self.bounds(sizes) <= LARGEST_SCORE)
            if not beyond.any():
                return
            row = int(beyond.argmax())
            size = sizes[[row]] if isinstance(sizes, np.ndarray) else sizes[[row]].toarray()
            feature = int((size[0] * self.reaches()).argmax())
        column = feature_names(encoder)[feature].column
        raise DataError(
            f"column {quoted(column)}, row {places[row] + 1} (the first row of data is 1): the "
            "value is so large that the scores of the classes are beyond float32; correct it "
            "or leave it empty"
        )


def largest(values: NDArray[np.floating]) -> float:
    """The largest magnitude; NaN where there is one."""
    return float(max(values.max(initial=0), -values.min(initial=0)))
