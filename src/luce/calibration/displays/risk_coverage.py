"""Risk against coverage: how often answers are wrong if only the surest rows are answered."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from luce.calibration.curves import RiskCoverageCurve, risk_coverage_curve
from luce.calibration.displays import style
from luce.calibration.displays.given import as_indices, predicted_by

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEW_POINTS = 30
_PERFECT, _RANDOM = (0, (4, 2)), ":"


@dataclass(eq=False)
class RiskCoverageDisplay:
    """The share of wrong answers against the share of rows answered, the surest first.

    To the left only the rows are answered whose most probable class has the highest probability; to
    the right all. The band, or a bar at each point where there are few, has exact 95 % bounds
    (Clopper and Pearson) of each point by itself, not of all at once, and not of a threshold chosen
    from the picture. The dashed line is the best that any order of the same answers could give, the
    dotted one what a random order gives.

    Attributes
    ----------
    curve : RiskCoverageCurve
    ax_ : matplotlib Axes
        Set by `plot`, as the others below.
    figure_ : matplotlib Figure
    line_ : matplotlib Line2D

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> y_prob = random.dirichlet([0.3, 0.3, 0.3], size=500)
    >>> y_true = (random.random((500, 1)) > y_prob.cumsum(axis=1)).sum(axis=1)
    >>> display = RiskCoverageDisplay.from_predictions(y_true, y_prob)
    >>> display.ax_.get_ylabel()
    'share of answers that are wrong'
    >>> 0 < display.curve.perfect_area < display.curve.area < 0.2
    True
    """

    curve: RiskCoverageCurve
    ax_: "Axes" = field(init=False, repr=False)
    figure_: Any = field(init=False, repr=False)
    line_: Any = field(init=False, repr=False)

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
        name: str | None = None,
        ax: "Axes | None" = None,
    ) -> Self:
        """Draw risk against coverage.

        Parameters
        ----------
        y_true : array_like of shape (n,)
            Class indices, or the values in `classes`.
        y_prob : array_like of shape (n, k), or (n,)
            Probabilities; a single column is that of the second of two classes.
        sample_weight : array_like of shape (n,), optional
            Weights w >= 0, by default 1 each.
        classes : array_like of shape (k,), optional
            The class of each column.
        name : str, optional
            Of the model, for the legend.
        ax : matplotlib Axes, optional
            Where to draw, also on top of another display; by default in a new figure.

        Returns
        -------
        RiskCoverageDisplay

        Raises
        ------
        DataError
            Unusable input; the message names the row.
        ImportError
            There is no matplotlib.
        """
        labels, table, _ = as_indices(y_true, y_prob, classes)
        curve = risk_coverage_curve(table, labels, sample_weight=sample_weight, name=name or "")
        return cls(curve).plot(ax=ax)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: npt.ArrayLike, *, name: str | None = None, **options: Any
    ) -> Self:
        """Draw risk against coverage of a fitted classifier, on rows that it was not fitted to.

        Parameters
        ----------
        estimator : classifier
            With `predict_proba` and `classes_`.
        X : array_like of shape (n, d)
        y : array_like of shape (n,)
        name : str, optional
            By default the name of the estimator's type.
        **options
            As of `from_predictions`.

        Returns
        -------
        RiskCoverageDisplay
        """
        table, classes, type_name = predicted_by(estimator, X)
        return cls.from_predictions(y, table, classes=classes, name=name or type_name, **options)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw it, again.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw, also on top of another display; by default in a new figure.

        Returns
        -------
        RiskCoverageDisplay
            Itself.
        """
        if ax is None:
            _, ax = style.pyplot().subplots(figsize=(5.4, 4.6), layout="constrained")
        curve = self.curve
        style.quiet(ax)
        areas = (
            f"area {curve.area:.3g} (perfect {curve.perfect_area:.3g}, random {curve.risk[-1]:.3g})"
        )
        label = f"{style.shown(curve.name, 40)}\n{areas}" if curve.name else areas
        few = len(curve.coverage) <= _FEW_POINTS
        (self.line_,) = ax.plot(
            curve.coverage,
            curve.risk,
            linewidth=1.6,
            marker="o" if few else None,
            markersize=5,
            label=label,
        )
        colour = self.line_.get_color()
        if few:
            ax.vlines(curve.coverage, curve.low, curve.high, color=colour, linewidth=1.4)
        else:
            ax.fill_between(
                curve.coverage, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0
            )
        _compare(ax, curve.risk[-1], colour)
        _frame(ax, curve)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _compare(axes: "Axes", error: float, colour: str) -> None:
    """The same answers in perfect order and in random order, thin."""
    share = np.linspace(0, 1, 501)[1:]
    perfect = (share - (1 - error)).clip(min=0) / share
    axes.plot(share, perfect, color=colour, linestyle=_PERFECT, linewidth=0.9)
    axes.axhline(error, color=colour, linestyle=_RANDOM, linewidth=0.9)


def _frame(axes: "Axes", curve: RiskCoverageCurve) -> None:
    """Limits that show the curve; the bounds of few rows may leave them."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter

    is_first = axes.get_legend() is None
    highest = max(1.15 * curve.risk[-1], 1.05 * curve.high[curve.coverage >= 0.1].max(), 0.01)
    top = highest if is_first else max(highest, axes.get_ylim()[1])
    top = min(1.03, top)
    axes.set(xlim=(0, 1.02), ylim=(-0.02 * top, top))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    axes.set_xlabel("share of rows that are answered", color=style.INK)
    axes.set_ylabel("share of answers that are wrong", color=style.INK)
    models = axes.get_legend_handles_labels()[0]
    orders = Line2D([], [], color=style.MUTED, linestyle=_PERFECT, linewidth=0.9)
    orders.set_label("perfect order (dotted: random order)")
    axes.legend(
        handles=[*models, orders],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        frameon=False,
        fontsize=9,
        labelcolor=style.INK,
    )
