import subprocess
import sys

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
    text,
    width,
)
from luce.tables.text import BYTES_TOGETHER, FEWEST_BITS, MOST_BITS, light_parts, text_bytes
from luce.tables.values import PIECE_ROWS, column_block

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


ODD_TEXTS = [
    "a b  cc\tddd\u2003eeee\x1ffffff\x00g",
    "ΟΔΟΣ ΟΔΟΣ, İstanbul ist İSTANBUL",
    "x",
    "don't e-mail me@home.example a1_b2",
    " \n ",
    "na na na na",
]


def hits_of(rows, bits=14):
    return text._hits(column_block(pa.table({"x": rows}), "x"), bits)


@pytest.mark.parametrize("together", [1, 40, 2**20])
@pytest.mark.parametrize("long", [6, 2**16])
def test_hits_are_those_of_scikit_learn_whatever_is_hashed_together(monkeypatch, together, long):
    monkeypatch.setattr(text, "BYTES_TOGETHER", together)
    monkeypatch.setattr(text, "_LONG", long)
    monkeypatch.setattr(text, "_MANY", long)
    rows = [*TITLES, *ODD_TEXTS, "Donaudampfschiff" * 3, " ".join(ODD_TEXTS), "abcd", "abcdef"]
    found = sparse.vstack(list(hits_of(rows)))
    np.testing.assert_array_equal(found.toarray(), reference(rows, 14).toarray())


MEASURED = """
import resource
import pyarrow as pa
from luce.tables import text
from luce.tables.values import column_block

def grown(rows):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for hits in text._hits(column_block(pa.table({"x": rows}), "x"), 18):
        pass
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024

grown(["a few words"])
print(grown([" ".join(f"word{i % 20_000}" for i in range(600_000))]))
"""


def test_a_long_text_takes_little_memory():
    ran = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 50  # megabytes


def test_long_texts_are_hashed_a_few_together():
    hits = hits_of(["word " * (BYTES_TOGETHER // 10)] * 5)
    assert [piece.shape[0] for piece in hits] == [2, 2, 1]


def test_parts_are_light_or_single_rows():
    parts = light_parts(np.array([3, 0, 7, 1, 12, 5, 5, 0]), 10)
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 4), (4, 5), (5, 8)]
    assert list(light_parts(np.zeros(0, np.int64), 10)) == []


@pytest.mark.parametrize(
    "type", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.utf8())]
)
def test_bytes_of_text(type):
    values = pa.array(["née", None, "", "née"], type)
    assert text_bytes(column_block(pa.table({"x": values}), "x")).tolist() == [4, 0, 0, 4]


def test_bytes_of_what_is_no_text():
    assert text_bytes(column_block(pa.table({"x": [2.5, None]}), "x")).tolist() == [0, 0]
