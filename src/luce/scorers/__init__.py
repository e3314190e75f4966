"""features -> scores, forward and backward."""

from luce.scorers.linear import linear, linear_vjp

__all__ = ["linear", "linear_vjp"]
