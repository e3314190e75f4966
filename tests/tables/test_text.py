import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from luce.tables import (
    Encoder,
    TextColumn,
    describe_columns,
    encode,
    feature_names,
    fit_encoder,
    is_sparse,
    width,
)
from luce.tables.text import FEWEST_BITS, MOST_BITS
from luce.tables.values import PIECE_ROWS

TITLES = [
    "The cat sat.",
    "A dog sat down",
    "the CAT",
    "",
    None,
    "Ein Löwe, ein Löwe!",
    "猫が座る 🐈",
]


def fit(values, kind="text"):
    table = pa.table({"x": values})
    return fit_encoder(table, describe_columns(table, ["x"], kinds={"x": kind} if kind else None))


def features(encoder, values):
    return encode(encoder, pa.table({"x": values})).features


def reference(rows, bits):
    halves = [
        HashingVectorizer(
            analyzer=analyzer,
            ngram_range=ngrams,
            n_features=2 ** (bits - 1),
            alternate_sign=False,
            norm=None,
        ).transform([row or "" for row in rows])
        for analyzer, ngrams in (("word", (1, 2)), ("char_wb", (3, 5)))
    ]
    return sparse.hstack(halves, format="csr")


def test_agrees_with_scikit_learn():
    encoder = fit(TITLES)
    counts = reference(TITLES, encoder.columns[0].bits)
    expected = TfidfTransformer(smooth_idf=True).fit_transform(counts)
    found = features(encoder, TITLES)
    assert isinstance(found, sparse.csr_array)
    assert found.dtype == np.float32
    assert found.indices.dtype == np.int32
    assert found.has_canonical_format
    np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-5)


def test_parts_that_no_training_row_had_are_nothing():
    encoder = fit(["cat", "dog", "dog"])
    (column,) = encoder.columns
    counts = reference(["cat", "dog"], column.bits)
    np.testing.assert_array_equal(np.flatnonzero(column.idf), np.unique(counts.indices))
    found = features(encoder, ["cat mouse", "cat", "mouse", None]).toarray()
    np.testing.assert_array_equal(found[0], found[1])
    assert not found[2:].any()


def test_rows_have_length_one():
    found = features(fit(TITLES), TITLES)
    lengths = np.sqrt(found.multiply(found).sum(axis=1))
    np.testing.assert_allclose(lengths, [1, 1, 1, 0, 0, 1, 1], rtol=1e-6)


def test_buckets_grow_with_the_text():
    assert fit(["a b", "c"]).columns[0].bits == FEWEST_BITS
    assert fit(["word " * 1000, "c"]).columns[0].bits == 15
    encoder = fit(["word " * 100_000, "c"])
    assert encoder.columns[0].bits == MOST_BITS
    assert width(encoder) == len(encoder.columns[0].idf) == 2**MOST_BITS


def test_pieces_do_not_matter():
    rows = ["a cat sat", "dogs sat"] + [None] * PIECE_ROWS + ["a cat sat", "dogs sat"]
    few = fit(rows[:2]).columns[0]
    many = fit(rows).columns[0]
    words = np.flatnonzero(reference(rows[:2], many.bits).sum(axis=0).A1)
    np.testing.assert_array_equal(np.flatnonzero(many.idf), words)
    assert few.name == many.name


def test_rows_are_encoded_by_themselves():
    encoder = fit(TITLES)
    whole = features(encoder, TITLES)
    for row, title in enumerate(TITLES):
        one = features(encoder, pa.array([title], pa.string()))
        np.testing.assert_array_equal(one.toarray()[0], whole[[row]].toarray()[0])
    assert features(encoder, pa.array([], pa.string())).shape == (0, width(encoder))


@pytest.mark.parametrize("type", [pa.large_string(), pa.string_view()], ids=str)
def test_layouts_do_not_matter(type):
    encoder = fit(TITLES)
    np.testing.assert_array_equal(
        features(encoder, pa.array(TITLES, type)).toarray(), features(encoder, TITLES).toarray()
    )


def test_the_column_is_equal_by_content():
    one, other = fit(TITLES).columns[0], fit(TITLES).columns[0]
    assert one == other
    assert hash(one) == hash(other)
    assert one != TextColumn(one.name, one.type, one.bits, one.idf * 2)
    assert one != TextColumn("y", one.type, one.bits, one.idf)
    assert one != "text"
    assert Encoder((one,)) == Encoder((other,))
    assert one.idf.dtype == np.float32
    with pytest.raises(AttributeError):
        one.bits = 3


def test_names_say_that_they_are_hashed():
    encoder = fit(TITLES)
    names = feature_names(encoder)
    assert is_sparse(encoder)
    assert names[17].unit == "per unit of the hashed words of x, bucket 17"
    last = len(names) - 1
    assert names[-1].unit == f"per unit of the hashed characters of x, bucket {last}"


SENTENCES = [f"this is sentence number {i} of them" for i in range(30)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (SENTENCES, "text"),
        (SENTENCES + SENTENCES[:20], "text"),
        (SENTENCES[:10] * 3, "category"),
        (SENTENCES[:19], "category"),
        ([f"id{i}" for i in range(30)], "category"),
        ([f"{i} Main Street" for i in range(30)], "text"),
        ([f"A/{i} {i}" for i in range(30)], "category"),
        (pa.array(SENTENCES).dictionary_encode(), "category"),
    ],
)
def test_what_is_guessed(values, kind):
    (summary,) = describe_columns(pa.table({"x": values}), ["x"])
    assert summary.kind == kind
    if kind == "text":
        assert (summary.levels, summary.left_out) == (None, None)


def test_what_is_left_out():
    for values, reason in (
        (["a b c"] * 30, "every value is 'a b c'"),
        ([None], "every value is missing"),
    ):
        table = pa.table({"x": pa.array(values, pa.string())})
        assert describe_columns(table, ["x"], kinds={"x": "text"})[0].left_out == reason


def test_a_megabyte_of_text():
    assert np.count_nonzero(fit(["é" * 1_000_000, "x"]).columns[0].idf) == 11
