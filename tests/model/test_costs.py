"""Costs are read from a table in any order of its classes, or refused with row and column."""

import numpy as np
import pyarrow as pa
import pytest

from luce.errors import DataError
from luce.model import costs
from luce.model.costs import costs_of
from luce.model.events import Guessed
from luce.tables.roles import Target

BIRDS = Target("species", "string", ("01", "Adelie", "Gentoo"))
NUMBERS = Target("size", "int64", (1, 2, 10))
TRUTHS = Target("ill", "bool", (False, True))


@pytest.fixture
def written(tmp_path):
    """Write a file of costs, and name it."""

    def write(text, ending="csv"):
        path = tmp_path / f"costs.{ending}"
        path.write_text(text)
        return path

    return write


class TestCosts:
    def test_rows_are_put_into_the_order_of_the_classes(self, written):
        path = written('bird,keep,"let, go"\nGentoo,3,-4.5\n01,1,2\nAdelie,1e2,0\n')
        rule = costs_of(path, BIRDS, ask="let, go")
        np.testing.assert_array_equal(rule.costs, [[1, 2], [100, 0], [3, -4.5]])
        assert (rule.actions, rule.ask) == (("keep", "let, go"), 1)

    @pytest.mark.parametrize(
        ("target", "text"),
        [
            (NUMBERS, "size,go\n10,3\n1.0,1\n2,2\n"),
            (NUMBERS, "go;or\n10;3\n2;2\n1;1,0\n"),
            (TRUTHS, "ill,go\nTrue,2\nfalse,1\n"),
        ],
    )
    def test_names_of_classes_may_be_spelt_as_labels_may(self, target, text, written):
        rule = costs_of(written(text), target)
        np.testing.assert_array_equal(rule.costs[:, 0], range(1, len(target.classes) + 1))

    def test_what_was_guessed_of_the_file_is_told(self, written):
        told = []
        costs_of(written("size;go\n10;3\n2;2\n1;1,5\n"), NUMBERS, report=told.append)
        assert [event.notes for event in told if isinstance(event, Guessed)] == [
            ("semicolons between values", "decimal comma")
        ]

    def test_of_other_formats_and_of_a_frame(self, written, tmp_path):
        lines = '{"b": "Gentoo", "go": 3}\n{"b": "01", "go": 1}\n{"b": "Adelie", "go": 2}\n'
        frame = pa.table({"b": ["Gentoo", "01", "Adelie"], "go": [3, 1, 2]})
        for source in (written(lines, "jsonl"), frame, frame.to_reader()):
            np.testing.assert_array_equal(costs_of(source, BIRDS).costs, [[1], [2], [3]])

    def test_blocks_do_not_show(self):
        labels = [f"{i:04}" for i in range(1000)]
        target = Target("y", "string", tuple(labels))
        batches = pa.table({"y": labels[::-1], "go": range(1000)}).to_batches(max_chunksize=7)
        rule = costs_of(pa.Table.from_batches(batches), target)
        np.testing.assert_array_equal(rule.costs[:, 0], range(999, -1, -1))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("b,go\n01,1\nGentoo,2\n01,3\n", ["'b'", "row 3", "'01'", "row 1 already"]),
        ("b,go\n01,1\nGentoo,2\n", ["no row of the class 'Adelie'"]),
        ("b,go\nGentoo,2\n", ["no row of the classes '01', 'Adelie'"]),
        ("b,go\n1,1\nGentoo,2\n", ["'b'", "row 1", "'1' is no class", "'species'", "'01'"]),
        ("b,go\n01,1\nNA,2\n", ["'b'", "row 2", "the class is missing"]),
        ("b,go,do\n01,1,\nGentoo,2,1\nAdelie,2,1\n", ["'do'", "row 1", "missing"]),
        ("b,go,do\n01,1,1\nGentoo,NaN,1\nAdelie,2,1\n", ["'go'", "row 2", "missing"]),
        ("b,go\n01,1\nGentoo,cheap\nAdelie,2\n", ["'go'", "row 2", "'cheap'", "number"]),
        ("b,go\n01,1\nGentoo,-inf\nAdelie,2\n", ["'go'", "row 2", "infinite"]),
        ("b,go\n01,1\nGentoo,-2e100\nAdelie,2\n", ["'go'", "row 2", "-2e+100", "1e+100"]),
        ("b,go\n01,1\nGentoo\nAdelie,2\n", ["row 2", "2 values"]),
        ("b,go,go\n01,1,2\n", ["'go'", "twice"]),
        ("b\n01\nGentoo\nAdelie\n", ["no column but 'b'", "action"]),
        ("b,go\n", ["no rows"]),
        ("", ["empty"]),
        ("b,ask\n01,1\nGentoo,2\nAdelie,2\n", ["the only action is to ask"]),
    ],
)
def test_what_cannot_be_used_names_file_row_and_column(text, parts, written):
    with pytest.raises(DataError) as refused:
        costs_of(written(text), BIRDS, ask="ask" if text.startswith("b,ask") else None)
    for part in ("costs.csv: ", *parts):
        assert part in str(refused.value)


def test_rows_are_counted_over_blocks():
    labels = [f"{i:06}" for i in range(70_000)]
    table = pa.table({"y": [*labels[:-1], "0"], "go": range(70_000)})
    with pytest.raises(DataError, match=r"row 70000 .* '0' is no class"):
        costs_of(table, Target("y", "string", tuple(labels)))


def test_an_action_to_ask_that_is_not_there(written):
    path = written("b,go,stay\n01,1,2\nGentoo,2,1\nAdelie,2,1\n")
    with pytest.raises(DataError, match=r"costs\.csv: .* no action 'ask' .* 'go', 'stay'"):
        costs_of(path, BIRDS, ask="ask")


def test_more_actions_than_can_be(monkeypatch, written):
    monkeypatch.setattr(costs, "MOST_ACTIONS", 2)
    with pytest.raises(DataError, match="3 actions, and at most 2"):
        costs_of(written("b,x,y,z\n01,1,1,1\n"), BIRDS)


def test_standard_input_is_for_data():
    with pytest.raises(DataError, match="not from standard input"):
        costs_of("-", BIRDS)
