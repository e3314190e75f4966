import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from luce.model import rows
from luce.model.rows import Roles, blocks_of, blocks_to_encode, labelled_rows
from luce.tables import describe_columns, encode, fit_encoder, open_table
from luce.tables.roles import fit_target

LONG = "a few words " * 40_000  # half a megabyte
TEXTS = [LONG, "short", LONG, LONG, "short", "short", LONG]
TABLE = pa.table({"x": TEXTS, "y": ["a", None, "b", "a", "b", None, "a"]})


@pytest.fixture(scope="module")
def encoder():
    return fit_encoder(TABLE, describe_columns(TABLE, ["x"], kinds={"x": "text"}))


def test_long_texts_are_encoded_a_few_at_a_time(encoder):
    labelled = labelled_rows(TABLE, Roles(fit_target(TABLE, "y"), None, None), first_row=10)
    blocks = list(labelled.blocks_to_encode(encoder))
    assert [block.table["x"].to_pylist() for block in blocks] == [TEXTS[:3], TEXTS[3:]]
    assert [block.places.tolist() for block in blocks] == [[0, 2], [0, 1, 3]]
    assert [block.labels.tolist() for block in blocks] == [[0, 1], [0, 1, 0]]
    assert [block.first_row for block in blocks] == [10, 13]
    found = sparse.vstack([block.encoded(encoder).features for block in blocks])
    whole = encode(encoder, TABLE).features[labelled.places]
    np.testing.assert_array_equal(found.toarray(), whole.toarray())


def test_long_texts_are_predicted_a_few_at_a_time(encoder):
    blocks = blocks_to_encode(open_table(TABLE), encoder, classes=2)
    assert [block.num_rows for block in blocks] == [3, 4]


def test_encoded_rows_are_cut_by_their_numbers(monkeypatch):
    monkeypatch.setattr(rows, "NUMBERS_IN_A_BLOCK", 100)
    monkeypatch.setattr(rows, "MOST_ROWS", 20)
    features = sparse.csr_array(np.repeat([[0.0], [1.0]], [41, 40], axis=0) * np.ones(47))
    blocks = blocks_of(features, 3)
    assert [(block.start, block.stop) for block in blocks[:4]] == [
        (0, 20),
        (20, 40),
        (40, 42),
        (42, 44),
    ]
    assert blocks[-1].stop == 81
