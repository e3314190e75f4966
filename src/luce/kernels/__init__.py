"""The door to the compiled kernels: rows of scores in, the caller's own arrays out.

Conventions, for every kernel here and for its twin in `luce.kernels.reference`:

- ``scores`` is an array of float32, float64, float16, or the bits of bfloat16 as uint16, of any
  strides; its last `class_ndim` axes are the classes, and what is left are the rows, numbered in C
  order. The matrices among the outputs are of the same dtype and shape. The losses, `softmax_jvp`
  and `weighted_logsumexp` take float32 or float64, the last float64 only, and these as `topk` a
  matrix of shape (rows, classes).
- ``temperature`` is a float, or a float64 vector of one number a row.
- `threads` is how many may share the work; the result has the same bits for any number.
- The caller allocates the outputs. A matrix output may be the very memory of ``scores`` (in place);
  otherwise an output shares no memory with any other argument.
- Nothing is converted: another dtype is a TypeError, another shape or an overlap a ValueError.
- A NaN makes its own row NaN, and no other; -inf is a class that cannot happen.
- Ctrl-C is heard; then the outputs are written in part.

`isa` names the instruction set in use, chosen when luce is imported; the environment variable
LUCE_ISA forces one of `supported_isas`.
"""

from luce.kernels._core import (
    activate,
    activate_vjp,
    adam_step,
    approach,
    argmax,
    cross_entropy,
    cross_entropy_soft,
    dense,
    dense_vjp,
    divergences,
    dropout,
    isa,
    linear,
    linear_cross_entropy,
    linear_hessian_vector,
    linear_second_moments,
    log_softmax,
    logsumexp,
    masked,
    momentum_step,
    negative_entropies,
    nothing,
    perceptron_bytes,
    perceptron_steps,
    residuals,
    sample,
    softmax,
    softmax_jvp,
    sparse_linear,
    sparse_linear_cross_entropy,
    sparse_linear_hessian_vector,
    squares,
    supported_isas,
    topk,
    weighted_logsumexp,
)

__all__ = [
    "activate",
    "activate_vjp",
    "adam_step",
    "approach",
    "argmax",
    "cross_entropy",
    "cross_entropy_soft",
    "dense",
    "dense_vjp",
    "divergences",
    "dropout",
    "isa",
    "linear",
    "linear_cross_entropy",
    "linear_hessian_vector",
    "linear_second_moments",
    "log_softmax",
    "logsumexp",
    "masked",
    "momentum_step",
    "negative_entropies",
    "nothing",
    "perceptron_bytes",
    "perceptron_steps",
    "residuals",
    "sample",
    "softmax",
    "softmax_jvp",
    "sparse_linear",
    "sparse_linear_cross_entropy",
    "sparse_linear_hessian_vector",
    "squares",
    "supported_isas",
    "topk",
    "weighted_logsumexp",
]
