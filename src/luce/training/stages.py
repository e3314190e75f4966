"""The stages of a fit: on a sample of the rows, in the features' dtype, in float64."""

import math
from dataclasses import replace

import numpy as np

from luce.training.certificate import gap_without_miss, optimality_gap
from luce.training.curvature import Curvatures
from luce.training.memory import Memory
from luce.training.moments import Moments
from luce.training.objective import (
    OVERHEAD,
    SoftmaxRegression,
    SumOverRows,
    Vector,
    without_common,
)
from luce.training.record import Record
from luce.training.sample import in_single, sample_of
from luce.training.separation import separable_classes
from luce.training.solver import Evaluation, Interruption, Solution, Stopped, lbfgs

MOST_PAIRS, LEAST_PAIRS = 30, 6
LEAST_PAIRS_IF_SPARSE = 15  # features say little of the curvature there, and steps more
MANY = 1 << 18  # parameters: from here on, steps are kept in the features' dtype
BYTES_OF_PAIRS = 1 << 22
ROWS_OF_A_SAMPLED_ONE = 10
ROWS_PER_PARAMETER = 2.5  # in a sample that is worth fitting first, if passes over it were free
MOST_SAMPLED = 1 << 22  # numbers of features in that sample, which is gathered in memory
MOST_PASSES_OVER_SAMPLE = 200
WORTH_OF_A_START = 10.0  # passes: where a warm one is, a Hessian at 0 says little
STALLED = 25  # passes without progress: rounding is the limit
STALLED_BEFORE_EXACT = 6  # the same where products in float64 can still be had
BETWEEN_SEPARATIONS = 10  # passes
STOPPED_FROM_OUTSIDE = ("callback", "interrupted", "max_seconds", "separable")


def solve(
    objective: SoftmaxRegression,
    single: SoftmaxRegression | None,
    moments: Moments,
    over_rows: SumOverRows,
    parameters: Vector,
    *,
    record: Record,
    tol: float,
    max_iter: int,
    is_cold: bool,
    until_separable: bool,
) -> Solution:
    """Run the solver in float32 where the features have it, or a copy; certify in float64.

    `single` is the same over a float32 copy of the features, if there is one.
    A cold start, which knows nothing of the optimum, is warmed up on a sample. Where float32 is as
    far as it gets before `tol` is met, the rest is done in float64. However the fit is stopped, its
    last pass is the certificate's.
    """
    exact = np.dtype(np.float64)
    kept = objective.dtype if parameters.size > MANY else exact
    bytes_of_pair = 2 * parameters.size * kept.itemsize
    least = LEAST_PAIRS if objective.has_dense_blocks else LEAST_PAIRS_IF_SPARSE
    pairs = int(np.clip(BYTES_OF_PAIRS // bytes_of_pair, least, MOST_PAIRS))
    memory = Memory(parameters.shape, pairs, kept)
    # Nothing shows what is common to all classes but the penalty, and no step has any of it.
    point, outside = without_common(parameters), None
    first = single or objective
    if is_cold:
        point, outside = head_start(first, moments, over_rows, point, record, memory)
    else:
        memory.start_over(WORTH_OF_A_START)
    curvature = Curvatures(objective, first, moments.class_frequencies, over_rows)
    last = replace(objective, dtype=exact)
    solution: Solution | None = None
    for problem in [last] if first.dtype == exact or max_iter == 1 else [first, last]:
        dtype = problem.dtype
        if outside is not None and dtype != exact:
            continue

        def evaluate(parameters: Vector, problem: SoftmaxRegression = problem) -> Evaluation:
            value, gradient = problem.value_and_gradient(parameters)
            gradient = without_common(gradient)
            gap = optimality_gap(problem, moments, parameters, value, gradient)
            return Evaluation(value, gradient, gap)

        def report(point: Vector, value: float, gap: float) -> None:
            record.add(objective, point, value, gap)
            due = until_separable and len(record.rows) % BETWEEN_SEPARATIONS == 0
            if due and len(separable_classes(objective, point, over_rows)):
                raise Interruption("separable")

        left = max_iter - len(record.rows) - (dtype != exact)  # the certificate takes one
        try:
            solution = lbfgs(
                evaluate,
                point,
                curvature=curvature,
                attainable=lambda gradient: gap_without_miss(objective, gradient),
                recentre=curvature.recentred,
                tol=tol,
                smallest=np.finfo(np.float64).eps * math.log(objective.classes),
                enough=-np.inf,
                rounding=float(np.finfo(dtype).eps),
                stalled=STALLED if dtype == exact else STALLED_BEFORE_EXACT,
                is_last=dtype == exact,
                memory=memory,
                max_iter=left if outside is None else 1,
                on_pass=report,
            )
        except KeyboardInterrupt:  # before its first pass was over
            if solution is None:
                raise
            return replace(solution, passes=len(record.rows), stopped="interrupted")
        point, outside = solution.onward, outside or from_outside(solution)
    assert solution is not None
    stopped = solution.stopped if solution.stopped == "certified" else outside or solution.stopped
    return replace(solution, passes=len(record.rows), stopped=stopped)


def from_outside(solution: Solution) -> Stopped | None:
    """Why a run of the solver was stopped, if not by itself."""
    return solution.stopped if solution.stopped in STOPPED_FROM_OUTSIDE else None


def head_start(
    objective: SoftmaxRegression,
    moments: Moments,
    over_rows: SumOverRows,
    start: Vector,
    record: Record,
    memory: Memory,
) -> tuple[Vector, Stopped | None]:
    """Where the optimum of a sample of the rows is, and why its search was stopped, if it was.

    That is the start itself where the sample would be too small to say something of the optimum.

    A sample of m rows misses the objective's minimum by about (number of parameters) / (2 m):
    steps that promise much less are not worth taking on it.
    """
    most_rows = MOST_SAMPLED // max(objective.features_per_row, 1)
    sample = sample_of(objective, min(objective.rows // ROWS_OF_A_SAMPLED_ONE, most_rows))
    share = len(sample) / objective.rows
    saved = (1 - share) * (1 - OVERHEAD / objective.operations)  # of a pass, by one over the sample
    if len(sample) * saved < ROWS_PER_PARAMETER * start.size or sample.rows is None:
        return start, None
    smaller = in_single(sample, over_rows) or sample.taken()

    def evaluate(parameters: Vector) -> Evaluation:
        value, gradient = smaller.value_and_gradient(parameters)
        return Evaluation(value, without_common(gradient), gap=value)

    solution = lbfgs(
        evaluate,
        start,
        curvature=Curvatures(smaller, smaller, moments.class_frequencies, over_rows),
        attainable=lambda gradient: math.inf,
        recentre=lambda parameters, gradient, exactly: parameters,
        tol=0.0,
        smallest=1.0,
        enough=0.1 * start.size / len(sample),
        rounding=float(np.finfo(objective.dtype).eps),
        stalled=STALLED_BEFORE_EXACT,
        is_last=False,
        memory=memory,
        max_iter=MOST_PASSES_OVER_SAMPLE,
        on_pass=lambda point, value, gap: record.watch_time(),
    )
    memory.start_over(solution.passes * share)
    return solution.point, from_outside(solution)
