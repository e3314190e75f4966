"""Many steps in one call against the twin, and what the call refuses."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from luce import kernels
from luce.kernels import reference_network as reference

REALS = [np.float32, np.float64]
LAYERS = [
    ([(3, 2, "identity")], 7),
    ([(4, 9, "relu"), (9, 3, "identity")], 10),
    ([(17, 33, "tanh"), (33, 16, "gelu"), (16, 5, "identity")], 25),
    ([(300, 40, "relu"), (40, 31, "logistic"), (31, 280, "identity")], 64),
]
ADAM = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-4}
OPTIMISERS = [
    (2, ADAM | {"done": 0}),
    (2, ADAM | {"done": 5, "decay": 0.1, "penalty": 0.3}),
    (1, {"done": 0, "momentum": 0.9, "nesterov": True, "penalty": 0.3}),
]


def memory_for(layers, batch, real):
    """Full of NaN: nothing of it may get into a result."""
    size = kernels.perceptron_bytes(layers, batch, np.dtype(real).itemsize)
    return np.full(size // 8 + 1, np.nan).view(np.uint8)[:size]


def given(layers, batch, real, rows=50, batches=3, weighted=False, seed=0):
    """Arguments by name; the last batch is short."""
    random = np.random.default_rng(seed)
    count = sum((inputs + 1) * outputs for inputs, outputs, _ in layers)
    draws = random.integers(0, rows, batch * batches - batch // 2)
    return {
        "layers": layers,
        "parameters": (random.standard_normal(count) / 3).astype(real),
        "moments": [],
        "features": random.standard_normal((rows, layers[0][0])).astype(real),
        "labels": random.integers(0, layers[-1][1], rows),
        "weights": random.uniform(0.5, 2, rows) if weighted else None,
        "order": draws,
        "batch_size": batch,
        "rates": random.uniform(0.01, 0.02, batches),
        "batch_weights": random.uniform(0.8, 1.2, batches) * batch,
        "losses": np.full(batches, np.nan),
        "memory": memory_for(layers, batch, real),
    }


def after(steps, moments, arguments, **settings):
    """What the call writes: parameters, moments, average and losses; and what it returns."""
    arguments = dict(arguments)
    start = arguments["parameters"]
    arguments["parameters"] = start.copy()
    arguments["moments"] = [np.zeros_like(start) for _ in range(moments)]
    arguments["losses"] = arguments["losses"].copy()
    arguments["memory"] = arguments["memory"].copy()
    average = np.ones_like(start)
    shares = np.linspace(0.9, 0.1, len(arguments["losses"]))
    done = steps(**arguments, average=average, shares=shares, **settings)
    return [arguments["parameters"], *arguments["moments"], average, arguments["losses"]], done


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("layers", "batch"), LAYERS, ids=lambda value: str(value)[:40])
def test_steps(layers, batch, weighted, real):
    arguments = given(layers, batch, real, weighted=weighted)
    for moments, settings in OPTIMISERS:
        expected, done = after(reference.perceptron_steps, moments, arguments, **settings)
        assert done == 3
        results = [
            after(kernels.perceptron_steps, moments, arguments, threads=threads, **settings)
            for threads in (1, 2, 5)
        ]
        tolerance = 2e-4 if real == np.float32 else 1e-11
        for written, done in results:
            assert done == 3
            for array, first, exact in zip(written, results[0][0], expected, strict=True):
                np.testing.assert_array_equal(array, first)
                np.testing.assert_allclose(array, exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_steps_end_before_a_loss_that_is_not_finite(value, real):
    arguments = given(LAYERS[1][0], 10, real, rows=30)
    arguments["order"] = np.arange(30)
    whole, _ = after(kernels.perceptron_steps, 2, arguments, done=0)
    arguments["features"][15, 1] = value
    for threads in (1, 2, 4):
        written, done = after(kernels.perceptron_steps, 2, arguments, done=0, threads=threads)
        assert done == 1
        one = arguments | {"order": np.arange(10), "losses": np.empty(1)}
        one |= {"rates": arguments["rates"][:1], "batch_weights": arguments["batch_weights"][:1]}
        expected, _ = after(kernels.perceptron_steps, 2, one, done=0)
        for array, exact in zip(written[:3], expected[:3], strict=True):
            np.testing.assert_array_equal(array, exact)
        assert written[-1][0] == whole[-1][0]
        assert not np.isfinite(written[-1][1])


def test_no_rows_are_no_steps():
    arguments = given(LAYERS[1][0], 10, np.float32)
    arguments["order"] = np.zeros(0, np.int64)
    for name in ("rates", "batch_weights", "losses"):
        arguments[name] = np.zeros(0)
    for steps in (kernels.perceptron_steps, reference.perceptron_steps):
        written, done = after(steps, 1, arguments, done=0)
        assert done == 0
        np.testing.assert_array_equal(written[0], arguments["parameters"])


@pytest.mark.parametrize("real", REALS)
def test_neighbours_of_the_rows_are_not_looked_at(real):
    """Features in a wider array, whose other columns and rows are NaN."""
    arguments = given(LAYERS[1][0], 10, real)
    expected, _ = after(kernels.perceptron_steps, 2, arguments, done=0)
    wide = np.full((100, 11), np.nan, real)
    wide[::2, 3:7] = arguments["features"]
    wide.flags.writeable = False
    got, _ = after(
        kernels.perceptron_steps, 2, arguments | {"features": wide[::2, 3:7]}, done=0, threads=2
    )
    for array, exact in zip(got, expected, strict=True):
        np.testing.assert_array_equal(array, exact)


def test_many_calls_at_once():
    problems = [given(*LAYERS[i % 4], np.float32, batches=20, seed=i) for i in range(24)]
    expected = [after(kernels.perceptron_steps, 2, problem, done=0)[0] for problem in problems]
    start = threading.Barrier(6)

    def work(seed):
        start.wait()
        for i in np.random.default_rng(seed).permutation(len(problems)):
            threads = 1 + (seed + i) % 4
            got, _ = after(kernels.perceptron_steps, 2, problems[i], done=0, threads=threads)
            for array, exact in zip(got, expected[i], strict=True):
                np.testing.assert_array_equal(array, exact)
        return seed

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(work, range(6))) == list(range(6))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_process_has_threads_of_its_own():
    arguments = given(*LAYERS[2], np.float32, batches=20)
    expected, _ = after(kernels.perceptron_steps, 2, arguments, done=0, threads=3)
    child = os.fork()
    if child == 0:
        got, _ = after(kernels.perceptron_steps, 2, arguments, done=0, threads=3)
        os._exit(not all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True)))
    assert os.waitpid(child, 0)[1] == 0


F4, F8, I8 = np.float32, np.float64, np.int64


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        ({"layers": [(5, 3, "identity")]}, "layer 0 takes 5 features to 3; there are 4"),
        ({"layers": [(4, 9, "relu"), (8, 3, "identity")]}, "layer 1 takes 8 .*; there are 9"),
        ({"layers": [(4, 0, "relu")]}, "layer 0 takes 4 features to 0"),
        ({"layers": []}, "the last layer must have no activation"),
        ({"layers": [(4, 3, "relu")]}, "the last layer must have no activation"),
        ({"layers": [(4, 9, "swish"), (9, 3, "identity")]}, "'swish'; expected identity"),
        ({"parameters": np.zeros(74, F4)}, "parameters has shape"),
        ({"moments": []}, "moments are those"),
        ({"moments": [np.zeros(75, F4), np.zeros(76, F4)]}, "moments has shape"),
        ({"labels": np.zeros(49, I8)}, "labels has shape"),
        ({"labels": np.full(50, 3)}, "the label of row .* is 3; there are 3 classes"),
        ({"order": np.full(25, 50)}, "order has row 50; there are 50"),
        ({"order": np.full(25, -1)}, "order has row -1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"rates": np.zeros(2)}, "rates has shape"),
        ({"batch_weights": np.zeros(4)}, "batch_weights has shape"),
        ({"losses": np.zeros(4)}, "losses has shape"),
        ({"weights": np.ones(49)}, "weights has shape"),
        ({"average": np.zeros(75, F4)}, "given together"),
        ({"memory": np.zeros(1000, np.uint8)}, "memory has 1000 bytes; expected"),
        ({"done": -1}, "step counts from 1"),
        ({"beta_2": 1.0}, "beta_1 and beta_2"),
        ({"features": np.zeros((50, 8), F4)[:, ::2]}, "elements of a row must be adjacent"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_refusals(other, complaint):
    arguments = given(LAYERS[1][0], 10, np.float32)
    arguments["moments"] = [np.zeros(75, F4), np.zeros(75, F4)]
    with pytest.raises(ValueError, match=complaint):
        kernels.perceptron_steps(**arguments | {"done": 0} | other)


@pytest.mark.parametrize(
    "other",
    [
        {"parameters": np.zeros(75)},
        {"moments": [np.zeros(75)]},
        {"labels": np.zeros(50, np.int32)},
        {"order": np.zeros(25, np.int32)},
        {"rates": np.zeros(3, F4)},
        {"losses": np.zeros(3, F4)},
        {"memory": np.zeros(100_000, np.int8)},
        {"features": np.zeros((50, 4), I8)},
    ],
    ids=lambda value: next(iter(value)),
)
def test_nothing_is_converted(other):
    arguments = given(LAYERS[1][0], 10, np.float32)
    arguments["moments"] = [np.zeros(75, F4)]
    with pytest.raises(TypeError):
        kernels.perceptron_steps(**arguments | {"done": 0} | other)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([], 3, 4), "there must be a layer"),
        (([(2, 3, "identity")], 0, 4), "batch_size must be at least 1"),
        (([(2, 3, "identity")], 3, 2), "itemsize"),
    ],
)
def test_memory_of_what_is_none(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        kernels.perceptron_bytes(*arguments)


def test_overlaps():
    arguments = given(LAYERS[1][0], 10, np.float32)
    memory = np.zeros(150, F4)
    arguments |= {"parameters": memory[:75], "moments": [memory[70:145]], "done": 0}
    with pytest.raises(ValueError, match="overlaps"):
        kernels.perceptron_steps(**arguments)


@pytest.mark.parametrize("real", REALS)
@pytest.mark.parametrize("count", [0, 1, 37, 64, 70_001])
def test_approach_and_squares(count, real):
    random = np.random.default_rng(count)
    goal, start = random.standard_normal((2, count)).astype(real)
    results = []
    for door, threads in ((reference, 1), (kernels, 1), (kernels, 3)):
        to = start.copy()
        door.approach(goal, 0.3, to, threads=threads)
        results.append((to, door.squares(goal, threads=threads)))
    (exact, exact_sum), (got, sum), (shared, shared_sum) = results
    np.testing.assert_allclose(got, exact, rtol=0, atol=4 * np.finfo(real).eps * 5)
    np.testing.assert_array_equal(got, shared)
    assert sum == shared_sum == pytest.approx(exact_sum, rel=1e-14)
    large = np.full(count, np.finfo(np.float32).max, real)
    assert kernels.squares(large) == pytest.approx(float(large.astype(F8) @ large.astype(F8)))
