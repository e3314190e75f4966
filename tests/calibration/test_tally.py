import numpy as np
import pytest

from luce.calibration import tally
from luce.calibration.labelled import labelled
from luce.calibration.tally import tallied


def tally_of(draw, n=200, k=3, weights=None, groups=None, apart=True, seed=0):
    log_probabilities, labels, _ = draw(np.random.default_rng(seed), n, k)
    given = labelled(log_probabilities, labels, weights, groups, logarithmic=True)
    return tallied(given, np.random.default_rng(seed), apart=apart), log_probabilities, labels


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_the_rows(draw, weighted, apart):
    weights = np.random.default_rng(1).integers(1, 4, size=200) / 4 if weighted else None
    found, log_probabilities, labels = tally_of(draw, weights=weights, apart=apart)
    w = np.ones(200) if weights is None else weights
    p = np.exp(log_probabilities)
    every = np.arange(200)
    correct = p.argmax(axis=1) == labels
    assert len(found.weight) == (200 if apart else 1)
    assert found.weight.sum() == pytest.approx(w.sum())
    assert found.mean_square_weight == pytest.approx(np.mean(w**2))
    loss = -log_probabilities[every, labels]
    assert found.loss.sum() == pytest.approx(w @ loss)
    assert found.distance.sum() == pytest.approx(w @ ((p - np.eye(3)[labels]) ** 2).sum(axis=1))
    entropy = -(p * log_probabilities).sum(axis=1)
    assert found.seen.surprise.sum() == pytest.approx(w @ (entropy - loss))
    assert found.seen.confidence.sum() == pytest.approx(w @ (p.max(axis=1) - correct))
    of_classes = found.cells.class_totals(found.seen.classes.sum(axis=1))
    expected = w @ (p - np.eye(3)[labels])
    np.testing.assert_allclose(of_classes[found.cells.class_starts // 15], expected, atol=1e-9)
    assert found.confidence_weight.sum() == pytest.approx(w.sum())
    assert found.class_weight.sum() == pytest.approx(3 * w.sum())


def test_units_without_weight_are_no_units(draw):
    weights = np.arange(200) % 3 > 0
    found, *_ = tally_of(draw, weights=weights.astype(float))
    assert found.rows == weights.sum() == len(found.weight)
    np.testing.assert_array_equal(found.unit[weights], np.arange(weights.sum()))


def test_drawn_labels_are_calibrated_and_as_noisy_as_labels(draw):
    found, log_probabilities, _ = tally_of(draw, n=1000, k=4)
    p = np.exp(log_probabilities)
    times = found.calibrated.surprise.size
    top = p.max(axis=1)
    entropy = -(p * log_probabilities).sum(axis=1)
    variances = {
        "surprise": ((p * log_probabilities**2).sum(axis=1) - entropy**2).sum(),
        "confidence": (top * (1 - top)).sum(),
    }
    of_class = found.cells.class_totals(found.calibrated.classes)[found.cells.class_starts[0] // 15]
    for values, variance in (
        (found.calibrated.surprise, variances["surprise"]),
        (found.calibrated.confidence.sum(axis=0), variances["confidence"]),
        (of_class, (p[:, 0] * (1 - p[:, 0])).sum()),
    ):
        assert abs(values.mean()) < 4 * np.sqrt(variance / times)
        assert values.var() == pytest.approx(variance, rel=0.2)


def test_copies_in_groups_stretch_the_draws_by_their_number(draw):
    log_probabilities, labels, _ = draw(np.random.default_rng(0), 2000, 3)
    groups = np.repeat(np.arange(2000), 4)

    def tally_of_copies(groups):
        given = labelled(
            np.repeat(log_probabilities, 4, axis=0),
            np.repeat(labels, 4),
            None,
            groups,
            logarithmic=True,
        )
        return tallied(given, np.random.default_rng(0), apart=True)

    alone, together = tally_of_copies(None), tally_of_copies(groups)
    assert alone.stretch == 1
    assert together.stretch == pytest.approx(4, rel=0.1)
    for name, drawn in vars(alone.calibrated).items():
        stretched = getattr(together.calibrated, name)
        assert stretched.std() == pytest.approx(2 * drawn.std(), rel=0.1)


def test_groups_of_one_row_do_not_stretch(draw):
    found, *_ = tally_of(draw, n=100, groups=np.arange(100))
    assert found.stretch == 1


def test_nothing_stretches_more_than_copies_do():
    rows = np.tile([[1.0, 1e-300]], (12, 1))  # labels that are hardly ever drawn
    given = labelled(rows, [1] * 12, None, np.arange(12) // 3, logarithmic=False)
    found = tallied(given, np.random.default_rng(0), apart=True)
    assert found.stretch == 3
    assert all(np.isfinite(values).all() for values in vars(found.calibrated).values())


@pytest.mark.parametrize(("n", "units"), [(50, 50), (900, 64)])
def test_units_are_bounded(draw, n, units, monkeypatch):
    monkeypatch.setattr(tally, "_UNIT_SUMS", 1)
    found, *_ = tally_of(draw, n=n)
    assert len(found.weight) == units
    assert found.rows == n


@pytest.mark.parametrize(("n", "times"), [(200, 999), (17_000, 986), (70_000, 239)])
def test_many_rows_are_drawn_less_often(draw, n, times):
    found, *_ = tally_of(draw, n=n, k=2)
    assert found.calibrated.surprise.size == times


def test_a_label_held_impossible_is_infinite_only_in_the_loss(draw):
    given = labelled([[1.0, 0.0], [0.5, 0.5]], [1, 0], None, None, logarithmic=False)
    found = tallied(given, np.random.default_rng(0), apart=True)
    np.testing.assert_array_equal(found.impossible, [1, 0])
    np.testing.assert_allclose(found.loss, [0, np.log(2)])
    assert np.isfinite(found.seen.surprise).all()
    assert found.seen.surprise[0] < -100
    assert np.isfinite(found.calibrated.surprise).all()
