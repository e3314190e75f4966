"""From features to what is asked about their scores, in one call of a kernel."""

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce.scorers.linear import Answer, linear_into

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Array: TypeAlias = NDArray[np.floating]

SIZE_FOR_BLAS = 1 << 13  # of more numbers it shares the work, with threads that stay busy
PLAIN = (np.dtype(np.float64), np.dtype(np.float32))  # in the byte order of the machine


def is_plain(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's validation of X for a fitted estimator could only ask for finiteness.

    Then X is an array of float32 or float64 without names, in as many columns as it was fitted to.
    """
    return (
        is_plain_array(X)
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
    )


def is_plain_array(X: Any) -> bool:
    """Whether X is an array of float32 or float64 with rows and columns, in which nothing hides."""
    return (
        (type(X) is np.ndarray or type(X) is np.memmap)
        and X.dtype in PLAIN
        and X.ndim == 2
        and X.size > 0
    )


def answered(
    answer: Answer, features: "Features", coef: Array, intercept: Array, *, check_finite: bool
) -> NDArray[Any]:
    """Answer for any number of rows, dense or CSR: (n, k) numbers, or (n,) winners for argmax.

    `coef` is (k, d) and `intercept` (k,), or (1, d) and (1,) for two classes, of which the first
    then has the score 0, and "scores" are (n, 1). Products are computed in the features' dtype,
    float32 or float64. With `check_finite` raises `FloatingPointError` if a feature, or the score
    of the first class, is infinite or NaN.
    """
    if len(coef) == 1 and answer != "scores":
        coef = np.concatenate([np.zeros_like(coef), coef])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    n, wins = features.shape[0], answer == "argmax"
    out: NDArray[Any] = np.empty(
        n if wins else (n, len(coef)), np.int64 if wins else features.dtype
    )
    are_finite = linear_into(out, features, coef, intercept, answer=answer)
    if check_finite and not are_finite:
        raise FloatingPointError("a feature is not finite, or too large to tell")
    return out


def is_finite(block: Array) -> bool:
    """False if a number is infinite or NaN; also if the sum that tells so overflows."""
    if block.flags.c_contiguous and block.size < SIZE_FOR_BLAS:
        return isfinite(np.vdot(block, block))
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(block, axis=None))
