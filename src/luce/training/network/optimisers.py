"""Optimisers: how the parameters move along the gradient, a value with one kernel call a step.

All parameters of a network are one vector, of which the first `penalised` are the entries of the
matrices. With g = scale * gradient + penalty * parameters (the penalty on the matrices alone), a
step changes the parameters, and the arrays of its state, in place.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.errors import DataError

Vector: TypeAlias = NDArray[Any]


class Optimiser(Protocol):
    """A rule for steps, without what it remembers: that is the state."""

    def start(self, parameters: Vector) -> tuple[Vector, ...]:
        """The state before the first step: arrays like the parameters."""

    def step(
        self,
        parameters: Vector,
        gradient: Vector,
        state: tuple[Vector, ...],
        *,
        step: int,
        rate: float,
        penalty: float,
        penalised: int,
        scale: float,
        threads: int,
    ) -> None:
        """One step; `step` counts from 1."""


@dataclass(frozen=True)
class Adam:
    """Steps of about the same length for every parameter: rate * mean(g) / sqrt(mean(g^2)).

    Attributes
    ----------
    beta_1, beta_2 : float
        What the moving averages of g and of its square keep at each step, from 0 to below 1.
    epsilon : float
        Positive, added to the square root.
    weight_decay : float
        At least 0: each step takes the share rate * weight_decay from the matrices, beside the
        gradient. Then this is AdamW.

    Notes
    -----
    D. P. Kingma, J. Ba, Adam: a method for stochastic optimization, 2015; I. Loshchilov, F. Hutter,
    Decoupled weight decay regularization, 2019.

    Examples
    --------
    >>> import numpy as np
    >>> parameters, optimiser = np.array([1.0, -1.0]), Adam()
    >>> state = optimiser.start(parameters)
    >>> gradient = np.array([1e-3, -1e3])
    >>> optimiser.step(parameters, gradient, state, step=1, rate=0.1, penalty=0.0, penalised=0,
    ...                scale=1.0, threads=1)
    >>> parameters.round(4)
    array([ 0.9, -0.9])
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require_share("beta_1", self.beta_1)
        require_share("beta_2", self.beta_2)
        if not 0 < self.epsilon < np.inf:
            raise DataError(f"epsilon must be positive, got {self.epsilon!r}: 1e-8 is usual.")
        if not 0 <= self.weight_decay < np.inf:
            raise DataError(f"weight_decay must be at least 0, got {self.weight_decay!r}.")

    def start(self, parameters: Vector) -> tuple[Vector, ...]:
        """The averages of g and of its square."""
        return np.zeros_like(parameters), np.zeros_like(parameters)

    def step(
        self,
        parameters: Vector,
        gradient: Vector,
        state: tuple[Vector, ...],
        *,
        step: int,
        rate: float,
        penalty: float,
        penalised: int,
        scale: float,
        threads: int,
    ) -> None:
        """See `kernels.adam_step`."""
        mean, square = state
        kernels.adam_step(
            parameters,
            gradient,
            mean,
            square,
            step=step,
            rate=rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            penalised=penalised,
            penalty=penalty,
            decay=self.weight_decay,
            scale=scale,
            threads=threads,
        )


@dataclass(frozen=True)
class Momentum:
    """Gradient descent that keeps a share of its velocity.

    Attributes
    ----------
    momentum : float
        The share, from 0 (plain gradient descent) to below 1.
    nesterov : bool
        Whether the gradient is as if taken ahead, where the velocity leads.

    Notes
    -----
    I. Sutskever, J. Martens, G. Dahl, G. Hinton, On the importance of initialization and momentum
    in deep learning, 2013.

    Examples
    --------
    >>> import numpy as np
    >>> parameters, optimiser = np.array([1.0]), Momentum(momentum=0.5, nesterov=False)
    >>> state = optimiser.start(parameters)
    >>> for step in 1, 2:
    ...     optimiser.step(parameters, np.array([1.0]), state, step=step, rate=0.1, penalty=0.0,
    ...                    penalised=0, scale=1.0, threads=1)
    ...     print(parameters)
    [0.9]
    [0.75]
    """

    momentum: float = 0.9
    nesterov: bool = True

    def __post_init__(self) -> None:
        require_share("momentum", self.momentum)

    def start(self, parameters: Vector) -> tuple[Vector, ...]:
        """The velocity."""
        return (np.zeros_like(parameters),)

    def step(
        self,
        parameters: Vector,
        gradient: Vector,
        state: tuple[Vector, ...],
        *,
        step: int,
        rate: float,
        penalty: float,
        penalised: int,
        scale: float,
        threads: int,
    ) -> None:
        """See `kernels.momentum_step`."""
        (velocity,) = state
        kernels.momentum_step(
            parameters,
            gradient,
            velocity,
            rate=rate,
            momentum=self.momentum,
            nesterov=self.nesterov,
            penalised=penalised,
            penalty=penalty,
            scale=scale,
            threads=threads,
        )


def require_share(name: str, value: float) -> None:
    """Refuse what is not from 0 to below 1."""
    if not 0 <= value < 1:
        raise DataError(f"{name} must be from 0 to below 1, got {value!r}.")
