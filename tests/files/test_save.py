import dataclasses
import errno
import hashlib
import json
import os
import stat
import sys
import tracemalloc
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest
import safetensors.numpy

from luce import files
from luce.errors import DataError, ModelFileError
from luce.files import codec


class Document(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal[2] = 2
    classes: list[str] = []
    features: int = 0
    temperature: float = 1.0
    notes: dict[str, float | None] = {}


@dataclasses.dataclass
class PlainDocument:
    format: Literal[2] = 2
    classes: tuple[str, ...] = ()
    features: int = 0


def shapes(document):
    k, d = len(document.classes), document.features
    return {"coef": (np.float32, (k, d)), "intercept": (np.float64, (k,)), "steps": (np.int64, ())}


def formats(document, shapes):
    return {2: files.Format(document, shapes, lambda document, tensors: (document, tensors))}


def content(seed=0):
    random = np.random.default_rng(seed)
    document = Document(
        classes=["Adélie", 'a "quoted" \\ one', "tab\t\x01"],
        features=4,
        notes={"b": 0.1, "a": None},
    )
    tensors = {
        "coef": random.normal(size=(3, 4)).astype(np.float32),
        "intercept": random.normal(size=3),
        "steps": np.array(7),
    }
    return document, tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.luce"


@pytest.fixture
def saved(path):
    files.save(path, *content())
    return path


def load(path):
    return files.load(path, formats(Document, shapes))


def assert_equal(loaded, expected):
    assert loaded[0] == expected[0]
    assert loaded[1].keys() == expected[1].keys()
    for name, tensor in expected[1].items():
        np.testing.assert_array_equal(loaded[1][name], tensor)
        assert loaded[1][name].dtype == tensor.dtype


class TestRoundTrip:
    def test_struct(self, saved):
        loaded = load(saved)
        assert_equal(loaded, content())
        assert all(tensor.flags.writeable for tensor in loaded[1].values())
        assert list(loaded[1]) == ["intercept", "steps", "coef"]

    def test_dataclass(self, path):
        document = PlainDocument(classes=("a", "b"), features=1)
        tensors = {"coef": np.ones((2, 1), np.float16)}
        files.save(path, document, tensors)
        loaded = files.load(path, formats(PlainDocument, lambda _: {"coef": (np.float16, (2, 1))}))
        assert_equal(loaded, (document, tensors))

    def test_no_tensors_and_no_elements(self, path):
        files.save(path, Document(), {})
        assert_equal(files.load(path, formats(Document, lambda _: {})), (Document(), {}))
        tensors = {"coef": np.empty((0, 3))}
        files.save(path, Document(), tensors)
        expected = {"coef": (np.float64, (0, 3))}
        assert_equal(files.load(path, formats(Document, lambda _: expected)), (Document(), tensors))

    def test_strides_and_byte_order(self, path):
        _, tensors = content()
        awkward = {
            "coef": np.asfortranarray(tensors["coef"]),
            "intercept": tensors["intercept"].astype(">f8"),
            "steps": tensors["steps"],
        }
        files.save(path, content()[0], awkward)
        assert_equal(load(path), content())

    def test_any_spelling_of_the_path(self, saved):
        assert_equal(load(str(saved)), content())


class TestEqualBytes:
    def test_whatever_the_order(self, saved, tmp_path):
        document, tensors = content()
        document.notes = dict(reversed(document.notes.items()))
        files.save(tmp_path / "other", document, dict(reversed(tensors.items())))
        assert (tmp_path / "other").read_bytes() == saved.read_bytes()

    def test_an_integer_in_a_float_field(self, path, tmp_path):
        for name, temperature in [("one", 2), ("two", 2.0)]:
            files.save(tmp_path / name, Document(temperature=temperature), {})
        assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
        loaded, _ = files.load(tmp_path / "one", formats(Document, lambda _: {}))
        assert isinstance(loaded.temperature, float)

    def test_the_checksum_is_that_of_the_file_without_it(self, saved):
        raw = saved.read_bytes()
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        assert list(header["__metadata__"]) == ["sha256", "luce"]
        assert next(iter(json.loads(header["__metadata__"]["luce"]))) == "format"
        digest = header["__metadata__"]["sha256"]
        without = raw.replace(digest.encode(), b"0" * 64)
        assert hashlib.sha256(without).hexdigest() == digest

    def test_it_is_a_safetensors_file(self, saved):
        read = safetensors.numpy.load_file(saved)
        assert read.keys() == content()[1].keys()
        for name, tensor in content()[1].items():
            np.testing.assert_array_equal(read[name], tensor)

    def test_tensors_lie_at_multiples_of_their_items(self, path):
        tensors = {"a": np.ones(3, np.uint8), "b": np.ones(1, np.float16), "c": np.ones(1)}
        files.save(path, Document(), tensors)
        asked = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
        _, loaded = files.load(path, formats(Document, lambda _: asked))
        assert all(tensor.flags.aligned for tensor in loaded.values())


class TestRefusedOnWriting:
    """What cannot be held is refused, and the old file stays."""

    @pytest.mark.parametrize(
        "document",
        [
            Document(temperature=np.nan),
            Document(notes={"a": np.inf}),
            Document(classes=[1, 2]),
            Document(temperature=np.float64(1)),
            Document(classes=["\ud800"]),
            Document(format=3),
            Document(format=1),
        ],
        ids=["nan", "infinity", "wrong type", "NumPy scalar", "surrogate", "newer", "older"],
    )
    def test_document(self, saved, document):
        before = saved.read_bytes()
        with pytest.raises(ModelFileError, match=r"model\.luce: not written"):
            files.save(saved, document, {})
        assert saved.read_bytes() == before

    @pytest.mark.parametrize(
        "tensors",
        [
            {"coef": np.array([1.0, np.nan])},
            {"coef": np.array([np.inf], np.float16)},
            {"coef": np.array(["a"])},
            {"coef": np.array([{}], dtype=object)},
            {"coef": np.array([1j])},
            {"__metadata__": np.ones(1)},
        ],
        ids=["nan", "infinity", "text", "object", "complex", "reserved name"],
    )
    def test_tensor(self, path, tensors):
        with pytest.raises(ModelFileError, match=f"not written: tensor '{next(iter(tensors))}'"):
            files.save(path, Document(), tensors)
        assert list(path.parent.iterdir()) == []

    def test_a_header_that_load_would_refuse(self, path, monkeypatch):
        monkeypatch.setattr(codec, "MAX_HEADER", 1000)
        with pytest.raises(ModelFileError, match="exceed 1000 bytes"):
            files.save(path, Document(classes=["x" * 1000]), {})

    def test_a_document_without_format(self, path):
        class Formless(msgspec.Struct):
            classes: int = 1

        with pytest.raises(ModelFileError, match="field `format`"):
            files.save(path, Formless(), {})


class TestWholeOrNotAtAll:
    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
    @pytest.mark.parametrize("step", ["write", "fsync", "replace", "chmod"])
    def test_failure_at_each_step(self, saved, monkeypatch, step, error):
        before = saved.read_bytes()

        def fail(*_, **__):
            raise error

        if step == "write":
            original = Path.open

            def opened(self, *arguments):
                file = original(self, *arguments)
                half = file.write

                class Failing:
                    def __enter__(self):
                        return self

                    def __exit__(self, *_):
                        file.close()

                    fileno = file.fileno

                    def write(self, data):
                        half(data[: len(data) // 2])
                        fail()

                return Failing()

            monkeypatch.setattr(Path, "open", opened)
        else:
            monkeypatch.setattr(os, step, fail)
        with pytest.raises(type(error)) as caught:
            files.save(saved, *content(seed=1))
        monkeypatch.undo()
        if isinstance(error, OSError):
            assert caught.value.errno == errno.ENOSPC
            assert caught.value.filename == str(saved)
        assert saved.read_bytes() == before
        assert list(saved.parent.iterdir()) == [saved]

    @pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX resource limits")
    def test_real_write_error(self, saved):
        import resource
        import signal

        before = saved.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            with pytest.raises(OSError, match="not written: File too large"):
                files.save(saved, Document(), {"coef": np.ones(10_000)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert saved.read_bytes() == before
        assert list(saved.parent.iterdir()) == [saved]

    def test_a_block_that_fails_after_writing(self, saved):
        before = saved.read_bytes()

        def write_half():
            with files.replacing(saved) as file:
                file.write(b"half")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            write_half()
        assert saved.read_bytes() == before
        assert list(saved.parent.iterdir()) == [saved]

    def test_no_such_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError) as caught:
            files.save(tmp_path / "none" / "model.luce", *content())
        assert caught.value.filename == str(tmp_path / "none" / "model.luce")

    def test_nothing_but_a_regular_file_is_replaced(self, tmp_path):
        with pytest.raises(DataError, match="no regular file"):
            files.save(tmp_path, *content())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
    def test_permissions(self, path):
        old = os.umask(0o027)
        try:
            files.save(path, *content())
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
            path.chmod(0o600)
            files.save(path, *content(seed=1))
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        finally:
            os.umask(old)

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "store").mkdir()
        target = tmp_path / "store" / "model-7.luce"
        link = tmp_path / "current.luce"
        files.save(target, *content())
        link.symlink_to(target)
        files.save(link, *content(seed=1))
        assert link.is_symlink()
        assert not target.is_symlink()
        assert_equal(load(target), content(seed=1))
        assert sorted(tmp_path.rglob("*.luce")) == [link, target]


def test_the_bytes_are_held_once(path):
    k = 1000
    document = Document(classes=[str(c) for c in range(k)], features=4000)
    tensors = {"coef": np.ones((k, 4000), np.float32), "intercept": np.ones(k)}
    tensors["steps"] = np.array(7)
    tracemalloc.start()
    try:
        files.save(path, document, tensors)
        _, written = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        load(path)
        _, read = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = path.stat().st_size
    assert written < 0.4 * size
    assert read < 1.4 * size
