"""Format 3 of the model file, the one that is written.

What is large is in tensors: levels and classes that are texts are in `texts` (their UTF-8 bytes)
and `text_ends`, column after column and then the classes; a column's arrays are in tensors named
by its place and their name; the parameters are those of `luce.model.parameters`. Every field is
required, unknown ones are refused, and equal models have equal documents.
"""

from itertools import islice
from typing import Annotated, Any, Literal, TypeAlias

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
from luce.model.texts import join_texts, split_texts
from luce.tables import Encoder
from luce.tables.roles import Target

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
    document, replay = parts.document, parts.replay
    assert replay is not None
    packed = [pack(column) for column in document.encoder.columns]
    texts = [text for column in packed for text in column.texts]
    classes = document.target.classes
    texts += [label for label in classes if isinstance(label, str)]
    numbers = tuple(label for label in classes if not isinstance(label, str))
    content, ends = join_texts(texts)
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
        tensors |= {_tensor_name(place, name): array for name, array in column.arrays.items()}
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
                {name: tensors[_tensor_name(place, name)] for name in array_shapes(column)},
            )
        )
        for place, column in enumerate(record.columns)
    )
    labels = tuple(texts) if record.target.labels is None else record.target.labels
    if len(labels) != record.target.classes or len(record.replayed) != len(columns):
        raise ValueError("its counts contradict each other")
    parts = Parts(
        Document(
            target=Target(record.target.column, record.target.type, labels),
            encoder=Encoder(columns),
            left_out=record.left_out,
            training=record.training,
            validation=record.validation,
        ),
        scorer_of(record.training.fit, tensors),
        tensors.get("confusion"),
        Replay(record.replayed, tensors["replay"]),
    )
    check(parts)
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
        shapes |= {_tensor_name(place, name): of for name, of in array_shapes(column).items()}
    return shapes


def _tensor_name(place: int, name: str) -> str:
    return f"columns.{place}.{name}"


FORMAT: Format[DocumentRecord, Parts] = Format(DocumentRecord, tensor_shapes, from_record)
