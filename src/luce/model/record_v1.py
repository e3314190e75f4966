"""Format 1 of the model file, as luce wrote it before there was a release: read, never written.

Its records are its own, so that a change of the model's leaves them alone.
"""

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta

from luce.files import Format, Shapes, Tensors
from luce.model.columns import count_features, pack
from luce.model.linear import LinearScorer
from luce.model.record import (
    Document,
    LeftOut,
    LinearTraining,
    Parts,
    Training,
    Validation,
    check,
)
from luce.tables import BooleanColumn, CategoryColumn, Column, Encoder, NumericColumn
from luce.tables.roles import Target

MOST_CONFUSED = 100

Count = Annotated[int, Meta(ge=0)]


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class FigureV1(_Record, frozen=True):
    """A measured value with its 95 % interval."""

    value: float | None
    low: float | None
    high: float | None


class FiguresV1(_Record, frozen=True):
    """The figures by which a classifier is judged."""

    accuracy: FigureV1
    log_loss: FigureV1
    brier_score: FigureV1
    expected_calibration_error: FigureV1


class ValidationV1(_Record, frozen=True):
    """How the model did on rows that it was not trained on."""

    source: str
    rows: Count
    model: FiguresV1
    baseline: FiguresV1


class LeftOutV1(_Record, frozen=True):
    """A column that is no feature, and why."""

    column: str
    reason: str


class TrainingV1(_Record, frozen=True):
    """What the model was trained on, how, and how well the fit succeeded."""

    luce: str
    rows: Count
    unlabelled: Count
    refitted: bool
    class_weights: tuple[Annotated[float, Meta(gt=0)], ...]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    weight: str | None
    group: str | None
    seed: Count
    C: Annotated[float, Meta(gt=0)]
    C_chosen_by: Literal["user", "cross-validation"]
    objective: Annotated[float, Meta(ge=0)]
    optimality_gap: Annotated[float, Meta(ge=0)]
    tol: Annotated[float, Meta(gt=0)]
    passes: Count


class NumericV1(_Record, frozen=True, kw_only=True, tag_field="kind", tag="numeric"):
    """A numeric column."""

    name: str
    type: str
    median: float
    mean: float
    scale: Annotated[float, Meta(gt=0)]
    missing_indicator: bool


class BooleanV1(_Record, frozen=True, kw_only=True, tag_field="kind", tag="boolean"):
    """A boolean column."""

    name: str
    type: str
    most_frequent: bool
    missing_indicator: bool


class CategoryV1(_Record, frozen=True, kw_only=True, tag_field="kind", tag="category"):
    """A category column, with its levels."""

    name: str
    type: str
    levels: tuple[str, ...]
    rare: tuple[str, ...]
    missing: bool


ColumnV1: TypeAlias = NumericV1 | BooleanV1 | CategoryV1


class EncoderV1(_Record, frozen=True):
    """How a table becomes features."""

    columns: tuple[ColumnV1, ...]


class TargetV1(_Record, frozen=True):
    """The column to predict, with its labels."""

    column: str
    type: str
    classes: tuple[bool | int | float | str, ...]


class DocumentV1(_Record, frozen=True, kw_only=True):
    """All of a model but its tensors."""

    format: Literal[1] = 1
    target: TargetV1
    encoder: EncoderV1
    left_out: tuple[LeftOutV1, ...]
    training: TrainingV1
    validation: ValidationV1


def from_record(record: DocumentV1, tensors: Tensors) -> Parts:
    """Model of a document and its tensors.

    Raises
    ------
    ValueError
        No model can be like this.
    """
    training, validation, left_out = map(
        msgspec.to_builtins, (record.training, record.validation, record.left_out)
    )
    fit = {name: training.pop(name) for name in LinearTraining.__struct_fields__}
    validation["decisions"] = ()
    training |= {"rule_rows": 0, "choice": None, "fit": {"kind": "linear", **fit}}
    parts = Parts(
        Document(
            target=Target(**_fields(record.target)),
            encoder=Encoder(tuple(map(_column, record.encoder.columns))),
            left_out=msgspec.convert(left_out, tuple[LeftOut, ...]),
            training=msgspec.convert(training, Training),
            calibration=None,
            rules=(),
            validation=msgspec.convert(validation, Validation),
        ),
        LinearScorer(tensors["coef"], tensors["intercept"]),
        tensors.get("confusion"),
        replay=None,
    )
    check(parts)
    return parts


def tensor_shapes(record: DocumentV1) -> Shapes:
    """Names, dtypes and shapes of the tensors that belong to a document."""
    k = len(record.target.classes)
    d = sum(count_features(pack(_column(column)).record) for column in record.encoder.columns)
    shapes: dict[str, tuple[int, ...]] = {"coef": (k, d), "intercept": (k,)}
    if k <= MOST_CONFUSED:
        shapes["confusion"] = (k, k)
    return {name: (np.float64, shape) for name, shape in shapes.items()}


def _column(record: ColumnV1) -> Column:
    match record:
        case NumericV1():
            return NumericColumn(**_fields(record))
        case BooleanV1():
            return BooleanColumn(**_fields(record))
        case CategoryV1():
            return CategoryColumn(**_fields(record))


def _fields(record: _Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}


FORMAT: Format[DocumentV1, Parts] = Format(DocumentV1, tensor_shapes, from_record)
