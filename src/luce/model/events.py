"""What is told of work that takes a while."""

from collections.abc import Callable
from dataclasses import dataclass

from luce.training import Progress


@dataclass(frozen=True)
class Stage:
    """What is being done now, for a progress line: "fitting on 275 rows"."""

    name: str


@dataclass(frozen=True)
class RowsDone:
    """How many rows of the stage have been gone through."""

    rows: int


Report = Callable[[Stage | RowsDone | Progress], None]


def tell_nobody(event: Stage | RowsDone | Progress) -> None:
    """Report to nobody."""
