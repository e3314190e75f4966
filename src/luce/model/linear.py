"""The linear classifier of encoded rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luce.estimators.predictions import answered
from luce.model.scorer import Scorer, largest

if TYPE_CHECKING:
    from luce.scorers.linear import Answer, Features


@dataclass(frozen=True, eq=False)
class LinearScorer(Scorer):
    """scores = features @ coef.T + intercept.

    Attributes
    ----------
    coef : float64 array of shape (k, d)
        Of a fit, it sums to 0 over the classes.
    intercept : float64 array of shape (k,)
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]

    @property
    def tensors(self) -> Mapping[str, NDArray[Any]]:
        """Coefficients and intercepts."""
        return {"coef": self.coef, "intercept": self.intercept}

    @property
    def shape(self) -> tuple[int, int]:
        """Classes and features."""
        k, d = self.coef.shape
        return k, d

    @property
    def numbers_a_row(self) -> int:
        """The scores."""
        return len(self.intercept)

    def probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Softmax of the scores."""
        return self._answer("softmax", features)

    def log_probabilities(self, features: "Features") -> NDArray[np.float32]:
        """Log-softmax of the scores."""
        return self._answer("log_softmax", features)

    def bound(self, size: float) -> float:
        """As if all coefficients were the largest one."""
        largest_coef, largest_intercept = self._largest
        return float(size * largest_coef * self.coef.shape[1] + largest_intercept)

    def bounds(self, sizes: "Features") -> NDArray[np.float64]:
        """The sums of the sizes of a score's parts."""
        _, largest_intercept = self._largest
        products = sizes @ abs(self.coef).T
        return np.asarray(products.max(axis=1) + largest_intercept)

    def reaches(self) -> NDArray[np.float64]:
        """The largest coefficient of each feature."""
        return np.asarray(abs(self.coef).max(axis=0))

    def _answer(self, answer: "Answer", features: "Features") -> NDArray[np.float32]:
        coef, intercept = self._coef_as_read, self.intercept
        return answered(answer, features, coef, intercept, check_finite=False)

    @cached_property
    def _coef_as_read(self) -> NDArray[np.float32]:
        """In the type and order in which a product reads them: copied here, not in each call."""
        return np.asarray(self.coef, np.float32, order="C")

    @cached_property
    def _largest(self) -> tuple[float, float]:
        return largest(self.coef), largest(self.intercept)
