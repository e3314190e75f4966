"""What the training benchmark found: records in a JSON lines file, and the times read from them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.problems import Facts
from benchmarks.trainers import PEERS, SKLEARN, Point

TARGETS = (1e-3, 1e-6)
MEGABYTES = 64
COPIES = 24  # of the parameters
SQUARES = 3  # numbers, times d * d


@dataclass(frozen=True)
class Curve(Facts):
    """What one contestant reached on one problem.

    Attributes
    ----------
    points : list of Point
        Fits, or moments of one fit, in no order.
    limit : float
        Seconds that it was given.
    ended : str
        "arrived" at the last target; "limit": there was no time for more; "stopped": by itself,
        earlier; or what went wrong.
    iterations : int
        Of the last fit: passes for luce.
    gap : float or None
        The certificate of luce at its default tol.
    threads : int
        That it used.
    """

    problem: str
    variant: str
    C: float
    contestant: str
    points: list[Point]
    limit: float
    ended: str
    threads: int
    iterations: int = 0
    gap: float | None = None

    @property
    def case(self) -> str:
        """Name of the case that it belongs to."""
        return case_name(self.problem, self.variant, self.C)


@dataclass(frozen=True)
class Memory:
    """Peak memory of luce's fit beyond the data, in bytes, and what it may be."""

    problem: str
    variant: str
    C: float
    peak: int
    allowed: int


@dataclass(frozen=True)
class Time:
    """Seconds until a target; where it was not reached, the limit."""

    seconds: float
    arrived: bool


def case_name(problem: str, variant: str, C: float) -> str:
    return f"{problem}/{variant}/C={C:g}"


def allowed_memory(k: int, d: int, dense: bool) -> int:
    """Bytes: 24 copies of the parameters, 3 d * d with a dense preconditioner, and 64 MB."""
    numbers = COPIES * k * (d + 1) + (SQUARES * d * d if dense else 0)
    return 8 * numbers + MEGABYTES * 10**6


@dataclass
class Case:
    """Everybody's curves on one problem, one variant and one C."""

    curves: dict[str, Curve] = field(default_factory=dict)

    @property
    def facts(self) -> Curve:
        """Any of the curves, for what they have in common."""
        return next(iter(self.curves.values()))

    @property
    def name(self) -> str:
        """Problem, variant and C."""
        return self.facts.case

    @property
    def numbers(self) -> int:
        """Rows times columns, zeros included."""
        return self.facts.n * self.facts.d

    @property
    def best(self) -> float:
        """The least objective that anybody reached."""
        return min(point.objective for curve in self.curves.values() for point in curve.points)

    def gap(self, objective: float) -> float:
        """Relative distance from the best."""
        return (objective - self.best) / self.best

    def time(self, contestant: str, target: float) -> Time | None:
        """When a contestant was within `target` of the best; None if it took no part.

        For luce it is the time of the fits with tol at most the target, not of earlier ones that
        happen to be within it.
        """
        curve = self.curves.get(contestant)
        if curve is None:
            return None
        seconds = [
            point.seconds
            for point in curve.points
            if self.gap(point.objective) <= target
            and (contestant != "luce" or point.effort <= target)
        ]
        return Time(min(seconds), True) if seconds else Time(curve.limit, False)

    def best_time(self, contestants: Iterable[str], target: float) -> tuple[str, Time] | None:
        """The first of these to arrive, or who was given the longest if none has."""
        times = [(name, time) for name in contestants if (time := self.time(name, target))]
        return min(times, key=lambda pair: (not pair[1].arrived, pair[1].seconds), default=None)

    def ratio(self, target: float) -> tuple[float, bool] | None:
        """Time of the best scikit-learn solver by luce's, and whether that solver arrived."""
        ours, theirs = self.time("luce", target), self.best_time(SKLEARN, target)
        if ours is None or theirs is None:
            return None
        return theirs[1].seconds / ours.seconds, theirs[1].arrived


class Results:
    """Records by case, appended to a file as they come where there is one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.machine: dict[str, str] = {}
        self.cases: dict[str, Case] = {}
        self.memory: dict[tuple[str, str], Memory] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                self._take(json.loads(line))

    def has(self, case: str, contestant: str) -> bool:
        """Whether a contestant has had its turn on a case."""
        return case in self.cases and contestant in self.cases[case].curves

    def add(self, record: Curve | Memory) -> None:
        """Keep a record, in the file as well."""
        kind = "curve" if isinstance(record, Curve) else "memory"
        self._append({"kind": kind, **asdict(record)})
        self._keep(record)

    def describe(self, machine: dict[str, str]) -> None:
        """Say on which machine what follows was measured."""
        self.machine = machine
        self._append({"kind": "machine", "facts": machine})

    def chosen(self, wanted: set[str] | None = None) -> list[Case]:
        """The cases with a time of luce, in the order of the problems."""
        cases = (case for case in self.cases.values() if "luce" in case.curves)
        return [case for case in cases if wanted is None or case.name in wanted]

    def contestants(self) -> Iterator[str]:
        """The peers that took part anywhere."""
        for name in PEERS:
            if any(name in case.curves for case in self.cases.values()):
                yield name

    def _append(self, record: dict[str, Any]) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def _take(self, record: dict[str, Any]) -> None:
        kind = record.pop("kind")
        if kind == "machine":
            self.machine = record["facts"]
        elif kind == "memory":
            self._keep(Memory(**record))
        else:
            points = [Point(**point) for point in record.pop("points")]
            self._keep(Curve(points=points, **record))

    def _keep(self, record: Curve | Memory) -> None:
        if isinstance(record, Memory):
            self.memory[record.problem, record.variant] = record
        else:
            self.cases.setdefault(record.case, Case()).curves[record.contestant] = record
