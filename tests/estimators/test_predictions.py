"""Predictions of a fitted classifier: the same for every way in which rows can be given."""

import pickle
import signal
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.special
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import luce
from luce import SoftmaxClassifier
from luce.errors import DataError
from luce.estimators import predictions, softmax_classifier

METHODS = ("decision_function", "predict", "predict_proba", "predict_log_proba")
MANY = 10_000  # rows of 64 features: enough for several threads


def fitted(classes, d=64, dtype=np.float64, **parameters):
    """A classifier as `fit` leaves it, with random coefficients and names for classes."""
    random = np.random.default_rng(classes)
    classifier = SoftmaxClassifier(**parameters)
    rows = 1 if classes == 2 else classes
    classifier.classes_ = np.array([f"class {i:03}" for i in range(classes)])
    classifier.coef_ = (random.standard_normal((rows, d)) / np.sqrt(d)).astype(dtype)
    classifier.intercept_ = random.standard_normal(rows).astype(dtype)
    classifier.n_features_in_ = d
    return classifier


@lru_cache(2)
def drawn(n, d):
    return np.random.default_rng(n).standard_normal((n, d))


def features(n, d=64, dtype=np.float64):
    return drawn(n, d).astype(dtype)  # a copy


def expected(classifier, X):
    """What each method has to return, by plain NumPy and SciPy in float64."""
    X, coef = np.asarray(X, dtype=np.float64), classifier.coef_.astype(np.float64)
    scores = X @ coef.T + classifier.intercept_.astype(np.float64)
    of_all = np.hstack([np.zeros_like(scores), scores]) if len(coef) == 1 else scores
    return {
        "decision_function": scores[:, 0] if len(coef) == 1 else scores,
        "predict": classifier.classes_[of_all.argmax(axis=1)],
        "predict_proba": scipy.special.softmax(of_all, axis=1),
        "predict_log_proba": scipy.special.log_softmax(of_all, axis=1),
    }


def check_all(classifier, X, dense=None, dtype=np.float64):
    eps = np.finfo(dtype).eps
    for method, truth in expected(classifier, X if dense is None else dense).items():
        actual = getattr(classifier, method)(X)
        assert actual.shape == truth.shape
        assert actual.flags.writeable
        if method == "predict":
            assert (actual == truth).mean() > 1 - 1e4 * eps  # scores within rounding of each other
        else:
            assert actual.dtype == dtype
            np.testing.assert_allclose(actual, truth, rtol=0, atol=60 * eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 10, 200])
@pytest.mark.parametrize("n", [1, 2, 100, 3001, MANY])
def test_every_method_against_numpy(n, classes, dtype):
    check_all(fitted(classes, dtype=dtype), features(n, dtype=dtype), dtype=dtype)


def test_more_classes_than_fit_a_block_with_the_least_rows():
    check_all(fitted(20_000, d=3), features(150, d=3))


def memory_map(X, path, mode):
    np.save(path / "features.npy", X)
    return np.load(path / "features.npy", mmap_mode=mode)


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def out_of_line(X):
    memory = np.empty(X.nbytes + 1, np.uint8)
    moved = memory[1:].view(X.dtype).reshape(X.shape)
    moved[...] = X
    assert not moved.flags.aligned
    return moved


LAYOUTS = {
    "fortran": lambda X, path: np.asfortranarray(X),
    "every other row": lambda X, path: np.repeat(X, 2, axis=0)[::2],
    "every other column": lambda X, path: np.repeat(X, 2, axis=1)[:, ::2],
    "some columns": lambda X, path: np.hstack([X, X])[:, 5:69] * 0 + X,
    "within wider rows": lambda X, path: np.hstack([X, X])[:, :64],
    "rows of a fortran array": lambda X, path: np.asfortranarray(np.vstack([X, X]))[: len(X)],
    "backwards": lambda X, path: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda X, path: read_only(X),
    "read-only memory map": lambda X, path: memory_map(X, path, "r"),
    "writable memory map": lambda X, path: memory_map(X, path, "r+"),
    "out of line": lambda X, path: out_of_line(X),
    "other byte order": lambda X, path: X.astype(X.dtype.newbyteorder()),
    "csr": lambda X, path: scipy.sparse.csr_array(X),
    "csr matrix": lambda X, path: scipy.sparse.csr_matrix(X),
    "csc": lambda X, path: scipy.sparse.csc_array(X),
    "masked array": lambda X, path: np.ma.masked_array(X),
}


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("n", [1, 100, 3001, MANY])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, n, classes, tmp_path):
    X = features(n)
    given = LAYOUTS[layout](X, tmp_path)
    check_all(fitted(classes), given, dense=X)
    np.testing.assert_array_equal(X, features(n))


@pytest.mark.parametrize("n", [3, 3001])
def test_one_row_that_is_repeated_without_memory(n):
    check_all(fitted(10), np.broadcast_to(features(1), (n, 64)))


@pytest.mark.parametrize("n", [3, 3001])
def test_other_dtypes_and_lists_become_float64(n):
    X = np.random.default_rng(0).integers(-3, 4, (n, 64))
    for given in (X, X.astype(np.float16), X.astype(np.int8), X.tolist()):
        check_all(fitted(10), given, dense=X)


@pytest.mark.parametrize("n", [1, 3001])
def test_products_are_computed_in_the_dtype_of_the_features(n):
    X = features(n, dtype=np.float32)
    check_all(fitted(10, dtype=np.float64), X, dtype=np.float32)
    check_all(fitted(2, dtype=np.float32), X.astype(np.float64), dtype=np.float64)


@pytest.mark.parametrize("n", [1, 3001])
def test_two_classes_keep_the_digits_of_tiny_probabilities(n):
    classifier = fitted(2, d=1)
    classifier.coef_[:], classifier.intercept_[:] = 1.0, 0.0
    X = np.full((n, 1), -700.0)
    np.testing.assert_allclose(classifier.predict_proba(X)[:, 1], np.exp(-700.0), rtol=1e-15)
    np.testing.assert_array_equal(classifier.predict_log_proba(-X)[:, 0], -700.0)
    np.testing.assert_array_equal(classifier.predict(X * 0), "class 000")


@pytest.mark.parametrize("n", [5, MANY])
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_of_any_dtype(n, classes):
    X = features(n)
    classifier = fitted(classes)
    winners = expected(classifier, X)["predict"]
    for labels in ([1.5, 2.5, 3.5], [False, True, True], [b"a", b"bc", b"d"], ["x", 7, None]):
        classifier.classes_ = np.array(labels[:classes], dtype=object if None in labels else None)
        indices = np.searchsorted(fitted(classes).classes_, winners)
        np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[indices])


@pytest.mark.parametrize("n", [1, 3001])
def test_overwritten_coefficients_are_used(n):
    X = features(n)
    classifier = fitted(10)
    check_all(classifier, X)
    classifier.coef_[3] *= -2.0
    check_all(classifier, X)
    classifier.coef_ = np.asfortranarray(classifier.coef_[::-1]).astype(np.float32)
    classifier.intercept_ = np.arange(10)
    check_all(classifier, X)
    check_all(pickle.loads(pickle.dumps(classifier)), X)
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X)


@pytest.mark.parametrize("sparse", [False, True])
def test_predict_never_holds_the_scores_of_all_rows(sparse):
    n, d, classes = 200_000, 8, 200
    classifier, X = fitted(classes, d, np.float32, n_jobs=2), features(n, d, np.float32)
    classifier.classes_ = np.arange(classes)
    if sparse:
        X = scipy.sparse.csr_array(X)
    classifier.predict(X[:1000])
    tracemalloc.start()
    try:
        classifier.predict(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"peak {peak / 1e6:.1f} MB, an (n, k) array {n * classes * 4 / 1e6:.1f} MB")
    assert peak < n * classes * 4 / 10


@pytest.mark.parametrize("method", ["decision_function", "predict_proba", "predict_log_proba"])
def test_probabilities_are_held_once(method):
    classifier = fitted(10, dtype=np.float32, n_jobs=2)
    X = features(300_000, dtype=np.float32)
    answer = getattr(classifier, method)
    answer(X[:1000])
    tracemalloc.start()
    try:
        size = answer(X).nbytes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * size


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_same_bits_for_any_number_of_threads(method, sparse, classes):
    X = features(MANY, dtype=np.float32)
    if sparse:
        X = scipy.sparse.csr_array(X)
    one = getattr(fitted(classes, n_jobs=1), method)(X)
    for n_jobs in (2, 3, 7, -1):
        np.testing.assert_array_equal(getattr(fitted(classes, n_jobs=n_jobs), method)(X), one)
    with luce.threads(2):
        np.testing.assert_array_equal(getattr(fitted(classes), method)(X), one)


def test_as_many_threads_as_asked_for(monkeypatch):
    seen, real = [], luce.kernels.linear

    def linear(*arguments, threads, **options):
        seen.append(threads)
        return real(*arguments, threads=threads, **options)

    monkeypatch.setattr(luce.kernels, "linear", linear)
    for n_jobs in (1, 2, 3, -1, None):
        fitted(10, n_jobs=n_jobs).predict(features(10))
    with luce.threads(5):
        fitted(10).predict(features(10))
    assert seen == [1, 2, 3, luce.num_threads(), luce.num_threads(), 5]


def test_impossible_number_of_threads():
    with pytest.raises(DataError, match="whole number of at least 1"):
        fitted(10, n_jobs=0).predict(features(MANY))


@pytest.fixture
def alarm():
    """An alarm, in so many seconds, is as good as Ctrl-C."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_is_heard_and_the_next_prediction_is_right(n_jobs, alarm):
    classifier, row = fitted(200, n_jobs=n_jobs), features(1)
    rows = np.broadcast_to(row, (3_000_000, 64))  # takes seconds
    delays = []
    for _ in range(3):  # for the machine may be busy with something else
        began = time.perf_counter()
        alarm(0.1)
        with pytest.raises(KeyboardInterrupt):
            classifier.predict(rows)
        delays.append(time.perf_counter() - began - 0.1)
        check_all(classifier, features(3001))
    assert min(delays) < 0.2


def test_predictions_of_many_threads_at_once():
    classifier, X = fitted(10), features(MANY)
    truth = classifier.predict_proba(X)
    with ThreadPoolExecutor(4) as executor:
        for found in executor.map(lambda _: classifier.predict_proba(X), range(12)):
            np.testing.assert_array_equal(found, truth)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "Input X contains NaN"), (np.inf, "infinity"), (-np.inf, "infinity")],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [1, 3001, MANY])
def test_features_that_are_not_finite(n, order, value, message, method):
    X = features(n).copy(order=order)
    X[-1, 7] = value
    with pytest.raises(ValueError, match=message):
        getattr(fitted(10), method)(X)
    with pytest.raises(ValueError, match=message):
        getattr(fitted(2), method)(X)


@pytest.mark.parametrize("n", [2, 3001])
def test_opposite_infinities(n):
    X = np.asfortranarray(features(n))
    X[0, 0], X[-1, -1] = np.inf, -np.inf
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="infinity"):
        fitted(10).predict(X)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("n", [1, 3001])
def test_features_whose_squares_overflow_are_finite(n, order):
    X = (features(n) * 1e200).copy(order=order)
    X[:, 0] = 1.7e308
    classifier = fitted(10)
    classifier.coef_[:, 0] = 0.0
    np.testing.assert_array_equal(classifier.predict(X), expected(classifier, X)["predict"])


@pytest.mark.parametrize("n", [1, 3001])
def test_whoever_assumes_finite_features_gets_nan(n):
    X = features(n)
    X[0, 0] = np.nan
    with sklearn.config_context(assume_finite=True), np.errstate(invalid="ignore"):
        probabilities = fitted(10).predict_proba(X)
    assert np.isnan(probabilities[0]).all()
    assert not np.isnan(probabilities[1:]).any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("X", "message"),
    [
        (features(3)[:, :63], "X has 63 features, but SoftmaxClassifier is expecting 64"),
        (features(3001)[:, :63], "X has 63 features, but SoftmaxClassifier is expecting 64"),
        (features(3)[0], "Expected 2D array, got 1D array"),
        (features(3)[None], "Found array with dim 3"),
        (features(3)[:0], r"Found array with 0 sample\(s\)"),
        (features(3).astype(complex), "Complex data not supported"),
    ],
    ids=["columns", "columns of many rows", "one axis", "three axes", "no row", "complex"],
)
def test_impossible_features(X, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(fitted(10), method)(X)


@pytest.mark.parametrize("method", METHODS)
def test_unfitted(method):
    with pytest.raises(NotFittedError):
        getattr(SoftmaxClassifier(), method)(features(3))


@pytest.mark.parametrize("n", [1, 3001])
def test_names_of_features(n):
    frame = pd.DataFrame(features(n)).rename(columns=lambda i: f"feature {i}")
    classifier = fitted(10)
    with pytest.warns(UserWarning, match="SoftmaxClassifier was fitted without feature names"):
        classifier.predict(frame)
    classifier.feature_names_in_ = np.array(frame.columns, dtype=object)
    check_all(classifier, frame)
    with pytest.warns(UserWarning, match="X does not have valid feature names"):
        classifier.predict(frame.to_numpy())
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame.rename(columns={"feature 3": "other"}))


@pytest.mark.parametrize("n", [1, 3001])
@pytest.mark.parametrize("layout", ["fortran", "read-only", "read-only memory map"])
def test_plain_arrays_are_read_once(layout, n, monkeypatch, tmp_path):
    def refuse(*args, **kwargs):
        raise AssertionError("validated")

    monkeypatch.setattr(softmax_classifier, "validate_data", refuse)
    check_all(fitted(10), LAYOUTS[layout](features(n), tmp_path), dense=features(n))
    with pytest.raises(AssertionError, match="validated"):
        fitted(10).predict(features(n).tolist())


def test_no_rows():
    none = np.empty((0, 64))
    for classes, columns in ((2, 2), (10, 10)):
        classifier = fitted(classes)
        parameters = (none, classifier.coef_, classifier.intercept_)
        found = predictions.answered("softmax", *parameters, check_finite=True)
        assert found.shape == (0, columns)
        winners = predictions.answered("argmax", *parameters, check_finite=True)
        assert winners.shape == (0,)
