"""What is told of work that takes a while."""

from collections.abc import Callable
from dataclasses import dataclass

from luce.training import Progress
from luce.training.network import NetworkProgress


@dataclass(frozen=True)
class Stage:
    """What is being done now, for a progress line: "fitting on 275 rows"."""

    name: str


@dataclass(frozen=True)
class RowsDone:
    """How many rows of the stage have been gone through."""

    rows: int


@dataclass(frozen=True)
class Guessed:
    """What was guessed of how a file is written, where that is not what most files are."""

    name: str
    notes: tuple[str, ...]


Event = Stage | RowsDone | Progress | NetworkProgress | Guessed
Report = Callable[[Event], None]


def tell_nobody(event: Event) -> None:
    """Report to nobody."""
