"""Log-probabilities corrected by class: a ridge regression that is drawn to changing nothing.

With x = log softmax(scores / T) and features f_c = (x_c, 1, q), where q = directions' x, the new
score of class c is x_c + <theta_c, f_c>. Minimised over theta (k, 2 + r) is

    F = mean of weights * cross_entropy + 1/2 sum penalty * theta^2

by Newton's method: directions by conjugate gradients, preconditioned with the Hessian's blocks on
the diagonal, one a class. F minus its quadratic is convex, so that F - min F is at most
1/2 sum gradient^2 / penalty: a certificate, which ends the fit.

Arrays of a block of m rows are (k, m), classes first: rows are often short.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from luce import kernels
from luce.calibration.calibrator import Calibrator
from luce.calibration.given import Rows, losses, summed
from luce.calibration.held_out import Trial, splits
from luce.calibration.rows import Float64s, Integers
from luce.calibration.temperature import best_temperature

FLOOR = -30.0  # the least log-probability that a correction sees
STRENGTHS = 100.0, 10.0, 1.0, 0.1, 0.01, 0.001
PATIENCE = 2  # strengths that do not help, before the rest are given up
ENOUGH, LITTLE = 1e-3, 0.05  # of a nat, in the sum of the losses: no data can tell
MOST_KEPT = 2**21  # scores whose probabilities are kept from one product to the next
MOST_STEPS, MOST_PRODUCTS = 30, 100
ROWS_OF_PRECONDITIONER = 2**11


@dataclass(frozen=True, eq=False)
class Affine:
    """A fitted correction, at its temperature.

    Attributes
    ----------
    temperature : float
    directions : array of shape (k, r)
    theta : array of shape (k, 2 + r)
    strength : float
        Of the penalty; infinite where theta is 0.
    """

    temperature: float
    directions: Float64s
    theta: Float64s
    strength: float


def correction(x: Float64s, directions: Float64s, theta: Float64s) -> Float64s:
    """What is added to log-probabilities (k, m), none of which is below the floor."""
    added = x * theta[:, :1]
    added += theta[:, 1:2]
    if directions.shape[1]:
        added += theta[:, 2:] @ (directions.T @ x)
    return added


def corrected(
    scores: Float64s, temperature: float, directions: Float64s, theta: Float64s
) -> Float64s:
    """New scores of rows (m, k)."""
    x = log_softmax(scores, temperature)
    x += correction(np.maximum(x, FLOOR), directions, theta)
    return x.T


def log_softmax(scores: Float64s, temperature: float) -> Float64s:
    """Log-probabilities (k, m) of scores (m, k)."""
    x = scores.T.astype(np.float64, order="C")
    kernels.log_softmax(x.T, temperature, x.T)
    return x


@dataclass(frozen=True, eq=False)
class Ridge:
    """F over rows, at one temperature and strength.

    The strength is in units that suit any number of rows and classes, those of structured matrix
    scaling: k / n for scale and bias, k (k - 1) / n for what classes take from each other.
    """

    rows: Rows
    temperature: float
    directions: Float64s
    strength: float

    @property
    def shape(self) -> tuple[int, int]:
        """Of theta."""
        return self.rows.classes, 2 + self.directions.shape[1]

    @cached_property
    def blocks(self) -> list[slice]:
        """Of the rows; classes come first in their arrays, which wants some rows behind."""
        return self.rows.blocks(least=32)

    @cached_property
    def penalty(self) -> Float64s:
        """Of each number in a class's theta."""
        k = self.rows.classes
        mixing = np.full(self.directions.shape[1], float(k * max(k - 1, 1)))
        return self.strength / self.rows.effective * np.concatenate([[k, k], mixing])

    @cached_property
    def weights(self) -> Float64s:
        """With sum 1; 0 where the label is impossible and no theta can change that."""
        possible = self.rows.of_labels() > -np.inf
        weights = np.where(possible, self.rows.weights, 0.0)
        return np.asarray(weights / max(weights.sum(), np.finfo(float).tiny))

    def value_and_gradient(self, theta: Float64s) -> tuple[float, Float64s]:
        """F and its gradient: a pass over the rows."""

        def share(blocks: list[slice]) -> Float64s:
            total = np.zeros(1 + theta.size)
            for block in blocks:
                x, scores = self._scores(block, theta)
                of_rows = np.empty(scores.shape[1])
                kernels.cross_entropy(
                    scores.T, self.rows.labels[block], self.weights[block], of_rows, scores.T
                )
                total[0] += of_rows.sum()
                self._collect(total[1:], x, scores)
            return total

        total = summed(self.rows, share, self.blocks, theta.size)
        gradient = total[1:].reshape(theta.shape)
        gradient += self.penalty * theta
        return float(total[0] + (self.penalty * theta**2).sum() / 2), gradient

    def hessian(self, theta: Float64s) -> Callable[[Float64s], Float64s]:
        """The Hessian's products with directions, each a pass over the rows."""
        kept = {}
        if self.rows.scores.size <= MOST_KEPT:
            kept = {block.start: self._probabilities(block, theta) for block in self.blocks}

        def product(direction: Float64s) -> Float64s:
            def share(blocks: list[slice]) -> Float64s:
                total = np.zeros(theta.size)
                for block in blocks:
                    x, p = kept.get(block.start) or self._probabilities(block, theta)
                    moved = correction(x, self.directions, direction)
                    moved -= np.einsum("ij,ij->j", p, moved)
                    moved *= p
                    moved *= self.weights[block]
                    self._collect(total, x, moved)
                return total

            result = summed(self.rows, share, self.blocks, theta.size).reshape(theta.shape)
            result += self.penalty * direction
            return result

        return product

    def preconditioner(self, theta: Float64s) -> Float64s:
        """Inverses of the Hessian's blocks (k, 2 + r, 2 + r), from a sample of the rows."""
        few, step = self, -(-len(self.rows) // ROWS_OF_PRECONDITIONER)
        if step > 1:
            few = replace(self, rows=self.rows.take(slice(None, None, step)))
        x, p = few._probabilities(slice(0, len(few.rows)), theta)
        curvature = p * (1 - p) * few.weights
        features = np.vstack([x[:1], np.ones((1, x.shape[1])), self.directions.T @ x])
        blocks = np.empty((len(theta), len(self.penalty), len(self.penalty)))
        for block, own, h in zip(blocks, x, curvature, strict=True):
            features[0] = own
            block[...] = (features * h) @ features.T
        np.einsum("iaa->ia", blocks)[...] += self.penalty
        return np.asarray(np.linalg.inv(blocks), np.float64)

    def _scores(self, block: slice, theta: Float64s) -> tuple[Float64s, Float64s]:
        x = np.maximum(log_softmax(self.rows.scores[block], self.temperature), FLOOR)
        scores = correction(x, self.directions, theta)
        scores += x
        return x, scores

    def _probabilities(self, block: slice, theta: Float64s) -> tuple[Float64s, Float64s]:
        x, p = self._scores(block, theta)
        kernels.softmax(p.T, 1.0, p.T)
        return x, p

    def _collect(self, total: Float64s, x: Float64s, of_scores: Float64s) -> None:
        gradient = total.reshape(self.shape)
        gradient[:, 0] += np.einsum("ij,ij->i", of_scores, x)
        gradient[:, 1] += of_scores.sum(axis=1)
        if self.directions.shape[1]:
            gradient[:, 2:] += of_scores @ (self.directions.T @ x).T


def minimise(ridge: Ridge, theta: Float64s, *, certified: bool) -> Float64s:
    """The minimiser of F: certified, or to where the next step promises little."""
    n = ridge.rows.effective
    value, gradient = ridge.value_and_gradient(theta)
    for _ in range(MOST_STEPS):
        if (gradient**2 / ridge.penalty).sum() / 2 <= ENOUGH / n:
            break
        step = _newton_step(ridge, theta, gradient)
        slope, length = float(np.vdot(step, gradient)), 1.0
        if not certified and -slope / 2 <= LITTLE / n:
            return theta + step
        while True:
            there, gradient_there = ridge.value_and_gradient(theta + length * step)
            if there <= value + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-6:  # rounding is the limit
                return theta
        theta, value, gradient = theta + length * step, there, gradient_there
    return theta


def _newton_step(ridge: Ridge, theta: Float64s, gradient: Float64s) -> Float64s:
    inverse, hessian = ridge.preconditioner(theta), ridge.hessian(theta)

    def preconditioned(vector: Float64s) -> Float64s:
        return np.asarray((inverse @ vector[:, :, None])[:, :, 0])

    step, residual = np.zeros_like(theta), -gradient
    search = solved = preconditioned(residual)
    first = size = float(np.vdot(residual, solved))
    for _ in range(MOST_PRODUCTS):
        product = hessian(search)
        length = size / float(np.vdot(search, product))
        step += length * search
        residual = residual - length * product
        solved = preconditioned(residual)
        before, size = size, float(np.vdot(residual, solved))
        if size <= 1e-3 * first:
            break
        search = solved + size / before * search
    return step


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows outside of a fold, and the places of those inside."""

    others: Rows
    inside: npt.NDArray[np.intp]
    temperature: float
    directions: Float64s


def tried(
    rows: Rows,
    folds: Integers,
    directions_of: Callable[[Rows, float], Float64s],
    as_calibrator: Callable[[Affine], Calibrator],
) -> Trial:
    """Cross-validate every strength, the strongest first, until weaker ones only get worse."""
    near = best_temperature(rows)
    parts = []
    for others, inside in splits(rows, folds):
        temperature = best_temperature(others, near)
        parts.append(Fold(others, inside, temperature, directions_of(others, temperature)))

    def held_out(thetas: list[Float64s]) -> Float64s:
        result = rows.losses()
        for part, theta in zip(parts, thetas, strict=True):
            x = log_softmax(rows.scores[part.inside], part.temperature)
            x += correction(np.maximum(x, FLOOR), part.directions, theta)
            result[part.inside] = losses(x.T, rows.labels[part.inside])
        return result

    thetas = [np.zeros((rows.classes, 2 + part.directions.shape[1])) for part in parts]
    best = held_out(thetas), np.inf, thetas
    possible, since = np.isfinite(best[0]), 0
    for strength in STRENGTHS:
        thetas = [
            minimise(
                Ridge(part.others, part.temperature, part.directions, strength),
                theta,
                certified=False,
            )
            for part, theta in zip(parts, thetas, strict=True)
        ]
        found = held_out(thetas)
        since += 1
        if rows.weights[possible] @ (best[0][possible] - found[possible]) > 0:
            best, since = (found, strength, thetas), 0
        if since == PATIENCE:
            break
    held, strength, thetas = best

    def finish(every: Rows) -> Calibrator:
        temperature = best_temperature(every, near)
        directions = directions_of(every, temperature)
        theta = np.mean(thetas, axis=0)
        if strength < np.inf:
            ridge = Ridge(every, temperature, directions, strength)
            theta = minimise(ridge, theta, certified=True)
        return as_calibrator(Affine(temperature, directions, theta, strength))

    return Trial(held, finish)
