"""The contestants: each fits once and says how long it took, judged afterwards, untimed."""

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.objective import objective
from benchmarks.problems import Data

OURS = ("luce", "reference")
SKLEARN = ("lbfgs", "newton-cg", "newton-cholesky", "saga")
PEERS = (*SKLEARN, "torch")
MOST_REPEATS = 21
NEVER = 1e-12  # a tolerance that no solver meets: it stops by max_iter
LARGEST_HESSIAN = 2 << 30  # bytes
THINNING = 1.02  # torch's parameters are kept where so much more time has passed


@dataclass(frozen=True)
class Request:
    """A fit to make.

    Attributes
    ----------
    trainer : str
        "luce", "reference", a solver of scikit-learn, or "torch".
    effort : float
        tol for luce, max_iter for scikit-learn, nothing to torch.
    repeat_for : float
        Fits are repeated for this many seconds, and the median time is told.
    threads : int
        Of everything that has any.
    limit, goal : float
        torch stops after these seconds, or where its own objective is as low as this.
    """

    trainer: str
    C: float
    effort: float
    threads: int
    repeat_for: float = 0.0
    limit: float = np.inf
    goal: float = -np.inf


@dataclass(frozen=True)
class Point:
    """After this many seconds, this objective; effort as in the request."""

    seconds: float
    objective: float
    effort: float


@dataclass(frozen=True)
class Answer:
    """What came of a request.

    `iterations` are those that the trainer counts; `gap` is the certificate, where there is one;
    `stopped` tells that torch ended by itself, neither at its limit nor at its goal.
    """

    points: list[Point]
    iterations: int = 0
    gap: float | None = None
    failure: str | None = None
    stopped: bool = False


@dataclass(frozen=True)
class Fitted:
    """Parameters as scikit-learn lays them out, and what the trainer says of them."""

    coef: NDArray[np.floating]
    intercept: NDArray[np.floating]
    iterations: int
    gap: float | None = None


@dataclass
class Trace:
    """torch's parameters along the way, flat, with the seconds until then."""

    seconds: list[float] = field(default_factory=list)
    parameters: list[NDArray[np.floating]] = field(default_factory=list)
    evaluations: int = 0
    stopped: bool = False


def applies(trainer: str, *, d: int, classes: int, sparse: bool) -> bool:
    """Whether a trainer can be asked for a problem of this shape."""
    if trainer != "newton-cholesky":
        return True
    side = (1 if classes == 2 else classes) * (d + 1)
    return not sparse and 8 * side**2 <= LARGEST_HESSIAN


def answer(request: Request, data: Data, fitted: Callable[[], Any]) -> Answer:
    """Fit as asked; `fitted` is called when the clock has stopped."""
    import luce

    with (
        warnings.catch_warnings(),
        luce.threads(request.threads),
        threadpool_limits(request.threads),
    ):
        warnings.simplefilter("ignore")
        warm_up(request.trainer, request.threads)
        if request.trainer == "torch":
            trace = fit_torch(data, request)
            fitted()
            return _judged(trace, data, request)
        fit = partial_fit(request, data)
        seconds = []
        while not seconds or (sum(seconds) < request.repeat_for and len(seconds) < MOST_REPEATS):
            start = time.perf_counter()
            model = fit()
            seconds.append(time.perf_counter() - start)
        fitted()
        value = objective(data.features, data.labels, model.coef, model.intercept, request.C)
        point = Point(median(seconds), value, request.effort)
        return Answer([point], model.iterations, model.gap)


@cache
def warm_up(trainer: str, threads: int) -> None:
    """Import and start what the first fit would have to."""
    rng = np.random.default_rng(0)
    tiny = Data(rng.standard_normal((60, 3)), np.arange(60) % 3, 3)
    if trainer == "torch":
        fit_torch(tiny, Request(trainer, 1.0, 0, threads, limit=0.2))
    else:
        partial_fit(Request(trainer, 1.0, 1e-3 if trainer in OURS else 3, threads), tiny)()


def partial_fit(request: Request, data: Data) -> Callable[[], Fitted]:
    """A call that makes one whole fit, and nothing else."""
    if request.trainer in OURS:
        return _luce(request, data)
    return _sklearn(request, data)


def _luce(request: Request, data: Data) -> Callable[[], Fitted]:
    from luce import SoftmaxClassifier

    features = data.features
    patience = {}
    if request.trainer == "reference":
        features = features.astype(np.float64)
        patience = {"max_iter": 20_000}
    classifier = SoftmaxClassifier(C=request.C, tol=request.effort, **patience)

    def fit() -> Fitted:
        c = classifier.fit(features, data.labels)
        return Fitted(c.coef_, c.intercept_, int(c.n_iter_), float(c.optimality_gap_))

    return fit


def _sklearn(request: Request, data: Data) -> Callable[[], Fitted]:
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(
        C=request.C,
        solver=request.trainer,
        tol=NEVER,
        max_iter=int(request.effort),
        random_state=0,
    )

    def fit() -> Fitted:
        r = regression.fit(data.features, data.labels)
        return Fitted(r.coef_, r.intercept_, int(np.max(r.n_iter_)))

    return fit


class _EnoughError(Exception):
    """Ends torch's optimiser from inside."""


def fit_torch(data: Data, request: Request) -> Trace:
    """Full-batch L-BFGS with strong Wolfe searches in the dtype of the features, from 0.

    The parameters of its best evaluations so far are kept; the time for that is not counted.
    """
    import torch
    from torch.nn import functional

    torch.set_num_threads(request.threads)
    features = _as_torch(data.features)
    labels = torch.from_numpy(data.labels)
    n, d = data.features.shape
    rows = 1 if data.classes == 2 else data.classes
    truth = labels.to(features.dtype)
    parameters = torch.zeros((rows, d + 1), dtype=features.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [parameters],
        max_iter=10**9,
        max_eval=10**9,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=10,
        line_search_fn="strong_wolfe",
    )
    trace = Trace()
    best, kept = np.inf, 0.0
    last: NDArray[np.floating] | None = None
    aside = 0.0  # seconds spent on the record
    start = time.perf_counter()

    def closure() -> torch.Tensor:
        nonlocal best, kept, last, aside
        optimizer.zero_grad()
        coef, intercept = parameters[:, :-1], parameters[:, -1]
        scores = features @ coef.T + intercept
        if rows == 1:
            loss = functional.binary_cross_entropy_with_logits(scores[:, 0], truth)
        else:
            loss = functional.cross_entropy(scores, labels)
        loss = loss + coef.square().sum() / (2 * request.C * n)
        loss.backward()
        value = loss.item()
        stop = time.perf_counter()
        elapsed = stop - start - aside
        trace.evaluations += 1
        if value < best:
            best = value
            last = parameters.detach().numpy().copy()
            if elapsed >= kept * THINNING or value <= request.goal:
                kept = elapsed
                trace.seconds.append(elapsed)
                trace.parameters.append(last)
                last = None
        if elapsed > request.limit or value <= request.goal:
            raise _EnoughError
        aside += time.perf_counter() - stop
        return loss

    try:
        optimizer.step(closure)
        trace.stopped = True
    except _EnoughError:
        pass
    if last is not None:
        trace.seconds.append(time.perf_counter() - start - aside)
        trace.parameters.append(last)
    return trace


def _as_torch(features: Any) -> Any:
    import torch

    if isinstance(features, np.ndarray):
        return torch.from_numpy(features)
    return torch.sparse_csr_tensor(
        torch.from_numpy(features.indptr.astype(np.int64)),
        torch.from_numpy(features.indices.astype(np.int64)),
        torch.from_numpy(features.data),
        features.shape,
    )


def _judged(trace: Trace, data: Data, request: Request) -> Answer:
    points = [
        Point(
            seconds,
            objective(data.features, data.labels, at[:, :-1], at[:, -1], request.C),
            number,
        )
        for number, (seconds, at) in enumerate(zip(trace.seconds, trace.parameters, strict=True))
    ]
    return Answer(points, trace.evaluations, stopped=trace.stopped)
