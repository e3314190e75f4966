"""Models as files: what is saved comes back, and what is no model is refused."""

import copy
import json

import msgspec
import numpy as np
import pyarrow as pa
import pytest

import luce
from luce.errors import DataError, ModelFileError
from luce.model.record import Document


def take_apart(raw):
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    return header, json.loads(header["__metadata__"]["luce"]), raw[8 + length :]


def assemble(header, document, data):
    """A file of this document, whole in every other way."""
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    try:
        typed = msgspec.json.decode(text, type=Document)
        text = msgspec.json.encode(typed, order="deterministic").decode()
    except msgspec.ValidationError:
        pass  # of a wrong type, and to be refused for that
    header = {**header, "__metadata__": {"luce": text}}
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    raw += b" " * (-len(raw) % 8)
    return len(raw).to_bytes(8, "little") + raw + data


@pytest.fixture(scope="module")
def small(patients):
    return luce.train(patients, "outcome", weight="area", group="patient")


@pytest.fixture(scope="module")
def raw(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.luce"
    small.save(path)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.luce"


@pytest.fixture
def changed(raw, path):
    """Load a model whose document was changed by a function."""

    def load(change):
        header, document, data = take_apart(raw)
        document = copy.deepcopy(document)
        change(document)
        path.write_bytes(assemble(header, document, data))
        return luce.load(path)

    return load


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
        assert changed(lambda document: None).document == small.document


def set_classes(*classes, type="string"):
    return lambda document: document["target"].update(classes=list(classes), type=type)


def set_training(**values):
    return lambda document: document["training"].update(values)


class TestContradictions:
    @pytest.mark.parametrize(
        "change",
        {
            "repeated classes": set_classes("better", "same", "same"),
            "one class more": set_classes("better", "same", "worse", "worst"),
            "one class": set_classes("better"),
            "no class": set_classes(),
            "text in integers": set_classes("better", "same", "worse", type="int64"),
            "too large for their type": set_classes(1, 2, 300, type="int8"),
            "equal in their type": set_classes(2**53, 2**53 + 1, 0, type="double"),
            "an unknown type": set_classes("better", "same", "worse", type="object"),
            "too few class weights": set_training(class_weights=[1.0, 2.0]),
            "too many class weights": set_training(class_weights=[1.0] * 4),
            "no such kind": lambda document: document["encoder"]["columns"][0].update(kind="x"),
            "no columns": lambda document: document["encoder"].update(columns=[]),
            "a level more": lambda document: document["encoder"]["columns"][1]["levels"].append(
                "x"
            ),
            "scale 0": lambda document: document["encoder"]["columns"][0].update(scale=0.0),
            "C of 0": set_training(C=0.0),
            "a gap below 0": set_training(optimality_gap=-1.0),
            "a wrong fingerprint": set_training(fingerprint="0" * 63),
            "a newer format": lambda document: document.update(format=2),
            "an unknown field": lambda document: document.update(code="import os"),
            "a field less": lambda document: document.pop("validation"),
            "null": lambda document: document.update(target=None),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_refused(self, change, changed, path):
        with pytest.raises(ModelFileError) as caught:
            changed(change[1])
        assert str(caught.value).startswith(f"{path}: ")

    @pytest.mark.parametrize(
        "change",
        {
            "two columns of one name": lambda document: document["encoder"]["columns"][1].update(
                name="pulse"
            ),
            "the target is a feature": lambda document: document["target"].update(column="pulse"),
            "fractions in integers": set_classes(0.5, 1.5, 2.5, type="int64"),
            "a class weight of 0": set_training(class_weights=[0.0, 1.0, 1.0]),
            "a class weight below 0": set_training(class_weights=[-1.0, 1.0, 1.0]),
            "a seed below 0": set_training(seed=-1),
            "classes that do not ascend": set_classes("worse", "same", "better"),
            "equal levels": lambda document: document["encoder"]["columns"][1].update(
                levels=["north", "north"]
            ),
        }.items(),
        ids=lambda item: item[0],
    )
    def test_should_be_refused(self, change, changed):
        with pytest.raises(ModelFileError):
            changed(change[1])

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_parameters_that_are_not_finite(self, small, raw, path, value):
        header, document, data = take_apart(raw)
        start, _ = header["intercept"]["data_offsets"]
        data = data[:start] + np.float64(value).tobytes() + data[start + 8 :]
        path.write_bytes(assemble(header, document, data))
        with pytest.raises(ModelFileError, match="intercept"):
            luce.load(path)

    def test_parameters_of_another_shape(self, raw, path):
        header, document, data = take_apart(raw)
        header["coef"]["shape"] = [header["coef"]["shape"][0] * header["coef"]["shape"][1], 1]
        path.write_bytes(assemble(header, document, data))
        with pytest.raises(ModelFileError, match="coef"):
            luce.load(path)

    def test_a_file_cut_short(self, raw, path):
        for length in (0, 7, 8, 100, len(raw) // 2, len(raw) - 1):
            path.write_bytes(raw[:length])
            with pytest.raises(ModelFileError, match=r"model\.luce"):
                luce.load(path)

    def test_a_table_is_no_model(self, penguins):
        with pytest.raises(ModelFileError, match=r"penguins\.csv"):
            luce.load(penguins)


VALUES = [
    *(0, -1, 1, 2, 0.0, -0.0, 0.5, 1e-320, -1.5, 1e308, -1e308, 2**63, -(2**63), 2**70),
    *(True, False, None, "", "a", "same", "pulse", "area", "int64", "double", "halffloat"),
    *("\x00", "\x1b[31m", "numeric", "category", [], ["a"], [1, 2, 3], [True, False, True], {}),
]


def leaves(value, place=()):
    """Places of a document's values, and of its lists as a whole."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from leaves(part, (*place, name))
        return
    yield place
    if isinstance(value, list):
        for number, part in enumerate(value):
            yield from leaves(part, (*place, number))


def mutants(raw, count):
    """Whole files, each with one or two values of its document changed."""
    random = np.random.default_rng(11)
    header, document, data = take_apart(raw)
    places = list(leaves(document))
    for _ in range(count):
        mutant = copy.deepcopy(document)
        for number in random.choice(len(places), size=random.integers(1, 3), replace=False):
            part = mutant
            try:
                for step in places[number][:-1]:
                    part = part[step]
                part[places[number][-1]] = VALUES[random.integers(len(VALUES))]
            except (IndexError, KeyError, TypeError):
                continue  # the other change took this place away
        yield assemble(header, mutant, data)


def use_mutants(raw, path, use):
    """Load and use many mutants: how many were refused, and how many were used."""
    refused = used = 0
    for mutant in mutants(raw, 400):
        path.write_bytes(mutant)
        try:
            model = luce.load(path)
        except ModelFileError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017
            refused += 1
            continue
        try:
            use(model)
        except DataError:
            continue
        used += 1
    return refused, used


class TestMutants:
    def test_are_refused_or_predict(self, raw, path, patients):
        def use(model):
            probabilities = model.predict_proba(patients)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
            assert len(model.predict(patients)) == 90
            assert len(model.pushes()) == len(model.classes) == 3
            model.save(path)

        refused, used = use_mutants(raw, path, use)
        assert refused > 100
        assert used > 50

    def test_are_refused_or_evaluate(self, raw, path, patients):
        assert use_mutants(raw, path, lambda model: model.evaluate(patients))[1] > 50
