"""What luce understands of a table before any training."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import msgspec
import numpy as np
import pyarrow as pa

from luce.errors import DataError
from luce.files.codec import MAX_HEADER
from luce.model.events import Report, RowsDone, Stage, tell_nobody
from luce.model.rows import (
    LabelledRows,
    Roles,
    about,
    labelled_rows,
    require_columns,
    require_labels,
    rows_in_a_block,
)
from luce.tables import (
    AS_FOUND,
    ColumnSummary,
    Reading,
    StreamedTable,
    describe_columns,
    open_table,
    types_of_kinds,
)
from luce.tables.read import Source
from luce.tables.roles import fit_target
from luce.tables.storage import memory_to_use, stored
from luce.tables.values import quoted

SHARE_OF_TABLE = 0.5  # of the memory, the rest is for the features


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """What luce understood of a table before any training.

    Attributes
    ----------
    roles : Roles
        The target, and the columns that give weights and groups.
    columns : tuple of ColumnSummary
        Every column that may be a feature, with the reason for those that are left out.
    rows : LabelledRows
        Those whose label is not missing.
    notes : tuple of str
        What was guessed of the file, and where the rows are kept, in words.
    memory : int
        Bytes that the table and its features may take; beyond, they are kept in files.
    """

    roles: Roles
    columns: tuple[ColumnSummary, ...]
    rows: LabelledRows
    notes: tuple[str, ...]
    memory: int

    @property
    def unlabelled(self) -> int:
        """Rows without a label."""
        return int(self.rows.table.num_rows) - len(self.rows.labels)


def understand(
    data: Source,
    target: str,
    *,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    reading: Reading = AS_FOUND,
    memory: int | None = None,
    report: Report = tell_nobody,
) -> TrainingTable:
    """Read a table and decide what each of its columns is for: parameters as for `train`."""
    kinds = kinds or {}
    if isinstance(drop, str):
        raise DataError(f"drop is a list of columns, such as [{drop!r}], not a text")
    roles = [name for name in (target, weight, group) if name is not None]
    if len(set(roles)) < len(roles):
        raise DataError("target, weight and group are columns of their own: two are the same")
    of_target = kinds.get(target, "category")
    if of_target != "category":
        raise DataError(
            f"the target {quoted(target)} is given the kind {quoted(of_target)}: it can be "
            '"category", so that its numbers are names, or have none'
        )
    for name in (*roles[1:], *drop):
        if name in kinds:
            raise DataError(
                f"a kind is given for {quoted(name)}, which is no feature: weights, groups and "
                "what is left out have none"
            )
    import_module("scipy.linalg")  # Its BLAS waits for ever for memory that a table has taken.
    memory = memory_to_use(memory)
    report(Stage(f"reading {opened_name(data)}"))
    types = types_of_kinds(kinds) | ({} if group is None else {group: pa.string()})
    opened = open_table(data, types=types, reading=reading)
    require_columns(opened, [*roles, *drop])
    with about(opened):
        _require_names_that_fit(sorted(set(opened.schema.names) - set(drop)))
        room = math.inf if opened.in_memory else SHARE_OF_TABLE * memory
        kept = stored(opened.schema, counted(opened, report), room)
        labels = fit_target(kept.table, target, as_text=target in kinds)
        fitted = Roles(labels, weight, group)
        rows = labelled_rows(kept.table, fitted)
        require_labels(len(rows.labels), fitted)
        totals = rows.class_weights(len(fitted.target.classes))
        if not totals.all():
            weightless = fitted.target.classes[int(np.argmin(totals))]
            raise DataError(
                f"all rows of class {weightless!r} have weight 0: give some a positive weight, or "
                "leave the class out"
            )
        used = {*fitted.columns, *drop}
        candidates = [name for name in kept.table.column_names if name not in used]
        of_features = {name: kind for name, kind in kinds.items() if name != target}
        columns = describe_columns(kept.table, candidates, kinds=of_features)
        if all(column.left_out is not None for column in columns):
            left_out = [f"{quoted(column.name)}: {column.left_out}" for column in columns[:20]]
            reasons = "; ".join(left_out) or "there is none beside the target"
            raise DataError(f"no column can be used: {reasons}")
    notes = opened.notes
    if kept.in_file:
        notes += ("the table is kept on disk, not in memory",)
    elif not opened.in_memory:
        memory -= kept.table.nbytes
    return TrainingTable(fitted, columns, rows, notes, memory)


def _require_names_that_fit(names: Sequence[str]) -> None:
    """Refuse, before any work, names that no model file holds: JSON in JSON, each at least once."""
    sizes = [len(msgspec.json.encode(msgspec.json.encode(name).decode())) for name in names]
    if sum(sizes) > MAX_HEADER:
        longest = names[sizes.index(max(sizes))]
        raise DataError(
            f"the names of the {len(names):,} columns take {sum(sizes):,} bytes, and a model file "
            f"has room for {MAX_HEADER:,}: rename or drop columns; the longest name is "
            f"{quoted(longest)}"
        )


def counted(table: StreamedTable, report: Report) -> Iterator[pa.Table]:
    """The blocks of a table, each reported when it is done with."""
    done = 0
    for block in table.blocks(rows_in_a_block(len(table.schema))):
        yield block
        done += block.num_rows
        report(RowsDone(done))


def opened_name(data: Source) -> str:
    """What to call a source in a line about it."""
    return str(data) if isinstance(data, str) or hasattr(data, "__fspath__") else "the table"
