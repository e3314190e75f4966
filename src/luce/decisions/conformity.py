"""How little each class fits a row: the scores that prediction sets are made of.

All are (n, k), from probabilities in float64; less is a better fit. Classes are ranked by their
probabilities, 1 for the largest; of equal ones the lower index comes first. `u` (n,) in [0, 1] is
the part of its own probability that a class counts in full: 1, or drawn for each row.

- lac: 1 - p
- aps: the sum of the probabilities that rank before, + u p
- raps: aps, + penalty * max(0, rank - unpenalised)
- saps: u * (largest p) for rank 1; then (largest p) + (rank - 2 + u) * penalty

References
----------
M. Sadinle, J. Lei, L. Wasserman, "Least ambiguous set-valued classifiers with bounded error
levels", JASA 114 (2019): lac. Y. Romano, M. Sesia, E. J. Candès, "Classification with valid and
adaptive coverage", NeurIPS (2020): aps. A. N. Angelopoulos, S. Bates, M. I. Jordan, J. Malik,
"Uncertainty sets for image classifiers using conformal prediction", ICLR (2021): raps. J. Huang,
H. Xi, L. Zhang, H. Yao, Y. Qiu, H. Wei, "Conformal prediction for deep classifier via label
ranking", ICML (2024): saps.
"""

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]

SCORES = ("lac", "aps", "raps", "saps")


def scores_of(
    name: str, block: Float64s, u: Float64s, penalty: float, unpenalised: int
) -> Float64s:
    """The score of every class for every row of a block."""
    if name == "lac":
        return 1 - block
    order = ranking(block)
    ranked = np.take_along_axis(block, order, axis=1)
    rank = np.arange(1, block.shape[1] + 1)
    if name == "saps":
        by_rank = ranked[:, :1] + (rank - 2 + u[:, None]) * penalty
        by_rank[:, 0] = u * ranked[:, 0]
    else:
        by_rank = np.cumsum(ranked, axis=1)
        by_rank -= (1 - u[:, None]) * ranked
        if name == "raps":
            by_rank += penalty * np.maximum(0, rank - unpenalised)
    scores = np.empty_like(block)
    np.put_along_axis(scores, order, by_rank, axis=1)
    return scores


def ranking(block: Float64s) -> npt.NDArray[np.intp]:
    """Classes by falling probability; a stable sort, which is slow, only where values are equal."""
    order = np.argsort(-block, axis=1)
    ranked = np.take_along_axis(block, order, axis=1)
    tied = np.flatnonzero((ranked[:, 1:] == ranked[:, :-1]).any(axis=1))
    order[tied] = np.argsort(-block[tied], axis=1, kind="stable")
    return order
