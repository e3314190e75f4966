"""Rows whose values are so extreme that their scores are no numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.tables import Encoder, feature_names
from luce.tables.values import quoted

if TYPE_CHECKING:
    from luce.scorers.linear import Features

LARGEST_SCORE = float(np.finfo(np.float32).max) / 2
"""Any two scores within this have a difference that float32 holds."""


def require_scores(
    encoder: Encoder,
    features: "Features",
    coef: NDArray[np.float64],
    intercept: NDArray[np.float64],
    places: Sequence[int] | NDArray[np.int64],
) -> None:
    """Refuse the first row of features (n, d) whose scores may overflow, in whatever order summed.

    `places` (n,) are the rows' positions in their table, from 0. Where nothing is extreme this
    looks at each feature once, and at no product.

    Raises
    ------
    DataError
        A row's score may be beyond float32: row and column are named.
    """
    values = features if isinstance(features, np.ndarray) else features.data
    offset = _largest(intercept)
    if _largest(values) * _largest(coef) * features.shape[1] + offset <= LARGEST_SCORE:
        return
    sizes = abs(features.astype(np.float64))
    limits = (sizes @ abs(coef).T).max(axis=1) + offset
    beyond = ~(limits <= LARGEST_SCORE)
    if beyond.any():
        row = int(beyond.argmax())
        size = sizes[[row]] if isinstance(sizes, np.ndarray) else sizes[[row]].toarray()
        feature = int((size[0] * abs(coef).max(axis=0)).argmax())
        column = feature_names(encoder)[feature].column
        raise DataError(
            f"column {quoted(column)}, row {places[row] + 1} (the first row of data is 1): the "
            "value is so large that the scores of the classes are beyond float32; correct it or "
            "leave it empty"
        )


def _largest(values: NDArray[np.floating]) -> float:
    """The largest magnitude; NaN where there is one."""
    return float(max(values.max(initial=0), -values.min(initial=0)))
