"""Softmax regression to a certified optimum: objective, solver, inverse Hessians, certificate."""

from luce.training.fit import LinearFit, fit_softmax_regression
from luce.training.record import Progress

__all__ = ["LinearFit", "Progress", "fit_softmax_regression"]
