"""Format 2 of the model file, as luce wrote it before there were networks: read, never written.

It differs from format 3 in what it says of the training and the validation; all its models are
linear, and have neither a calibrator nor rules.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from luce.files import Format, Shapes, Tensors
from luce.model import record_v3
from luce.model.columns import ColumnRecord
from luce.model.record import (
    LARGEST_WEIGHT,
    Count,
    Figures,
    LeftOut,
    LinearTraining,
    Parts,
    Training,
    Validation,
)
from luce.model.record_v3 import FewValues, TargetRecord


class TrainingV2(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model was trained on, how, and how well the fit succeeded."""

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

    def renewed(self) -> Training:
        """The same as the newest format says it."""
        said = msgspec.structs.asdict(self)
        fit = LinearTraining(**{name: said.pop(name) for name in LinearTraining.__struct_fields__})
        return Training(**said, rule_rows=0, choice=None, fit=fit)


class ValidationV2(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model did on rows that it was not trained on."""

    source: str
    rows: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    model: Figures
    baseline: Figures

    def renewed(self) -> Validation:
        """The same as the newest format says it."""
        return Validation(self.source, self.rows, self.model, self.baseline, ())


class DocumentV2(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a model but its tensors."""

    format: Literal[2] = 2
    readable_since: Literal["0.1.0"] = "0.1.0"
    target: TargetRecord
    columns: tuple[ColumnRecord, ...]
    text_bytes: Count
    left_out: tuple[LeftOut, ...]
    training: TrainingV2
    validation: ValidationV2
    replayed: tuple[FewValues, ...]


def from_record(record: DocumentV2, tensors: Tensors) -> Parts:
    """Model of a document and its tensors, which have the shapes of `tensor_shapes`.

    Raises
    ------
    ValueError
        No model can be like this.
    """
    return record_v3.from_record(_renewed(record), tensors)


def tensor_shapes(record: DocumentV2) -> Shapes:
    """Names, dtypes and shapes of the tensors that belong to a document."""
    return record_v3.tensor_shapes(_renewed(record))


def _renewed(record: DocumentV2) -> record_v3.DocumentRecord:
    return record_v3.DocumentRecord(
        target=record.target,
        columns=record.columns,
        text_bytes=record.text_bytes,
        left_out=record.left_out,
        training=record.training.renewed(),
        calibration=None,
        calibrator=None,
        rules=(),
        validation=record.validation.renewed(),
        replayed=record.replayed,
    )


FORMAT: Format[DocumentV2, Parts] = Format(DocumentV2, tensor_shapes, from_record)
