"""A table of costs, read and put into the order of the classes."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luce.decisions import MinimumCost
from luce.errors import DataError
from luce.model.events import Guessed, Report, tell_nobody
from luce.model.record import LARGEST_WEIGHT
from luce.model.rows import about
from luce.tables import StreamedTable, open_table
from luce.tables.read import Source
from luce.tables.roles import MISSING_LABEL, Target, label_types
from luce.tables.sources import STANDARD_INPUT
from luce.tables.values import column_block, levels, listing, numbers, quoted

MOST_ACTIONS = 1000

Places = NDArray[np.int64]


def costs_of(
    source: Source, target: Target, ask: str | None = None, report: Report = tell_nobody
) -> MinimumCost:
    """Return the rule of least expected cost that a table of costs describes.

    The first column of the table names the class; each further one is an action, its name is the
    column's, its values what the action costs for each class. Rows may be in any order.

    Raises
    ------
    DataError
        The table cannot be read; a class is missing, twice or none of the target's; a cost is
        missing or no number; there is no action, more than `MOST_ACTIONS`, or none that is `ask`.

    Examples
    --------
    >>> costs = pa.table({"y": ["dear", "cheap"], "buy": [5, 1], "wait": [2, 2]})
    >>> costs_of(costs, Target("y", "string", ("cheap", "dear")), ask="wait")
    MinimumCost(costs=[[1.0, 2.0], [5.0, 2.0]], actions=('buy', 'wait'), ask=1)
    """
    table = _opened(source, target)
    report(Guessed(table.name, table.notes))
    with about(table):
        name_of_class, *actions = table.names
        if not actions:
            raise DataError(
                f"there is no column but {quoted(name_of_class)}: the first names the class, and "
                "each further one is an action"
            )
        if len(actions) > MOST_ACTIONS:
            raise DataError(
                f"there are {len(actions):,} actions, and at most {MOST_ACTIONS:,} can be"
            )
        if ask is not None and ask not in actions:
            raise DataError(
                f"there is no action {quoted(ask)} to ask; there are {listing(actions)}"
            )
        row_of_class = np.zeros(len(target.classes), np.int64)
        costs = np.empty((len(target.classes), len(actions)))
        first = 0
        for block in table.blocks():
            places = _places(block, name_of_class, target, row_of_class, first)
            for action, name in enumerate(actions):
                costs[places, action] = _costs(block, name, first)
            first += block.num_rows
        if not row_of_class.all():
            lacking = [target.texts[c].as_py() for c in np.flatnonzero(row_of_class == 0)]
            noun = "class" if len(lacking) == 1 else "classes"
            raise DataError(
                f"there is no row of the {noun} {listing(lacking)}: every class needs its costs"
            )
        return MinimumCost(costs, actions, ask=ask)


def _opened(source: Source, target: Target) -> StreamedTable:
    """The table, its text read as what the classes are and as numbers."""
    if source == STANDARD_INPUT:
        raise DataError("costs are read from a file, not from standard input: name one")
    table = open_table(source)
    if table.in_memory:
        return table
    name_of_class, *actions = table.names
    (type,) = label_types(target).values()
    return open_table(source, types={name_of_class: type, **dict.fromkeys(actions, pa.float64())})


def _places(block: pa.Table, name: str, target: Target, row_of_class: Places, first: int) -> Places:
    """Which class each row is of; takes note of the rows, counted from 1, in `row_of_class`."""
    column = column_block(block, name, first)
    found = levels(column)
    indices = pc.index_in(found, value_set=target.texts).fill_null(MISSING_LABEL)
    places = np.asarray(indices.to_numpy().astype(np.int64))
    for row, place in enumerate(places.tolist()):
        if place == MISSING_LABEL:
            name = found[row].as_py()
            wrong = "the class is missing" if name is None else f"{quoted(name)} is no class"
            raise DataError(
                f"{column.at(row)}: {wrong}; those of {quoted(target.column)} are "
                f"{listing(target.texts.to_pylist())}: name one of them, or remove the row"
            )
        if row_of_class[place]:
            raise DataError(
                f"{column.at(row)}: {quoted(found[row].as_py())} has costs in row "
                f"{row_of_class[place]} already; remove one of the two rows"
            )
        row_of_class[place] = column.row_number(row)
    return places


def _costs(block: pa.Table, name: str, first: int) -> NDArray[np.float64]:
    column = column_block(block, name, first)
    costs = numbers(column)
    missing = np.isnan(costs)
    if missing.any():
        row = int(missing.argmax())
        raise DataError(f"{column.at(row)}: the cost is missing; give a number, such as 0")
    beyond = np.abs(costs) > LARGEST_WEIGHT
    if beyond.any():
        row = int(beyond.argmax())
        raise DataError(
            f"{column.at(row)}: the cost is {costs[row]:g}, and can be {LARGEST_WEIGHT:g} at most; "
            "use a larger unit"
        )
    return costs
