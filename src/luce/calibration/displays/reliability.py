"""Reliability diagrams: how often what is given a probability comes true."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from luce.calibration.bins import Strategy
from luce.calibration.curves import HISTOGRAM_BINS, ReliabilityCurve, reliability_curve
from luce.calibration.displays import style
from luce.calibration.displays.given import as_indices, predicted_by
from luce.calibration.labelled import labelled
from luce.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TOP_LABEL = "most probable class"


@dataclass(eq=False)
class ReliabilityDisplay:
    """A reliability diagram, of any number of classes, with intervals.

    Points are bins of rows: to the right the mean probability that was given, upward the share that
    came true, with its exact 95 % bounds. On the diagonal, what is said is what is. The grey bars
    are where a point would be in 95 % of cases if the model were calibrated; a point outside of its
    bar says that it is not, and of 20 such points of a calibrated model one does by chance. Above
    stands how many rows were given which probability, of a single class on a logarithmic scale.

    Attributes
    ----------
    curves : tuple of ReliabilityCurve
        A panel each.
    ax_ : matplotlib Axes, or ndarray of Axes
        Set by `plot`, as the others below; an array where there are several panels.
    figure_ : matplotlib Figure
    line_ : list of matplotlib Line2D
        The points of each panel.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> y_prob = random.dirichlet([1, 1, 1], size=500)
    >>> y_true = (random.random((500, 1)) > y_prob.cumsum(axis=1)).sum(axis=1)
    >>> display = ReliabilityDisplay.from_predictions(y_true, y_prob, name="honest")
    >>> display.ax_.get_xlabel()
    'probability of the most probable class'
    >>> ReliabilityDisplay.from_predictions(y_true, y_prob, per_class=2).ax_.shape
    (2,)
    """

    curves: tuple[ReliabilityCurve, ...]
    ax_: Any = field(init=False, repr=False)
    figure_: Any = field(init=False, repr=False)
    line_: list[Any] = field(init=False, repr=False)

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_prob: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        classes: npt.ArrayLike | None = None,
        pos_label: Any = None,
        per_class: int | None = None,
        n_bins: int = 10,
        strategy: Strategy = "uniform",
        name: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw the reliability of probabilities.

        Parameters
        ----------
        y_true : array_like of shape (n,)
            Class indices, or the values in `classes`.
        y_prob : array_like of shape (n, k), or (n,)
            Probabilities; a single column is that of the second of two classes, which is drawn
            then.
        sample_weight : array_like of shape (n,), optional
            Weights w >= 0, by default 1 each.
        classes : array_like of shape (k,), optional
            The class of each column.
        pos_label : int, str, ..., optional
            Draw this class; by default the most probable class of each row.
        per_class : int, optional
            Draw the most frequent classes, at most so many, a panel each.
        n_bins : int, default 10
            1 to 1000.
        strategy : {"uniform", "quantile"}, default "uniform"
            Bins of equal width, or of as nearly equal counts as can be.
        name : str, optional
            Of the model, for the title.
        ax : matplotlib Axes, or array of Axes, optional
            Where to draw; by default in a new figure.

        Returns
        -------
        ReliabilityDisplay

        Raises
        ------
        DataError
            Unusable input; the message names the row.
        ImportError
            There is no matplotlib.
        """
        labels, table, names = as_indices(y_true, y_prob, classes)
        if pos_label is None and np.ndim(y_prob) == 1:
            pos_label = names[1]
        if pos_label is not None and pos_label not in names:
            raise DataError(f"pos_label is {pos_label!r}, none of the classes")
        if per_class is not None and per_class < 1:
            raise DataError(f"per_class is {per_class}; expected at least 1")
        chosen: list[int | None] = [None if pos_label is None else names.index(pos_label)]
        if per_class is not None:
            given = labelled(table, labels, sample_weight, None, logarithmic=False)
            frequency = np.bincount(given.labels, given.weights, len(names))
            chosen = np.argsort(-frequency, kind="stable")[:per_class].tolist()
        display = cls(
            tuple(
                reliability_curve(
                    table,
                    labels,
                    sample_weight=sample_weight,
                    of_class=place,
                    n_bins=n_bins,
                    strategy=strategy,
                    name=_TOP_LABEL if place is None else str(names[place]),
                )
                for place in chosen
            )
        )
        return display.plot(ax=ax, name=name)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: npt.ArrayLike, *, name: str | None = None, **options: Any
    ) -> Self:
        """Draw the reliability of a fitted classifier on rows that it was not fitted to.

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
        ReliabilityDisplay
        """
        table, classes, type_name = predicted_by(estimator, X)
        return cls.from_predictions(y, table, classes=classes, name=name or type_name, **options)

    def plot(self, ax: Any = None, *, name: str | None = None) -> Self:
        """Draw it, again.

        Parameters
        ----------
        ax : matplotlib Axes, or array of Axes, optional
            One for each panel; by default in a new figure.
        name : str, optional
            Of the model, for the title.

        Returns
        -------
        ReliabilityDisplay
            Itself.
        """
        panels = _new_panels(len(self.curves)) if ax is None else np.atleast_1d(ax).ravel()
        if len(panels) != len(self.curves):
            raise DataError(f"there are {len(panels)} axes; expected {len(self.curves)}")
        self.figure_ = panels[0].figure
        self.ax_ = panels[0] if len(panels) == 1 else panels
        self.line_ = [_draw(axes, curve) for axes, curve in zip(panels, self.curves, strict=True)]
        if len(panels) == 1:
            _name_one(panels[0], self.curves[0], name)
        else:
            _name_several(panels, self.curves, name)
        if len(panels) == 1 and ax is not None:
            corner = _free_corner(self.curves[0])
            _explain(panels[0], framealpha=0.8, edgecolor="none", loc=corner)
        else:
            _explain(self.figure_, ncols=2, frameon=False, loc="outside lower center")
        return self


def _new_panels(many: int) -> npt.NDArray[Any]:
    """Axes of a new figure, in rows, nearly square."""
    columns = min(many, max(3, int(np.ceil(np.sqrt(many)))))
    rows = -(-many // columns)
    size = (4.8, 6.0) if many == 1 else (2.6 * columns + 0.4, 3.1 * rows + 0.8)
    _, grid = style.pyplot().subplots(
        rows, columns, figsize=size, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[many:]:
        axes.remove()
    return np.asarray(grid.flat[:many])


def _draw(axes: "Axes", curve: ReliabilityCurve) -> Any:
    """One panel without its words; returns the points."""
    style.quiet(axes)
    axes.vlines(curve.predicted, curve.least, curve.most, color=style.FAINT, linewidth=8, zorder=0)
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, zorder=1)
    axes.vlines(curve.predicted, curve.low, curve.high, color=style.BLUE, linewidth=1.4, zorder=2)
    (line,) = axes.plot(curve.predicted, curve.observed, "o", color=style.BLUE, markersize=5)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])

    strip = axes.inset_axes((0, 1.02, 1, 0.13), sharex=axes)
    edges = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    strip.stairs(curve.histogram, edges, fill=True, color=style.BLUE, alpha=0.35, linewidth=0)
    if curve.name != _TOP_LABEL:
        strip.set_yscale("log")  # nearly all rows are nearly surely of another class
    least = 0.7 * curve.histogram[curve.histogram > 0].min()
    strip.set_ylim(least if curve.name != _TOP_LABEL else 0, 1.05 * curve.histogram.max())
    strip.axis("off")
    return line


def _name_one(axes: "Axes", curve: ReliabilityCurve, name: str | None) -> None:
    rows = style.counted(int(curve.count.sum()))
    title = rows if name is None else f"{style.shown(name, 40)}, {rows}"
    axes.set_title(title, loc="left", y=1.16, color=style.INK, fontsize=11)
    of = "the " if curve.name == _TOP_LABEL else ""
    axes.set_xlabel(f"probability of {of}{style.shown(curve.name, 30)}", color=style.INK)
    axes.set_ylabel("share that came true", color=style.INK)


def _name_several(
    panels: npt.NDArray[Any], curves: tuple[ReliabilityCurve, ...], name: str | None
) -> None:
    for axes, curve in zip(panels, curves, strict=True):
        rows = style.counted(int(curve.true.sum()))
        title = f"{style.shown(curve.name, 18)}  ({rows})"
        axes.set_title(title, loc="left", y=1.16, color=style.INK, fontsize=10)
    grid = panels[0].get_subplotspec()
    columns = grid.get_gridspec().ncols if grid else len(panels)
    for axes in panels[-columns:]:
        axes.set_xlabel("probability of the class", color=style.INK)
    for axes in panels[::columns]:
        axes.set_ylabel("share that came true", color=style.INK)
    if name is not None:
        panels[0].figure.suptitle(style.shown(name, 60), color=style.INK, fontsize=11)


def _free_corner(curve: ReliabilityCurve) -> str:
    """Where a legend covers no interval, if there is such a corner."""
    left, right = curve.predicted < 0.55, curve.predicted > 0.45
    above = (np.maximum(curve.high, curve.most)[left] > 0.85).any()
    below = (np.minimum(curve.low, curve.least)[right] < 0.15).any()
    return "lower right" if above and not below else "upper left"


def _explain(where: Any, **options: Any) -> None:
    """The legend of axes or of a figure."""
    from matplotlib.lines import Line2D

    observed = Line2D([], [], color=style.BLUE, marker="o", markersize=5, linewidth=1.4)
    observed.set_label("observed, 95 % interval")
    calibrated = Line2D([], [], color=style.FAINT, linewidth=8)
    calibrated.set_label("95 % range if calibrated")
    where.legend(handles=[observed, calibrated], fontsize=9, labelcolor=style.INK, **options)
