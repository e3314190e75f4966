"""A fit in a file, from which a process that was killed goes on to the same bits.

The file is written by `luce.files`: whole or not at all, tensors and one strict JSON document, so
that loading it runs no code. It tells what fit it is of (see `fit_description`), and holds all that
changes from one epoch to the next and does not follow from that.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np

from luce.errors import DataError, ModelFileError
from luce.files import Format, Shapes, Tensors, load, save
from luce.training.network.optimisers import Vector
from luce.training.network.result import Curve

SHARE = 0.05  # of the time of a fit that writing may take
LONGEST = 200  # characters of a setting that are shown
GENERATORS = {"PCG64": np.random.PCG64, "PCG64DXSM": np.random.PCG64DXSM}
CURVES = ("loss_curve", "validation_losses", "validation_scores")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
Dtype: TypeAlias = Literal["float32", "float64"]
Hexadecimal = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{1,32}$", max_length=32)]


class RandomRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """State of a bit generator."""

    generator: Literal["PCG64", "PCG64DXSM"]
    state: Hexadecimal
    increment: Hexadecimal
    has_uint32: Annotated[int, msgspec.Meta(ge=0, le=1)]
    uinteger: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class CheckpointRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document; `fit` says what fit it is of, in words that are compared."""

    fit: dict[str, str]
    random: RandomRecord
    dtype: Dtype
    parameters: Count
    moments: Annotated[int, msgspec.Meta(ge=0, le=8)]
    averaging: bool
    validated: bool
    epochs: Count
    kind: Literal["checkpoint of a network"] = "checkpoint of a network"
    readable_since: Literal["0.1.0"] = "0.1.0"
    format: Literal[2] = 2


@dataclass(frozen=True, eq=False)
class Saved:
    """A fit after a whole epoch.

    Attributes
    ----------
    parameters : array of shape (p,)
    moments : tuple of arrays of shape (p,)
    average : array of shape (p,) or None
    best : array of shape (p,) or None
        Parameters of the best epoch, where there is validation.
    loss_curve, validation_losses, validation_scores : float64 arrays
        A number per epoch; the last two may be empty.
    random : dict
        State of the bit generator.
    """

    parameters: Vector
    moments: tuple[Vector, ...]
    average: Vector | None
    best: Vector | None
    loss_curve: Curve
    validation_losses: Curve
    validation_scores: Curve
    random: dict[str, Any]

    @property
    def vectors(self) -> dict[str, Vector]:
        """The parameters, and what is like them, by their names in the file."""
        vectors = {"parameters": self.parameters}
        vectors |= {f"moment_{i}": moment for i, moment in enumerate(self.moments)}
        if self.average is not None:
            vectors["average"] = self.average
        if self.best is not None:
            vectors["best"] = self.best
        return vectors


class Checkpoint:
    """The file of one fit.

    Parameters
    ----------
    path : path-like
    fit : mapping of str to str
        What the fit is, see `fit_description`: the file has to agree with all of it.
    """

    def __init__(self, path: str | os.PathLike[str], fit: dict[str, str]) -> None:
        self.path, self.fit = Path(path), fit
        self.written = self.seconds = 0.0

    def read(self) -> Saved | None:
        """What the file holds; None if there is none.

        Raises `ModelFileError` for what is no checkpoint, or damaged, and `DataError` for one of
        another fit.
        """
        if not self.path.exists():
            return None
        try:
            fit, saved = load(self.path, {2: Format(CheckpointRecord, _shapes, _content)})
        except ModelFileError as error:
            raise ModelFileError(
                f"{error}. It was to be the checkpoint of a fit: remove it to begin anew"
            ) from error
        different = [name for name in self.fit if fit.get(name) != self.fit[name]]
        if different or fit.keys() != self.fit.keys():
            what = "; ".join(
                f"its {name} is {_short(fit.get(name))}, here it is {_short(self.fit[name])}"
                for name in different
            )
            raise DataError(
                f"{self.path}: the checkpoint is of another fit: {what or 'of more settings'}. Go "
                "on with what that fit was begun with, or remove the file to begin anew."
            )
        return saved

    @property
    def is_due(self) -> bool:
        """Whether the time since it was written is worth writing it again."""
        return time.monotonic() - self.written > self.seconds / SHARE

    def write(self, saved: Saved) -> None:
        """Replace the file."""
        began = time.monotonic()
        # As bits: tensors of floats are finite in a file, and a score may be infinite or NaN.
        curves = {name: getattr(saved, name).view(np.int64) for name in CURVES}
        record = CheckpointRecord(
            fit=self.fit,
            random=_random_record(saved.random),
            dtype="float32" if saved.parameters.dtype == np.float32 else "float64",
            parameters=len(saved.parameters),
            moments=len(saved.moments),
            averaging=saved.average is not None,
            validated=saved.best is not None,
            epochs=len(saved.loss_curve),
        )
        save(self.path, record, saved.vectors | curves)
        self.written = time.monotonic()
        self.seconds = self.written - began


def require_recordable(random: np.random.Generator) -> None:
    """Refuse a generator whose state is no matter of a few integers."""
    if type(random.bit_generator).__name__ not in GENERATORS:
        raise DataError(
            f"random is a generator of {type(random.bit_generator).__name__}: a checkpoint can "
            "hold the state of numpy.random.default_rng(seed)."
        )


def _random_record(state: dict[str, Any]) -> RandomRecord:
    return RandomRecord(
        generator=state["bit_generator"],
        state=f"{state['state']['state']:x}",
        increment=f"{state['state']['inc']:x}",
        has_uint32=state["has_uint32"],
        uinteger=state["uinteger"],
    )


def _shapes(record: CheckpointRecord) -> Shapes:
    names = ["parameters", *(f"moment_{i}" for i in range(record.moments))]
    names += ["average"] * record.averaging + ["best"] * record.validated
    shapes: dict[str, Any] = dict.fromkeys(names, (record.dtype, (record.parameters,)))
    validations = record.epochs if record.validated else 0
    lengths = (record.epochs, validations, validations)
    shapes |= {name: (np.int64, (n,)) for name, n in zip(CURVES, lengths, strict=True)}
    return shapes


def _content(record: CheckpointRecord, tensors: Tensors) -> tuple[dict[str, str], Saved]:
    random = record.random
    return record.fit, Saved(
        parameters=tensors["parameters"],
        moments=tuple(tensors[f"moment_{i}"] for i in range(record.moments)),
        average=tensors.get("average"),
        best=tensors.get("best"),
        loss_curve=tensors["loss_curve"].view(np.float64),
        validation_losses=tensors["validation_losses"].view(np.float64),
        validation_scores=tensors["validation_scores"].view(np.float64),
        random={
            "bit_generator": random.generator,
            "state": {"state": int(random.state, 16), "inc": int(random.increment, 16)},
            "has_uint32": random.has_uint32,
            "uinteger": random.uinteger,
        },
    )


def _short(text: str | None) -> str:
    if text is None:
        return "not known"
    printable = text.encode("unicode_escape").decode()
    return printable if len(printable) <= LONGEST else f"{printable[:LONGEST]}..."
