"""Memory that has been freed, given back."""

import ctypes


def give_back() -> None:
    """Return the heap's free pages to the system, where the C library can.

    Large matrices leave holes in it, which the arrays of a solver's steps are too small to fill.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
