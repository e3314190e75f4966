"""The loss of 200 steps as torch takes them, from the same weights and over the same batches.

    python tests/training/network/torch_curves.py

writes torch_curves.json beside this file; that was done with torch 2.13.
"""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np

RECORD = Path(__file__).with_name("torch_curves.json")
STEPS, ROWS, BATCH = 200, 160, 20
WIDTHS = (7, 16, 12, 4)
OPTIMISERS = ("Adam", "AdamW", "SGD with Nesterov momentum")
RATES = {"Adam": 0.005, "AdamW": 0.005, "SGD with Nesterov momentum": 0.05}
PENALTY, DECAY = 0.3, 0.02  # the penalty is divided by the batch's rows, the decay is not


def problem():
    """Features, labels, and the first weights and biases, by formulas, in float64."""
    i, j = np.ogrid[:ROWS, : WIDTHS[0]]
    features = np.sin(0.7 * i * (j + 1) + j * j) + 0.3 * np.cos(1.3 * i)
    turned = features @ np.cos(np.arange(28.0) ** 2).reshape(7, 4)
    labels = (turned + np.sin(3.1 * i + np.arange(4))).argmax(axis=1)
    weights, biases = [], []
    for layer, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        bound = np.sqrt(6 / (inputs + outputs))
        angles = np.arange(inputs * outputs, dtype=float) ** 2 + layer
        weights.append(bound * np.sin(angles).reshape(inputs, outputs))
        biases.append(bound * np.cos(np.arange(outputs) * 1.7 + layer))
    return features, labels, weights, biases


def batch(step):
    """Rows of a step, counted from 0."""
    start = step * BATCH % ROWS
    return slice(start, start + BATCH)


def torch_losses(name, dtype):
    """The mean cross-entropy of each batch, before the step that it is for."""
    import torch

    torch.set_num_threads(1)
    features, labels, weights, biases = problem()
    inputs = torch.tensor(features.astype(dtype))
    targets = torch.tensor(labels)
    weights = [torch.tensor(w.astype(dtype), requires_grad=True) for w in weights]
    biases = [torch.tensor(b.astype(dtype), requires_grad=True) for b in biases]
    decay = DECAY if name == "AdamW" else PENALTY / BATCH
    groups = [{"params": weights, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}]
    if name == "SGD with Nesterov momentum":
        optimiser = torch.optim.SGD(groups, lr=RATES[name], momentum=0.9, nesterov=True)
    else:
        optimiser = getattr(torch.optim, name)(groups, lr=RATES[name])
    losses = []
    for step in range(STEPS):
        optimiser.zero_grad()
        outputs = inputs[batch(step)]
        for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            outputs = outputs @ weight + bias
            if layer + 1 < len(weights):
                outputs = torch.relu(outputs) if layer else torch.tanh(outputs)
        loss = torch.nn.functional.cross_entropy(outputs, targets[batch(step)])
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def main():
    """Run the command."""
    import torch

    curves = {"torch": torch.__version__} | {
        f"{name}, {dtype}": [float(f"{loss:.12g}") for loss in torch_losses(name, dtype)]
        for name in OPTIMISERS
        for dtype in ("float64", "float32")
    }
    RECORD.write_text(json.dumps(curves, indent=0).replace(",\n", ", ") + "\n")


if __name__ == "__main__":
    main()
