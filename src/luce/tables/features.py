"""What one column of the feature matrix means, in words for a report."""

from dataclasses import dataclass
from typing import Literal

from luce.tables.values import shortened


@dataclass(frozen=True)
class FeatureName:
    """One feature: the table's column that it comes from, and what a step of 1 in it means.

    Examples
    --------
    >>> FeatureName("sex", "level", "male", "when sex = male").unit
    'when sex = male'
    """

    column: str
    what: Literal["value", "missing", "level", "rare", "part", "bucket"]
    level: str | None
    unit: str
    """Reads on from "the score changes by ...": "per standard deviation (5.46)" or "when ..."."""


def missing_feature(column: str) -> FeatureName:
    """Return the name of the feature that is 1 where the column's value is missing."""
    return FeatureName(column, "missing", None, f"when {shortened(column)} is missing")
