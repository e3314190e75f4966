"""Draw a class at random, by its probability: the decision of a language model."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from luce import kernels
from luce.decisions.decision import Decision
from luce.decisions.rows import as_distributions
from luce.errors import DataError
from luce.kernels.threads import num_threads
from luce.maps._rows import kernel_view, real_array, result_dtype

BLOCK = 1 << 22  # probabilities whose logarithms are held at a time


@dataclass(frozen=True)
class Sample:
    """Draw class c with probability softmax(scores / temperature)_c, cut down to what matters.

    In this order: the `top_k` classes with the highest scores stay (of equal ones the first); of
    these the fewest, from the most probable on, that together hold at least the share `top_p`; of
    these the ones that are at least `min_p` times as probable as the first. What stays is divided
    by its sum. No row is sorted: a class at the edge is selected, and a pass keeps what comes
    before it.

    Parameters
    ----------
    temperature : float, default 1
        At least 0. Below 1 likely classes become likelier; 0 is the first of the highest scores,
        infinity any possible class alike.
    top_k : int, optional
        At least 1; more than there are classes is all of them.
    top_p : float, default 1
        Above 0, at most 1 (Holtzman et al., 2020, "nucleus").
    min_p : float, default 0
        From 0 to 1.

    Raises
    ------
    DataError
        A parameter out of its range.

    Notes
    -----
    Each row takes one uniform number u of the generator, and is given the first class up to which
    the shares sum to more than u. So draws are reproducible, the same for any number of threads,
    and rows with equal u that differ little get neighbouring classes. Shares are computed in the
    scores' type (float16 and bfloat16 in float32): they are off by about 1e-6 of themselves in
    float32.

    References
    ----------
    A. Holtzman, J. Buys, L. Du, M. Forbes, Y. Choi, The curious case of neural text degeneration,
    2020.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> Sample(temperature=0.7, top_k=2).draw([[2.0, 1.0, 0.0], [0.0, 0.0, 9.0]], random)
    array([0, 2])
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        k = self.top_k
        if k is not None and (
            isinstance(k, bool) or not isinstance(k, int | np.integer) or not k >= 1
        ):
            raise DataError(f"top_k is {k!r}; expected an integer of at least 1, or None")
        _check("temperature", self.temperature, "at least 0", 0, np.inf)
        _check("top_p", self.top_p, "above 0 and at most 1", np.nextafter(0, 1), 1)
        _check("min_p", self.min_p, "from 0 to 1", 0, 1)

    def draw(self, scores: npt.ArrayLike, random: np.random.Generator) -> npt.NDArray[np.intp]:
        """A class for each row of scores.

        Parameters
        ----------
        scores : array_like of shape (n, k)
            float32, float64, float16 or bfloat16; other real types become float64. -inf is a class
            that cannot happen. They may lie in memory in any way.
        random : numpy.random.Generator
            Gives n numbers.

        Returns
        -------
        ndarray of intp, shape (n,)

        Raises
        ------
        DataError
            A wrong shape, no class, or a row with NaN, infinity, or no class that can happen.
        """
        array = _scores(scores)
        return self._draw(array, random.random(len(array)), first_row=0)

    def decide(
        self, probabilities: npt.ArrayLike, random: np.random.Generator | None = None
    ) -> Decision:
        """Draw a class for each row of probabilities, whose logarithms are the scores.

        Parameters
        ----------
        probabilities : array_like of shape (n, k)
        random : numpy.random.Generator, optional
            By default a new one, which draws otherwise each time.

        Returns
        -------
        Decision
            Every row answered, no sets.

        Raises
        ------
        DataError
            Unusable probabilities, or a row with no class that can happen.
        """
        table = as_distributions(probabilities, None)
        uniforms = (np.random.default_rng() if random is None else random).random(len(table))
        labels = np.empty(len(table), np.intp)
        rows = max(1, BLOCK // max(table.shape[1], 1))
        for start in range(0, len(table), rows):
            block = slice(start, start + rows)
            with np.errstate(divide="ignore", invalid="ignore"):
                scores = np.log(table[block])
            labels[block] = self._draw(scores, uniforms[block], first_row=start)
        return Decision(labels, np.ones(len(labels), dtype=bool))

    def _draw(
        self, scores: npt.NDArray[Any], uniforms: npt.NDArray[np.float64], first_row: int
    ) -> npt.NDArray[np.intp]:
        drawn = np.empty(len(scores), np.int64)
        kernels.sample(
            kernel_view(scores),
            uniforms,
            drawn,
            temperature=float(self.temperature),
            top_k=max(scores.shape[1], 1) if self.top_k is None else int(self.top_k),
            top_p=float(self.top_p),
            min_p=float(self.min_p),
            threads=num_threads(),
        )
        if len(drawn) and drawn.min() < 0:
            row = int((drawn < 0).argmax())
            what = "a score is NaN or infinity" if drawn[row] == -1 else "no class can happen"
            raise DataError(f"row {first_row + row}: {what}; give every row a class to draw")
        return drawn.astype(np.intp, copy=False)


def _check(name: str, value: Any, expected: str, least: float, most: float) -> None:
    is_number = isinstance(value, int | float | np.integer | np.floating)
    if isinstance(value, bool) or not is_number or not least <= value <= most:
        raise DataError(f"{name} is {value!r}; expected a number {expected}")


def _scores(scores: npt.ArrayLike) -> npt.NDArray[Any]:
    array = real_array(scores, "scores")
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(
            f"scores have shape {array.shape}; expected (rows, classes) with at least one class"
        )
    return array.astype(result_dtype(array.dtype), copy=False)
