"""Who predicts the labels of many rows with a trained network, and how."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.network.cases import Case, Parameters, Split, initial
from benchmarks.network.contestants import COMPILED, EAGER, LUCE, SKLEARN

Predict = Callable[[NDArray[Any]], NDArray[np.int64]]

BATCHES = (512, 2048, 8192)
WARMING_ROWS = 20_000
ROUNDS = 5


def predictor(contestant: str, case: Case, split: Split) -> tuple[Predict, str]:
    """Its fastest way to predict with the first weights, and what that is."""
    start = initial(case, split)
    if contestant == LUCE:
        return _luce(start, case, split), ""
    if contestant == SKLEARN:
        from benchmarks.network.sklearn_fits import with_parameters

        return with_parameters(start, split, case).predict, ""
    assert contestant in (EAGER, COMPILED)
    return _torch(contestant, start, case, split)


def seconds_of(predict: Predict, features: NDArray[Any], rounds: int = ROUNDS) -> float:
    """Median of some calls, after one on fewer rows."""
    predict(features[:WARMING_ROWS])
    seconds = []
    for _ in range(rounds):
        begin = time.perf_counter()
        predict(features)
        seconds.append(time.perf_counter() - begin)
    return median(seconds)


def _luce(start: Parameters, case: Case, split: Split) -> Predict:
    from benchmarks.network.luce_fits import classifier_of

    classifier = classifier_of(case, 1)
    rows = split.training
    classifier.fit(rows.features[:WARMING_ROWS], rows.labels[:WARMING_ROWS])
    for (weights, bias), coef, intercept in zip(
        start, classifier.coefs_, classifier.intercepts_, strict=True
    ):
        coef[...], intercept[...] = weights, bias
    return classifier.predict


def _torch(contestant: str, start: Parameters, case: Case, split: Split) -> tuple[Predict, str]:
    import torch

    from benchmarks.network.torch_fits import is_exact, module_of

    torch.set_num_threads(case.threads)
    torch.compiler.set_stance("default")  # compiled fits leave one that compiles nothing more
    module = module_of(start).eval()

    def of_batches(size: int, model: Callable[[Any], Any]) -> Predict:
        def predict(features: NDArray[Any]) -> NDArray[np.int64]:
            rows = torch.from_numpy(features)
            winners = torch.empty(len(rows), dtype=torch.int64)
            with torch.inference_mode():
                for some, found in zip(rows.split(size), winners.split(size), strict=True):
                    whole = len(some) == size
                    torch.argmax((model if whole else module)(some), dim=1, out=found)
            return winners.numpy()

        return predict

    def model_for(size: int) -> Callable[[Any], Any]:
        if contestant == EAGER:
            return module
        torch._dynamo.reset()
        options = {"freezing": True, "max_autotune": True}
        return torch.compile(module, dynamic=False, options=options)

    some = split.training.features[: 4 * max(BATCHES)]
    ways = {}
    for precision in ("highest", "medium") if is_exact("medium") else ("highest",):
        torch.set_float32_matmul_precision(precision)
        for size in BATCHES:
            predict = of_batches(size, module)
            ways[precision, size] = seconds_of(predict, some, 3)
    precision, size = min(ways, key=ways.__getitem__)
    torch.set_float32_matmul_precision(precision)
    predict = of_batches(size, model_for(size))
    predict(some)
    return predict, f"batches of {size}, precision {precision}"
