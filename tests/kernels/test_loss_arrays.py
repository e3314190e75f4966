"""Losses of arrays that lie in memory in any way, and of many threads."""

import numpy as np
import pytest


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("length", [5, 16, 67, 200])
def test_any_strides_and_in_place(implementation, dtype, length, soft, made, run, labels_of):
    """Strided, transposed, reversed and broadcast scores give the bits of contiguous ones."""
    rng = np.random.default_rng(15)
    plain = rng.standard_normal((12, length)).astype(dtype)
    labels = rng.uniform(0, 1, plain.shape).astype(dtype) if soft else labels_of(plain, rng)
    options = {"temperature": 1.3, "z_loss": 0.1}
    if made:
        options |= {"class_weights": rng.uniform(0, 2, length), "label_smoothing": 0.2}
    kernel = implementation.cross_entropy_soft if soft or made else implementation.cross_entropy
    losses, gradient = run(implementation, plain, labels, **options)
    wide = np.zeros((24, 3 * length), dtype)
    layouts = {
        "columns": np.asfortranarray(plain),
        "gaps": wide[::2, ::3],
        "padded rows": np.zeros((12, length + 3), dtype)[:, :length],
        "reversed": np.zeros_like(plain)[::-1, ::-1],
    }
    for name, scores in layouts.items():
        scores[...] = plain
        again, slope = np.empty(12), np.empty_like(plain)
        kernel(scores, labels, None, again, slope, **options)
        np.testing.assert_array_equal(again, losses, name)
        np.testing.assert_array_equal(slope, gradient, name)
        by_columns = np.empty_like(plain, order="F")
        kernel(scores, labels, None, again, by_columns, **options)
        np.testing.assert_array_equal(by_columns, gradient, name)
        kernel(scores, labels, None, again, scores, **options)
        np.testing.assert_array_equal(again, losses, name)
        np.testing.assert_array_equal(scores, gradient, name)
    assert not wide[1::2].any()
    assert not wide[:, 1::3].any()
    if soft:
        again, slope = np.empty(12), np.empty_like(plain)
        turned = np.asfortranarray(labels)[:, ::-1][:, ::-1]
        kernel(plain, turned, None, again, slope, **options)
        np.testing.assert_array_equal(slope, gradient)


def test_one_row_many_times(implementation, dtype, run):
    row = np.linspace(-3, 3, 33).astype(dtype)
    scores = np.broadcast_to(row, (20, 33))
    losses, gradient = np.empty(20), np.empty((20, 33), dtype)
    labels = np.full(20, 4)
    assert implementation.cross_entropy(scores, labels, None, losses, gradient) == -1
    alone, slope = run(implementation, row[None].copy(), labels[:1])
    np.testing.assert_array_equal(losses, np.repeat(alone, 20))
    np.testing.assert_array_equal(gradient, np.repeat(slope, 20, axis=0))


@pytest.mark.parametrize("made", [False, True])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("shape", [(4001, 9), (301, 130), (3, 30001)])
def test_threads_change_no_bit(implementation, dtype, shape, soft, made, run, labels_of):
    rng = np.random.default_rng(16)
    scores = rng.standard_normal(shape).astype(dtype)
    labels = rng.uniform(0, 1, shape).astype(dtype) if soft else labels_of(scores, rng)
    options = {"temperature": 1.3, "z_loss": 0.1, "label_smoothing": 0.1}
    if made:
        of_rows = {"masses": rng.uniform(0, 2, len(scores))}
        options |= {"class_weights": rng.uniform(0, 2, shape[1])} | of_rows
    losses, gradient = run(implementation, scores, labels, **options)
    for threads in (2, 3, 8):
        again, slope = run(implementation, scores, labels, threads=threads, **options)
        np.testing.assert_array_equal(again, losses)
        np.testing.assert_array_equal(slope, gradient)


@pytest.mark.parametrize("shape", [(0, 3), (0, 0)])
def test_no_rows(implementation, dtype, shape):
    scores, losses = np.empty(shape, dtype), np.empty(0)
    for labels in (np.empty(0, np.int64), np.empty(shape, dtype)):
        kernel = implementation.cross_entropy_soft if labels.ndim == 2 else None
        kernel = kernel or implementation.cross_entropy
        options = {"temperature": 2.0, "z_loss": 1.0}
        assert kernel(scores, labels, None, losses, np.empty_like(scores), **options) in (-1, None)


def test_no_classes(implementation, dtype):
    scores, losses = np.empty((3, 0), dtype), np.full(3, 8.0)
    implementation.cross_entropy_soft(scores, scores.copy(), None, losses, scores.copy())
    np.testing.assert_array_equal(losses, 0)
