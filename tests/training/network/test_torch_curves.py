"""The steps are torch's, to the rounding of the dtype."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from luce.scorers import Dense, Network, Relu, Tanh
from luce.training.network import Adam, Momentum, fit_network

CURVES = runpy.run_path(str(Path(__file__).with_name("torch_curves.py")))
CASES = [(name, dtype) for name in CURVES["OPTIMISERS"] for dtype in ("float64", "float32")]
RELATIVE = 1e-5


def first_network(dtype):
    _, _, weights, biases = CURVES["problem"]()
    activations = [(Tanh(),), (Relu(),), ()]
    layers = tuple(
        Dense(*weight.shape, *activation)
        for weight, activation in zip(weights, activations, strict=True)
    )
    parts = [part.ravel() for part in (*weights, *biases)]
    return Network(layers, np.concatenate(parts).astype(dtype))


def settings(name):
    optimiser = {
        "Adam": Adam(),
        "AdamW": Adam(weight_decay=CURVES["DECAY"]),
        "SGD with Nesterov momentum": Momentum(0.9, nesterov=True),
    }[name]
    return {
        "optimiser": optimiser,
        "penalty": 0.0 if name == "AdamW" else CURVES["PENALTY"],
        "learning_rate": CURVES["RATES"][name],
        "shuffle": False,
        "patience": np.inf,
    }


def rows(dtype):
    features, labels, _, _ = CURVES["problem"]()
    return np.ascontiguousarray(features, dtype), labels.astype(np.int64)


def losses_of_steps(name, dtype):
    """Each step is a fit of its own, of one batch, that goes on from the last one."""
    features, labels = rows(dtype)
    network, random, state = first_network(dtype), np.random.default_rng(0), None
    losses = []
    for step in range(CURVES["STEPS"]):
        batch = CURVES["batch"](step)
        network = network if state is None else Network(network.layers, state.parameters)
        losses.append(network.value_and_gradient(features[batch], labels[batch])[0])
        fit = fit_network(
            network,
            features[batch],
            labels[batch],
            random=random,
            max_epochs=1,
            state=state,
            **settings(name),
        )
        state = fit.state
    return np.array(losses), state


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_200_steps_are_those_that_torch_recorded(name, dtype):
    recorded = json.loads(CURVES["RECORD"].read_text())[f"{name}, {dtype}"]
    losses, _ = losses_of_steps(name, dtype)
    print(f"{name}, {dtype}: within {np.abs(losses / recorded - 1).max():.1e}")
    np.testing.assert_allclose(losses, recorded, rtol=1e-10 if dtype == "float64" else RELATIVE)
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_200_steps_are_those_that_torch_takes_here(name, dtype):
    pytest.importorskip("torch")
    losses, _ = losses_of_steps(name, dtype)
    np.testing.assert_allclose(losses, CURVES["torch_losses"](name, dtype), rtol=RELATIVE)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_epochs_of_batches_are_the_same_steps(name, dtype):
    features, labels = rows(dtype)
    fit = fit_network(
        first_network(dtype),
        features,
        labels,
        random=np.random.default_rng(0),
        batch_size=CURVES["BATCH"],
        max_epochs=CURVES["STEPS"] * CURVES["BATCH"] // len(labels),
        **settings(name),
    )
    _, state = losses_of_steps(name, dtype)
    assert fit.steps == CURVES["STEPS"]
    np.testing.assert_array_equal(fit.network.parameters, state.parameters)
