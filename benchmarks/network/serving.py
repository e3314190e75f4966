"""Processes of the network benchmark: each holds one problem's rows, and has one library's threads.

A library's contestants share a process, and no two libraries do: threads of one wait actively on
the CPU that those of another want.
"""

import gc
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.network import contestants as names
from benchmarks.network.cases import Case, Rows, Shape, Split, initial, load
from benchmarks.network.contestants import FIRST, Contestant
from benchmarks.network.reference import first_losses, mean_loss, wrong_winners
from benchmarks.workers import CLEAR, SPAWN, Worker, peak_since_settled, settled_memory

LIBRARIES = {
    names.LUCE: "luce",
    names.ESTIMATOR: "luce",
    names.EAGER: "torch",
    names.COMPILED: "torch",
    names.SKLEARN: "numpy",
    names.REFERENCE: "numpy",
}
REPEATING = 1.0  # a fit is repeated for so many seconds; each epoch has the median of its times
MOST_RUNS = 7
RATED = (1024, 512, 512)  # a product of matrices of these sides, timed for the rate of products


@dataclass(frozen=True)
class Request:
    """What to do: "fit" for so many epochs, "predict" all rows, or time a product ("rate")."""

    what: str
    contestant: str
    case: Case
    epochs: int = 0


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes
    ----------
    seconds, losses : list of float
        After each epoch; predicting and products have one figure, in seconds.
    validation : list of float
        Loss of the rows held out: of the first weights, then after each epoch.
    first, exact : list of float
        Losses of the first steps; `exact` are the reference's in float64.
    compile_seconds : float
    peak : int
        Bytes of predicting beyond the rows.
    wrong : int
        Winners that are none.
    remark : str
        How the contestant was set.
    failure : str or None
    """

    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    exact: list[float] = field(default_factory=list)
    compile_seconds: float = 0.0
    peak: int = 0
    wrong: int = 0
    remark: str = ""
    failure: str | None = None


def worker(problem: str) -> Worker:
    """A process for one library's contestants on one problem."""
    return Worker(serve, problem, failed=lambda what: Answer(failure=what))


def serve(connection: Connection, problem: str) -> None:
    """Answer requests, one after the other."""
    warnings.simplefilter("ignore")  # that the epochs did not suffice
    split = load(problem, "float32")
    connection.send(split.shape)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            with limited(request.case.threads, LIBRARIES[request.contestant]):
                reply = ANSWERS[request.what](request)
        except Exception as error:  # a peer may fail as it likes: that is its result
            reply = Answer(failure=f"{type(error).__name__}: {error}")
        connection.send(reply)
        gc.collect()


def limited(threads: int, library: str) -> ExitStack:
    """So many threads, and no more."""
    stack = ExitStack()
    if library == "luce":
        import luce

        stack.enter_context(luce.threads(threads))
    stack.enter_context(threadpool_limits(threads))
    return stack


def contestant_of(name: str, case: Case, split: Split) -> Contestant:
    """The contestant of this name, ready to train."""
    if name in (names.LUCE, names.ESTIMATOR):
        from benchmarks.network import luce_fits

        return (luce_fits.Luce if name == names.LUCE else luce_fits.Estimator)(case, split)
    if name in (names.EAGER, names.COMPILED):
        from benchmarks.network import torch_fits

        return (torch_fits.Eager if name == names.EAGER else torch_fits.Compiled)(case, split)
    from benchmarks.network.sklearn_fits import Sklearn

    return Sklearn(case, split)


def fit(request: Request) -> Answer:
    """The first steps, then a whole fit, judged afterwards."""
    case = request.case
    split = load(case.problem, case.dtype)
    if request.contestant == names.REFERENCE:
        paths = [first_losses(case, split, FIRST, dtype) for dtype in (case.dtype, "float64")]
        return Answer(first=paths[0], exact=paths[1])
    contestant = contestant_of(request.contestant, case, split)
    first = contestant.first_losses(FIRST)
    gc.collect()
    trained = contestant.train(request.epochs)
    runs = [trained.seconds]
    while len(runs) < MOST_RUNS and sum(run[-1] for run in runs) < REPEATING:
        runs.append(contestant.train(request.epochs).seconds)
    each = np.median([np.diff(run, prepend=0.0) for run in runs], axis=0)
    every = [initial(case, split), *trained.parameters]
    return Answer(
        np.cumsum(each).tolist(),
        trained.losses,
        [mean_loss(parameters, split.validation) for parameters in every],
        first,
        compile_seconds=contestant.compile_seconds,
        remark=contestant.remark,
    )


def predict(request: Request) -> Answer:
    """The labels of all rows: seconds, and the peak of memory."""
    from benchmarks.network.predictors import predictor, seconds_of

    split = load(request.case.problem, request.case.dtype)
    features = np.concatenate([split.training.features, split.validation.features])
    call, remark = predictor(request.contestant, request.case, split)
    seconds = seconds_of(call, features)
    before = settled_memory()
    winners = call(features)
    peak = peak_since_settled() - before
    wrong = wrong_winners(initial(request.case, split), features, winners)
    return Answer([seconds], peak=peak, wrong=wrong, remark=remark)


def rate(request: Request) -> Answer:
    """Seconds of one operation in a large product of NumPy's BLAS."""
    from benchmarks.timing import medians

    m, k, n = RATED
    left, right = np.ones((m, k), request.case.dtype), np.ones((k, n), request.case.dtype)
    out = np.empty((m, n), request.case.dtype)
    call = partial(np.matmul, left, right, out=out)
    return Answer([medians({"": call}, 9, 0.02)[""] / (2 * m * k * n)])


ANSWERS: dict[str, Callable[[Request], Answer]] = {"fit": fit, "predict": predict, "rate": rate}


def peak_memory(case: Case) -> tuple[int, Shape] | None:
    """Bytes at the peak of luce's fit of one epoch above those before it; in a fresh process."""
    if not CLEAR.exists():
        return None
    connection, far = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=_measure, args=(far, case), daemon=True)
    process.start()
    far.close()
    try:
        return connection.recv()
    except EOFError:
        return None
    finally:
        process.join()


def _measure(connection: Connection, case: Case) -> None:
    from benchmarks.network.luce_fits import Luce

    split = load(case.problem, case.dtype)
    few = Rows(split.training.features[: case.batch], split.training.labels[: case.batch])
    with limited(case.threads, "luce"):
        Luce(case, Split(few, split.validation, split.classes)).fit(max_epochs=1)
        luce = Luce(case, split)
        before = settled_memory()
        luce.fit(max_epochs=1)
        connection.send((peak_since_settled() - before, split.shape))
