"""Fit softmax regression: objective, preconditioner, solver and certificate put together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.training.certificate import optimality_gap
from luce.training.curvature import Curvatures
from luce.training.moments import Moments, centre_of, first_moments
from luce.training.objective import SoftmaxRegression, SumOverRows, Vector, shared_rows
from luce.training.recentring import recentred
from luce.training.sample import sample_of
from luce.training.solver import Evaluation, Memory, Progress, Solution, Stopped, lbfgs

if TYPE_CHECKING:
    from luce.scorers.linear import Array, Features

MOST_PAIRS, LEAST_PAIRS = 30, 6
BYTES_OF_PAIRS = 1 << 25
ROWS_OF_A_SAMPLED_ONE = 10
ROWS_PER_PARAMETER = 3  # in a sample that is worth fitting first
MOST_PASSES_OVER_SAMPLE = 200
STALLED = 25  # passes without progress: rounding is the limit
STALLED_BEFORE_EXACT = 6  # the same where products in float64 can still be had


@dataclass(frozen=True)
class LinearFit:
    """A fitted linear classifier and how good the fit is.

    Attributes
    ----------
    coef : float64 array of shape (k, d)
        Its columns sum to 0 over the classes.
    intercept : float64 array of shape (k,)
        Sums to 0.
    objective : float
        Weighted mean loss + |coef|^2 / (2 C sum of weights) at these parameters.
    optimality_gap : float
        Certified: (objective - minimum) / minimum is at most this.
    passes : int
        Evaluations of the objective and its gradient, each one reading of all training rows;
        readings for curvature are not counted.
    stopped : {"certified", "max_iter", "precision"}
        Why the solver stopped; the gap is at most `tol` only if "certified".

    Examples
    --------
    >>> import numpy as np
    >>> from luce.training import fit_softmax_regression
    >>> fit = fit_softmax_regression(np.eye(4), np.array([0, 0, 1, 1]), classes=2)
    >>> fit.coef.shape, fit.intercept.shape, fit.stopped
    ((2, 4), (2,), 'certified')
    """

    coef: Vector
    intercept: Vector
    objective: float
    optimality_gap: float
    passes: int
    stopped: Stopped


def fit_softmax_regression(
    features: "Features",
    labels: NDArray[np.int64],
    *,
    classes: int,
    C: float = 1.0,
    sample_weight: Vector | None = None,
    fit_intercept: bool = True,
    tol: float = 1e-6,
    max_iter: int = 1000,
    start: "tuple[Array, Array] | None" = None,
    on_pass: Callable[[Progress], None] | None = None,
) -> LinearFit:
    """Minimise ``C * sum of weights * cross_entropy(linear(features), labels) + |coef|^2 / 2``.

    The optimum is that of scikit-learn's LogisticRegression for three classes and more; for two
    classes it is theirs at 2 C. Unscaled, shifted and correlated features need no preparation.

    Parameters
    ----------
    features : C- or F-ordered array or CSR matrix of shape (n, d), float32 or float64
        Products are computed in this dtype, sums over rows in float64.
    labels : int64 array of shape (n,), values 0 to classes - 1
    classes : int
        k, at least 2; every class has rows of positive weight.
    C : float
        Positive and finite; larger means a weaker penalty.
    sample_weight : float64 array of shape (n,), optional
        Not negative.
    fit_intercept : bool
        The intercept is not penalised. Without it, it is 0.
    tol : float
        Largest accepted certified relative gap.
    max_iter : int
        Most passes over the rows.
    start : (coef, intercept), optional
        Where to start; by default at 0 and the log frequencies of the classes.
    on_pass : callable, optional
        Given a `Progress` after every pass.

    Returns
    -------
    LinearFit

    Raises
    ------
    DataError
        If C or tol is not positive and finite, max_iter is below 1, a weight is negative or not
        finite, a class has no row of positive weight, or the features are too large for their
        dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.training import fit_softmax_regression
    >>> features = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> fit = fit_softmax_regression(features, np.array([0, 0, 1, 1]), classes=2)
    >>> fit.stopped, fit.optimality_gap <= 1e-6
    ('certified', True)
    """
    if not (math.isfinite(C) and C > 0):
        raise DataError(f"C must be positive and finite, got {C!r}: larger means a weaker penalty.")
    if not (math.isfinite(tol) and tol > 0):
        raise DataError(f"tol must be positive and finite, got {tol!r}: 1e-6 is a good choice.")
    if max_iter < 1:
        raise DataError(f"max_iter must be at least 1, got {max_iter!r}.")
    if sample_weight is not None and not (np.isfinite(sample_weight) & (sample_weight >= 0)).all():
        raise DataError(
            "weights are finite numbers of at least 0: a sample or class weight is not."
        )
    counts = np.bincount(labels, weights=sample_weight, minlength=classes)
    if not counts.all():
        raise DataError(
            f"class {int(np.argmin(counts))} has no row of positive weight among {classes} "
            "classes: give it rows or leave it out."
        )
    total_weight = float(counts.sum())
    if not 1e-300 < C * total_weight < 1e300:
        raise DataError(
            f"C * sum of weights is {C * total_weight:g}: bring C or the weights nearer 1."
        )
    objective = SoftmaxRegression(
        features=features,
        centre=None,
        labels=labels,
        weights=None if sample_weight is None else sample_weight * (len(labels) / total_weight),
        classes=classes,
        l2=1 / (C * total_weight),
        fit_intercept=fit_intercept,
        dtype=features.dtype,
    )
    with shared_rows() as over_rows:
        if fit_intercept and isinstance(features, np.ndarray):
            centre = centre_of(objective, over_rows)
            if centre is not None:
                rounded = centre.astype(features.dtype).astype(np.float64)
                objective = replace(objective, centre=rounded)
        moments = first_moments(replace(objective, dtype=np.dtype(np.float64)), over_rows)
        if start is None:
            parameters = np.zeros(objective.shape)
            if fit_intercept:
                parameters[:, -1] = np.log(moments.class_frequencies)
        else:
            parameters = np.column_stack(start)
            if objective.centre is not None:
                parameters[:, -1] += parameters[:, :-1] @ objective.centre
        solution = solve(
            objective, moments, over_rows, parameters, tol=tol, max_iter=max_iter, on_pass=on_pass
        )
    parameters = solution.point
    if objective.centre is not None:
        parameters[:, -1] -= parameters[:, :-1] @ objective.centre
    parameters -= parameters.mean(axis=0)
    return LinearFit(
        coef=np.ascontiguousarray(parameters[:, :-1]),
        intercept=parameters[:, -1].copy(),
        objective=solution.value,
        optimality_gap=solution.gap,
        passes=solution.passes,
        stopped=solution.stopped,
    )


def solve(
    objective: SoftmaxRegression,
    moments: Moments,
    over_rows: SumOverRows,
    parameters: Vector,
    *,
    tol: float,
    max_iter: int,
    on_pass: Callable[[Progress], None] | None,
) -> Solution:
    """Run the solver in the dtype of the features, then certify with products in float64.

    Where float32 is as far as it gets before `tol` is met, the rest is done in float64.
    """
    passes = 0
    pairs = int(np.clip(BYTES_OF_PAIRS // (2 * parameters.nbytes), LEAST_PAIRS, MOST_PAIRS))
    memory = Memory(parameters.shape, pairs)
    parameters = head_start(objective, moments, over_rows, parameters, memory)
    curvature = Curvatures(objective, moments.class_frequencies, over_rows)
    exact = np.dtype(np.float64)
    dtypes = [exact] if objective.dtype == exact or max_iter == 1 else [objective.dtype, exact]
    for dtype in dtypes:
        problem = replace(objective, dtype=dtype)

        def evaluate(parameters: Vector, problem: SoftmaxRegression = problem) -> Evaluation:
            # What is common to all classes changes no probability: rounding must not feed it.
            parameters = parameters - parameters.mean(axis=0)
            value, gradient = problem.value_and_gradient(parameters, over_rows)
            gradient -= gradient.mean(axis=0)
            bounds = optimality_gap(problem, moments, parameters, value, gradient)
            return Evaluation(value, gradient, *bounds)

        def report(progress: Progress, earlier: int = passes) -> None:
            if on_pass is not None:
                on_pass(replace(progress, passes=earlier + progress.passes))

        solution = lbfgs(
            evaluate,
            parameters,
            curvature=curvature,
            recentre=partial(recentred, problem, moments, over_rows=over_rows),
            tol=tol,
            smallest=np.finfo(np.float64).eps * math.log(objective.classes),
            enough=-np.inf,
            rounding=float(np.finfo(dtype).eps),
            stalled=STALLED if dtype == exact else STALLED_BEFORE_EXACT,
            resort=dtype == exact,
            memory=memory,
            max_iter=max_iter - passes - (dtype != exact),  # the certificate takes one
            on_pass=report,
        )
        parameters, passes = solution.point, passes + solution.passes
    return replace(solution, passes=passes)


def head_start(
    objective: SoftmaxRegression,
    moments: Moments,
    over_rows: SumOverRows,
    parameters: Vector,
    memory: Memory,
) -> Vector:
    """Where the optimum of a sample of the rows is, if they are enough to say something of it.

    A sample of m rows misses the objective's minimum by about (number of parameters) / (2 m):
    steps that promise much less are not worth taking on it.
    """
    sample = sample_of(objective, objective.rows // ROWS_OF_A_SAMPLED_ONE)
    if len(sample) < ROWS_PER_PARAMETER * parameters.size or sample.rows is None:
        return parameters
    smaller = sample.taken()

    def evaluate(parameters: Vector) -> Evaluation:
        value, gradient = smaller.value_and_gradient(parameters, over_rows)
        return Evaluation(value, gradient - gradient.mean(axis=0), gap=value, attainable=value)

    solution = lbfgs(
        evaluate,
        parameters - parameters.mean(axis=0),
        curvature=Curvatures(smaller, moments.class_frequencies, over_rows),
        recentre=lambda parameters: parameters,
        tol=0.0,
        smallest=1.0,
        enough=0.1 * parameters.size / len(sample),
        rounding=float(np.finfo(objective.dtype).eps),
        stalled=STALLED_BEFORE_EXACT,
        resort=False,
        memory=memory,
        max_iter=MOST_PASSES_OVER_SAMPLE,
        on_pass=lambda progress: None,
    )
    memory.start_over(solution.passes / ROWS_OF_A_SAMPLED_ONE)
    return solution.point
