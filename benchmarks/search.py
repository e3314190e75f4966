"""How soon a peer arrives: refits with more and more iterations, or one run that is watched."""

from dataclasses import dataclass
from math import isqrt

from benchmarks.results import TARGETS
from benchmarks.trainers import PEERS, Answer, Point, Request
from benchmarks.workers import Worker

GROWTH = 1.6  # of max_iter from fit to fit,
LEAP = 2.5  # and from a fit that took longer than this, in seconds:
LONG = 1.0
FIRST = 4  # max_iter
TRYING = 0.2  # seconds to find out how many threads are faster
CLOSE = 1.15  # bisection ends where two max_iter are as near as this
GRACE = 1.1  # a fit is ended at this many times the limit, and a second
JUDGING = 600.0  # seconds for what is not timed
LITTLE = 2e-7  # relative: torch goes on until its own objective is so near to the best


@dataclass(frozen=True)
class Limits:
    """What the peers are given: `factor` times luce's time, within these seconds."""

    cap: float
    threads: int
    factor: float = 100.0
    floor: float = 0.5
    targets: tuple[float, ...] = TARGETS
    peers: tuple[str, ...] = PEERS

    def for_time(self, seconds: float) -> float:
        """Seconds for the peers where luce took so long."""
        return min(self.cap, max(self.floor, self.factor * seconds))


@dataclass(frozen=True)
class Found:
    """What a peer reached, and why it ended, as in `Curve`."""

    points: list[Point]
    ended: str
    threads: int
    iterations: int = 0


class _Ladder:
    """One solver's fits on one problem, by max_iter."""

    def __init__(
        self, worker: Worker, solver: str, C: float, best: float, limit: float, threads: int
    ) -> None:
        self.worker, self.solver, self.C, self.best, self.limit = worker, solver, C, best, limit
        self.threads = threads
        self.answers: dict[int, Answer] = {}
        self.failure = ""

    def choose_threads(self) -> bool:
        """Take one thread if that is faster; whether either was soon enough to go on.

        The BLAS of SciPy and that of NumPy, each with its threads, can be in each other's way.
        """
        seconds = {}
        for threads in sorted({1, self.threads}):
            self.threads = threads
            answer = self.fit(FIRST, TRYING)
            if answer is not None:
                seconds[threads] = answer.points[0].seconds
        self.answers.clear()
        self.threads = min(seconds, key=lambda threads: seconds[threads], default=self.threads)
        return bool(seconds)

    def fit(self, iterations: int, repeat_for: float = 0.0) -> Answer | None:
        """An answer, or None with the reason in `failure`."""
        patience = (GRACE * self.limit + 1.0) + 2 * repeat_for
        request = Request(self.solver, self.C, iterations, self.threads, repeat_for)
        answer = self.worker.ask(request, patience)
        if answer is None or answer.failure:
            self.failure = "limit" if answer is None else answer.failure or ""
            return None
        self.answers[iterations] = answer
        return answer

    def arrived(self, iterations: int, target: float) -> bool:
        point = self.answers[iterations].points[0]
        return (point.objective - self.best) <= target * self.best

    def climb(self, target: float) -> str:
        """Fit with more and more iterations; how that ended."""
        iterations = FIRST
        while True:
            answer = self.fit(iterations)
            if answer is None:
                return self.failure
            if self.arrived(iterations, target):
                return "arrived"
            if answer.iterations < iterations:
                return "stopped"
            affordable = int(iterations * self.limit / answer.points[0].seconds)
            growth = GROWTH if answer.points[0].seconds < LONG else LEAP
            following = min(max(iterations + 1, round(iterations * growth)), affordable)
            if following < iterations * CLOSE:
                return "limit"
            iterations = following

    def narrow(self, target: float) -> None:
        """Look for a smaller number of iterations that is enough, and time that one well."""
        enough = [m for m in self.answers if self.arrived(m, target)]
        if not enough:
            return
        high = min(enough)
        low = max((m for m in self.answers if m < high), default=0)
        while high - low > 1 and high > CLOSE * low:
            middle = max(low + 1, isqrt(max(low, 1) * high))
            if self.fit(middle) is None:
                break
            low, high = (low, middle) if self.arrived(middle, target) else (middle, high)
        seconds = self.answers[high].points[0].seconds
        if seconds < 0.5:
            self.fit(high, repeat_for=1.0)


def arrive(
    worker: Worker, solver: str, C: float, best: float, limit: float, limits: Limits
) -> Found:
    """Fits of a scikit-learn solver around the numbers of iterations that reach the targets."""
    ladder = _Ladder(worker, solver, C, best, limit, limits.threads)
    if not ladder.choose_threads():
        return Found([], ladder.failure, limits.threads)
    ended = ladder.climb(min(limits.targets))
    for target in limits.targets:
        ladder.narrow(target)
    answers = [ladder.answers[m] for m in sorted(ladder.answers)]
    iterations = answers[-1].iterations if answers else 0
    points = [answer.points[0] for answer in answers]
    return Found(points, ended, ladder.threads, iterations)


def watch(worker: Worker, peer: str, C: float, best: float, limit: float, limits: Limits) -> Found:
    """One run of torch, with as many threads as make more evaluations in the same short time."""
    goal = best + LITTLE * abs(best)
    evaluations = {}
    for threads in sorted({1, limits.threads}):
        trial = worker.ask(Request(peer, C, 0, threads, limit=TRYING), JUDGING)
        evaluations[threads] = trial.iterations if trial else 0
    threads = max(evaluations, key=lambda threads: evaluations[threads])
    request = Request(peer, C, 0, threads, limit=limit, goal=goal)
    answer = worker.ask(request, 2 * limit + JUDGING)
    if answer is None or answer.failure:
        ended = "limit" if answer is None else answer.failure or ""
        return Found([], ended, threads)
    least = min(point.objective for point in answer.points)
    reached = least - best <= min(limits.targets) * best
    ended = "arrived" if reached else "stopped" if answer.stopped else "limit"
    return Found(answer.points, ended, threads, answer.iterations)
