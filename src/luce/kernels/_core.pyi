from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_Real = TypeVar("_Real", np.float32, np.float64)
Answer: TypeAlias = Literal["scores", "softmax", "log_softmax", "argmax"]

def isa() -> str: ...
def supported_isas() -> tuple[str, ...]: ...
def softmax(
    scores: NDArray[Any],
    temperature: float | NDArray[np.float64],
    out: NDArray[Any],
    class_ndim: int = 1,
    threads: int = 1,
) -> None: ...
def log_softmax(
    scores: NDArray[Any],
    temperature: float | NDArray[np.float64],
    out: NDArray[Any],
    class_ndim: int = 1,
    threads: int = 1,
) -> None: ...
def logsumexp(
    scores: NDArray[Any], out: NDArray[Any], class_ndim: int = 1, threads: int = 1
) -> None: ...
def argmax(
    scores: NDArray[Any], out: NDArray[np.int64], class_ndim: int = 1, threads: int = 1
) -> None: ...
def masked(
    scores: NDArray[Any], possible: NDArray[np.bool_], out: NDArray[Any], threads: int = 1
) -> None: ...
def softmax_jvp(
    probabilities: NDArray[_Real],
    tangents: NDArray[_Real],
    temperature: float | NDArray[np.float64],
    out: NDArray[_Real],
    threads: int = 1,
) -> None: ...
def divergences(
    targets: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    log_probabilities: NDArray[np.float64],
    out: NDArray[np.float64],
    threads: int = 1,
) -> None: ...
def negative_entropies(
    probabilities: NDArray[_Real], out: NDArray[_Real], threads: int = 1
) -> None: ...
def weighted_logsumexp(
    scores: NDArray[np.float64],
    weights: NDArray[np.float64],
    values: NDArray[np.float64],
    signs: NDArray[np.float64],
    threads: int = 1,
) -> None: ...
def topk(
    scores: NDArray[Any], values: NDArray[Any], indices: NDArray[np.int64], threads: int = 1
) -> None: ...
def nothing(
    scores: NDArray[Any], temperature: float | NDArray[np.float64], out: NDArray[Any]
) -> None: ...
def cross_entropy(
    scores: NDArray[_Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[_Real] | None,
    *,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    threads: int = 1,
) -> int: ...
def cross_entropy_soft(
    scores: NDArray[_Real],
    targets: NDArray[_Real] | NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    losses: NDArray[np.float64],
    gradient: NDArray[_Real] | None,
    *,
    class_weights: NDArray[np.float64] | None = None,
    masses: NDArray[np.float64] | None = None,
    temperature: float = 1.0,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    threads: int = 1,
) -> None: ...
def linear(
    features: NDArray[np.float32] | NDArray[np.float64],
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    out: NDArray[_Real] | NDArray[np.int64],
    *,
    answer: Answer = "scores",
    threads: int = 1,
) -> bool: ...
def linear_cross_entropy(
    features: NDArray[np.float32] | NDArray[np.float64],
    labels: NDArray[np.int64] | NDArray[_Real],
    weights: NDArray[np.float64] | None,
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    gradient: NDArray[np.float32] | NDArray[np.float64],
    intercept_gradient: NDArray[np.float64],
    features_gradient: NDArray[_Real] | None = None,
    *,
    centre: NDArray[_Real] | None = None,
    class_weights: NDArray[np.float64] | None = None,
    label_smoothing: float = 0.0,
    threads: int = 1,
) -> float: ...
def linear_hessian_vector(
    features: NDArray[np.float32] | NDArray[np.float64],
    weights: NDArray[np.float64] | None,
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    direction: NDArray[_Real],
    direction_intercept: NDArray[_Real] | None,
    product: NDArray[np.float32] | NDArray[np.float64],
    intercept_product: NDArray[np.float64],
    *,
    centre: NDArray[_Real] | None = None,
    threads: int = 1,
) -> None: ...
def linear_second_moments(
    features: NDArray[Any],
    weights: NDArray[np.float64] | None,
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    damping: NDArray[np.float64] | None,
    moments: NDArray[np.float64] | None,
    class_moments: NDArray[np.float64] | None,
    *,
    curvature: str,
    last: float = 1.0,
    centre: NDArray[_Real] | None = None,
    threads: int = 1,
) -> None: ...
def residuals(
    scores: NDArray[_Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    *,
    threads: int = 1,
) -> float: ...
def sample(
    scores: NDArray[Any],
    uniforms: NDArray[np.float64],
    out: NDArray[np.int64],
    *,
    temperature: float = 1.0,
    top_k: int = ...,
    top_p: float = 1.0,
    min_p: float = 0.0,
    threads: int = 1,
) -> None: ...
def sparse_linear(
    data: NDArray[np.float32] | NDArray[np.float64],
    indices: NDArray[np.int32] | NDArray[np.int64],
    indptr: NDArray[np.int32] | NDArray[np.int64],
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    out: NDArray[_Real] | NDArray[np.int64],
    *,
    answer: Answer = "scores",
    threads: int = 1,
) -> bool: ...
def sparse_linear_cross_entropy(
    data: NDArray[np.float32] | NDArray[np.float64],
    indices: NDArray[np.int32] | NDArray[np.int64],
    indptr: NDArray[np.int32] | NDArray[np.int64],
    labels: NDArray[np.int64] | NDArray[_Real],
    weights: NDArray[np.float64] | None,
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    gradient: NDArray[np.float64],
    intercept_gradient: NDArray[np.float64],
    *,
    class_weights: NDArray[np.float64] | None = None,
    label_smoothing: float = 0.0,
    threads: int = 1,
) -> float: ...
def sparse_linear_hessian_vector(
    data: NDArray[np.float32] | NDArray[np.float64],
    indices: NDArray[np.int32] | NDArray[np.int64],
    indptr: NDArray[np.int32] | NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    coef: NDArray[_Real],
    intercept: NDArray[_Real] | None,
    direction: NDArray[_Real],
    direction_intercept: NDArray[_Real] | None,
    product: NDArray[np.float64],
    intercept_product: NDArray[np.float64],
    *,
    threads: int = 1,
) -> None: ...
def activate(
    features: NDArray[_Real], activation: str, out: NDArray[_Real], *, threads: int = 1
) -> None: ...
def activate_vjp(
    cotangent: NDArray[_Real],
    kept: NDArray[_Real] | None,
    activation: str,
    out: NDArray[_Real],
    *,
    threads: int = 1,
) -> None: ...
def adam_step(
    parameters: NDArray[_Real],
    gradient: NDArray[_Real],
    mean: NDArray[_Real],
    square: NDArray[_Real],
    *,
    step: int,
    rate: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    penalised: int = 0,
    penalty: float = 0.0,
    decay: float = 0.0,
    scale: float = 1.0,
    threads: int = 1,
) -> None: ...
def approach(
    goal: NDArray[_Real], share: float, to: NDArray[_Real], *, threads: int = 1
) -> None: ...
def squares(vector: NDArray[_Real], *, threads: int = 1) -> float: ...
def perceptron_bytes(
    layers: Sequence[tuple[int, int, str]], batch_size: int, itemsize: int
) -> int: ...
def perceptron_steps(
    layers: Sequence[tuple[int, int, str]],
    parameters: NDArray[_Real],
    moments: Sequence[NDArray[_Real]],
    features: NDArray[_Real],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64] | None,
    order: NDArray[np.int64],
    batch_size: int,
    rates: NDArray[np.float64],
    batch_weights: NDArray[np.float64],
    losses: NDArray[np.float64],
    memory: NDArray[np.uint8],
    *,
    done: int,
    penalty: float = 0.0,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    decay: float = 0.0,
    momentum: float = 0.0,
    nesterov: bool = False,
    average: NDArray[_Real] | None = None,
    shares: NDArray[np.float64] | None = None,
    threads: int = 1,
) -> int: ...
def dense(
    features: NDArray[_Real],
    weights: NDArray[_Real],
    bias: NDArray[_Real],
    activation: str,
    out: NDArray[_Real],
    before: NDArray[_Real] | None = None,
    *,
    threads: int = 1,
) -> None: ...
def dense_vjp(
    cotangent: NDArray[_Real],
    kept: NDArray[_Real] | None,
    activation: str,
    features: NDArray[_Real],
    weights: NDArray[_Real],
    weights_gradient: NDArray[_Real],
    bias_gradient: NDArray[_Real],
    features_gradient: NDArray[_Real] | None = None,
    *,
    threads: int = 1,
) -> None: ...
def dropout(
    features: NDArray[_Real], rate: float, seed: int, out: NDArray[_Real], *, threads: int = 1
) -> None: ...
def momentum_step(
    parameters: NDArray[_Real],
    gradient: NDArray[_Real],
    velocity: NDArray[_Real],
    *,
    rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    penalised: int = 0,
    penalty: float = 0.0,
    decay: float = 0.0,
    scale: float = 1.0,
    threads: int = 1,
) -> None: ...
