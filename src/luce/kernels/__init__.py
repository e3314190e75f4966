"""The door to the compiled kernels: rows of scores in, the caller's own arrays out.

Conventions, for every kernel here and for its twin in `luce.kernels.reference`:

- ``scores`` is a float32 or float64 array (rows, classes), of any row distance, whose rows are
  contiguous; the matrices among the outputs are of the same kind, dtype and shape.
- The caller allocates the outputs. A matrix output may be the very memory of ``scores`` (in place);
  otherwise an output shares no memory with any other argument.
- Nothing is converted: another dtype is a TypeError, another shape or an overlap a ValueError.
- A NaN makes its own row NaN, and no other; -inf is a class that cannot happen.

`isa` names the instruction set in use, chosen when luce is imported; the environment variable
LUCE_ISA forces one of `supported_isas`.
"""

from luce.kernels._core import (
    argmax,
    cross_entropy,
    isa,
    log_softmax,
    logsumexp,
    softmax,
    supported_isas,
)

__all__ = [
    "argmax",
    "cross_entropy",
    "isa",
    "log_softmax",
    "logsumexp",
    "softmax",
    "supported_isas",
]
