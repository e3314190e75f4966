"""What a model says of itself, and which of it a file may hold.

A model file holds the same in the form of its format: `record_v2` is the newest, and takes several
of these records as they are. So a change of a field here is a new format: the records as they were
go to the module of the format that had them, as in `record_v1`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.calibration import Evaluation
from luce.calibration import Figure as MeasuredFigure
from luce.tables import (
    CategoryColumn,
    DatetimeColumn,
    Encoder,
    encoder_columns,
)
from luce.tables.roles import Target

MOST_CONFUSED = 100  # classes: above, the confusion matrix is not kept

LARGEST_PARAMETER = 1e30
LARGEST_WEIGHT = 1e100

Value: TypeAlias = bool | int | float | str | None
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A measured value with its 95 % interval; None stands for what is not finite."""

    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, figure: MeasuredFigure) -> Self:
        """Record of a measured figure."""
        numbers = {name: getattr(figure, name) for name in cls.__struct_fields__}
        return cls(**{name: x if math.isfinite(x) else None for name, x in numbers.items()})


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The figures by which a classifier is judged."""

    accuracy: Figure
    log_loss: Figure
    brier_score: Figure
    expected_calibration_error: Figure

    @classmethod
    def of(cls, evaluation: Evaluation) -> Self:
        """Record of an evaluation."""
        return cls(**{name: Figure.of(getattr(evaluation, name)) for name in cls.__struct_fields__})


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model did on rows that it was not trained on.

    `source` says which rows; `model` are its figures and `baseline` those of always guessing the
    class frequencies of the training rows. The model that was measured was trained without these
    rows.
    """

    source: str
    rows: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    model: Figures
    baseline: Figures


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that is no feature, and why."""

    column: str
    reason: str


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was trained on, how, and how well the fit succeeded.

    `rows` were used and `unlabelled` were not, lacking a label; `refitted` says whether the rows
    of the validation are among them. `class_weights` are the rows of each class, or their weights.
    `optimality_gap` is certified: (objective - minimum) / minimum is at most this.
    """

    luce: str
    rows: Count
    unlabelled: Count
    refitted: bool
    class_weights: tuple[Annotated[float, Meta(ge=1 / LARGEST_WEIGHT, le=LARGEST_WEIGHT)], ...]
    fingerprint: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    weight: str | None
    group: str | None
    seed: Annotated[int, Meta(ge=0)]
    C: Annotated[float, Meta(gt=0)]
    C_chosen_by: Literal["user", "cross-validation"]
    objective: Annotated[float, Meta(ge=0)]
    optimality_gap: Annotated[float, Meta(ge=0)]
    tol: Annotated[float, Meta(gt=0)]
    passes: Count


@dataclass(frozen=True, kw_only=True)
class Document:
    """All of a model but its arrays."""

    target: Target
    encoder: Encoder
    left_out: tuple[LeftOut, ...]
    training: Training
    validation: Validation


@dataclass(frozen=True, eq=False)
class Replay:
    """Synthetic rows and what the model predicted for them when it was saved: see `replay`.

    `values` has for each column of the encoder one plain value a row, `probabilities` are float32
    of shape (rows, k).
    """

    values: tuple[tuple[Value, ...], ...]
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a model file holds, whatever its format; `replay` is None where the format has none."""

    document: Document
    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    confusion: NDArray[np.float64] | None
    replay: Replay | None


def check(parts: Parts) -> None:
    """Refuse what contradicts itself, or would overflow in use.

    Raises
    ------
    ValueError
        No model can be like this.
    """
    target, training = parts.document.target, parts.document.training
    if len(target.classes) < 2 or len(training.class_weights) != len(target.classes):
        raise ValueError(f"{len(target.classes)} classes")
    if target.labels.to_pylist() != sorted(set(target.classes)):
        raise ValueError(f"the classes are no ascending labels of type {target.type}")
    if not parts.document.encoder.columns:
        raise ValueError("there are no columns")
    columns = encoder_columns(parts.document.encoder)
    roles = [name for name in (target.column, training.weight, training.group) if name is not None]
    if len({*columns, *roles}) < len(columns) + len(roles):
        raise ValueError("a column is used twice")
    for column in parts.document.encoder.columns:
        if isinstance(column, CategoryColumn):
            levels = column.levels + column.rare
            if len(set(levels)) < len(levels):
                raise ValueError(f"column {column.name!r} has a level twice")
        if isinstance(column, DatetimeColumn) and len(set(column.parts)) < len(column.parts):
            raise ValueError(f"column {column.name!r} has a part twice")
    if training.seed >= 2**128:
        raise ValueError("the seed has more than 128 bits")
    for array in (parts.coef, parts.intercept):
        if max(array.max(initial=0), -array.min(initial=0)) > LARGEST_PARAMETER:
            raise ValueError(f"a coefficient or intercept is above {LARGEST_PARAMETER:g}")
    confusion = parts.confusion
    if confusion is not None and not 0 <= confusion.min() <= confusion.max() <= LARGEST_WEIGHT:
        raise ValueError(f"an entry of the confusion is not from 0 to {LARGEST_WEIGHT:g}")


def confusion_to_keep(evaluation: Evaluation) -> NDArray[np.float64] | None:
    """Confusion matrix of an evaluation as float64, or None if it has too many classes."""
    confusion = evaluation.confusion
    if confusion is None or len(confusion) > MOST_CONFUSED:
        return None
    return confusion.astype(np.float64)
