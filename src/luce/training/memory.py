"""What L-BFGS remembers: an inverse Hessian, and what the last steps have shown beyond it."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.training.heap import give_back

Vector: TypeAlias = NDArray[np.float64]
Product: TypeAlias = Callable[[Vector], Vector]

FIRST_DAMPING, LESS_DAMPING, MORE_DAMPING = 0.01, 1 / 4, 4.0
SEARCHES_OF_A_CHANGE = 40  # more of them change the damping once more
LONGER = 2.0  # than the last step was found to be right may the next one begin
TOO_OFTEN = 0.5  # share of searches whose first step is too long
RIDGE = 1e-6  # of the products of gradient changes, relative
WORTH_GIVING_BACK = 1 << 15  # parameters


class Curvature(NamedTuple):
    """An inverse Hessian, exact or nearly so at one point.

    Attributes
    ----------
    inverse_hessian : callable
        Gradient -> step; symmetric and positive definite on what gradients can be.
    lasting : float
        Passes after which another one is worth its price.
    to_scale : bool
        Whether its scale is right; otherwise the last step and change set it.
    is_exact : bool
        Whether it knows more than earlier steps and changes do.
    is_rough : bool
        Whether the steps on it say nothing of the damping that a better one needs.
    """

    inverse_hessian: Product
    lasting: float
    to_scale: bool = True
    is_exact: bool = False
    is_rough: bool = False


CurvatureAt: TypeAlias = Callable[[Vector, float, float], Curvature]


class Memory:
    """What L-BFGS knows of the curvature: a base, and the last steps with their changes.

    Parameters
    ----------
    shape : tuple of int
        Of a point.
    pairs : int
        Of steps and gradient changes that are remembered.
    dtype : numpy dtype
        In which they are kept.
    """

    def __init__(self, shape: tuple[int, ...], pairs: int, dtype: "np.dtype[Any]") -> None:
        self.steps = np.zeros((pairs, *shape), dtype)
        self.changes = np.zeros((pairs, *shape), dtype)
        self.places = np.empty(0, np.intp)  # of the pairs among them, the oldest first
        # of each step with each change, the oldest first
        self.products = np.zeros((pairs, pairs), order="F")
        self.base: Product | None = None
        self.to_scale, self.is_rough = True, False
        self.due = 0.0  # passes after which the base is worth renewing
        self.damping = FIRST_DAMPING
        self.passes = self.passes_of_base = 0.0
        self.searches_on_base = self.too_long = 0
        self.first_length = 1.0  # of a step that is worth trying

    def start_over(self, passes: float) -> None:
        """Keep the damping for a larger objective, of which so many passes have been worked off."""
        self.forget()
        self.passes = self.passes_of_base = self.due = passes
        self.searches_on_base = self.too_long = 0

    def forget(self) -> None:
        """Let all pairs go."""
        self.places = self.places[:0]

    def took(self, passes: int, length: float) -> None:
        """Take note of a search: a whole step was too long if it ended at less, 0 if nowhere.

        Then the next one begins with less as well: on one base steps are too long again and again.
        """
        self.passes += passes
        self.searches_on_base += 1
        self.too_long += length < 1
        self.first_length = min(LONGER * length, 1.0) or 1.0

    def rest_on(self, curvature: CurvatureAt, point: Vector, price: float | None = None) -> None:
        """Renew the base; what the pairs say stays, unless the base is exact.

        Where steps have turned out too long the curvature is damped more, otherwise less.
        """
        if self.passes_of_base and self.searches_on_base and not self.is_rough:
            damps = self.too_long > TOO_OFTEN * self.searches_on_base
            change = MORE_DAMPING if damps else LESS_DAMPING
            times = 1 + self.searches_on_base // SEARCHES_OF_A_CHANGE
            self.damping = min(change**times * self.damping, 1.0)
        price = self.passes if price is None else price
        self.base = None  # its memory is wanted for the next one
        new = curvature(point, price, self.damping)
        if point.size >= WORTH_GIVING_BACK:
            give_back()
        self.base, self.to_scale, self.is_rough = new.inverse_hessian, new.to_scale, new.is_rough
        if new.is_exact:
            self.forget()
        self.passes_of_base, self.searches_on_base, self.too_long = self.passes, 0, 0
        self.first_length = 1.0
        self.due = self.passes + new.lasting

    def remember(self, step: Vector, change: Vector) -> None:
        """Take up a step and the gradient's change along it, if that shows any curvature."""
        if not np.vdot(step, change) > 0:
            return
        used = len(self.places)
        if used < len(self.steps):
            self.places = np.arange(used + 1)
        else:
            used -= 1
            self.places = np.append(self.places[1:], self.places[0])
            self.products[:-1, :-1] = self.products[1:, 1:].copy()
        place = self.places[-1]
        self.steps[place], self.changes[place] = step, change
        steps, changes = self._pairs()
        self.products[: used + 1, used] = (steps @ changes[place])[self.places]
        self.products[used, : used + 1] = (changes @ steps[place])[self.places]

    def inverse_hessian_product(self, gradient: Vector) -> Vector:
        """Product of the remembered inverse Hessian with a gradient.

        The two-loop recursion of Nocedal (1980), its loops solved as triangular systems of the
        products of steps with changes, so that the pairs are read four times in all.
        """
        from scipy.linalg.lapack import dtrtrs

        assert self.base is not None
        if not len(self.places):
            return self.base(gradient)
        (steps, changes), places = self._pairs(), self.places
        products = self.products[: len(places), : len(places)]

        def along(pairs: Vector, vector: Vector) -> Vector:
            products: Vector = pairs @ vector.ravel().astype(pairs.dtype, copy=False)
            return products[places]

        weights = np.empty(len(places), steps.dtype)
        weights[places] = first = dtrtrs(products, along(steps, gradient))[0]
        result = self.base(gradient - (weights @ changes).reshape(gradient.shape))
        if not self.to_scale:
            change = self.changes[places[-1]]
            result *= products[-1, -1] / np.vdot(change, self.base(change))
        rest = products.diagonal() * first - along(changes, result)
        weights[places] = dtrtrs(products, rest, trans=1)[0]
        result += (weights @ steps).reshape(gradient.shape)
        return result

    def flattened(self, gradient: Vector) -> tuple[Vector, Vector]:
        """The step along those remembered after which the gradient is least, and that gradient.

        A descent in a metric of its own leaves noise in the gradient along steep directions: little
        in value, but all that a bound by ``|gradient|^2`` sees. It changes from step to step, and
        cancels in a mean of them (D. G. Anderson, J. ACM 12, 1965).
        """
        steps, changes = self._pairs()
        with np.errstate(over="ignore"):
            products = changes @ changes.T
        products[np.diag_indices(len(products))] *= 1 + RIDGE
        if not np.isfinite(products).all():
            return np.zeros_like(gradient), gradient
        along = changes @ gradient.ravel().astype(changes.dtype, copy=False)
        weights = np.linalg.lstsq(products, -along)[0]
        step, change = weights @ steps, weights @ changes
        return step.reshape(gradient.shape), gradient + change.reshape(gradient.shape)

    def _pairs(self) -> tuple[Vector, Vector]:
        """Steps and changes, a row each, in their places."""
        used = len(self.places)
        return self.steps[:used].reshape(used, -1), self.changes[:used].reshape(used, -1)
