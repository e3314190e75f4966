"""What a model says of itself, and which of it a file may hold.

A model file holds the same in the form of its format: `record_v3` is the newest, and takes several
of these records as they are. So a change of a field here is a new format: the records as they were
go to the module of the format that had them, as in `record_v2`.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.calibration import Evaluation
from luce.calibration import Figure as MeasuredFigure
from luce.decisions import AnswerEvaluation, CostEvaluation, SetEvaluation
from luce.model.calibrating import ModelCalibrator
from luce.model.deciding import ModelRule
from luce.model.scorer import Scorer, largest
from luce.tables import (
    CategoryColumn,
    DatetimeColumn,
    Encoder,
    encoder_columns,
)
from luce.tables.roles import Target

MOST_CONFUSED = 100  # classes: above, the confusion matrix is not kept

MOST_LAYERS = 64

LARGEST_PARAMETER = 1e30
LARGEST_WEIGHT = 1e100

Value: TypeAlias = bool | int | float | str | None
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
ActivationName: TypeAlias = Literal["identity", "relu", "gelu", "tanh", "logistic"]
Width = Annotated[int, Meta(ge=1, le=2**31 - 1)]
NotNegative = Annotated[float, Meta(ge=0)]


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


class AnswerRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="answers",
):
    """`luce.decisions.AnswerEvaluation`: what an `Abstain` did on rows."""

    rows: Count
    answered: Count
    errors: Count
    share_answered: Figure
    error_rate: Figure


class SetRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="sets",
):
    """`luce.decisions.SetEvaluation`: what a `PredictionSet` did on rows."""

    rows: Count
    covered: Count
    coverage: Figure
    mean_size: float | None
    single: Figure


class CostRecord(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="costs",
):
    """`luce.decisions.CostEvaluation`: what a `MinimumCost` did on rows."""

    cost: float | None
    standard_error: float | None
    expected_cost: float | None
    asked: float | None
    single_action: Count
    single_cost: float | None
    perfect_cost: float | None
    rows: Count


DecisionRecord: TypeAlias = AnswerRecord | SetRecord | CostRecord
_RECORDS: dict[type, type[DecisionRecord]] = {
    AnswerEvaluation: AnswerRecord,
    SetEvaluation: SetRecord,
    CostEvaluation: CostRecord,
}


def decision_record(
    evaluation: AnswerEvaluation | SetEvaluation | CostEvaluation,
) -> DecisionRecord:
    """Record of what a rule did on rows; None stands for what is not finite."""
    record = _RECORDS[type(evaluation)]
    return record(**{name: _held(getattr(evaluation, name)) for name in record.__struct_fields__})


def _held(value: Any) -> Any:
    if isinstance(value, MeasuredFigure):
        return Figure.of(value)
    return value if math.isfinite(value) else None


class Validation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model did on rows that it was not trained on.

    `source` says which rows; `model` are its figures and `baseline` those of always guessing the
    class frequencies of the training rows. `decisions` says what the rules did, in their order. The
    model that was measured was trained, calibrated and given its rules without these rows.
    """

    source: str
    rows: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    model: Figures
    baseline: Figures
    decisions: tuple[DecisionRecord, ...]


class LeftOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A column that is no feature, and why."""

    column: str
    reason: str


class LinearTraining(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="linear",
):
    """How a linear classifier was fitted, and how well that succeeded.

    `optimality_gap` is certified: (objective - minimum) / minimum is at most this.
    """

    C: Annotated[float, Meta(gt=0)]
    C_chosen_by: Literal["user", "cross-validation"]
    objective: NotNegative
    optimality_gap: NotNegative
    tol: Annotated[float, Meta(gt=0)]
    passes: Count

    @property
    def kind(self) -> Literal["linear"]:
        """What kind of classifier it is."""
        return "linear"


class DenseLayer(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="dense",
):
    """A layer of a network: activation(features @ weights + bias)."""

    inputs: Width
    outputs: Width
    activation: ActivationName


class NetworkTraining(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="network",
):
    """The layers of a network, how they were fitted, and how well that succeeded.

    `standardised` says whether features are centred and scaled on the way into the first layer. The
    parameters are those after `best_epoch` of `epochs`: there `validation_loss`, the log loss on
    `validation_rows` that were set aside of those fitted on, was least.
    """

    layers: Annotated[tuple[DenseLayer, ...], Meta(min_length=1, max_length=MOST_LAYERS)]
    standardised: bool
    learning_rate: Annotated[float, Meta(gt=0)]
    batch_size: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    penalty: NotNegative
    epochs: Count
    best_epoch: Count
    validation_rows: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    validation_loss: NotNegative

    @property
    def kind(self) -> Literal["network"]:
        """What kind of classifier it is."""
        return "network"


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why the linear classifier, or the network: their log losses on the same rows.

    The `rows` were set aside of those fitted on, and neither had seen them. `standard_error` is
    that of the difference of the losses, row by row or group by group; of one alone it is the
    difference.
    """

    chosen: Literal["linear", "network"]
    rows: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    linear: NotNegative
    network: NotNegative
    standard_error: NotNegative


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the probabilities were calibrated, and what that did.

    `asked` is what was asked for, `method` what was kept, and `reason` says why. The calibrator was
    fitted to `rows` of those trained on, each scored by a model that was fitted without it, and
    the mean log losses are of such rows that no calibrator had seen either.
    """

    asked: Literal["auto", "temperature", "vector"]
    method: Literal["none", "temperature", "vector"]
    reason: str
    rows: Count
    log_loss_before: NotNegative | None
    log_loss_after: NotNegative | None


class RuleFit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To how many rows a rule was fitted, and which these are, in words."""

    rows: Count
    source: str


class Training(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was trained on, how, and how well the fit succeeded.

    `rows` were used and `unlabelled` were not, lacking a label; `rule_rows` were kept for the rules
    and never trained on; `refitted` says whether the rows of the validation are among those used.
    `class_weights` are the rows of each class, or their weights. `fingerprint` is that of the rows
    used and those kept for the rules. `choice` is None where the kind of classifier was told.
    """

    luce: str
    rows: Count
    rule_rows: Count
    unlabelled: Count
    refitted: bool
    class_weights: tuple[Annotated[float, Meta(ge=1 / LARGEST_WEIGHT, le=LARGEST_WEIGHT)], ...]
    fingerprint: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    weight: str | None
    group: str | None
    seed: Annotated[int, Meta(ge=0)]
    choice: Choice | None
    fit: LinearTraining | NetworkTraining


@dataclass(frozen=True, kw_only=True)
class Document:
    """All of a model but its arrays.

    `calibration` is None where none was asked for; `rules` are the fits of the model's rules, in
    their order.
    """

    target: Target
    encoder: Encoder
    left_out: tuple[LeftOut, ...]
    training: Training
    calibration: Calibration | None
    rules: tuple[RuleFit, ...]
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
    scorer: Scorer
    confusion: NDArray[np.float64] | None
    replay: Replay | None
    calibrator: ModelCalibrator | None = None
    rules: tuple[ModelRule, ...] = ()


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
    for name, array in parts.scorer.tensors.items():
        if array.dtype == np.float64 and largest(array) > LARGEST_PARAMETER:
            raise ValueError(f"a parameter in {name!r} is above {LARGEST_PARAMETER:g}")
    confusion = parts.confusion
    if confusion is not None and not 0 <= confusion.min() <= confusion.max() <= LARGEST_WEIGHT:
        raise ValueError(f"an entry of the confusion is not from 0 to {LARGEST_WEIGHT:g}")


def confusion_to_keep(evaluation: Evaluation) -> NDArray[np.float64] | None:
    """Confusion matrix of an evaluation as float64, or None if it has too many classes."""
    confusion = evaluation.confusion
    if confusion is None or len(confusion) > MOST_CONFUSED:
        return None
    return confusion.astype(np.float64)
