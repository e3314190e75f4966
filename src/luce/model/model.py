"""The whole chain as one value: table -> features -> scores -> probabilities -> decision."""

import os
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luce import decisions, files
from luce.errors import DataError, ModelFileError
from luce.model import calibrating, deciding, record_v1, record_v2, record_v3
from luce.model.calibrating import ModelCalibrator
from luce.model.deciding import ModelRule
from luce.model.events import Guessed, Report, RowsDone, tell_nobody
from luce.model.linear import LinearScorer
from luce.model.measuring import Comparison, RunningComparison
from luce.model.record import Document, Parts, Replay, Value
from luce.model.replay import TOLERANCE, synthetic_values, table_of
from luce.model.rows import (
    Roles,
    RowsHash,
    about,
    blocks_to_encode,
    labelled_rows,
    require_columns,
    require_labels,
    role_types,
)
from luce.model.scorer import Scorer
from luce.tables import (
    AS_FOUND,
    Reading,
    StreamedTable,
    encode,
    encoder_columns,
    feature_names,
    open_table,
    read_types,
)
from luce.tables.features import FeatureName
from luce.tables.read import Source

FORMATS: Mapping[int, files.Format[Any, Parts]] = {
    1: record_v1.FORMAT,
    2: record_v2.FORMAT,
    3: record_v3.FORMAT,
}


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predictions of consecutive rows.

    Attributes
    ----------
    probabilities : float32 array of shape (rows, k)
    unseen : mapping of str to int
        For each column where there are any, how many of the rows have a level that no training row
        had.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> next(model.stream("examples/penguins.csv")).unseen
    {}
    """

    probabilities: NDArray[np.float32]
    unseen: Mapping[str, int]


@dataclass(frozen=True)
class Push:
    """How much one feature pushes one class: its coefficient less the mean over the classes.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> model.pushes(most=1)[0][0].feature.column
    'bill_length_mm'
    """

    feature: FeatureName
    coefficient: float


@dataclass(frozen=True, eq=False)
class Model:
    """A trained classifier for tables.

    Made by `luce.train` and `luce.load`. Data are a file, folder, glob or URI as
    `luce.tables.open_table` reads it, or any dataframe with the Arrow PyCapsule interface, holding
    at least the columns that the model was trained on.

    Attributes
    ----------
    document : Document
        Everything but the arrays: target and classes, columns and how they are encoded, the
        training and the validation.
    scorer : LinearScorer or NetworkScorer
        The parameters: of a linear classifier `coef` (k, d) and `intercept` (k,), of a network its
        `network`. `document.training.fit` says which it is, and how it was fitted.
    confusion : float64 array of shape (k, k), or None
        Of the validation: true class by row, predicted class by column; None above 100 classes.
    calibrator : TemperatureScaling, VectorScaling or None
        What makes the scorer's probabilities the model's; `document.calibration` says how it was
        found.
    rules : tuple of Abstain, PredictionSet and MinimumCost
        What the model decides by; `document.rules` says to which rows they were fitted.

    Raises
    ------
    DataError
        (by every method that takes data) A column is absent or of another kind, a value cannot
        be read or is so large that its row has no probabilities; the message names it.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> model.predict("examples/penguins.csv")[:2]
    array(['Adelie', 'Adelie'], dtype=object)
    >>> model.predict_proba("examples/penguins.csv").shape
    (344, 3)
    """

    document: Document
    scorer: Scorer
    confusion: NDArray[np.float64] | None
    calibrator: ModelCalibrator | None = None
    rules: tuple[ModelRule, ...] = ()

    @property
    def classes(self) -> NDArray[Any]:
        """Labels of the k classes, ascending, shape (k,)."""
        return self.labels(np.arange(len(self.document.target.classes)))

    @property
    def actions(self) -> NDArray[Any]:
        """What the labels of a `decision` index: the classes, or the actions of a `MinimumCost`.

        Its names; the classes where it has none and an action for each; else the actions' indices.
        """
        for rule in self.rules:
            if isinstance(rule, decisions.MinimumCost):
                return rule.names(self.classes)
        return self.classes

    def predict(self, data: Source, *, reading: Reading = AS_FOUND) -> NDArray[Any]:
        """Most probable label of each row of data, in the type that labels came in, shape (n,)."""
        rule = decisions.Argmax()
        blocks = [rule.decide(each.probabilities).labels for each in self.stream(data, reading)]
        return self.labels(np.concatenate(blocks))

    def predict_proba(self, data: Source, *, reading: Reading = AS_FOUND) -> NDArray[np.float32]:
        """Probabilities of the classes for each row of data, shape (n, k); rows sum to 1."""
        return np.concatenate([each.probabilities for each in self.stream(data, reading)])

    def decide(
        self, data: Source, rule: decisions.Rule | None = None, *, reading: Reading = AS_FOUND
    ) -> decisions.Decision:
        """Decision for each row of data, by a rule or by the model's own: see `decision`."""
        probabilities = self.predict_proba(data, reading=reading)
        return self.decision(probabilities) if rule is None else rule.decide(probabilities)

    def decision(
        self,
        probabilities: NDArray[np.float32],
        random: np.random.Generator | None = None,
    ) -> decisions.Decision:
        """What the model's own rules make of probabilities (m, k).

        Labels, which index `actions`, and answers are those of its `Abstain` or `MinimumCost`,
        without either the most probable class; sets are those of its `PredictionSet`, None
        without. Where that is randomised it draws from `random`: blocks of one table should share
        one, and without each call begins anew.

        Examples
        --------
        >>> import luce
        >>> from luce.decisions import MinimumCost
        >>> costs = MinimumCost([[0, 9, 1], [9, 0, 1], [9, 9, 1]], ["go", "stop", "ask"], ask="ask")
        >>> model = luce.train("examples/penguins.csv", "species", rules=[costs])
        >>> decision = model.decision(model.predict_proba("examples/penguins.csv"))
        >>> model.actions[decision.labels[:2]], decision.answered[:2]
        (array(['go', 'go'], dtype=object), array([ True,  True]))
        """
        return deciding.decide(self.rules, probabilities, random)

    def stream(
        self, data: Source, reading: Reading = AS_FOUND, report: Report = tell_nobody
    ) -> Iterator[Predicted]:
        """Predictions of data in blocks of rows, as they are read: memory does not grow with them.

        Examples
        --------
        >>> import luce
        >>> model = luce.train("examples/penguins.csv", "species")
        >>> sum(len(block.probabilities) for block in model.stream("examples/penguins.csv"))
        344
        """
        encoder = self.document.encoder
        columns, types = encoder_columns(encoder), read_types(encoder)
        table = open_table(data, columns=columns, types=types, reading=reading)
        report(Guessed(table.name, table.notes))
        require_columns(table, columns)
        yield from self._predicted(table)

    def _predicted(self, table: StreamedTable) -> Iterator[Predicted]:
        encoder = self.document.encoder
        first = 0
        for block in blocks_to_encode(table, encoder, self.scorer.numbers_a_row):
            with about(table):
                encoded = encode(encoder, block, first_row=first)
                places = range(first, first + block.num_rows)
                self.scorer.require_scores(encoder, encoded.features, places)
            found = calibrating.probabilities(self.scorer, self.calibrator, encoded.features)
            yield Predicted(found, encoded.unseen)
            first += block.num_rows

    def evaluate(
        self, data: Source, *, reading: Reading = AS_FOUND, report: Report = tell_nobody
    ) -> Comparison:
        """Figures, confusion and what the rules do on labelled rows that the model has not seen.

        Rows without a label are passed over. The columns that gave the weights and groups in
        training do so here, if the data have them. Rows are read in blocks: memory does not grow
        with their number.
        """
        encoder, training = self.document.encoder, self.document.training
        roles = Roles(self.document.target, training.weight, training.group)
        types = {**read_types(encoder), **role_types(roles)}
        columns = [*encoder_columns(encoder), *roles.columns]
        table = open_table(data, columns=columns, types=types, reading=reading)
        report(Guessed(table.name, table.notes))
        require_columns(table, [*encoder_columns(encoder), roles.target.column])
        roles = roles.among(table.schema.names)
        running = RunningComparison(
            np.array(training.class_weights),
            weighted=roles.weight is not None,
            seed=training.seed,
            rules=self.rules,
        )
        hashed = RowsHash(encoder, roles)
        first = 0
        for block in blocks_to_encode(table, encoder, self.scorer.numbers_a_row):
            with about(table):
                rows = labelled_rows(block, roles, first)
                encoded = rows.encoded(encoder)
                places = first + rows.places
                self.scorer.require_scores(encoder, encoded.features, places)
            chain = self.scorer, self.calibrator, encoded.features
            log_probabilities = calibrating.log_probabilities(*chain)
            probabilities = calibrating.probabilities(*chain) if self.rules else None
            running.add(log_probabilities, rows, encoded.unseen, probabilities)
            hashed.add(rows)
            first += block.num_rows
            report(RowsDone(first))
        with about(table):
            require_labels(running.rows, roles)
        return running.result(
            unlabelled=first - running.rows,
            trained_on=hashed.hexdigest() == training.fingerprint,
        )

    def pushes(self, most: int = 5) -> list[list[Push]]:
        """Features that push each class most, up or down, strongest first: k lists.

        Coefficients are comparable where their units are: see `FeatureName.unit`.

        Raises
        ------
        DataError
            The model is a network: what a feature does there depends on all the others.
        """
        if not isinstance(self.scorer, LinearScorer):
            raise DataError(
                "a network has no coefficients: what a feature does in it depends on all the "
                'others; train with model="linear" to see pushes'
            )
        names = feature_names(self.document.encoder)
        centred = self.scorer.coef - self.scorer.coef.mean(axis=0)
        return [
            [Push(names[j], float(row[j])) for j in np.argsort(-np.abs(row), kind="stable")[:most]]
            for row in centred
        ]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to one file, whole or not at all; equal models give equal bytes.

        Raises
        ------
        ModelFileError
            The model cannot be held: its parameters are not finite, or its document is too large.
        DataError
            `path` is something other than a file.
        OSError
            The file could not be written: no space, no permission, no such folder.
        """
        values = synthetic_values(self.document.encoder)
        try:
            replay = Replay(values, self._replayed(values))
            parts = Parts(
                self.document, self.scorer, self.confusion, replay, self.calibrator, self.rules
            )
            record, tensors = record_v3.to_record(parts)
        except ValueError as error:
            raise ModelFileError(f"{path}: not written: {error}") from error
        files.save(path, record, tensors)

    def _replayed(self, values: Sequence[Sequence[Value]]) -> NDArray[np.float32]:
        # Not read by `open_table`: a model may have levels that it now takes for missing.
        table = table_of(self.document.encoder, values)
        rows = StreamedTable("the table", table.schema, (), (), lambda: iter([table]), True)
        with np.errstate(all="ignore"):
            return np.concatenate([each.probabilities for each in self._predicted(rows)])

    def labels(self, indices: NDArray[np.integer]) -> NDArray[Any]:
        """Labels of class indices, in the type that they came in."""
        labels = self.document.target.labels.take(indices)
        return np.asarray(labels.to_numpy(zero_copy_only=False))


def load(path: str | os.PathLike[str]) -> Model:
    """Read a model that `Model.save` or ``luce train`` wrote.

    A file is data, never code: nothing in it is executed, and whatever is not exactly a model is
    refused before it is used. Synthetic rows in the file, for which it keeps the probabilities, are
    predicted anew: so a luce that computes otherwise than the one that wrote the file is found.
    The checksum finds damage; it is no signature, and does not say who made the file.

    Files of every older format load. At most 16 MB of it is the header, and what is allocated is in
    proportion to the bytes that are in the file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Model

    Raises
    ------
    ModelFileError
        There is no such file, it is damaged or no whole luce model, a newer luce wrote it (the
        message says which version to install), or this luce computes otherwise.

    Examples
    --------
    >>> import luce
    >>> luce.train("examples/penguins.csv", "species").save("penguins.luce")
    >>> luce.load("penguins.luce").classes
    array(['Adelie', 'Chinstrap', 'Gentoo'], dtype=object)
    """
    parts = files.load(path, FORMATS)
    model = Model(parts.document, parts.scorer, parts.confusion, parts.calibrator, parts.rules)
    if parts.replay is not None:
        _check_replay(path, model, parts.replay)
    return model


def _check_replay(path: str | os.PathLike[str], model: Model, replay: Replay) -> None:
    try:
        found = model._replayed(replay.values)
    except MemoryError:
        raise
    # Any exception at all: a hostile document chooses which.
    except Exception as error:
        raise ModelFileError(
            f"{path}: not a whole luce model: the rows that it replays are none of its table's "
            f"({type(error).__name__}: {str(error)[:300]}). Fetch it again, or save the model again"
        ) from error
    if not (np.abs(found - replay.probabilities) <= TOLERANCE).all():
        raise ModelFileError(
            f"{path}: this luce ({version('luce')}) does not compute from it what the luce that "
            f"wrote it did. It was trained by luce {reprlib.repr(model.document.training.luce)}: "
            "install that version, or train the model again"
        )
