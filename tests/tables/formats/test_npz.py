import io
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.tables import open_table
from luce.tables.formats import npz

FEATURES = np.arange(12, dtype=np.float64).reshape(4, 3)


@pytest.fixture
def save(tmp_path):
    def save(compressed=False, **arrays):
        path = tmp_path / "data.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return save


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "features",
    [
        FEATURES,
        np.asfortranarray(FEATURES),
        FEATURES.astype(np.int16),
        FEATURES.astype(">f4"),
        FEATURES > 5,
    ],
    ids=["double", "fortran", "short", "big-endian", "bool"],
)
def test_features_become_lists_of_float32_in_blocks(save, monkeypatch, features, compressed):
    monkeypatch.setattr(npz, "BLOCK_BYTES", 16)
    table = open_table(save(compressed, X=features, y=np.array([1, 2, 3, 4], ">i2")))
    assert table.schema.types == [pa.list_(pa.float32(), 3), pa.int16()]
    blocks = list(table.blocks())
    assert len(blocks) > 1
    whole = pa.concat_tables(blocks)
    assert whole["X"].to_pylist() == features.astype(float).tolist()
    assert whole["y"].to_pylist() == [1, 2, 3, 4]


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_in_the_order_of_fortran_is_not_held_whole(save, monkeypatch, compressed):
    monkeypatch.setattr(npz, "BLOCK_BYTES", 1 << 16)
    features = np.asfortranarray(np.random.default_rng(0).normal(size=(100_000, 8)))
    table = open_table(save(compressed, X=features), columns=["X"])
    tracemalloc.start()
    rows = 0
    for block in table.blocks():
        values = block["X"].combine_chunks().flatten().to_numpy().reshape(-1, 8)
        np.testing.assert_array_equal(values, features[rows : rows + len(values)].astype("f4"))
        rows += len(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == len(features)
    assert peak < features.nbytes // 2


def test_no_room_for_a_temporary_file(save, monkeypatch):
    table = open_table(save(X=np.asfortranarray(FEATURES)))

    class Full(io.BytesIO):
        def write(self, piece):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    words = r"X, in Fortran.s order, .* temporary file: .*No space left.*numpy\.ascontiguousarray"
    with pytest.raises(DataError, match=words):
        list(table.blocks())


def test_labels_of_text_other_arrays_and_no_labels(read_table, save):
    table = open_table(save(X=FEATURES, y=np.array(["a", "bü", "", "a"]), Z=[1], a=[2]))
    assert table.notes == ("arrays other than X and y left out: Z, a",)
    assert pa.concat_tables(table.blocks())["y"].to_pylist() == ["a", "bü", None, "a"]
    assert read_table(save(X=FEATURES)).column_names == ["X"]
    only = open_table(save(X=FEATURES, y=[1, 2, 3, 4]), columns=["y"])
    assert pa.concat_tables(only.blocks()).to_pydict() == {"y": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"Z": [1]}, "there is no array X of features, but Z"),
        ({}, "damaged"),
        ({"X": [1, 2]}, r"X has the shape \(2,\)"),
        ({"X": [["a"]]}, "the type <U1"),
        ({"X": [[1j]]}, "the type complex"),
        ({"X": np.zeros((2, 0))}, "X has 0 features"),
        ({"X": [[object()]]}, r"X\.npy holds Python objects"),
        ({"X": [[1], [2]], "y": [1]}, r"y has the shape \(1,\)"),
        ({"X": [[1]], "y": [b"x"]}, r"y has the type \|S1"),
        ({"X": [[1]], "y": np.array([1], np.longdouble)}, "y has the type (float128|longdouble)"),
        ({"X": [[1]], "y": [None]}, r"y\.npy holds Python objects"),
        ({"X": np.zeros((0, 2))}, "no rows"),
    ],
)
def test_arrays_that_are_no_table(read_table, save, arrays, words):
    with pytest.raises(DataError, match=words):
        read_table(save(**arrays))


def header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (9999999999, 3)}", "does not fill"),
        ("{'descr': '<f8', 'fortran_order': True, 'shape': (9999999999, 3)}", "does not fill"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -3)}", "the shape"),
        ("{'descr': '|V0', 'fortran_order': False, 'shape': (9, 3)}", "does not fill"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 3)", "header"),
        ("[" * 100, "header"),
        ("__import__('os')", "header"),
    ],
)
def test_a_header_that_lies(read_table, write, text, words):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("X.npy", header(text) + bytes(24))
    with pytest.raises(DataError, match=words):
        read_table(write(content.getvalue(), "data.npz"))


def test_a_zip_that_unpacks_to_too_much(save, monkeypatch):
    monkeypatch.setattr(npz, "UNPACKED_ALLOWANCE", 1 << 10)
    path = save(compressed=True, X=np.zeros((10_000, 10)))
    with pytest.raises(DataError, match="unpacks to more than 100 times its size"):
        open_table(path)


@pytest.mark.parametrize("kept", [0, 3, 100, 300, -1])
def test_a_truncated_file(read_table, save, write, kept):
    whole = save(X=FEATURES).read_bytes()
    with pytest.raises(DataError, match="damaged or not an"):
        read_table(write(whole[:kept], "data.npz"))


def test_a_damaged_checksum(read_table, save, write):
    content = bytearray(save(X=FEATURES).read_bytes())
    content[200] ^= 1
    with pytest.raises(DataError, match="CRC"):
        read_table(write(bytes(content), "data.npz"))


@pytest.mark.parametrize("code", [0x110000, 2**32 - 1, 0xD800])
def test_a_label_of_no_unicode(read_table, save, write, code):
    labels = np.array(["abc", "defg"])
    content = save(X=np.zeros((2, 1)), y=labels).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        arrays = {name: bytearray(archive.read(name)) for name in archive.namelist()}
    arrays["y.npy"][-4:] = code.to_bytes(4, "little")
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(name, bytes(array))
    with pytest.raises(DataError, match=r"damaged or not an \.npz file"):
        read_table(write(changed.getvalue(), "data.npz"))
