"""Files from an attacker: one clear error for whatever is wrong, and no memory spent on claims."""

import errno
import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from luce import files
from luce.errors import ModelFileError
from luce.files import codec


class Document(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal[2] = 2
    classes: list[str] = []
    features: int = 0
    temperature: float = 1.0
    notes: dict[str, float | None] = {}


def shapes(document):
    k, d = len(document.classes), document.features
    return {"coef": (np.float32, (k, d)), "intercept": (np.float64, (k,)), "steps": (np.int64, ())}


def shapes_with(name):
    return lambda document: {**shapes(document), name: (np.float32, ())}


def shapes_without(name):
    return lambda document: {n: shape for n, shape in shapes(document).items() if n != name}


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


def seal(raw):
    """The file with the checksum that belongs to it, if it has a place for one."""
    start = 8 + len(b'{"__metadata__":{"sha256":"')
    if not raw[8:].startswith(b'{"__metadata__":{"sha256":"') or len(raw) < start + 64:
        return raw
    zeroed = raw[:start] + b"0" * 64 + raw[start + 64 :]
    digest = hashlib.sha256(zeroed).hexdigest().encode()
    return raw[:start] + digest + raw[start + 64 :]


def assemble(header, data=b""):
    """A file of this header, padded as it must be and sealed."""
    text = (
        header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    )
    text += b" " * (-len(text) % 8)
    return seal(len(text).to_bytes(8, "little") + text + data)


def take_apart(raw):
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


class TestRefusedOnReading:
    def refused(self, path, raw, message):
        path.write_bytes(raw)
        with pytest.raises(ModelFileError, match=message) as caught:
            load(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert len(str(caught.value)) < 1000

    def edit_document(self, saved, old, new):
        def change(header):
            text = header["__metadata__"]["luce"]
            assert old in text
            header["__metadata__"]["luce"] = text.replace(old, new)

        header, data = take_apart(saved.read_bytes())
        change(header)
        return assemble(
            json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(), data
        )

    def test_no_such_file(self, path):
        with pytest.raises(ModelFileError, match=r"model\.luce: no such file"):
            load(path)

    def test_a_folder(self, tmp_path):
        with pytest.raises(ModelFileError, match="no regular file"):
            load(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_not_waited_for(self, path):
        os.mkfifo(path)
        with pytest.raises(ModelFileError, match="no regular file"):
            load(path)

    def test_cannot_be_read(self, saved, monkeypatch):
        def fail(*_):
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "open", fail)
        with pytest.raises(ModelFileError, match="cannot be read: Permission denied"):
            load(saved)

    def test_a_name_that_is_no_name(self):
        with pytest.raises(ModelFileError, match="null"):
            load("a\0b")

    @pytest.mark.parametrize("raw", [b"", b"\x01", b"PK\x03\x04" * 10, b"\x80\x04\x95" + b"." * 90])
    def test_other_files(self, path, raw):
        self.refused(path, raw, "announced in a file of")

    def test_a_header_of_2_to_the_60_bytes_allocates_nothing(self, path):
        tracemalloc.start()
        try:
            self.refused(path, (2**60).to_bytes(8, "little") + b"{}", "announced in a file of")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2**20

    def test_a_tensor_of_2_to_the_60_bytes_allocates_nothing(self, saved):
        raw = self.edit_document(saved, '"features":4', f'"features":{2**56}')
        header, data = take_apart(raw)
        header["coef"]["shape"][1] = 2**56
        end = header["coef"]["data_offsets"][0] + 12 * 2**56
        header["coef"]["data_offsets"][1] = end
        tracemalloc.start()
        try:
            raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
            self.refused(saved, assemble(raw, data), "the file holds")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2**20

    def test_a_header_beyond_the_limit(self, path):
        with path.open("wb") as file:
            file.write((codec.MAX_HEADER + 8).to_bytes(8, "little"))
            file.truncate(codec.MAX_HEADER + 100)
        with pytest.raises(ModelFileError, match=f"at most {codec.MAX_HEADER}"):
            load(path)

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"[]",
            b"{}",
            b"[" * 1_000_000,
            b'{"a":' * 1_000_000,
            b'{"__metadata__":{"luce":"{}"},"a":' + b"[" * 1_000_000,
            b'{"__metadata__":{"luce":"\xff"}}',
            b'{"__metadata__":{"luce":"{}"},"__metadata__":{"luce":"{}"}}',
            b'{"__metadata__":{"luce":"{}","luce":"{}"}}',
            b'{"__metadata__": {"luce":"{}"}}',
            b'{"__metadata__":{"luce":"\\u007b}"}}',
            b'{"__metadata__":{}}',
            b'{"__metadata__":{"luce":[1]}}',
            b'{"__metadata__":{"luce":"{}","more":"x"}}',
            b'{"__metadata__":{"luce":"{}"}}' + b" " * 16,
            b'{"__metadata__":{"luce":"\\ud800"}}',
        ],
    )
    def test_header(self, path, header):
        self.refused(path, assemble(header), "not a whole luce model")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "[]",
            "1",
            "[" * 1_000_000,
            '{"format":2,"classes":' + "[" * 1_000_000,
            '{"format":2,"x":' + '{"x":' * 1_000_000,
            '{"format":true}',
            '{"format":2.0}',
            '{"format":0}',
            '{"format":-5}',
            '{"format":' + "9" * 5000 + "}",
            '{"format":2,"format":2}',
        ],
    )
    def test_document(self, path, text):
        self.refused(path, assemble({"__metadata__": {"luce": text}}), "not a whole luce model")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"features":4', '"features": 4'),
            ('"features":4', '"features":4,"features":4'),
            ('"features":4', '"features":4.0'),
            ('"features":4', '"features":-4'),
            ('"features":4', '"features":5'),
            ('"features":4', '"features":4,"more":1'),
            ('"features":4,', ""),
            ('"temperature":1.0', '"temperature":1'),
            ('"temperature":1.0', '"temperature":1.00'),
            ('"temperature":1.0', '"temperature":1e0'),
            ('"temperature":1.0', '"temperature":NaN'),
            ('"temperature":1.0', '"temperature":1e999'),
            ('"temperature":1.0', '"temperature":null'),
            ('"a":null,"b":0.1', '"b":0.1,"a":null'),
            ("Adélie", "Ad\\u00e9lie"),
        ],
    )
    def test_edited_document(self, saved, old, new):
        self.refused(saved, self.edit_document(saved, old, new), "not a whole luce model")

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b'{"__metadata__"', b'{ "__metadata__"'),
            (b'{"__metadata__"', b'{"__metadata__":{"luce":"{}"},"__metadata__"'),
            (b'{"__metadata__"', b'{"coef":{"dtype":"F32"},"__metadata__"'),
            (b',"luce"', b',"luce":"{}","luce"'),
            (b',"luce"', b',"more":"x","luce"'),
            (b'"coef"', b'"\\u0063oef"'),
            (b'{"dtype":"F32"', b'{"dtype":"F64","dtype":"F32"'),
            (b'"shape":[3,4]', b'"shape":[3,4.0]'),
            (b'"shape":[3,4]', b'"shape":[3,[4]]'),
            (b"[0,24]", b"[-0,24]"),
        ],
    )
    def test_edited_header(self, saved, old, new):
        raw = saved.read_bytes()
        end = 8 + int.from_bytes(raw[:8], "little")
        assert raw[8:end].count(old) == 1
        edited = raw[8:end].rstrip().replace(old, new)
        self.refused(saved, assemble(edited, raw[end:]), "not a whole luce model")

    @pytest.mark.parametrize("more", [1, 8])
    def test_padding(self, saved, more):
        raw = saved.read_bytes()
        end = 8 + int.from_bytes(raw[:8], "little")
        padded = (end - 8 + more).to_bytes(8, "little") + raw[8:end] + b" " * more + raw[end:]
        self.refused(saved, padded, "not padded to a multiple of 8")

    @pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"?"])
    def test_a_file_that_changes_while_it_is_read(self, path, monkeypatch, change):
        document = Document(classes=[f"class {c}" for c in range(10_000)], features=1)
        k = len(document.classes)
        tensors = {"coef": np.ones((k, 1), np.float32), "intercept": np.ones(k)}
        files.save(path, document, {**tensors, "steps": np.array(7)})
        read_rest = codec._read_rest

        def change_and_read(*arguments):
            path.write_bytes(change(path.read_bytes()))
            return read_rest(*arguments)

        monkeypatch.setattr(codec, "_read_rest", change_and_read)
        with pytest.raises(ModelFileError, match="changed while it was being read"):
            load(path)

    def test_every_changed_byte_is_found(self, saved):
        raw = saved.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        messages = set()
        for place in range(len(raw)):
            saved.write_bytes(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
            with pytest.raises(ModelFileError) as caught:
                load(saved)
            if place >= 8 + length:
                messages.add(str(caught.value))
        (message,) = messages
        assert "the file is damaged" in message
        assert "Fetch it again" in message

    def test_a_file_without_a_checksum(self, saved):
        header, data = take_apart(saved.read_bytes())
        del header["__metadata__"]["sha256"]
        raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        self.refused(saved, assemble(raw, data), "it has no checksum")

    def test_format_1_had_no_checksum(self, saved):
        raw = self.edit_document(saved, '"format":2', '"format":1')
        saved.write_bytes(raw)
        old = {1: files.Format(msgspec.Struct, shapes, lambda document, tensors: document)}
        with pytest.raises(ModelFileError, match="metadata are not those of its format"):
            files.load(saved, old)

    @pytest.mark.parametrize("version", [3, 10**30])
    def test_newer_format(self, saved, version):
        raw = self.edit_document(saved, '"format":2', f'"format":{version},"unknown":[1]')
        self.refused(saved, raw, "a newer luce wrote it .*install a newer luce")

    def test_a_newer_file_that_is_damaged(self, saved):
        raw = self.edit_document(saved, '"format":2', '"format":3')
        self.refused(saved, raw[:-1] + b"?", "the file is damaged")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda h: h.pop("coef"), "the file holds 80"),
            (lambda h: h.update(extra=h["coef"]), "'extra' is .* its place is \\(80, 128\\)"),
            (lambda h: h["coef"].update(dtype="I32"), "'coef' is .*I32"),
            (lambda h: h["coef"].update(dtype="X" * 10_000), "'coef' is"),
            (lambda h: h["coef"].update(shape=[4, 3]), "'coef' is"),
            (lambda h: h["coef"].update(shape=[1] * 10_000), "'coef' is"),
            (lambda h: h["coef"]["data_offsets"].reverse(), "'coef' is"),
            (lambda h: h["coef"].update(more="x"), "unknown field `more`"),
            (lambda h: h["coef"].pop("dtype"), "missing required field `dtype`"),
            (lambda h: h.update(coef=h.pop("intercept"), intercept=h.pop("coef")), "not in order"),
            (lambda h: h["steps"].update(data_offsets=[8, 16]), "'steps' is"),
            (lambda h: h["steps"].update(data_offsets=[-8, 0]), "'steps' is"),
            (lambda h: h["steps"].update(data_offsets=[0, 2**70]), "not a whole"),
            (lambda h: h.update({"n" * 10_000: h["coef"]}), "its place is"),
        ],
    )
    def test_edited_tensors(self, saved, change, message):
        header, data = take_apart(saved.read_bytes())
        change(header)
        raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        self.refused(saved, assemble(raw, data), message)

    @pytest.mark.parametrize(
        ("document", "message"),
        [
            (shapes_with("extra"), "'extra' is missing"),
            (shapes_without("coef"), "'coef' does not belong"),
        ],
    )
    def test_other_tensors_than_the_document_asks_for(self, saved, document, message):
        with pytest.raises(ModelFileError, match=message):
            files.load(saved, formats(Document, document))

    @pytest.mark.parametrize("more", [b"x", b"\0" * 8, b"\0" * 100_000])
    def test_bytes_after_the_end(self, saved, more):
        self.refused(saved, saved.read_bytes() + more, "the file holds")

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_values_that_are_not_finite(self, saved, value):
        raw = bytearray(saved.read_bytes())
        raw[-4:] = np.float32(value).tobytes()
        self.refused(saved, seal(bytes(raw)), r"tensor 'coef' is .* at \(2, 3\)")

    @pytest.mark.parametrize(
        "hostile",
        [
            lambda _: {}["a"],
            lambda _: 1 / 0,
            lambda _: {"coef": (np.float32, (-2, -2)), "intercept": 1},
            lambda _: {"coef": ("no dtype", (2,))},
            lambda _: {"coef": (np.complex128, (2,))},
        ],
    )
    def test_a_document_that_its_shapes_refuse(self, saved, hostile):
        with pytest.raises(ModelFileError, match=r"contradicts itself|document asks"):
            files.load(saved, formats(Document, hostile))

    def test_negative_sizes_do_not_multiply_to_a_positive_one(self, path):
        header = {
            "__metadata__": {
                "luce": '{"format":2,"classes":[],"features":-2,"temperature":1.0,"notes":{}}'
            },
            "coef": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]},
        }
        path.write_bytes(assemble(header, b"\0" * 16))
        with pytest.raises(ModelFileError, match=">= 0"):
            files.load(
                path, formats(Document, lambda d: {"coef": (np.float32, (d.features, d.features))})
            )

    def test_too_large_for_memory(self, saved, monkeypatch):
        def fail(*_):
            raise MemoryError

        monkeypatch.setattr(np, "empty", fail)
        with pytest.raises(ModelFileError, match="does not fit in memory"):
            load(saved)

    def test_more_tensors_than_any_model_has(self, saved):
        header, data = take_apart(saved.read_bytes())
        place = {"dtype": "U8", "shape": [0], "data_offsets": [80, 80]}
        header |= {f"tensor {number}": place for number in range(codec.MAX_TENSORS)}
        raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        self.refused(saved, assemble(raw, data), f"at most {codec.MAX_TENSORS}")

    def test_a_message_is_short_whatever_is_in_the_file(self, saved):
        raw = self.edit_document(saved, '"features":4', f'"{"x" * 100_000}":4')
        self.refused(saved, raw, r"unknown field `x+\.\.\.\. Check")

    def test_a_hole_of_terabytes(self, path):
        elements = 2**40
        header = {
            "__metadata__": {"sha256": "0" * 64, "luce": '{"format":2}'},
            "coef": {"dtype": "F64", "shape": [elements], "data_offsets": [0, 8 * elements]},
        }
        raw = assemble(header)
        with path.open("wb") as file:
            file.write(raw)
            try:
                file.truncate(len(raw) + 8 * elements)
            except OSError:
                pytest.skip("no file system for it")
        with pytest.raises(ModelFileError, match="does not fit in memory"):
            load(path)
