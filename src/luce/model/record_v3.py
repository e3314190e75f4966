"""Format 3 of the model file, the one that is written.

What is large is in tensors: levels and classes that are texts are in `texts` (their UTF-8 bytes)
and `text_ends`, column after column and then the classes; a column's arrays are in tensors named
by its place and their name, as are those of a rule; the parameters are those of
`luce.model.parameters`, the rules and the calibrator those of `luce.model.rule_records`. Every
field is required, unknown ones are refused, and equal models have equal documents.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from luce.files import Format, Shapes, Tensors
from luce.model.columns import (
    ColumnRecord,
    Packed,
    array_shapes,
    count_features,
    count_texts,
    pack,
    unpack,
)
from luce.model.parameters import parameter_shapes, scorer_of
from luce.model.record import (
    MOST_CONFUSED,
    Calibration,
    Count,
    Document,
    LeftOut,
    Parts,
    Replay,
    Training,
    Validation,
    Value,
    check,
)
from luce.model.replay import ROWS
from luce.model.rule_records import (
    MOST_RULES,
    CalibratorRecord,
    RuleRecord,
    calibrator_shapes,
    check_fitted,
    pack_calibrator,
    pack_rule,
    rule_shapes,
    unpack_calibrator,
    unpack_rule,
)
from luce.model.texts import join_texts, split_texts
from luce.tables import Encoder
from luce.tables.roles import Target

T = TypeVar("T")
FewValues: TypeAlias = Annotated[tuple[Value, ...], Meta(min_length=ROWS, max_length=ROWS)]


class TargetRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The target without the labels of its classes where they are texts: `labels` is None then."""

    column: str
    type: str
    classes: Count
    labels: tuple[bool | int | float, ...] | None


class DocumentRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a model but its tensors."""

    format: Literal[3] = 3
    readable_since: Literal["0.1.0"] = "0.1.0"
    target: TargetRecord
    columns: tuple[ColumnRecord, ...]
    text_bytes: Count
    left_out: tuple[LeftOut, ...]
    training: Training
    calibration: Calibration | None
    calibrator: CalibratorRecord | None
    rules: Annotated[tuple[RuleRecord, ...], Meta(max_length=MOST_RULES)]
    validation: Validation
    replayed: tuple[FewValues, ...]


def to_record(parts: Parts) -> tuple[DocumentRecord, dict[str, NDArray[Any]]]:
    """Document and tensors of a model with its replay.

    Raises
    ------
    ValueError
        No file can hold this model: loading it would be refused.
    """
    check(parts)
    check_fitted(parts)
    document, replay = parts.document, parts.replay
    assert replay is not None
    packed = [pack(column) for column in document.encoder.columns]
    texts = [text for column in packed for text in column.texts]
    classes = document.target.classes
    texts += [label for label in classes if isinstance(label, str)]
    numbers = tuple(label for label in classes if not isinstance(label, str))
    content, ends = join_texts(texts)
    calibrator, of_calibrator = pack_calibrator(parts.calibrator)
    rules = [pack_rule(rule, fit) for rule, fit in zip(parts.rules, document.rules, strict=True)]
    record = DocumentRecord(
        target=TargetRecord(
            document.target.column,
            document.target.type,
            len(classes),
            numbers or None,
        ),
        columns=tuple(column.record for column in packed),
        text_bytes=len(content),
        left_out=document.left_out,
        training=document.training,
        calibration=document.calibration,
        calibrator=calibrator,
        rules=tuple(rule for rule, _ in rules),
        validation=document.validation,
        replayed=replay.values,
    )
    tensors: dict[str, NDArray[Any]] = {
        **parts.scorer.tensors,
        "replay": replay.probabilities,
        "texts": content,
        "text_ends": ends,
    }
    if parts.confusion is not None:
        tensors["confusion"] = parts.confusion
    for place, column in enumerate(packed):
        tensors |= _named("columns", place, column.arrays)
    tensors |= {f"calibrator.{name}": array for name, array in of_calibrator.items()}
    for place, (_, arrays) in enumerate(rules):
        tensors |= _named("rules", place, arrays)
    return record, tensors


def from_record(record: DocumentRecord, tensors: Tensors) -> Parts:
    """Model of a document and its tensors, which have the shapes of `tensor_shapes`.

    Raises
    ------
    ValueError
        No model can be like this.
    """
    texts = iter(split_texts(tensors["texts"], tensors["text_ends"]))
    columns = tuple(
        unpack(
            Packed(
                column,
                tuple(islice(texts, count_texts(column))),
                _arrays("columns", place, array_shapes(column), tensors),
            )
        )
        for place, column in enumerate(record.columns)
    )
    k = record.target.classes
    labels = tuple(texts) if record.target.labels is None else record.target.labels
    if len(labels) != k or len(record.replayed) != len(columns):
        raise ValueError("its counts contradict each other")
    parts = Parts(
        Document(
            target=Target(record.target.column, record.target.type, labels),
            encoder=Encoder(columns),
            left_out=record.left_out,
            training=record.training,
            calibration=record.calibration,
            rules=tuple(rule.fit for rule in record.rules),
            validation=record.validation,
        ),
        scorer_of(record.training.fit, tensors),
        tensors.get("confusion"),
        Replay(record.replayed, tensors["replay"]),
        unpack_calibrator(record.calibrator, tensors),
        tuple(
            unpack_rule(rule, k, _arrays("rules", place, rule_shapes(rule, k), tensors))
            for place, rule in enumerate(record.rules)
        ),
    )
    check(parts)
    check_fitted(parts)
    return parts


def tensor_shapes(record: DocumentRecord) -> Shapes:
    """Names, dtypes and shapes of the tensors that belong to a document."""
    k = record.target.classes
    d = sum(map(count_features, record.columns))
    texts = sum(map(count_texts, record.columns)) + (k if record.target.labels is None else 0)
    shapes: dict[str, tuple[Any, tuple[int, ...]]] = {
        **parameter_shapes(record.training.fit, k, d),
        "replay": (np.float32, (ROWS, k)),
        "texts": (np.uint8, (record.text_bytes,)),
        "text_ends": (np.int64, (texts,)),
    }
    if k <= MOST_CONFUSED:
        shapes["confusion"] = (np.float64, (k, k))
    for place, column in enumerate(record.columns):
        shapes |= _named("columns", place, array_shapes(column))
    for place, rule in enumerate(record.rules):
        shapes |= _named("rules", place, rule_shapes(rule, k))
    return {**shapes, **calibrator_shapes(record.calibrator, k)}


def _named(of: str, place: int, parts: Mapping[str, T]) -> dict[str, T]:
    return {f"{of}.{place}.{name}": part for name, part in parts.items()}


def _arrays(of: str, place: int, names: Iterable[str], tensors: Tensors) -> Tensors:
    return {name: tensors[f"{of}.{place}.{name}"] for name in names}


FORMAT: Format[DocumentRecord, Parts] = Format(DocumentRecord, tensor_shapes, from_record)
