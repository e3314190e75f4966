"""The linear classifier or a network: told, or the better one on rows that neither has seen."""

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.model.events import Report
from luce.model.fitting import EncodedRows, LinearRecipe, Recipe, choose_penalty
from luce.model.network_fitting import NetworkRecipe
from luce.model.record import Choice
from luce.model.split import set_aside

Kind: TypeAlias = Literal["linear", "network", "auto"]

SHARE_COMPARED = 0.2
ERRORS_TO_WIN = 2.0
"""Standard errors by which the network's log loss is to be lower: what is less may be chance."""


def choose(
    kind: Kind, data: EncodedRows, C: float | Literal["auto"], seed: int, report: Report
) -> tuple[Recipe, Choice | None]:
    """What to fit to these rows, and why if that was not told.

    Where C is "auto", it is chosen first, on all of these rows.

    Raises
    ------
    DataError
        There are too few rows, or groups, to choose C or to compare.
    """
    network = NetworkRecipe(seed)
    if kind == "network":
        return network, None
    if C == "auto":
        linear = LinearRecipe(choose_penalty(data, seed, report), "cross-validation")
    else:
        linear = LinearRecipe(float(C), "user")
    if kind == "linear":
        return linear, None
    choice = _compare(linear, network, data, seed, report)
    return (network if choice.chosen == "network" else linear), choice


def _compare(
    linear: LinearRecipe, network: NetworkRecipe, data: EncodedRows, seed: int, report: Report
) -> Choice:
    """Fit both to most of the rows, and find their log losses on the others."""
    rows, weights = data.rows, data.weights
    aside = set_aside(rows.labels, rows.groups, weights, SHARE_COMPARED, seed)
    kept = np.where(aside, 0.0, weights)

    def losses(name: str, recipe: Recipe) -> NDArray[np.float64]:
        report(data.stage(f"comparing: {name} on", int(np.count_nonzero(kept))))
        return data.losses(recipe.fit(data, report, kept).scorer, aside)

    groups = None if rows.groups is None else rows.groups[aside]
    of_linear, of_network = losses("linear model", linear), losses("network", network)
    return compared(of_linear, of_network, weights[aside], groups)


def compared(
    linear: NDArray[np.float64],
    network: NDArray[np.float64],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64] | None,
) -> Choice:
    """The choice between two classifiers by their losses of the same rows, each (n,).

    Examples
    --------
    >>> compared(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.4, 2.6]), np.ones(3), None)
    Choice(chosen='network', rows=3, linear=2.0, network=1.5, standard_error=0.0577...)
    """
    shares = weights / weights.sum()
    means = [float(shares @ losses) for losses in (linear, network)]
    better = means[0] - means[1]
    parts: NDArray[np.float64] = shares * (linear - network - better)
    if groups is not None:  # rows of a group are drawn as one
        parts = np.bincount(np.unique(groups, return_inverse=True)[1], parts).astype(np.float64)
    drawn = len(parts)
    error = float(np.sqrt(parts @ parts * drawn / (drawn - 1))) if drawn > 1 else abs(better)
    return Choice(
        chosen="network" if better > ERRORS_TO_WIN * error else "linear",
        rows=len(weights),
        linear=means[0],
        network=means[1],
        standard_error=error,
    )
