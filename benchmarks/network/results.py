"""What the network benchmark found: records in a JSON lines file, and figures made of them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.network.cases import Case, Shape, parameters_of
from benchmarks.network.contestants import ESTIMATOR, FIRST, LUCE, PEERS, REFERENCE, SKLEARN
from benchmarks.network.serving import Answer

NEAR = 1.02  # the loss aimed at, as a multiple of the least that anybody reached
LIMITS = {"float32": 1e-4, "float64": 1e-8}  # how far apart losses of the first steps may be, or
ROUNDING = 4.0  # as a multiple of what rounding to the case's dtype makes of the reference
MEGABYTES = 4
COPIES = 8  # of the parameters: gradient, the optimiser's two, the best epoch, what is returned
A_ROW = 16  # bytes: its place in the order, and its weight


@dataclass(frozen=True)
class Record:
    """One answer; `operations` are those of an epoch's products, `rows` all that there are."""

    what: str
    contestant: str
    case: Case
    answer: Answer
    operations: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Memory:
    """Peak memory of luce's fit beyond rows and parameters, in bytes, and what it may be."""

    case: Case
    peak: int
    allowed: int


def allowed_memory(case: Case, shape: Shape) -> int:
    """Bytes: copies of the parameters, 4 numbers a unit for a batch, 16 bytes a row, and 4 MB."""
    units = shape.columns + sum(case.hidden) + shape.classes
    numbers = COPIES * parameters_of(case, shape) + 4 * case.batch * units
    return np.dtype(case.dtype).itemsize * numbers + A_ROW * shape.training + MEGABYTES * 10**6


class Results:
    """Records by what, contestant and case, appended to a file where there is one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.machine: dict[str, str] = {}
        self.records: dict[tuple[str, str, Case], Record] = {}
        self.memory: dict[Case, Memory] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                self._take(json.loads(line))

    def find(self, what: str, contestant: str, case: Case) -> Answer | None:
        """An answer, whatever came of it."""
        record = self.records.get((what, contestant, case))
        return record and record.answer

    def add(self, record: Record | Memory) -> None:
        """Keep a record, in the file as well."""
        self._append({"kind": type(record).__name__, **asdict(record)})
        self._keep(record)

    def describe(self, machine: dict[str, str]) -> None:
        """Say on which machine what follows was measured."""
        self.machine = machine
        self._append({"kind": "machine", "facts": machine})

    def cases(self, what: str, wanted: Iterable[Case] | None = None) -> list[Case]:
        """Those that luce was asked for, in the order in which it was."""
        asked = [case for kind, name, case in self.records if (kind, name) == (what, LUCE)]
        return asked if wanted is None else [case for case in wanted if case in asked]

    def products(self, case: Case) -> float | None:
        """Seconds of an epoch's matrix products at the rate of a large one in NumPy's BLAS."""
        rate = self.find("rate", SKLEARN, rate_case(case))
        fit = self.records.get(("fit", LUCE, case))
        if rate is None or rate.failure or fit is None:
            return None
        return rate.seconds[0] * fit.operations

    def rows(self, case: Case) -> int:
        """Those that are predicted."""
        return self.records["predict", LUCE, case].rows

    def failures(self) -> Iterator[str]:
        """Who, luce apart, did not come to an end, and why."""
        for (what, name, case), record in self.records.items():
            if record.answer.failure and name not in (LUCE, ESTIMATOR):
                yield f"{what} {case}: {name}: {record.answer.failure}"

    def _append(self, record: dict[str, Any]) -> None:
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def _take(self, record: dict[str, Any]) -> None:
        kind = record.pop("kind")
        if kind == "machine":
            self.machine = record["facts"]
            return
        given = record.pop("case")
        case = Case(**{**given, "hidden": tuple(given["hidden"])})
        if kind == "Memory":
            self._keep(Memory(case, **record))
        else:
            self._keep(Record(case=case, answer=Answer(**record.pop("answer")), **record))

    def _keep(self, record: Record | Memory) -> None:
        if isinstance(record, Memory):
            self.memory[record.case] = record
        else:
            self.records[record.what, record.contestant, record.case] = record


@dataclass(frozen=True)
class Figures:
    """What can be said of one case. A peer may have fewer threads, where it is faster so."""

    results: Results
    case: Case

    def fits(self, contestant: str) -> Iterator[Answer]:
        """Its fits that came to an end: luce's with all threads, a peer's with at most so many."""
        least = self.case.threads if contestant == LUCE else 1
        for threads in range(least, self.case.threads + 1):
            answer = self.results.find("fit", contestant, with_threads(self.case, threads))
            if answer and not answer.failure and np.isfinite(answer.validation).all():
                yield answer

    def epoch(self, contestant: str) -> float | None:
        """Seconds an epoch, the median of all but the first."""
        return min((median(lengths(a.seconds)) for a in self.fits(contestant)), default=None)

    @property
    def target(self) -> float | None:
        """The validation loss aimed at: near the least of all, and reached by everybody."""
        least = [min(a.validation) for name in (LUCE, *PEERS) for a in self.fits(name)]
        return max(NEAR * min(least), max(least)) if least else None

    def arrival(self, contestant: str) -> float | None:
        """Seconds until the target, between two epochs in proportion."""
        target = self.target
        if target is None:
            return None
        return min((arrival_of(a, target) for a in self.fits(contestant)), default=None)

    @property
    def epoch_ratio(self) -> float | None:
        """An epoch of the best peer by luce's."""
        return _ratio(self.epoch)

    @property
    def arrival_ratio(self) -> float | None:
        """The best peer's time to the target by luce's."""
        return _ratio(self.arrival)

    def apart(self, contestant: str) -> float | None:
        """The largest relative distance of the losses of the first steps from the reference's."""
        answer, reference = self.results.find("fit", contestant, self.case), self._reference
        if reference is None or answer is None or answer.failure:
            return None
        return distance(answer.first, reference.first)

    @property
    def _reference(self) -> Answer | None:
        return self.results.find("fit", REFERENCE, with_threads(self.case, 1))

    def wrong(self) -> list[str]:
        """Who is too far from the reference."""
        limit = LIMITS[self.case.dtype]
        if self._reference is not None:
            rounding = distance(self._reference.exact, self._reference.first)
            limit = max(limit, ROUNDING * rounding)
        return [
            f"{self.case}: {name}: losses of the first steps are {apart:.1e} from the reference's"
            for name in (LUCE, *PEERS)
            if (apart := self.apart(name)) is not None and not apart <= limit
        ]


def _ratio(figure: Any) -> float | None:
    ours = figure(LUCE)
    theirs = min((found for name in PEERS if (found := figure(name)) is not None), default=None)
    return None if ours is None or theirs is None else theirs / ours


def distance(found: list[float], right: list[float]) -> float:
    """The largest relative distance."""
    if len(found) < FIRST:
        return np.inf
    expected = np.array(right)
    return float(np.max(np.abs(np.array(found) - expected) / expected))


def with_threads(case: Case, threads: int) -> Case:
    return Case(case.problem, case.hidden, case.batch, threads, case.dtype)


def rate_case(case: Case) -> Case:
    """What the rate of products depends on."""
    return Case("digits", (), 0, case.threads, case.dtype)


def lengths(seconds: list[float]) -> list[float]:
    """Of all epochs but the first, or of that if there is no other."""
    each = np.diff([0.0, *seconds]).tolist()
    return each[1:] or each


def arrival_of(answer: Answer, target: float) -> float:
    """When the loss fell to the target, in proportion between two epochs."""
    seconds = [0.0, *answer.seconds]
    for place, loss in enumerate(answer.validation):
        if loss <= target:
            if place == 0:
                return 0.0
            above = answer.validation[place - 1]
            share = (above - target) / (above - loss)
            return seconds[place - 1] + share * (seconds[place] - seconds[place - 1])
    return seconds[-1]
