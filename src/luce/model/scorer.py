"""A linear model made ready to be asked about many blocks of encoded rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.estimators.predictions import (
    LOG_PROBABILITIES,
    PROBABILITIES,
    Answer,
    answer_by_blocks,
)
from luce.tables import Encoder, feature_names
from luce.tables.values import quoted

if TYPE_CHECKING:
    from luce.scorers.linear import Features

LARGEST_SCORE = float(np.finfo(np.float32).max) / 2
"""Any two scores within this have a difference that float32 holds."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Coefficients (k, d) and intercepts (k,), float64, and what all blocks need of them."""

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Probabilities of encoded rows, shape (n, k)."""
        return self._answer(PROBABILITIES, features)

    def log_probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Logarithms of the probabilities of encoded rows, shape (n, k)."""
        return self._answer(LOG_PROBABILITIES, features)

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
        largest_coef, largest_intercept = self._largest
        largest = _largest(values) * largest_coef * features.shape[1] + largest_intercept
        if largest <= LARGEST_SCORE:
            return
        sizes = abs(features.astype(np.float64))
        limits = (sizes @ abs(self.coef).T).max(axis=1) + largest_intercept
        beyond = ~(limits <= LARGEST_SCORE)
        if beyond.any():
            row = int(beyond.argmax())
            size = sizes[[row]] if isinstance(sizes, np.ndarray) else sizes[[row]].toarray()
            feature = int((size[0] * abs(self.coef).max(axis=0)).argmax())
            column = feature_names(encoder)[feature].column
            raise DataError(
                f"column {quoted(column)}, row {places[row] + 1} (the first row of data is 1): the "
                "value is so large that the scores of the classes are beyond float32; correct it "
                "or leave it empty"
            )

    def _answer(self, answer: Answer, features: "Features") -> NDArray[np.float32]:
        coef, intercept = self._coef_as_read, self.intercept
        return answer_by_blocks(answer, features, coef, intercept, check_finite=False)

    @cached_property
    def _coef_as_read(self) -> NDArray[np.float32]:
        """In the type and order in which a product reads them: copied here, not for each block."""
        return np.asarray(self.coef, np.float32, order="F")

    @cached_property
    def _largest(self) -> tuple[float, float]:
        return _largest(self.coef), _largest(self.intercept)


def _largest(values: NDArray[np.floating]) -> float:
    """The largest magnitude; NaN where there is one."""
    return float(max(values.max(initial=0), -values.min(initial=0)))
