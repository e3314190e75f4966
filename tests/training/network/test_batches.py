import numpy as np
import pytest

from luce.training.network.batches import Batches


def copies(batches):
    """All batches, each copied before the next takes its place."""
    found = []
    for features, targets, weights, weight in batches:
        dense = features if isinstance(features, np.ndarray) else features.toarray()
        assert weight == weights.sum()
        found.append((dense.copy(), targets.copy(), weights.copy()))
    return found


def shuffled(batches, random):
    return batches.gathered(batches.order(random))


def joined(found):
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("size", [1, 7, 30, 1000])
def test_in_order_the_rows_come_as_they_lie(rows, sparse, size):
    features, labels = rows(n=30, sparse=sparse)
    batches = Batches(features, labels, None, size)
    found = copies(batches.in_order())
    assert len(found) == len(batches) == -(-30 // size)
    assert all(len(targets) == min(size, 30) for _, targets, _ in found[:-1])
    all_features, targets, weights = joined(found)
    np.testing.assert_array_equal(all_features, features.toarray() if sparse else features)
    np.testing.assert_array_equal(targets, labels)
    assert (weights == 1).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_shuffled_every_row_comes_once_with_what_belongs_to_it(rows, random, sparse, weighted):
    features, _ = rows(n=50, sparse=sparse)
    places, sums = np.arange(50), features.sum(axis=1)
    given = random.uniform(1, 2, 50) if weighted else None
    batches = Batches(features, places, given, 8)
    all_features, targets, weights = joined(copies(shuffled(batches, random)))
    np.testing.assert_array_equal(np.sort(targets), places)
    assert (targets != places).any()
    np.testing.assert_allclose(all_features.sum(axis=1), sums[targets])
    np.testing.assert_array_equal(weights / batches.unit, given[targets] if weighted else 1)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_rows_of_weight_0_are_none(rows, shuffle, sparse):
    features, labels = rows(n=40, sparse=sparse)
    weights = np.tile([1.0, 0.0, 2.0, 0.0], 10)
    left = weights > 0
    results = []
    for given in (
        Batches(features, labels, weights, 6),
        Batches(features[left], labels[left], weights[left], 6),
    ):
        random = np.random.default_rng(0)
        results.append(joined(copies(shuffled(given, random) if shuffle else given.in_order())))
        assert (given.rows, given.weight / given.unit) == (20, 30.0)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_distributions_are_cut_like_labels(rows, random):
    features, labels = rows(n=20)
    targets = np.eye(3)[labels]
    batches = Batches(features, targets, None, 6)
    found = joined(copies(shuffled(batches, np.random.default_rng(0))))
    expected = joined(
        copies(shuffled(Batches(features, labels, None, 6), np.random.default_rng(0)))
    )
    np.testing.assert_array_equal(found[1].argmax(axis=1), expected[1])


def test_the_order_is_drawn_before_the_first_batch(rows):
    features, labels = rows(n=20)
    random, other = np.random.default_rng(0), np.random.default_rng(0)
    epoch = shuffled(Batches(features, labels, None, 5), random)
    other.permutation(20)
    assert random.bit_generator.state == other.bit_generator.state
    next(epoch)
    assert random.bit_generator.state == other.bit_generator.state


def test_batches_share_their_memory(rows, random):
    features, labels = rows(n=40)
    where = {
        batch.features.ctypes.data for batch in shuffled(Batches(features, labels, None, 8), random)
    }
    assert len(where) == 1
    ordered = Batches(features, labels, None, 8).in_order()
    assert all(np.shares_memory(batch.features, features) for batch in ordered)
