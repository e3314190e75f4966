"""The pass of a linear classifier over CSR rows against the dense one's twin, in float64."""

import numpy as np
import pytest
import scipy.sparse

from luce import kernels
from luce.kernels import reference_linear as reference

# Lanes and steps, vectors of every width, panels of several; features with and without entries of
# their own; several stretches by rows and by entries.
SHAPES = [
    (1, 1, 1, 1),
    (7, 5, 1, 2),
    (40, 3, 2, 2),
    (41, 30, 3, 7),
    (300, 40, 4, 9),
    (300, 40, 5, 9),
    (90, 70, 8, 300),
    (300, 40, 9, 9),
    (200, 60, 17, 20),
    (200, 60, 33, 20),
    (120, 50, 100, 15),
    (60, 300, 300, 40),
    (120, 9000, 9, 40),
    (50, 17_000, 2, 80),
    (40, 9000, 5, 300),
    (3, 5000, 17, 5000),
    (40, 40_000, 3, 12_000),
    (4300, 1400, 40, 5),
    (9, 40_000, 7, 3),
    (30, 600, 130, 700),
]
TYPES = [(np.float32, np.float32), (np.float32, np.float64), (np.float64, np.float64)]


def csr(n, d, entries, dtype=np.float32, index=np.int32, seed=0):
    """Data, indices and indptr: indices unsorted, some more than once, some rows empty."""
    random = np.random.default_rng(seed)
    sizes = random.integers(0, 2 * entries + 1, n)
    sizes[random.random(n) < 0.1] = 0
    indptr = np.r_[0, sizes.cumsum()]
    indices = np.floor(d * random.random(indptr[-1]) ** 2)
    data = random.standard_normal(len(indices))
    return data.astype(dtype), indices.astype(index), indptr.astype(index)


def problem(n, d, k, real, entries=1):
    random = np.random.default_rng(1)
    scale = 2 / np.sqrt(entries)
    return {
        "labels": random.integers(0, k, n),
        "weights": random.uniform(0, 2, n),
        "coef": (scale * random.standard_normal((k, d))).astype(real),
        "intercept": random.standard_normal(k).astype(real),
        "targets": random.dirichlet(np.ones(k), n).astype(real),
        "direction": (scale * random.standard_normal((k, d))).astype(real),
    }


def dense(data, indices, indptr, d):
    rows = np.zeros((len(indptr) - 1, d))
    of_entries = np.repeat(np.arange(len(rows)), np.diff(indptr))
    np.add.at(rows, (of_entries, indices[: indptr[-1]]), data[: indptr[-1]].astype(np.float64))
    return rows


def run(matrix, labels, weights, coef, intercept=None, module=kernels, **options):
    gradient, bias = np.full(coef.shape, np.nan), np.full(len(coef), np.nan)
    value = module.sparse_linear_cross_entropy(
        *matrix, labels, weights, coef, intercept, gradient, bias, **options
    )
    return value, gradient, bias


def absolute(matrix, weights, d):
    """What the entries of the gradients are made of, at most: sums of |x| over the rows."""
    rows = dense(np.abs(matrix[0]), *matrix[1:], d)
    return (rows if weights is None else rows * weights[:, None]).sum(axis=0)


@pytest.mark.parametrize("module", [kernels, reference], ids=["compiled", "reference"])
@pytest.mark.parametrize(("n", "d", "k", "entries"), SHAPES)
@pytest.mark.parametrize(("element", "real"), TYPES)
def test_value_and_gradient(module, n, d, k, entries, element, real):
    matrix = csr(n, d, entries, element, np.int64 if k % 2 else np.int32)
    given = problem(n, d, k, real, entries)
    rows, coef = dense(*matrix, d), given["coef"]
    eps = float(np.finfo(real).eps)
    kinds = ("plain", "weighted", "smoothed", "soft", "made", "made soft")
    for kind in kinds if n * d < 1e6 else ("weighted",):
        labels = given["targets" if kind in ("soft", "made soft") else "labels"]
        weights = None if kind == "plain" else given["weights"]
        intercept = None if kind == "plain" else given["intercept"]
        is_made = kind in ("made", "made soft")
        options = {
            "label_smoothing": 0.1 if is_made or kind == "smoothed" else 0.0,
            "class_weights": np.linspace(0, 2, k) if is_made else None,
        }
        found = run(matrix, labels, weights, coef, intercept, module, threads=2, **options)
        exact, exact_bias = np.empty((k, d)), np.empty(k)
        expected = reference.linear_cross_entropy(
            rows, labels, weights, coef, intercept, exact, exact_bias, **options
        )
        largest = 1 + np.abs(rows @ coef.T).max()
        assert found[0] == pytest.approx(expected, rel=20 * eps, abs=20 * eps * largest), kind
        size = absolute(matrix, weights, d)
        assert (np.abs(found[1] - exact) <= 8 * eps * largest * size + 1e-30).all(), kind
        assert np.abs(found[2] - exact_bias).max() <= 8 * eps * largest * n, kind


@pytest.mark.parametrize("module", [kernels, reference], ids=["compiled", "reference"])
@pytest.mark.parametrize(("n", "d", "k", "entries"), SHAPES)
@pytest.mark.parametrize(("element", "real"), TYPES)
def test_hessian_vector(module, n, d, k, entries, element, real):
    matrix = csr(n, d, entries, element)
    given = problem(n, d, k, real, entries)
    rows = dense(*matrix, d)
    for plain in (True, False) if n * d < 1e6 else (False,):
        weights = None if plain else given["weights"]
        intercept, slope = (None, None) if plain else (given["intercept"], given["intercept"][::-1])
        slope = None if plain else np.ascontiguousarray(slope)
        product, bias = np.full((k, d), np.nan), np.full(k, np.nan)
        module.sparse_linear_hessian_vector(
            *matrix, weights, given["coef"], intercept, given["direction"], slope, product, bias,
            threads=2,
        )  # fmt: skip
        exact, exact_bias = np.empty((k, d)), np.empty(k)
        reference.linear_hessian_vector(
            rows, weights, given["coef"], intercept, given["direction"], slope, exact, exact_bias
        )
        largest = 1 + np.abs(rows @ given["coef"].T).max()
        tolerance = 8 * float(np.finfo(real).eps) * largest
        tolerance *= 1 + np.abs(rows @ given["direction"].T).max()
        size = absolute(matrix, weights, d)
        assert (np.abs(product - exact) <= tolerance * size + 1e-30).all(), plain
        assert np.abs(bias - exact_bias).max() <= tolerance * n, plain


@pytest.mark.parametrize(
    ("n", "d", "k", "entries"), [(30_000, 50, 3, 5), (9000, 20_000, 40, 50), (50, 9000, 20, 9000)]
)
def test_same_bits_for_any_number_of_threads(n, d, k, entries):
    matrix, given = csr(n, d, entries), problem(n, d, k, np.float32)
    one, *others = (
        run(matrix, given["labels"], given["weights"], given["coef"], threads=threads)
        for threads in (1, 2, 5)
    )
    for other in others:
        assert other[0] == one[0]
        np.testing.assert_array_equal(other[1], one[1])
        np.testing.assert_array_equal(other[2], one[2])


@pytest.mark.parametrize("d", [300, 30_000])
@pytest.mark.parametrize("k", [3, 10, 64])
def test_sums_over_many_rows_are_accurate(d, k):
    n = 20_000
    data, indices, indptr = csr(n, d, 10)
    indices[::7] = 5
    matrix = np.abs(data), indices, indptr
    given = problem(n, d, k, np.float32)
    coef = given["coef"] / 16
    value, gradient, _ = run(matrix, given["labels"], None, coef, threads=2)
    rows = scipy.sparse.csr_array(matrix, shape=(n, d)).astype(np.float64)
    residuals = rows @ coef.T.astype(np.float64)
    losses = np.empty(n)
    reference.cross_entropy(residuals, given["labels"], None, losses, residuals)
    exact, size = (rows.T @ residuals).T, (abs(rows).T @ np.abs(residuals)).T
    worst = (np.abs(gradient - exact)[size > 0] / size[size > 0]).max()
    expected = losses.sum()
    print(f"d {d}, k {k}: value off by {value / expected - 1:.1e}, gradient by {worst:.1e}")
    assert worst < 1e-6
    assert abs(value / expected - 1) < 1e-8


@pytest.mark.parametrize("k", [3, 30])
@pytest.mark.parametrize("d", [20, 20_000])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_makes_the_value_not_finite_and_stays_with_its_row(d, k, bad):
    matrix, given = csr(100, d, 6), problem(100, d, k, np.float32)
    row = int(np.flatnonzero(np.diff(matrix[2]))[3])
    matrix[0][matrix[2][row]] = bad
    value, gradient, bias = run(matrix, given["labels"], None, given["coef"])
    assert not np.isfinite(value)
    assert not np.isfinite(bias).all()
    touched = np.unique(matrix[1][matrix[2][row] : matrix[2][row + 1]])
    assert np.isfinite(np.delete(gradient, touched, axis=1)).all()
    assert not np.isfinite(gradient[:, touched]).all()


def test_without_rows_entries_or_features():
    for n, d, k in ((0, 5, 3), (0, 20_000, 30), (6, 0, 3), (6, 5, 3), (6, 20_000, 30)):
        matrix = csr(n, d, 0)
        given = problem(n, d, k, np.float64)
        value, gradient, bias = run(
            (matrix[0].astype(float), *matrix[1:]), given["labels"], None, given["coef"]
        )
        assert value == pytest.approx(n * np.log(k))
        assert not gradient.any()
        counts = np.bincount(given["labels"], minlength=k)
        np.testing.assert_allclose(bias, n / k - counts, atol=1e-12)


def test_entries_past_the_last_row_are_not_looked_at():
    data, indices, indptr = csr(30, 9, 4)
    given = problem(30, 9, 3, np.float32)
    expected = run((data, indices, indptr), given["labels"], None, given["coef"])
    longer = np.r_[data, np.float32(np.nan)], np.r_[indices, np.int32(-7)], indptr
    found = run(longer, given["labels"], None, given["coef"])
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize(("d", "k"), [(40, 3), (20_000, 30)])
def test_hostile_indices_are_refused(d, k, index):
    n = 5000
    data, indices, indptr = csr(n, d, 9, index=index)
    given = problem(n, d, k, np.float32)
    least, most = np.iinfo(index).min, np.iinfo(index).max

    def refused(message, indices=indices, indptr=indptr, data=data):
        for threads in (1, 2):
            with pytest.raises(ValueError, match=message):
                run((data, indices, indptr), given["labels"], None, given["coef"], threads=threads)

    for place in (0, len(indices) // 2, len(indices) - 1):
        for wrong in (-1, d, least, most, 2**31 - 1):
            changed = indices.copy()
            changed[place] = wrong
            row = np.searchsorted(indptr, place, "right") - 1
            refused(rf"indices\[{place}\], in row {row}, is {wrong}; expected", changed)
        if index == np.int64:  # the lower half of it alone would be a feature
            changed[place] = 2**32 + 1
            refused(rf"indices\[{place}\]", changed)
    for place, wrong in ((0, 1), (0, -1), (7, -1), (7, most), (7, least), (n, most), (n, -1)):
        changed = indptr.copy()
        changed[place] = wrong
        refused(r"indptr\[", indptr=changed)
    refused(r"indptr\[5000\] is \d+; expected at most", data=data[:-1], indices=indices[:-1])
    refused("one of each an entry", indices=indices[:-1])
    refused("one of each an entry", data=data[:, None])
    refused("indptr has shape", indptr=indptr[:0])
    refused("labels", indptr=indptr[:-1])


def test_wrong_arguments_are_refused():
    data, indices, indptr = csr(10, 4, 3)
    given = problem(10, 4, 3, np.float32)
    gradient, bias = np.empty((3, 4)), np.empty(3)

    def call(data=data, indices=indices, indptr=indptr, labels=given["labels"], weights=None,
             coef=given["coef"], intercept=None, gradient=gradient, bias=bias, **rest):  # fmt: skip
        kernels.sparse_linear_cross_entropy(
            data, indices, indptr, labels, weights, coef, intercept, gradient, bias, **rest
        )

    call()
    for wrong in (
        {"data": data.astype(np.float64)},
        {"data": data.astype(np.float16)},
        {"indices": indices.astype(np.uint32)},
        {"indptr": indptr.astype(float)},
        {"labels": given["labels"].astype(np.int32)},
        {"gradient": gradient.astype(np.float32)},
        {"intercept": np.zeros(3)},
    ):
        with pytest.raises(TypeError):
            call(**wrong)
    for wrong in (
        {"data": np.repeat(data, 2)[::2]},
        {"indices": np.repeat(indices, 2)[::2]},
        {"weights": np.ones(9)},
        {"coef": given["coef"][0]},
        {"coef": given["coef"][:0]},
        {"gradient": gradient[:2]},
        {"gradient": np.empty((4, 3)).T},
        {"bias": bias[:2]},
        {"bias": gradient[0, :3]},
        {"label_smoothing": -0.5},
        {"labels": np.empty((10, 2), np.float32)},
    ):
        with pytest.raises(ValueError, match=r"."):
            call(**wrong)
    call(coef=np.asfortranarray(given["coef"]), gradient=np.empty((3, 6))[:, 1:5])


@pytest.mark.parametrize("kind", ["read-only", "memory-mapped"])
def test_arrays_that_cannot_be_written(kind, tmp_path):
    arrays, given = csr(300, 50, 8), problem(300, 50, 5, np.float32)
    expected = run(arrays, given["labels"], given["weights"], given["coef"])
    fixed = []
    for number, array in enumerate((*arrays, *given.values())):
        if kind == "memory-mapped":
            path = tmp_path / f"{number}.npy"
            np.save(path, array)
            fixed.append(np.load(path, mmap_mode="r"))
        else:
            fixed.append(array.copy())
            fixed[-1].flags.writeable = False
    labels, weights, coef, *_ = fixed[3:]
    found = run(fixed[:3], labels, weights, coef)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])
