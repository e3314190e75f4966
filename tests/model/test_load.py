"""Models as files: what is saved comes back, and what is no model is refused."""

import hashlib
import json
import tracemalloc

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.errors import ModelFileError
from luce.model.record_v3 import DocumentRecord
from luce.model.texts import join_texts, split_texts

DTYPES = {"U8": np.uint8, "I64": np.int64, "F32": np.float32, "F64": np.float64}


def take_apart(raw):
    """Document and tensors of a file's bytes."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")["luce"])
    tensors = {}
    for name, place in header.items():
        start, end = (8 + length + offset for offset in place["data_offsets"])
        tensors[name] = np.frombuffer(raw[start:end], DTYPES[place["dtype"]]).reshape(
            place["shape"]
        )
    return document, tensors


def assemble(document, tensors):
    """A file of this document and these tensors, whole in every other way."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    try:
        typed = msgspec.json.decode(text, type=DocumentRecord)
        text = msgspec.json.encode(typed, order="deterministic").decode()
    except msgspec.ValidationError:
        pass  # of a wrong type, and to be refused for that
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    header = {"__metadata__": {"sha256": "0" * 64, "luce": text}}
    data = b""
    for name, tensor in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        start, data = len(data), data + tensor.tobytes()
        header[name] = {
            "dtype": names[tensor.dtype],
            "shape": tensor.shape,
            "data_offsets": [start, len(data)],
        }
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    raw = len(raw).to_bytes(8, "little") + raw + data
    digest = hashlib.sha256(raw).hexdigest().encode()
    return raw.replace(b"0" * 64, digest, 1)


def retext(tensors, change):
    """Change the list of the texts that the tensors hold."""
    texts = list(split_texts(tensors["texts"], tensors["text_ends"]))
    change(texts)
    tensors["texts"], tensors["text_ends"] = join_texts(texts)


@pytest.fixture(scope="module")
def small(patients):
    return luce.train(patients, "outcome", weight="area", group="patient")


@pytest.fixture(scope="module")
def raw(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.luce"
    small.save(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def raw_network(patients, tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.luce"
    luce.train(patients, "outcome", weight="area", group="patient", model="network").save(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.luce"


def changing(raw, path):
    def load(change):
        document, tensors = take_apart(raw)
        change(document, tensors)
        document["text_bytes"] = len(tensors["texts"])
        path.write_bytes(assemble(document, tensors))
        return luce.load(path)

    return load


@pytest.fixture
def changed(raw, path):
    """Load a model whose document and tensors were changed by a function."""
    return changing(raw, path)


@pytest.fixture
def changed_network(raw_network, path):
    """Load a network whose document and tensors were changed by a function."""
    return changing(raw_network, path)


class TestRoundTrip:
    def test_predictions_are_the_same_to_the_bit(self, model, penguins, path):
        model.save(path)
        loaded = luce.load(path)
        assert loaded.document == model.document
        assert loaded.predict_proba(penguins).tobytes() == model.predict_proba(penguins).tobytes()
        assert list(loaded.predict(penguins)) == list(model.predict(penguins))
        np.testing.assert_array_equal(loaded.confusion, model.confusion)
        assert loaded.evaluate(penguins).trained_on
        assert loaded.pushes() == model.pushes()

    def test_saving_again_gives_the_same_bytes(self, small, raw, path):
        small.save(path)
        luce.load(path).save(path)
        assert path.read_bytes() == raw

    @pytest.mark.parametrize(
        "labels",
        [
            pa.array([True, False] * 30),
            pa.array([2**64 - 1, 0] * 30, pa.uint64()),
            pa.array([1.0, 1e16] * 30),
            pa.array(["\x1b[31m", "[red]\n\x00"] * 30),
        ],
        ids=lambda labels: str(labels.type),
    )
    def test_labels_of_any_type(self, labels, path):
        table = pa.table({"x": np.random.default_rng(0).normal(size=60), "y": labels})
        model = luce.train(table, "y")
        model.save(path)
        loaded = luce.load(path)
        assert loaded.predict(table).dtype == model.predict(table).dtype
        assert list(loaded.predict(table)) == list(model.predict(table))

    def test_without_a_confusion(self, path):
        labels = np.arange(404) % 101
        table = pa.table({"x": np.random.default_rng(0).normal(size=404), "y": labels})
        luce.train(table, "y", validation=0.25).save(path)
        assert luce.load(path).confusion is None

    def test_an_untouched_document_is_loaded(self, changed, small):
        assert changed(lambda document, tensors: None).document == small.document


def set_classes(*classes, type="string"):
    def change(document, tensors):
        texts = isinstance(classes[0], str) if classes else False
        document["target"].update(type=type, classes=len(classes))
        document["target"]["labels"] = None if texts else list(classes)
        retext(tensors, lambda old: old.__setitem__(slice(-3, None), classes if texts else ()))

    return change


def set_training(**values):
    return lambda document, tensors: document["training"].update(values)


def set_fit(**values):
    return lambda document, tensors: document["training"]["fit"].update(values)


def set_column(place, **values):
    return lambda document, tensors: document["columns"][place].update(values)


def set_document(**values):
    return lambda document, tensors: document.update(values)


def set_texts(place, text):
    return lambda document, tensors: retext(tensors, lambda old: old.__setitem__(place, text))


def set_tensor(name, place, value):
    def change(document, tensors):
        tensors[name] = tensors[name].copy()
        tensors[name][place] = value

    return change


class TestContradictions:
    @pytest.mark.parametrize(
        "change",
        {
            "repeated classes": set_classes("better", "same", "same"),
            "one class more": set_classes("better", "same", "worse", "worst"),
            "one class": set_classes("better"),
            "no class": set_classes(),
            "text in integers": set_classes("better", "same", "worse", type="int64"),
            "integers in text": set_classes(1, 2, 3),
            "too large for their type": set_classes(1, 2, 300, type="int8"),
            "equal in their type": set_classes(2**53, 2**53 + 1, 0, type="double"),
            "an unknown type": set_classes("better", "same", "worse", type="object"),
            "fractions in integers": set_classes(0.5, 1.5, 2.5, type="int64"),
            "classes that do not ascend": set_classes("worse", "same", "better"),
            "too few class weights": set_training(class_weights=[1.0, 2.0]),
            "too many class weights": set_training(class_weights=[1.0] * 4),
            "a class weight of 0": set_training(class_weights=[0.0, 1.0, 1.0]),
            "a class weight below 0": set_training(class_weights=[-1.0, 1.0, 1.0]),
            "class weights that overflow": set_training(class_weights=[1e308, 1e308, 1e308]),
            "no such kind": set_column(0, kind="x"),
            "no columns": set_document(columns=[]),
            "a level more": set_column(1, levels=3),
            "2**62 levels": set_column(1, levels=2**62),
            "2**64 levels": set_column(1, levels=2**64),
            "-1 levels": set_column(1, levels=-1),
            "scale 0": set_column(0, scale=0.0),
            "two columns of one name": set_column(1, name="pulse"),
            "the target is a feature": lambda document, _: document["target"].update(
                column="pulse"
            ),
            "equal levels": set_texts(0, "south"),
            "bytes that are no text": set_tensor("texts", 0, 0xFF),
            "half a character": set_tensor("texts", -1, 0xC3),
            "an end before its start": set_tensor("text_ends", 0, 11),
            "an end below 0": set_tensor("text_ends", 0, -1),
            "an end after all bytes": set_tensor("text_ends", -1, 2**62),
            "too few bytes used": set_tensor("text_ends", -1, 17),
            "C of 0": set_fit(C=0.0),
            "a gap below 0": set_fit(optimality_gap=-1.0),
            "a seed below 0": set_training(seed=-1),
            "a seed of 10,000 bits": set_training(seed=2**10_000),
            "2**64 rows": set_training(rows=2**64),
            "measured on no rows": lambda document, _: document["validation"].update(rows=0),
            "a wrong fingerprint": set_training(fingerprint="0" * 63),
            "a fingerprint and a line": set_training(fingerprint="0" * 64 + "\n"),
            "an unknown field": set_document(code="import os"),
            "a field less": lambda document, _: document.pop("validation"),
            "null": set_document(target=None),
            "coefficients that overflow": set_tensor("coef", 0, 1e300),
            "a count below 0": set_tensor("confusion", 0, -1.0),
            "NaN": set_tensor("intercept", 0, np.nan),
            "infinity": set_tensor("intercept", 0, np.inf),
            "another shape": lambda document, tensors: tensors.update(
                coef=tensors["coef"].reshape(-1, 1)
            ),
            "a tensor less": lambda document, tensors: tensors.pop("confusion"),
            "one column replayed": lambda document, _: document["replayed"].pop(),
            "three values replayed": lambda document, _: document["replayed"][0].pop(),
            "no such level replayed": lambda document, _: document["replayed"][1].__setitem__(1, 2),
            "text replayed as a number": lambda document, _: document["replayed"][0].__setitem__(
                0, "x"
            ),
            "replayed beyond float32": lambda document, _: document["replayed"][0].__setitem__(
                0, 1e308
            ),
            "2**70 replayed": lambda document, _: document["replayed"][1].__setitem__(0, 2**70),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_refused(self, change, changed, path):
        with pytest.raises(ModelFileError) as caught:
            changed(change[1])
        assert str(caught.value).startswith(f"{path}: ")
        assert "damaged" not in str(caught.value)
        assert len(str(caught.value)) < 1000

    @pytest.mark.parametrize(
        "change",
        [
            set_tensor("coef", (0, 0), 3.0),
            set_tensor("replay", (0, 0), 0.5),
            set_column(0, mean=1.0),
        ],
    )
    def test_other_probabilities_than_when_it_was_saved(self, change, changed):
        with pytest.raises(ModelFileError, match=r"does not compute from it .* install that ver"):
            changed(change)

    @pytest.mark.parametrize("name", ["coef", "intercept"])
    @pytest.mark.parametrize("value", [2e30, -2e30])
    def test_parameters_that_could_overflow(self, name, value, changed):
        with pytest.raises(ModelFileError, match=f"a parameter in '{name}' is above"):
            changed(set_tensor(name, 0, value))

    @pytest.mark.parametrize(
        ("since", "advice"),
        [
            ("0.3.0", r"pip install 'luce>=0\.3\.0'"),
            ("0.3; rm -rf /", "install a newer luce"),
            ("0.3'", "install a newer luce"),
            (7, "install a newer luce"),
        ],
    )
    def test_a_newer_format(self, since, advice, changed):
        def change(document, _):
            document.update(format=4, readable_since=since, new=[1])

        with pytest.raises(ModelFileError, match=f"format 4, this luce reads up to 3.*{advice}$"):
            changed(change)

    def test_a_file_cut_short(self, raw, path):
        for length in (0, 7, 8, 100, len(raw) // 2, len(raw) - 1):
            path.write_bytes(raw[:length])
            with pytest.raises(ModelFileError, match=r"model\.luce"):
                luce.load(path)

    def test_a_table_is_no_model(self, penguins):
        with pytest.raises(ModelFileError, match=r"penguins\.csv"):
            luce.load(penguins)


def set_layer(place, **values):
    return lambda document, _: document["training"]["fit"]["layers"][place].update(values)


def change_layers(change):
    return lambda document, _: change(document["training"]["fit"]["layers"])


CHOICE = {"chosen": "network", "rows": 9, "linear": 0.5, "network": 0.25, "standard_error": 0.125}


class TestContradictionsOfNetworks:
    @pytest.mark.parametrize(
        "change",
        {
            "no layers": change_layers(lambda layers: layers.clear()),
            "a layer more": change_layers(lambda layers: layers.append(layers[-1])),
            "a layer less": change_layers(lambda layers: layers.pop()),
            "65 layers": change_layers(lambda layers: layers.extend(layers[-1:] * 63)),
            "a layer of no kind": set_layer(0, kind="sparse"),
            "no inputs": set_layer(0, inputs=0),
            "inputs that are no features": set_layer(0, inputs=4),
            "2**62 units": set_layer(0, outputs=2**62),
            "2**31 - 1 units": lambda document, tensors: [
                set_layer(0, outputs=2**31 - 1)(document, tensors),
                set_layer(1, inputs=2**31 - 1)(document, tensors),
            ],
            "an unknown activation": set_layer(0, activation="exec"),
            "scores that are activated": set_layer(1, activation="tanh"),
            "standardised by nothing": set_fit(standardised=True),
            "batches of no rows": set_fit(batch_size=0),
            "a loss below 0": set_fit(validation_loss=-1.0),
            "no rows set aside": set_fit(validation_rows=0),
            "2**64 epochs": set_fit(epochs=2**64),
            "a field of a linear model": set_fit(C=1.0),
            "a linear model": set_training(fit=None),
            "chosen by no row": set_training(choice=CHOICE | {"rows": 0}),
            "chosen by chance": set_training(choice=CHOICE | {"chosen": "chance"}),
            "a tensor more": lambda document, tensors: tensors.update(coef=np.zeros((3, 3))),
            "a tensor less": lambda document, tensors: tensors.pop("layers.1.bias"),
            "NaN": set_tensor("layers.0.weights", 0, np.nan),
            "scores beyond float32": set_tensor("layers.1.bias", 0, 3e38),
            "other probabilities": set_tensor("layers.1.bias", 0, 3.0),
            "another activation": set_layer(0, activation="gelu"),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_refused(self, change, changed_network, path):
        with pytest.raises(ModelFileError) as caught:
            changed_network(change[1])
        assert str(caught.value).startswith(f"{path}: ")
        assert "damaged" not in str(caught.value)
        assert len(str(caught.value)) < 1000

    def test_an_untouched_document_is_loaded(self, changed_network):
        assert changed_network(set_training(choice=CHOICE)).document.training.choice.rows == 9


def test_levels_are_not_in_the_header(path):
    common, rare = ["usual", "frequent"] * 50_000, [f"level {i // 2}" for i in range(100_000)]
    table = pa.table({"x": common + rare, "y": ["a", "b"] * 100_000})
    model = luce.train(table, "y", kinds={"x": "category"})
    (column,) = model.document.encoder.columns
    assert len(column.levels + column.rare) == 50_002
    model.save(path)
    with path.open("rb") as file:
        assert int.from_bytes(file.read(8), "little") < 5000
    assert luce.load(path).document == model.document


@pytest.mark.parametrize(
    "change",
    [
        set_column(1, levels=2**62),
        set_column(1, rare=2**62),
        *(set_column(0, kind="text", bits=bits) for bits in (18, 60, 2**62)),
        set_column(0, kind="embedding", columns=["pulse"], length=2**62, sparse=False),
        lambda document, tensors: document["target"].update(classes=2**62),
    ],
)
def test_what_is_announced_and_not_there_takes_no_memory(change, changed):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            changed(change)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()
