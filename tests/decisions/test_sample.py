import numpy as np
import pytest
from scipy import stats

import luce
from luce import DataError
from luce.decisions import Sample


def share_of(scores, temperature=1.0, top_k=None, top_p=1.0, min_p=0.0):
    """The distribution, the plain way: sort, sum, cut."""
    shares = luce.softmax(np.asarray(scores, np.float64), temperature=temperature)
    order = np.argsort(-shares, kind="stable")[:top_k]
    kept = shares[order] / shares[order].sum()
    first = int(np.searchsorted(np.cumsum(kept), top_p)) + 1
    order, kept = order[:first], kept[:first]
    order = order[kept >= min_p * kept[0]]
    result = np.zeros_like(shares)
    result[order] = shares[order]
    return result / result.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "rule",
    [
        Sample(),
        Sample(temperature=0.6),
        Sample(top_k=4),
        Sample(top_p=0.8),
        Sample(min_p=0.2),
        Sample(1.5, 12, 0.9, 0.05),
    ],
)
def test_draws_have_the_distribution_of_the_plain_way(rule, dtype):
    scores = np.random.default_rng(3).standard_normal(30).astype(dtype) * 2
    expected = share_of(scores, rule.temperature, rule.top_k, rule.top_p, rule.min_p)
    n = 50_000
    drawn = rule.draw(np.broadcast_to(scores, (n, 30)), np.random.default_rng(4))
    counts = np.bincount(drawn, minlength=30)
    assert not counts[expected == 0].any()
    possible = expected > 0
    if possible.sum() > 1:
        found = stats.chisquare(counts[possible], n * expected[possible])
        assert found.pvalue > 1e-4


def counts_of_torch(torch, rule, scores, n):
    """How often each class is drawn the plain way: softmax, cuts of the sorted row, multinomial."""
    shares = (torch.from_numpy(scores) / rule.temperature).softmax(-1)
    shares, places = torch.sort(shares, descending=True)
    shares[len(scores) if rule.top_k is None else rule.top_k :] = 0
    shares /= shares.sum()
    shares[shares.cumsum(-1) - shares >= rule.top_p] = 0
    shares[shares < rule.min_p * shares[0]] = 0
    drawn = places[torch.multinomial(shares, n, replacement=True)]
    return np.bincount(drawn.numpy(), minlength=len(scores))


@pytest.mark.parametrize("rule", [Sample(0.7), Sample(1.0, 8), Sample(1.5, 12, 0.9, 0.05)])
def test_draws_have_the_distribution_of_torch(rule):
    torch = pytest.importorskip("torch")
    scores, n = np.random.default_rng(3).standard_normal(30).astype(np.float32) * 2, 50_000
    torch.manual_seed(0)
    ours = rule.draw(np.broadcast_to(scores, (n, 30)), np.random.default_rng(5))
    counts = np.stack([np.bincount(ours, minlength=30), counts_of_torch(torch, rule, scores, n)])
    often = counts.sum(axis=0) >= 20
    assert counts[:, often].all()
    assert stats.chi2_contingency(counts[:, often]).pvalue > 1e-4


@pytest.mark.parametrize("rule", [Sample(0.8), Sample(top_k=1000, top_p=0.9), Sample(top_p=0.8)])
def test_draws_from_many_classes(rule):
    """256,000, in groups of about equal shares."""
    scores = np.random.default_rng(5).standard_normal(256_000).astype(np.float32) * 3
    expected = share_of(scores, rule.temperature, rule.top_k, rule.top_p, rule.min_p)
    drawn = rule.draw(np.broadcast_to(scores, (1000, 256_000)), np.random.default_rng(6))
    assert (expected[drawn] > 0).mean() > 0.998
    order = np.argsort(-expected, kind="stable")
    group = np.empty(256_000, int)
    group[order] = np.minimum(expected[order].cumsum() * 20, 19.999)
    shares = np.bincount(group, expected, 20)
    counts = np.bincount(group[drawn], minlength=20)
    assert stats.chisquare(counts[shares > 0], 1000 * shares[shares > 0]).pvalue > 1e-4


def test_reproducible_from_a_generator_and_independent_of_threads():
    scores = np.random.default_rng(0).standard_normal((500, 300))
    rule = Sample(top_p=0.9)
    draws = []
    for threads in (1, 2, 5):
        with luce.threads(threads):
            draws.append(rule.draw(scores, np.random.default_rng(7)))
    assert (draws[0] == draws[1]).all()
    assert (draws[0] == draws[2]).all()
    assert (draws[0] != rule.draw(scores, np.random.default_rng(8))).any()


def test_decisions_of_probabilities_are_those_of_their_logarithms(monkeypatch):
    monkeypatch.setattr("luce.decisions.sample.BLOCK", 100)
    probabilities = luce.softmax(np.random.default_rng(0).standard_normal((50, 7)) * 3)
    probabilities[0] = [0, 0, 1, 0, 0, 0, 0]
    rule = Sample(temperature=0.8, top_k=3)
    with np.errstate(divide="ignore"):
        drawn = rule.draw(np.log(probabilities), np.random.default_rng(1))
    decision = rule.decide(probabilities, np.random.default_rng(1))
    np.testing.assert_array_equal(decision.labels, drawn)
    assert decision.answered.all()
    assert decision.sets is None
    assert rule.decide(probabilities).labels.shape == (50,)


def test_temperature_0_is_argmax():
    scores = np.random.default_rng(0).standard_normal((40, 9))
    drawn = Sample(temperature=0).draw(scores, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, scores.argmax(axis=1))


def test_bfloat16_and_integers():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    scores = np.array([[0, 3, 1], [5, 0, 0]])
    for dtype in (np.int8, np.float16, ml_dtypes.bfloat16, ">f4"):
        drawn = Sample(top_k=1).draw(scores.astype(dtype), np.random.default_rng(0))
        assert drawn.tolist() == [1, 0]


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"temperature": None},
        {"top_k": 0},
        {"top_k": 2.5},
        {"top_k": True},
        {"top_p": 0},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"min_p": 2},
    ],
)
def test_parameters_out_of_range(parameters):
    (name,) = parameters
    with pytest.raises(DataError, match=f"{name} is .*expected"):
        Sample(**parameters)


def test_rows_that_cannot_be_drawn_from(monkeypatch):
    monkeypatch.setattr("luce.decisions.sample.BLOCK", 4)
    random = np.random.default_rng(0)
    with pytest.raises(DataError, match="row 1: a score is NaN"):
        Sample().draw([[0.0, 1.0], [np.nan, 0.0]], random)
    with pytest.raises(DataError, match="row 1: no class can happen"):
        Sample().draw([[0.0, 1.0], [-np.inf, -np.inf]], random)
    with pytest.raises(DataError, match="row 5: the probabilities sum to 0"):
        Sample().decide([[0.5, 0.5], *[[1.0, 0.0]] * 4, [0.0, 0.0]], random)
    with pytest.raises(DataError, match="row 0: the probability of class 1 is negative"):
        Sample().decide([[2.0, -1.0]], random)
    with pytest.raises(DataError, match="at least one class"):
        Sample().draw(np.zeros((3, 0)), random)
    with pytest.raises(DataError, match="real numbers"):
        Sample().draw([["a"]], random)
    assert Sample().draw(np.zeros((0, 3)), random).shape == (0,)
