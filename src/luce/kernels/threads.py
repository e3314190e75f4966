"""How many threads luce may use, process-wide by environment and locally by context."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from luce.errors import DataError

_requested: ContextVar[int | None] = ContextVar("luce_threads", default=None)


def num_threads() -> int:
    """Number of threads that luce uses here.

    In this order: the innermost ``with luce.threads(n)``, the environment variable
    ``LUCE_NUM_THREADS``, the number of CPUs that this process may run on.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    DataError
        If ``LUCE_NUM_THREADS`` is not a whole number of at least 1.

    Examples
    --------
    >>> import luce
    >>> with luce.threads(1):
    ...     luce.num_threads()
    1
    """
    requested = _requested.get()
    if requested is not None:
        return requested
    environment = os.environ.get("LUCE_NUM_THREADS")
    if environment:
        if not environment.isdecimal() or int(environment) < 1:
            raise DataError(
                f"LUCE_NUM_THREADS is {environment!r}: set it to a whole number of at least 1, "
                "or unset it to use every CPU."
            )
        return int(environment)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use n threads inside a ``with`` block, in this thread or task only.

    Parameters
    ----------
    n : int
        Number of threads, at least 1. Results have the same bits for every n.

    Yields
    ------
    None

    Raises
    ------
    DataError
        If n is not a whole number of at least 1.

    Examples
    --------
    >>> import luce
    >>> with luce.threads(2):
    ...     luce.num_threads()
    2
    """
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise DataError(f"threads(n) needs a whole number of at least 1, got {n!r}.")
    token = _requested.set(int(n))
    try:
        yield
    finally:
        _requested.reset(token)
