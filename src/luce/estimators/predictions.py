"""From features to what is asked about their scores: for few rows at once, for many by blocks.

Conventions of this file: n rows, d features; ``coef`` is (k, d) and ``intercept`` (k,), or (1, d)
and (1,) for two classes, of which the first then has the score 0. Products are computed in the
features' dtype, float32 or float64.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from luce import kernels
from luce.kernels.threads import num_threads
from luce.training.blas import single_threaded_blas

if TYPE_CHECKING:
    from luce.scorers.linear import Features

Array: TypeAlias = NDArray[np.floating]
Rows: TypeAlias = slice
Kernel: TypeAlias = Callable[[Array, NDArray[Any]], None]

# Below both, a BLAS uses one thread by itself, and blocks would cost more than they save.
FEW_FEATURES = 1 << 13
FEW_PRODUCTS = 1 << 17

BLOCK_BYTES = 1 << 21  # of features and scores together
LEAST_ROWS, MOST_ROWS = 64, 1 << 13
# Work is counted in multiplications; a number that is read or written counts as ten of them.
WORK_OF_BLOCK = 1 << 20
WORK_OF_THREAD = 1 << 24  # two to three times what starting one and handing over costs
BLOCKS_TO_SHARE = 16

NOT_FINITE = "a feature is not finite, or too large to tell"


@dataclass(frozen=True)
class Answer:
    """What is asked about rows of scores.

    Attributes
    ----------
    kernel : function, or None
        ``kernel(scores, out)`` for C-contiguous scores (rows, k); a matrix `out` is the scores
        themselves. None asks for nothing but the scores.
    labels : bool
        Whether `out` is an int64 vector, one class index a row, instead of a matrix.
    """

    kernel: Kernel | None
    labels: bool = False

    def both_classes(self, coef: Array) -> bool:
        """Whether the score 0 of the first of two classes has to be written beside the other's."""
        return len(coef) == 1 and self.kernel is not None

    def of(self, scores: Array) -> NDArray[Any]:
        """The answer for scores, which are overwritten."""
        if self.kernel is None:
            return scores
        out = np.empty(len(scores), dtype=np.int64) if self.labels else scores
        self.kernel(scores, out)
        return out


def _softmax(scores: Array, out: Array) -> None:
    kernels.softmax(scores, 1.0, out)


def _log_softmax(scores: Array, out: Array) -> None:
    kernels.log_softmax(scores, 1.0, out)


SCORES = Answer(kernel=None)
PROBABILITIES = Answer(_softmax)
LOG_PROBABILITIES = Answer(_log_softmax)
WINNERS = Answer(kernels.argmax, labels=True)


PLAIN = (np.dtype(np.float64), np.dtype(np.float32))  # in the byte order of the machine


def is_plain(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's validation of X for a fitted estimator could only ask for finiteness.

    Then X is an array of float32 or float64 without names, in as many columns as it was fitted to.
    """
    return (
        (type(X) is np.ndarray or type(X) is np.memmap)
        and X.dtype in PLAIN
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
    )


def are_few(features: "Features", coef: Array) -> bool:
    """Whether `answer_few` is for these rows, by their shape."""
    n, d = features.shape
    features_given: int = n * d
    return features_given <= FEW_FEATURES and features_given * len(coef) <= FEW_PRODUCTS


def answer_few(
    answer: Answer, features: Array, coef: Array, intercept: Array, *, check_finite: bool
) -> NDArray[Any]:
    """Answer for a few dense rows: no block, no thread, as few calls as possible.

    Returns what `answer` says: (n, k), (n, 1) for the scores of two classes, or (n,). With
    `check_finite` raises `FloatingPointError` if a feature is, or its square becomes, infinite or
    NaN.
    """
    if check_finite and not isfinite(np.vdot(features, features)):
        raise FloatingPointError(NOT_FINITE)
    dtype = features.dtype
    scores = features.dot(coef.T.astype(dtype, copy=False))
    scores += intercept.astype(dtype, copy=False)
    if answer.both_classes(coef):
        scores, positive = np.zeros((len(scores), 2), dtype=dtype), scores
        scores[:, 1:] = positive
    return answer.of(scores)


def answer_by_blocks(
    answer: Answer, features: "Features", coef: Array, intercept: Array, *, check_finite: bool
) -> NDArray[Any]:
    """Answer for any number of rows, dense or CSR, by blocks that threads share.

    Returns and raises what `answer_few` does, with the same bits for any number of threads. A
    thread holds at most two blocks of scores.
    """
    n, d = features.shape
    k, dtype = len(coef), features.dtype
    both = answer.both_classes(coef)
    classes = 2 if both else k
    blocks = _blocks_of_rows(n, d, k, dtype.itemsize)
    waiting = deque(blocks)
    most_rows = blocks[0].stop if blocks else 0
    # SciPy's product would copy a transposed matrix for every block
    weights = np.ascontiguousarray(coef.T, dtype=dtype)
    # adding rows of a few numbers to each other is slow in NumPy; adding two long vectors is not
    intercepts = np.tile(intercept.astype(dtype, copy=False), (most_rows, 1))
    out: NDArray[Any] = np.empty(n, np.int64) if answer.labels else np.empty((n, classes), dtype)

    def answer_block(rows: Rows, products: Array, own_scores: Array) -> None:
        block, size = features[rows], rows.stop - rows.start
        if isinstance(block, np.ndarray):
            block = _for_blas(block)
            if check_finite and not is_finite(block):
                raise FloatingPointError(NOT_FINITE)
            product = np.matmul(block, weights, out=products[:size])
        else:
            product = block @ weights
        scores = own_scores[:size] if answer.labels else out[rows]
        if both:
            scores[:, 0] = 0.0
        np.add(product, intercepts[:size], out=scores[:, classes - k :])
        if answer.kernel is not None:
            answer.kernel(scores, out[rows])

    def work_off() -> None:
        products = np.empty((most_rows, k), dtype)
        own_scores = np.empty((most_rows, classes), dtype) if both else products
        while waiting:
            try:
                rows = waiting.popleft()
            except IndexError:  # another thread was faster
                return
            answer_block(rows, products, own_scores)

    helpers = min(num_threads(), len(blocks), _work(n, d, k) // WORK_OF_THREAD) - 1
    with single_threaded_blas():
        _together(work_off, helpers, give_up=waiting.clear)
    return out


def _together(work: Callable[[], None], helpers: int, give_up: Callable[[], None]) -> None:
    """Do the work here and in some threads; if any fails or is interrupted, all give up."""

    def careful() -> None:
        try:
            work()
        except BaseException:
            give_up()
            raise

    if helpers <= 0:
        careful()
        return
    with ThreadPoolExecutor(helpers, thread_name_prefix="luce") as executor:
        others = [executor.submit(copy_context().run, careful) for _ in range(helpers)]
        careful()
        for other in others:
            other.result()


def _work(n: int, d: int, k: int) -> int:
    return n * (d * k + 10 * (d + k))


def _blocks_of_rows(n: int, d: int, k: int, itemsize: int) -> list[Rows]:
    """Cut n rows into blocks that stay in a cache, and into some to share if the work is enough."""
    shared_by = min(max(_work(n, d, k) // WORK_OF_BLOCK, 1), BLOCKS_TO_SHARE)
    rows = min(BLOCK_BYTES // ((d + k) * itemsize), -(-n // shared_by), MOST_ROWS)
    rows = max(rows, LEAST_ROWS)
    return [slice(start, min(start + rows, n)) for start in range(0, n, rows)]


def _for_blas(block: Array) -> Array:
    """The block as a BLAS reads it without a copy: C-contiguous, or a transposed matrix."""
    return block if block.strides[0] == block.itemsize else np.ascontiguousarray(block)


def is_finite(block: Array) -> bool:
    """False if a number is infinite or NaN; also if the sum that tells so overflows."""
    if block.flags.c_contiguous:
        return isfinite(np.vdot(block, block))
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(np.add.reduce(block, axis=None))
