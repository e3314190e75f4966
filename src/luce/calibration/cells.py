"""The cells that rows fall into: by their confidence, and by the probability of each class.

Confidence is cut in several ways at once: into the finest cells that any of them needs, whose sums
are then added up. Classes beyond the MOST_CLASSES most probable share the cells of one class, or
there would be more cells than anything can be said of.
"""

from dataclasses import dataclass

import numpy as np

from luce.calibration import smooth
from luce.calibration.bins import bins_of_classes, quantile_edges, uniform_edges
from luce.calibration.rows import BINS, Float64s, Integers

MOST_CLASSES = 2000


@dataclass(frozen=True, eq=False)
class Cells:
    """How rows are cut.

    Attributes
    ----------
    edges : (finest - 1,) inner edges of the finest cells of confidence
    uniform, quantile, smooth : first finest cell of each bin, for `np.add.reduceat`
    class_edges : (bins - 1, k) inner edges of each class's bins
    class_starts : (k,) first cell of each class
    """

    edges: Float64s
    uniform: Integers
    quantile: Integers
    smooth: Integers
    class_edges: Float64s
    class_starts: Integers

    @property
    def finest(self) -> int:
        """The number of cells of confidence."""
        return len(self.edges) + 1

    @property
    def of_classes(self) -> int:
        """The number of cells of all classes."""
        return int(self.class_starts.max()) + BINS

    def of_confidence(self, confidence: Float64s) -> Integers:
        """The cell of each confidence."""
        return np.searchsorted(self.edges, confidence)

    def of_probabilities(self, probabilities: Float64s) -> Integers:
        """The cell of each of (m, k) probabilities."""
        places = bins_of_classes(probabilities, self.class_edges)
        places += self.class_starts
        return places

    def class_totals(self, sums: Float64s) -> Float64s:
        """(of_classes, ...) sums of cells to sums of classes."""
        return np.asarray(np.add.reduceat(sums, np.arange(0, self.of_classes, BINS), axis=0))


def cells_from(sample: Float64s) -> Cells:
    """Cells whose quantiles are those of a sample of rows of probabilities (m, k)."""
    cuts = {
        "uniform": uniform_edges(BINS),
        "quantile": np.unique(quantile_edges(sample.max(axis=1, keepdims=True), BINS)),
        "smooth": uniform_edges(smooth.CELLS),
    }
    edges = np.unique(np.concatenate(list(cuts.values())))
    starts = {name: np.r_[0, np.searchsorted(edges, cut) + 1] for name, cut in cuts.items()}
    rank = np.empty(sample.shape[1], np.intp)
    rank[np.argsort(-sample.mean(axis=0), kind="stable")] = np.arange(sample.shape[1])
    return Cells(
        edges=edges,
        **starts,
        class_edges=quantile_edges(sample, BINS),
        class_starts=BINS * rank.clip(max=MOST_CLASSES - 1),
    )
