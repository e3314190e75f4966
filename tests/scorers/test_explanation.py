"""What a trace looks like in a terminal."""

import re
from pathlib import Path

import numpy as np
import pytest

import luce
from luce.scorers import Dense, Gelu, LayerNorm, Network, Relu, Residual, multilayer_perceptron

SOFTMAX = luce.Softmax()
LINEAR = """\
1 x 2 features -> 1 x 3 scores in float64, 1 layer
loss 1.55144 = -(targets * log(probabilities)).sum(axis=1).mean()

Each line is NumPy, over the names of its layer. features: what it was given.
cotangent: the gradient of the loss with respect to its outputs. slope: the
derivative of its activation. The name of a gradient says with respect to what.

the loss -----------------------------------------------------------------------
  p - y             = probabilities - targets          (1, 3) - (1, 3) -> (1, 3)
     [ 0.212  0.576  0.212 ] - [ 1  0  0 ] = [ -0.788   0.576   0.212 ]
  cotangent         = (p - y) / 1                                         (1, 3)
     [ -0.788   0.576   0.212 ]

  scores            = outputs of layer 1                                  (1, 3)
  probabilities     = softmax(scores)                                     (1, 3)
     [ 0.212  0.576  0.212 ]
  targets           = given                                               (1, 3)

layer 1: Dense(2, 3) -----------------------------------------------------------
  features          = features of the network                             (1, 2)
  weights           = parameter                                           (2, 3)
  bias              = parameter                                             (3,)
  outputs           = features @ weights + bias (1, 2) @ (2, 3) + (3,) -> (1, 3)
     [ 2.0  0.5 ] @ [  1   0   1 ] + [ 0  1  0 ] = [ 1.5  2.5  1.5 ]
                    [ -1   3  -1 ]

  cotangent         = cotangent of the network                            (1, 3)
  delta             = cotangent                                           (1, 3)
  weights_gradient  = features.T @ delta               (2, 1) @ (1, 3) -> (2, 3)
     [ 2.0 ] @ [ -0.788   0.576   0.212 ] = [ -1.576   1.152   0.424 ]
     [ 0.5 ]                                [ -0.394   0.288   0.106 ]
  bias_gradient     = delta.sum(axis=0)                                     (3,)
     [ -0.788   0.576   0.212 ]
  features_gradient = delta @ weights.T                (1, 3) @ (3, 2) -> (1, 2)
                                  [  1  -1 ]
     [ -0.788   0.576   0.212 ] @ [  0   3 ] = [ -0.576   2.304 ]
                                  [  1  -1 ]"""


def explained(layers, rows=2, columns=80, dtype=np.float64, map=SOFTMAX):
    random = np.random.default_rng(0)
    network = Network.initial(layers, random, dtype, map)
    features = random.standard_normal((rows, layers[0].inputs)).astype(dtype)
    return network.trace(features, np.arange(rows) % network.classes).explain(columns)


def test_a_small_network_in_full():
    parameters = np.array([1.0, 0, 1, -1, 3, -1, 0, 1, 0])
    trace = Network((Dense(2, 3),), parameters).trace(np.array([[2.0, 0.5]]), [0])
    assert trace.explain().splitlines() == LINEAR.splitlines()


def test_from_the_loss_to_the_features_p_minus_y_first():
    text = explained(multilayer_perceptron(4, (3, 3), 2, residual=True, layer_norm=True))
    titles = [line.rstrip(" -") for line in text.splitlines() if line.endswith("---")]
    assert titles == [
        "the loss",
        "layer 5: Dense(3, 2)",
        "layer 4: Residual(3 layers)",
        "layer 4.3: Relu()",
        "layer 4.2: LayerNorm(3)",
        "layer 4.1: Dense(3, 3)",
        "layer 4, where both ways meet",
        "layer 3: Relu()",
        "layer 2: LayerNorm(3)",
        "layer 1: Dense(4, 3)",
    ]
    first = text.splitlines()[text.splitlines().index(f"{'the loss ':-<80}") + 1]
    assert first.split("  ")[1] == "p - y"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("rows", [1, 3, 64])
@pytest.mark.parametrize(
    "layers",
    [
        (Dense(2, 3),),
        (Dense(8, 8, Gelu()), Residual((LayerNorm(8), Dense(8, 8, Relu()))), Dense(8, 6)),
        multilayer_perceptron(784, (512,), 1000, Gelu()),
    ],
    ids=["small", "medium", "large"],
)
def test_it_fits_the_terminal(layers, rows, columns, dtype):
    text = explained(layers, rows, columns, dtype)
    assert max(map(len, text.splitlines())) <= columns
    assert text.isascii()
    assert not re.search(r"\s$", text, re.MULTILINE) or "\n\n" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_large_arrays_show_their_ends_and_no_operands():
    text = explained(multilayer_perceptron(784, (512,), 10), rows=20)
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if "features.T @ delta" in line)
    assert lines[at].endswith("(512, 20) @ (20, 10) -> (512, 10)")
    assert [line.count("...") for line in lines[at + 1 : at + 7]] == [1, 1, 1, 1, 8, 1]
    assert not any("@" in line for line in lines[at + 1 : at + 7])
    assert len(lines) < 120


def grid_of(numbers, dtype=np.float64):
    """How the features of one row are written."""
    row = np.array([numbers], dtype)
    network = Network((Dense(len(numbers), 1),), np.zeros(len(numbers) + 1, dtype))
    text = network.trace(row, [0]).explain()
    return next(line for line in text.splitlines() if line.startswith("     [") and "@" in line)


@pytest.mark.parametrize(
    ("numbers", "written"),
    [
        ([1.0, -2.0], "[  1  -2 ]"),
        ([0.5, 0.0], "[ 0.5    0 ]"),
        ([-1e-5, 0.25], "[ 0.000  0.250 ]"),
        ([1.23456, -0.1], "[  1.235  -0.100 ]"),
        ([123.456, 0.0], "[ 123.5      0 ]"),
        ([0.0123456, 0.0], "[ 0.0123       0 ]"),
        ([0.00123456, 0.0], "[ 0.00123        0 ]"),
        ([0.000123456, 0.0], "[ 1.2e-04        0 ]"),
        ([1e-7, 0.0], "[ 1.0e-07        0 ]"),
        ([1.5e9, -1.0], "[  1.5e+09  -1.0e+00 ]"),
        ([np.nan, 1.5], "[ nan  1.5 ]"),
        ([np.inf, -np.inf], "[  inf  -inf ]"),
        ([0.0, 0.0], "[ 0  0 ]"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers(numbers, written, dtype):
    with np.errstate(all="ignore"):
        assert grid_of(numbers, dtype).startswith(f"     {written} ")


def test_what_does_not_fit_beside_goes_beneath():
    text = explained((Dense(8, 4), Dense(4, 8)), rows=6)
    at = text.index("features.T @ delta")
    assert re.search(r"^     = \[", text[at:], re.MULTILINE)


def test_another_map_is_named():
    text = explained((Dense(2, 3),), map=luce.Softmax(2.0))
    lines = text.splitlines()
    assert lines[1].endswith(" = FenchelYoung(map).value(scores, targets).mean()")
    assert lines[2] == "map = Softmax(temperature=2.0, axis=-1)"
    assert re.search(r"probabilities +=\ map\(scores\)", text)
    assert max(map(len, lines)) <= 80


def test_the_page_shows_what_is_printed(capsys):
    page = (Path(__file__).parents[2] / "docs" / "network.md").read_text("utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    exec(program, {})
    assert capsys.readouterr().out.splitlines() == shown.splitlines()
