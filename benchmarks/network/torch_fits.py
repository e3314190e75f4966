"""torch as a contestant, eager and compiled, as fast as its public settings make it.

Each was the fastest of what was tried on two cores. Eager: `Adam(fused=True)` takes a fifth off a
step, and resetting gradients by hand a tenth. Compiled: the whole step in one graph (loss, gradient
by `torch.func`, Adam) on parameters that are one vector, with `cpp_wrapper` and without the guards
that tell no two graphs apart, takes half of the time of eager steps at a batch of 32, where forward
and loss compiled alone, with Adam beside them, take longer than eager ones; `max-autotune` changes
nothing. Rows are gathered a megabyte at a time, in a cache, and then cut into batches.

Precision "medium" lets oneDNN compute large products. Where the CPU has no unit for less than
float32 it does so in float32, on some CPUs twice as fast as MKL: it is tried where products are
large and it is as exact.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch
import torch._inductor.config
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.network.cases import RATE, Case, Parameters, Split, operations, orders
from benchmarks.network.contestants import Stepwise
from benchmarks.network.reference import BETA_1, BETA_2, EPSILON

GATHERED = 1 << 20  # bytes
LARGE_STEP = 2e7  # operations of a step from which "medium" is tried
TRYING = 0.1  # seconds
COMPILING = {"dynamic": False, "options": {"cpp_wrapper": True}}

torch._inductor.config.compile_threads = 1  # more are processes that outlive this one

Batch = tuple[torch.Tensor, torch.Tensor]


class TorchFit(Stepwise):
    """What eager and compiled torch have in common."""

    total: torch.Tensor  # sum of all losses; compiled code forgets tensors of no dimension

    def __init__(self, case: Case, split: Split) -> None:
        super().__init__(case, split)
        torch.set_num_threads(case.threads)
        self.features = torch.from_numpy(split.training.features)
        self.labels = torch.from_numpy(split.training.labels)
        seconds = {}
        for precision in self._precisions():
            torch.set_float32_matmul_precision(precision)
            self.compile()
            seconds[precision] = self._seconds_of_steps()
        best = min(seconds, key=seconds.__getitem__)
        if best != torch.get_float32_matmul_precision():
            torch.set_float32_matmul_precision(best)
            self.compile()
        if best != "highest":
            self.remark = f"precision {best}"

    def compile(self) -> None:
        """Anything that is to be done before the steps."""

    def step(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Add to the total, and change the parameters."""
        raise NotImplementedError

    def epoch(self, order: NDArray[np.intp]) -> float:
        """The total is read once, at the end."""
        self.total.zero_()
        for features, labels in self.batches(order):
            self.step(features, labels)
        return float(self.total) / len(order)

    def first_losses(self, count: int) -> list[float]:
        """By the total of one step."""
        self.reset()
        losses = []
        for features, labels in islice(self.shuffled(), count):
            self.total.zero_()
            self.step(features, labels)
            losses.append(float(self.total) / len(labels))
        return losses

    def shuffled(self) -> Iterator[Batch]:
        """Batch after batch, for ever."""
        random = orders()
        while True:
            yield from self.batches(random.permutation(len(self.labels)))

    def batches(self, order: NDArray[np.intp]) -> Iterator[Batch]:
        """One batch after the other."""
        size = self.case.batch
        bytes_of_batch = size * self.features.shape[1] * self.features.element_size()
        at_once = size * max(1, GATHERED // bytes_of_batch)
        for chosen in torch.from_numpy(order).split(at_once):
            features = self.features.index_select(0, chosen)
            labels = self.labels.index_select(0, chosen)
            yield from zip(features.split(size), labels.split(size), strict=True)

    def _precisions(self) -> list[str]:
        steps = len(self.labels) / self.case.batch
        if (
            self.case.dtype != "float32"
            or operations(self.case, self.split.shape) / steps < LARGE_STEP
        ):
            return ["highest"]
        return ["highest", "medium"] if is_exact("medium") else ["highest"]

    def _seconds_of_steps(self) -> float:
        """Of one, the fastest of some."""
        self.reset()
        fastest, begin = np.inf, time.perf_counter()
        for features, labels in self.shuffled():
            start = time.perf_counter()
            self.step(features, labels)
            if len(labels) == self.case.batch:
                fastest = min(fastest, time.perf_counter() - start)
            if time.perf_counter() - begin > TRYING:
                return fastest
        raise AssertionError


class Eager(TorchFit):
    """A sequential module, autograd and the fused Adam."""

    def reset(self) -> None:
        """A new module and its optimiser."""
        self.model = module_of(self.start)
        self.tensors = list(self.model.parameters())
        self.optimiser = torch.optim.Adam(
            self.tensors, lr=RATE, betas=(BETA_1, BETA_2), eps=EPSILON, fused=True
        )
        self.total = torch.zeros(1, dtype=torch.float64)

    def step(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Autograd, then the optimiser."""
        loss = functional.cross_entropy(self.model(features), labels)
        for tensor in self.tensors:
            tensor.grad = None
        loss.backward()
        self.optimiser.step()
        self.total.add_(loss.detach(), alpha=len(labels))

    def parameters(self) -> Parameters:
        """Of the module."""
        arrays = [tensor.detach().numpy() for tensor in self.tensors]
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        return [(weights.T.copy(), bias.copy()) for weights, bias in pairs]


class Compiled(TorchFit):
    """A whole step in one compiled graph, on parameters that are one vector."""

    def reset(self) -> None:
        """New vectors, which the compiled step takes as it took the others."""
        flat = np.concatenate([array.T.reshape(-1) for layer in self.start for array in layer])
        self.vector = torch.from_numpy(flat)
        self.mean, self.square = torch.zeros_like(self.vector), torch.zeros_like(self.vector)
        self.steps = torch.zeros(1, dtype=torch.float64)
        self.total = torch.zeros(1, dtype=torch.float64)

    def compile(self) -> None:
        """For both sizes of a batch; from then on the guards that differ between them remain."""
        torch._dynamo.reset()
        torch.compiler.set_stance("default", skip_guard_eval_unsafe=False)
        begin = time.perf_counter()
        self.compiled = torch.compile(
            step_of([weights.shape for weights, _ in self.start]), **COMPILING
        )
        self.reset()
        for size in {self.case.batch, len(self.labels) % self.case.batch or self.case.batch}:
            for _ in range(2):
                self.step(self.features[:size], self.labels[:size])
        self.compile_seconds = max(self.compile_seconds, time.perf_counter() - begin)
        torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)

    def step(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """One call."""
        self.compiled(self.vector, self.mean, self.square, self.steps, self.total, features, labels)

    def parameters(self) -> Parameters:
        """Cut from the vector."""
        shapes = [weights.shape for weights, _ in self.start]
        arrays = [piece.numpy() for piece in pieces(self.vector, shapes)]
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        return [(weights.T.copy(), bias.copy()) for weights, bias in pairs]


def module_of(parameters: Parameters) -> nn.Sequential:
    """With relu, and a copy of these parameters."""
    layers: list[nn.Module] = []
    for weights, bias in parameters:
        linear = nn.Linear(*weights.shape, dtype=torch.from_numpy(weights).dtype)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weights.T))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def pieces(vector: torch.Tensor, shapes: list[tuple[int, int]]) -> list[torch.Tensor]:
    """Weights (outputs, inputs) and bias of each layer, as views."""
    sizes = [size for inputs, outputs in shapes for size in (inputs * outputs, outputs)]
    views = list(vector.split(sizes))
    for place, (inputs, outputs) in enumerate(shapes):
        views[2 * place] = views[2 * place].view(outputs, inputs)
    return views


def step_of(shapes: list[tuple[int, int]]) -> Callable[..., None]:
    """A step of Adam, in place, of a network with weights of these shapes."""

    def loss_of(vector: torch.Tensor, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        views = pieces(vector, shapes)
        for weights, bias in zip(views[:-2:2], views[1:-2:2], strict=True):
            features = functional.relu(functional.linear(features, weights, bias))
        return functional.cross_entropy(functional.linear(features, *views[-2:]), labels)

    def step(
        vector: torch.Tensor,
        mean: torch.Tensor,
        square: torch.Tensor,
        steps: torch.Tensor,
        total: torch.Tensor,
        features: torch.Tensor,
        labels: torch.Tensor,
    ) -> None:
        gradient, loss = torch.func.grad_and_value(loss_of)(vector, features, labels)
        total.add_(loss, alpha=len(labels))
        steps.add_(1)
        rate = (RATE / (1 - torch.pow(BETA_1, steps))).to(vector.dtype)
        root = torch.sqrt(1 - torch.pow(BETA_2, steps)).to(vector.dtype)
        mean.lerp_(gradient, 1 - BETA_1)
        square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        vector.sub_(rate * mean / (square.sqrt() / root + EPSILON))

    return step


def is_exact(precision: str) -> bool:
    """Whether products are as exact as with the highest precision, within a factor of 4."""
    random = torch.Generator().manual_seed(0)
    left, right = torch.randn((2, 256, 256), generator=random)
    exact = left.double() @ right.double()
    before = torch.get_float32_matmul_precision()
    errors = []
    for name in ("highest", precision):
        torch.set_float32_matmul_precision(name)
        errors.append(float((left @ right - exact).abs().max()))
    torch.set_float32_matmul_precision(before)
    return errors[1] <= 4 * errors[0]
