"""Fit softmax regression: what is given is checked, what comes out is put together."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.kernels.threads import num_threads, threads
from luce.training.moments import centre_of, first_moments, least_variance
from luce.training.objective import (
    SoftmaxRegression,
    Vector,
    shared_rows,
)
from luce.training.record import History, Progress, Record, finished
from luce.training.sample import Sample, every_so_many, in_single, sample_of
from luce.training.separation import separable_classes
from luce.training.solver import Stopped
from luce.training.stages import solve

if TYPE_CHECKING:
    from luce.scorers.linear import Array, Features

ROWS_FOR_VARIANCES, ROWS_FOR_MEANS = 2_000, 500
UNPENALISED = 1e-9  # l2 in variances of a feature, too weak to be seen


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
        readings for curvature, and of samples, are not counted.
    stopped : str
        Why the solver stopped. "certified": the gap is at most `tol`, only then. "max_iter",
        "max_seconds": these were used up. "callback": `on_pass` asked for it. "interrupted": by
        Ctrl-C. "separable": there is no finite optimum. "precision": rounding hides any further
        progress.
    history : structured array of shape (passes,)
        A row per pass: `seconds` since the fit began, least `objective` and certified `gap` so far.
    separable : int64 array
        The classes that a hyperplane tells from all others, all of them if every row is classified
        right, found where `C` is infinite: without a penalty their coefficients grow for ever.

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
    history: History
    separable: NDArray[np.int64]


def fit_softmax_regression(
    features: "Features",
    labels: NDArray[np.int64],
    *,
    classes: int,
    C: float = 1.0,
    sample_weight: Vector | None = None,
    fit_intercept: bool = True,
    tol: float = 1e-6,
    max_iter: int = 2000,
    max_seconds: float = math.inf,
    start: "tuple[Array, Array] | None" = None,
    on_pass: Callable[[Progress], object] | None = None,
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
        Positive; larger means a weaker penalty. Infinity stands for none: l2 is then 1e-9 times the
        least variance of a feature, which the certificate includes, and the fit stops where it
        finds classes that can be separated.
    sample_weight : float64 array of shape (n,), optional
        Not negative.
    fit_intercept : bool
        The intercept is not penalised. Without it, it is 0.
    tol : float
        Largest accepted certified relative gap.
    max_iter : int
        Most passes over the rows.
    max_seconds : float
        The fit stops after the pass in which these are over; in float32 the certificate takes one
        more.
    start : (coef, intercept), optional
        Where to start; by default at 0 and the log frequencies of the classes.
    on_pass : callable, optional
        Given a `Progress` after every pass; the fit stops if it returns True.

    Returns
    -------
    LinearFit

    Raises
    ------
    DataError
        If C, tol or max_seconds is not positive, tol is not finite, max_iter is below 1, a weight
        is negative or not finite, a class has no row of positive weight, or the features are too
        large for their dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from luce.training import fit_softmax_regression
    >>> features = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> fit = fit_softmax_regression(features, np.array([0, 0, 1, 1]), classes=2)
    >>> fit.stopped, fit.optimality_gap <= 1e-6
    ('certified', True)
    """
    if not C > 0:
        raise DataError(f"C must be positive, got {C!r}: larger means a weaker penalty.")
    if not (math.isfinite(tol) and tol > 0):
        raise DataError(f"tol must be positive and finite, got {tol!r}: 1e-6 is a good choice.")
    if max_iter < 1:
        raise DataError(f"max_iter must be at least 1, got {max_iter!r}.")
    if not max_seconds > 0:
        raise DataError(f"max_seconds must be positive, got {max_seconds!r}.")
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
    penalised = not math.isinf(C)
    if penalised and not 1e-300 < C * total_weight < 1e300:
        raise DataError(
            f"C * sum of weights is {C * total_weight:g}: bring C or the weights nearer 1."
        )
    objective = SoftmaxRegression(
        features=features,
        centre=None,
        labels=labels,
        weights=None if sample_weight is None else sample_weight * (len(labels) / total_weight),
        classes=classes,
        l2=1 / (C * total_weight) if penalised else 0.0,
        fit_intercept=fit_intercept,
        dtype=features.dtype,
    )
    record = Record(max_seconds, on_pass)
    numbers = objective.rows * objective.features_per_row
    with threads(num_threads()), shared_rows(numbers) as over_rows:
        if not penalised:
            some = sample_of(objective, ROWS_FOR_VARIANCES)
            objective = replace(objective, l2=UNPENALISED * least_variance(some, over_rows))
        if fit_intercept and isinstance(features, np.ndarray):
            some = every_so_many(objective, ROWS_FOR_MEANS)
            objective = replace(objective, centre=centre_of(some, over_rows))
        single = in_single(Sample(objective, None, None), over_rows)
        moments = first_moments(single or replace(objective, dtype=np.dtype(np.float64)))
        if start is None:
            parameters = np.zeros(objective.shape)
            if fit_intercept:
                parameters[:, -1] = np.log(moments.class_frequencies)
        else:
            parameters = np.column_stack(start)
            if objective.centre is not None:
                parameters[:, -1] += parameters[:, :-1] @ objective.centre
        solution = solve(
            objective, single, moments, over_rows, parameters, record=record, tol=tol,
            max_iter=max_iter, is_cold=start is None, until_separable=not penalised,
        )  # fmt: skip
        separable = np.empty(0, np.int64)
        if not penalised:
            separable = separable_classes(objective, solution.point, over_rows)
    coef, intercept = finished(objective, solution.point)
    return LinearFit(
        coef=coef,
        intercept=intercept,
        objective=solution.value,
        optimality_gap=solution.gap,
        passes=solution.passes,
        stopped="separable" if len(separable) else solution.stopped,
        history=record.history(),
        separable=separable,
    )
