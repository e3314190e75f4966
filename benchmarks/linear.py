"""A pass of a linear classifier against its limits, and linear_cross_entropy against torch.

    python -m benchmarks.linear [--only 20000x784]

The limits, measured in the same run with the same threads: reading the features once, and the two
products at the best rate of a large product in the BLAS that comes with SciPy.
"""

import time
from collections.abc import Callable
from fnmatch import fnmatch
from statistics import median
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from scipy.linalg.blas import sgemm
from threadpoolctl import threadpool_limits
from torch.nn import functional

import luce
from luce import kernels

SHAPES = [
    (50_000, 300, 10),
    (20_000, 784, 10),
    (20_000, 384, 500),
    (200_000, 128, 1000),
    (1_000_000, 64, 5),
]
GOALS = {True: 1.35, False: 2.0}  # for 64 classes and more, and below


def seconds(call: Callable[[], Any], repeats: int = 9) -> float:
    """Median time of a call, after one that is not timed."""
    call()
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return median(samples)


def product_rate(threads: int) -> float:
    """Operations a second of a product of large float32 matrices."""
    size = 3072
    left = np.asfortranarray(np.random.default_rng(0).standard_normal((size, size), np.float32))
    out = np.empty_like(left, order="F")
    with threadpool_limits(threads, "blas"):
        best = seconds(lambda: sgemm(1.0, left, left, c=out, overwrite_c=True), 5)
    return 2 * size**3 / best


def read_rate(features: np.ndarray, threads: int) -> float:
    """Seconds to read the features once: their largest number, sought by luce's argmax."""
    rows = features.reshape(-1, 4096) if features.size % 4096 == 0 else features
    out = np.empty(len(rows), np.int64)
    return seconds(lambda: kernels.argmax(rows, out, threads=threads))


def torch_pass(features: torch.Tensor, coef: torch.Tensor, labels: torch.Tensor) -> float:
    """Value and gradient by torch's autograd."""
    coef.grad = features.grad = None
    loss = functional.cross_entropy(features @ coef.T, labels)
    loss.backward()
    return float(loss.detach())


def contest(n: int, d: int, k: int, threads: int, table: Table) -> None:
    """One line of the table, the answers compared with torch's."""
    random = np.random.default_rng(0)
    features = random.standard_normal((n, d), np.float32)
    coef = random.standard_normal((k, d), np.float32) / np.float32(np.sqrt(d))
    labels = random.integers(0, k, n)
    gradient, bias = np.empty((k, d)), np.empty(k)

    def ours() -> float:
        return kernels.linear_cross_entropy(
            features, labels, None, coef, None, gradient, bias, threads=threads
        )

    torch.set_num_threads(threads)
    tensors = torch.tensor(features), torch.tensor(coef, requires_grad=True), torch.tensor(labels)
    value = torch_pass(*tensors)
    difference = abs(ours() / n / value - 1)
    theirs = seconds(lambda: torch_pass(*tensors), 3)
    mine, reading = seconds(ours), read_rate(features, threads)
    products = 4 * n * d * k / product_rate(threads)
    limit = max(reading, products)
    goal = GOALS[k >= 64]
    table.add_row(
        f"{n} x {d}, k {k}",
        str(threads),
        *(f"{each * 1e3:.2f}" for each in (mine, reading, products, theirs)),
        f"{mine / limit:.2f} ({goal})",
        "yes" if mine <= goal * limit else "no",
        f"{difference:.0e}",
    )


def vocabulary(threads: int, table: Table) -> None:
    """`linear_cross_entropy` of 2048 rows and 32,000 classes against torch, plain and fused."""
    n, d, k = 2048, 1024, 32_000
    random = np.random.default_rng(0)
    features = random.standard_normal((n, d), np.float32)
    coef = random.standard_normal((k, d), np.float32) / np.float32(np.sqrt(d))
    labels = random.integers(0, k, n)
    torch.set_num_threads(threads)
    tensors = (
        torch.tensor(features, requires_grad=True),
        torch.tensor(coef, requires_grad=True),
        torch.tensor(labels),
    )
    plain = torch_pass(*tensors)
    with luce.threads(threads):
        found = luce.linear_cross_entropy(features, coef, labels)
        mine = seconds(lambda: luce.linear_cross_entropy(features, coef, labels), 3)
    theirs = seconds(lambda: torch_pass(*tensors), 3)
    fused = getattr(functional, "linear_cross_entropy", None)

    def by_fused() -> None:
        tensors[0].grad = tensors[1].grad = None
        fused(*tensors).backward()

    fastest = min(theirs, seconds(by_fused, 3) if fused else theirs)
    table.add_row(
        f"{n} x {d}, k {k}",
        str(threads),
        *(f"{each * 1e3:.0f}" for each in (mine, theirs, fastest)),
        f"{fastest / mine:.2f} (2)",
        "yes" if fastest >= 2 * mine else "no",
        f"{abs(found.value / plain - 1):.0e}",
    )


def main(
    only: Annotated[str, typer.Option(help="Shapes that match, such as '20000x784*'.")] = "*",
    threads: Annotated[list[int] | None, typer.Option(help="By default 1 and 2.")] = None,
) -> None:
    """Print both tables."""
    console = Console()
    passes = Table("value and gradient", "threads", title="A pass, milliseconds", box=None)
    for name in (
        "luce",
        "reading X",
        "two products",
        "torch",
        "luce / limit (goal)",
        "",
        "differs",
    ):
        passes.add_column(name, justify="right")
    wide = Table("with all gradients", "threads", title="Many classes, milliseconds", box=None)
    for name in ("luce", "torch", "best torch", "best torch / luce (goal)", "", "differs"):
        wide.add_column(name, justify="right")
    for count in threads or [1, 2]:
        for n, d, k in SHAPES:
            if fnmatch(f"{n}x{d}x{k}", only):
                with console.status(f"{n} x {d}, {k} classes"):
                    contest(n, d, k, count, passes)
        if fnmatch("2048x1024x32000", only):
            vocabulary(count, wide)
    console.print(passes)
    console.print(wide)


if __name__ == "__main__":
    typer.run(main)
