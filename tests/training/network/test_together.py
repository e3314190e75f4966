"""Steps that are one call have the bits of steps that are taken layer by layer."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import scipy.sparse

import luce
from luce.errors import DataError
from luce.maps import Softmax
from luce.scorers import (
    Dense,
    Gelu,
    Identity,
    Logistic,
    Network,
    Relu,
    Tanh,
    multilayer_perceptron,
)
from luce.training.network import Adam, Cosine, InverseScaling, Momentum, descent, fit_network
from luce.training.network.batches import Batches
from luce.training.network.together import (
    CALL_SECONDS,
    MOST_PRODUCTS,
    TRIAL_SECONDS,
    Pace,
    pages,
    together,
)

# Rows, features, hidden layers, classes, batch: one of each, more than a vector, a tile, a panel, a
# depth; more classes than go side by side; batches that leave a row over, and larger than the rows.
SHAPES = [
    (1, 1, (1,), 2, 5),
    (121, 4, (8,), 3, 40),
    (77, 17, (33, 16), 5, 32),
    (300, 64, (100,), 10, 200),
    (257, 5, (), 4, 64),
    (90, 300, (40,), 300, 31),
    (700, 20, (520, 31), 3, 650),
]
THREADS = (1, 2, 3, 7)
OPTIMISERS = [
    (Adam(), {}),
    (Adam(weight_decay=0.1, beta_1=0.5), {"weighted": True, "schedule": Cosine(warmup=0.2)}),
    (Momentum(), {"averaging": 0.9, "weighted": True}),
    (Momentum(0.5, nesterov=False), {"shuffle": False, "penalty": 0.0, "averaging": 0.0}),
    (Momentum(0.0), {"shuffle": False, "weighted": True, "schedule": InverseScaling()}),
]


def problem(n, d, k, dtype, weighted=False):
    random = np.random.default_rng(n)
    features = random.standard_normal((n, d)).astype(dtype)
    weights = random.uniform(0, 2, n) * (random.random(n) < 0.8)
    weights[0] = 1
    return features, random.integers(0, k, n), weights if weighted else None


def fitted(monkeypatch, threads, network, features, labels, weights, **how):
    """By the kernel with so many threads, or layer by layer with 0."""
    if threads == 0:
        monkeypatch.setattr(descent, "together", lambda *arguments: None)
    else:
        monkeypatch.undo()
    with luce.threads(max(threads, 1)):
        return fit_network(
            network, features, labels, sample_weight=weights, random=np.random.default_rng(3),
            **{"learning_rate": 0.01, "max_epochs": 3, "patience": np.inf} | how,
        )  # fmt: skip


def assert_same(fit, other):
    np.testing.assert_array_equal(fit.network.parameters, other.network.parameters)
    np.testing.assert_array_equal(fit.state.parameters, other.state.parameters)
    for one, another in zip(fit.state.moments, other.state.moments, strict=True):
        np.testing.assert_array_equal(one, another)
    np.testing.assert_array_equal(fit.loss_curve, other.loss_curve)
    assert (fit.steps, fit.state.rows, fit.state.averaged) == (
        other.steps, other.state.rows, other.state.averaged,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_bits_are_those_of_steps_layer_by_layer(monkeypatch, shape, dtype):
    n, d, hidden, k, batch = shape
    network = Network.initial(multilayer_perceptron(d, hidden, k), np.random.default_rng(1), dtype)
    for optimiser, settings in OPTIMISERS:
        how = dict(settings)
        rows = problem(n, d, k, dtype, how.pop("weighted", False))
        fit = partial(
            fitted, monkeypatch, network=network, optimiser=optimiser, batch_size=batch, **how
        )
        expected = fit(0, features=rows[0], labels=rows[1], weights=rows[2])
        for threads in THREADS:
            got = fit(threads, features=rows[0], labels=rows[1], weights=rows[2])
            assert_same(got, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("activation", [Identity(), Relu(), Gelu(), Tanh(), Logistic()], ids=str)
def test_of_every_activation(monkeypatch, activation, dtype):
    layers = multilayer_perceptron(9, (21, 34), 4, activation)
    network = Network.initial(layers, np.random.default_rng(1), dtype)
    rows = problem(150, 9, 4, dtype)
    expected = fitted(monkeypatch, 0, network, *rows, batch_size=64)
    for threads in THREADS:
        assert_same(fitted(monkeypatch, threads, network, *rows, batch_size=64), expected)


def test_a_fit_that_goes_on_is_one_fit(monkeypatch):
    network = Network.initial(multilayer_perceptron(4, (8,), 3), np.random.default_rng(1))
    rows = problem(100, 4, 3, np.float32)
    how = {"batch_size": 30, "averaging": 0.9}
    whole = fitted(monkeypatch, 2, network, *rows, max_epochs=5, **how)
    first = fitted(monkeypatch, 2, network, *rows, max_epochs=2, **how)
    second = fitted(monkeypatch, 0, network, *rows, max_epochs=3, state=first.state, **how)
    np.testing.assert_array_equal(second.network.parameters, whole.network.parameters)


def test_what_the_kernel_knows(monkeypatch):
    calls = []
    real = luce.kernels.perceptron_steps
    monkeypatch.setattr(
        luce.kernels, "perceptron_steps", lambda *a, **k: (calls.append(1), real(*a, **k))[1]
    )

    @dataclass(frozen=True)
    class Own(Adam):
        pass

    plain = multilayer_perceptron(4, (8,), 3)
    features, labels, _ = problem(100, 4, 3, np.float32)

    def takes_it(layers=plain, targets=labels, x=features, map=Softmax(), **how):  # noqa: B008
        calls.clear()
        start = Network.initial(layers, np.random.default_rng(1))
        network = Network(layers, start.parameters, map)
        fit_network(network, x, targets, random=np.random.default_rng(0), max_epochs=1, **how)
        return bool(calls)

    assert takes_it()
    assert takes_it(optimiser=Momentum(), averaging=0.5, sample_weight=np.ones(100))
    assert not takes_it(multilayer_perceptron(4, (8,), 3, dropout=0.1))
    assert not takes_it(multilayer_perceptron(4, (8,), 3, layer_norm=True))
    assert not takes_it((Dense(4, 8), Relu(), Dense(8, 3)))
    assert not takes_it(targets=np.eye(3, dtype=np.float32)[labels])
    assert not takes_it(x=scipy.sparse.csr_array(features))
    assert not takes_it(map=Softmax(temperature=2.0))
    assert not takes_it(optimiser=Own())
    assert not takes_it(label_smoothing=0.1)
    assert not takes_it(max_norm=1.0)
    wide = Network.initial(multilayer_perceptron(4, (1000, 1000), 3), np.random.default_rng(0))
    many = MOST_PRODUCTS // 3_000_000
    for rows, expected in ((many // 2, True), (many, False)):
        given = np.zeros((rows, 4), np.float32), np.zeros(rows, np.int64)
        assert (together(wide, Batches(*given, None, rows), Adam()) is not None) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_told_of_its_step(monkeypatch, value):
    network = Network.initial(multilayer_perceptron(4, (8,), 3), np.random.default_rng(1))
    features, labels, _ = problem(100, 4, 3, np.float32)
    features[57, 2] = value
    messages = []
    for threads in (0, *THREADS):
        with pytest.raises(DataError, match="loss is not finite after step 5:") as error:
            fitted(
                monkeypatch, threads, network, features, labels, None, batch_size=10, shuffle=False
            )
        messages.append(str(error.value))
    assert len(set(messages)) == 1


ATTEMPTS = 3  # for the machine may be busy with something else


@pytest.mark.parametrize("seconds", [1e-9, 0.15])
def test_time_is_looked_at_every_few_hundredths_of_a_second(seconds):
    network = Network.initial(multilayer_perceptron(64, (200,), 3), np.random.default_rng(1))
    features, labels = np.zeros((300_000, 64), np.float32), np.zeros(300_000, np.int64)

    def seconds_taken():
        begin = time.perf_counter()
        fit = fit_network(
            network, features, labels, random=np.random.default_rng(0), batch_size=16,
            max_seconds=seconds, shuffle=False,
        )  # fmt: skip
        assert (fit.stopped, fit.epochs) == ("max_seconds", 1)
        assert fit.steps == 1 if seconds < 0.1 else 1 < fit.steps < 300_000 // 16
        return time.perf_counter() - begin

    assert any(seconds_taken() < seconds + 0.3 for _ in range(ATTEMPTS))


INTERRUPTED = """
import signal
import numpy as np
from luce.scorers import Network, multilayer_perceptron
from luce.training.network import fit_network
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
network = Network.initial(multilayer_perceptron(64, (300,), 10), np.random.default_rng(0))
features = np.zeros((400_000, 64), np.float32)
labels = np.zeros(400_000, np.int64)
print("begun", flush=True)
fit = fit_network(network, features, labels, random=np.random.default_rng(0), max_epochs=20,
                  batch_size=16, patience=np.inf)
print(fit.stopped, fit.state.steps == fit.steps > 1, fit.state.rows == 16 * fit.steps,
      fit.steps < 400_000 // 16, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupt_is_heard_within_an_epoch():
    def is_heard():
        command = [sys.executable, "-c", INTERRUPTED]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.3)
            begin = time.perf_counter()
            process.send_signal(signal.SIGINT)
            said = process.stdout.readline()
            took = time.perf_counter() - begin
        return said == "interrupted True True True\n" and took < 1

    assert any(is_heard() for _ in range(ATTEMPTS))


def paced(pace, calls, seconds_of):
    """Numbers of threads and steps of so many calls, where a step takes so long."""
    made = []
    for call in range(calls):
        threads, seconds = pace.next()
        steps = pace.steps(threads, seconds)
        pace.took(threads, steps, steps * seconds_of(threads, call))
        made.append((threads, steps))
    return made


def test_the_number_of_threads_is_the_quickest_that_was_tried():
    seconds = {6: 3e-5, 3: 1e-5, 1: 2e-5}
    made = paced(Pace(6), 200, lambda threads, call: seconds[threads] * (9 if call == 0 else 1))
    assert made[0] == (6, 1)
    assert [threads for threads, _ in made[1:7]] == [6, 3, 1, 6, 3, 1]
    assert {threads for threads, _ in made[8:51]} == {3}
    assert made[50][1] == pytest.approx(CALL_SECONDS / 1e-5, abs=1)
    assert all(steps * seconds[threads] < TRIAL_SECONDS * 1.01 for threads, steps in made[2:7])
    changed = paced(
        Pace(6), 200, lambda threads, call: seconds[threads] if call < 90 else 1e-5 * threads
    )
    assert [threads for threads, _ in changed[-40:]] == [1] * 40


def test_one_call_that_was_disturbed_decides_nothing():
    def seconds(threads, call):
        return (1e-3 if call == 1 else 1e-5) if threads == 2 else 1.5e-5

    assert {threads for threads, _ in paced(Pace(2), 51, seconds)[5:]} == {2}


def test_steps_that_take_long_are_one_a_call():
    assert {steps for _, steps in paced(Pace(1), 20, lambda *_: 0.5)} == {1}


def test_pages_are_one_process_own():
    memory = pages(100_000)
    assert len(memory) >= 100_000
    memory[:] = 1
    if hasattr(os, "fork"):
        if (child := os.fork()) == 0:
            memory[:] = 2
            os._exit(0)
        os.waitpid(child, 0)
    assert (memory == 1).all()
