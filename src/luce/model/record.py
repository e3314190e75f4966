"""What a model file says of itself: one strict, versioned document.

Every field is required, unknown ones are refused, and equal models have equal documents. A change
of any field here is a new format: raise the default of `Document.format` with it.
"""

import math
from typing import Annotated, Literal, Self

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.calibration import Evaluation
from luce.calibration import Figure as MeasuredFigure
from luce.files import Shapes
from luce.tables import CategoryColumn, Encoder, feature_names
from luce.tables.roles import Target, target_labels

MOST_CONFUSED = 100  # classes: above, the confusion matrix is not kept

Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


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
    rows: Count
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


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a model but its tensors."""

    format: int = 1
    target: Target
    encoder: Encoder
    left_out: tuple[LeftOut, ...]
    training: Training
    validation: Validation


def tensor_shapes(document: Document) -> Shapes:
    """Names, dtypes and shapes of the tensors that belong to a document.

    Raises
    ------
    ValueError
        No model can have this document: it contradicts itself.
    """
    _check(document)
    k = len(document.target.classes)
    d = len(feature_names(document.encoder))
    shapes: dict[str, tuple[int, ...]] = {"coef": (k, d), "intercept": (k,)}
    if k <= MOST_CONFUSED:
        shapes["confusion"] = (k, k)
    return {name: (np.float64, shape) for name, shape in shapes.items()}


def _check(document: Document) -> None:
    target, training = document.target, document.training
    if len(target.classes) < 2 or len(training.class_weights) != len(target.classes):
        raise ValueError(f"{len(target.classes)} classes")
    if target_labels(target).to_pylist() != sorted(set(target.classes)):
        raise ValueError(f"the classes are no ascending labels of type {target.type}")
    if not document.encoder.columns:
        raise ValueError("there are no columns")
    columns = [column.name for column in document.encoder.columns]
    roles = [name for name in (target.column, training.weight, training.group) if name is not None]
    if len({*columns, *roles}) < len(columns) + len(roles):
        raise ValueError("a column is used twice")
    for column in document.encoder.columns:
        if isinstance(column, CategoryColumn):
            levels = column.levels + column.rare
            if len(set(levels)) < len(levels):
                raise ValueError(f"column {column.name!r} has a level twice")


def confusion_to_keep(evaluation: Evaluation) -> NDArray[np.float64] | None:
    """Confusion matrix of an evaluation as float64, or None if it has too many classes."""
    confusion = evaluation.confusion
    if confusion is None or len(confusion) > MOST_CONFUSED:
        return None
    return confusion.astype(np.float64)
