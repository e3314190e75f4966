"""From a table to a model: understand, hold out, fit, evaluate, fit again on all rows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.model import calibrating
from luce.model.calibrating import Calibrate
from luce.model.chain import Chain, encoded_blocks, fit_chain
from luce.model.choosing import Kind, choose
from luce.model.dealing import deal
from luce.model.deciding import ModelRule, check_rules
from luce.model.events import Guessed, Report, RowsDone, Stage, tell_nobody
from luce.model.fitting import EncodedRows
from luce.model.measuring import Comparison, RunningComparison
from luce.model.model import Model
from luce.model.record import (
    Document,
    Figures,
    LeftOut,
    Training,
    Validation,
    confusion_to_keep,
    decision_record,
)
from luce.model.rows import (
    LabelledRows,
    Roles,
    RowsHash,
    about,
    blocks_of,
    labelled_rows,
    require_columns,
    require_labels,
    role_types,
    row_keys,
)
from luce.model.understand import TrainingTable, counted, opened_name, understand
from luce.tables import (
    AS_FOUND,
    Encoder,
    Reading,
    describe_columns,
    encoder_columns,
    fit_encoder,
    is_sparse,
    open_table,
    read_types,
    width,
)
from luce.tables.read import Source
from luce.tables.storage import stored, stored_features

if TYPE_CHECKING:
    from luce.scorers.linear import Features


def train(
    data: Source,
    target: str,
    *,
    validation: float | Source = 0.2,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    model: Kind = "linear",
    C: float | Literal["auto"] = 1.0,
    calibrate: Calibrate = "none",
    rules: Sequence[ModelRule] = (),
    rule_rows: float = 0.2,
    seed: int = 0,
    reading: Reading = AS_FOUND,
    memory: int | None = None,
    report: Report = tell_nobody,
) -> Model:
    """Train a classifier on a table, and measure it on rows that it has not seen.

    Columns become features (see `luce.tables.fit_encoder`), a linear softmax classifier is fitted
    to a certified optimum, or a network for as long as that helps; the classifier is measured on
    held-out rows, and fitted again on all rows of `data`.

    Parameters
    ----------
    data : path, URI or dataframe
        A file, folder or glob as `luce.tables.open_table` reads it, or anything with the Arrow
        PyCapsule interface (pandas, polars, pyarrow). Rows whose label is missing are passed over.
    target : str
        Column with the labels: text, truths or whole numbers.
    validation : float or path or dataframe
        Share of the rows to hold out, in (0, 1), stratified by class; or rows of your own, which
        are then never trained on.
    weight : str, optional
        Column with the weights of the rows, 0 or more.
    group : str, optional
        Column whose equal values belong together (a patient, a document): rows of a group are held
        out together.
    drop : sequence of str
        Columns to leave out.
    kinds : mapping of str to str, optional
        Kinds of columns, where the guess is wrong: see `luce.tables.describe_columns`.
    model : "linear", "network" or "auto"
        Of a network, 100 hidden units with relu, a fifth of the rows that are fitted on is set
        aside, whole groups of them where there are groups: the fit stops when their log loss falls
        no more, and keeps its best epoch. "auto" fits both without another fifth of those rows, and
        takes the network where its log loss on them is lower by more than two standard errors of
        the difference. The rows held out have no say in it.
    C : float or "auto"
        Of a linear model: inverse strength of the L2 penalty on standardised features, as in
        `SoftmaxClassifier`; "auto" takes that of 0.001, 0.01 ... 10000 with the best log loss in a
        5-fold cross-validation over the rows that are not held out.
    calibrate : "none", "auto", "temperature" or "vector"
        Fit a temperature, or a scale and a bias for each class (see `luce.calibration`), to scores
        that are cross-fitted over the rows that are trained on: five folds, whole groups, every
        row scored by a model that was fitted without it. "auto" takes the one that held-out rows
        speak for. Where they speak for none the probabilities are left as they are.
    rules : sequence of Abstain, PredictionSet and MinimumCost
        What the model is to decide by: at most one `PredictionSet`, and one of the others. Rules
        that learn from rows are fitted to rows that the model is never trained on.
    rule_rows : float
        Share of the rows to keep for such rules, in (0, 1).
    seed : int
        For the choice of rows, the intervals, and where a network starts.
    reading : luce.tables.Reading
        How text files are to be read, where it shall not be guessed.
    memory : int, optional
        Bytes that the table and its features may take, by default half of what is available. What
        would take more is kept in files without a name, in the folder for temporary files, and
        trained on from there.
    report : callable
        Given a `Stage` when one begins, a `RowsDone` while rows are gone through, a `Progress`
        after each pass of a fit, a `Guessed` of a table to measure on.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        The table or a parameter cannot be used: the message says what, where and what to do.
    OSError
        The folder for temporary files has no room.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> model.document.validation.model.accuracy.value > 0.95
    True
    """
    table = understand(
        data, target, weight=weight, group=group, drop=drop, kinds=kinds, reading=reading,
        memory=memory, report=report,
    )  # fmt: skip
    return train_on(
        table, validation=validation, model=model, C=C, calibrate=calibrate, rules=rules,
        rule_rows=rule_rows, seed=seed, reading=reading, report=report,
    )  # fmt: skip


def train_on(
    table: TrainingTable,
    *,
    validation: float | Source = 0.2,
    model: Kind = "linear",
    C: float | Literal["auto"] = 1.0,
    calibrate: Calibrate = "none",
    rules: Sequence[ModelRule] = (),
    rule_rows: float = 0.2,
    seed: int = 0,
    reading: Reading = AS_FOUND,
    report: Report = tell_nobody,
) -> Model:
    """Train on a table that is understood: parameters as for `train`."""
    _check_parameters(model, C, calibrate, seed)
    check_rules(rules, len(table.roles.target.classes))
    if isinstance(validation, int | float | np.floating):
        dealt = deal(table, float(validation), rules, rule_rows, seed)
        held_out, source = dealt.held_out, dealt.source
        data = _encode(table, dealt.first, report)
    else:
        dealt = deal(table, None, rules, rule_rows, seed)
        data = _encode(table, dealt.first, report)
        held_out, source = _other_rows(table, data.encoder, validation, reading, report)
    assert held_out is not None
    recipe, choice = choose(model, data, C, seed, report)
    report(data.stage("fitting on"))
    chain = fit_chain(recipe, data, calibrate, rules, dealt.for_rules, seed, report)
    report(Stage(f"measuring on {len(held_out.labels):,} rows"))
    # Rows held out are others; those of another table may be the same once more.
    known = _sorted_keys(data) if dealt.held_out is None else None
    comparison, repeated = _measure(chain, data, held_out, known, seed)
    source += f"; {repeated:,} of them equal rows trained on" if repeated else ""
    if dealt.held_out is not None:
        del data  # before there are other features
        data = _encode(table, dealt.all, report)
        report(data.stage("fitting again on all"))
        chain = fit_chain(
            recipe, data, calibrate, rules, dealt.for_rules, seed, report, before=chain.calibration
        )

    encoder = data.encoder
    used = {column.name for column in encoder.columns}
    left_out = [
        LeftOut(column=column.name, reason=column.left_out or "not enough values to learn from")
        for column in table.columns
        if column.name not in used
    ]
    document = Document(
        target=table.roles.target,
        encoder=encoder,
        left_out=tuple(left_out),
        training=Training(
            luce=version("luce"),
            rows=len(dealt.all.labels),
            rule_rows=0 if dealt.for_rules is None else dealt.for_rules.kept,
            unlabelled=table.unlabelled,
            refitted=dealt.held_out is not None,
            class_weights=tuple(dealt.all.class_weights(data.classes).tolist()),
            fingerprint=_fingerprint(table.rows, encoder, table.roles),
            weight=table.roles.weight,
            group=table.roles.group,
            seed=int(seed),
            choice=choice,
            fit=chain.fit,
        ),
        calibration=chain.calibration,
        rules=chain.rule_fits,
        validation=Validation(
            source=source,
            rows=comparison.model.rows,
            model=Figures.of(comparison.model),
            baseline=Figures.of(comparison.baseline),
            decisions=tuple(map(decision_record, comparison.decisions)),
        ),
    )
    confusion = confusion_to_keep(comparison.model)
    return Model(document, chain.scorer, confusion, chain.calibrator, chain.rules)


def _check_parameters(model: object, C: object, calibrate: object, seed: int) -> None:
    if model not in get_args(Kind):
        raise DataError(f"model is one of {', '.join(get_args(Kind))}, not {model!r}")
    if model == "network" and C != 1.0:
        raise DataError("C is of linear models; a network has none: leave it out")
    usable = (
        isinstance(C, int | float | np.integer | np.floating)
        and not isinstance(C, bool)
        and 0 < C < math.inf
    )
    if C != "auto" and not usable:
        raise DataError(f"C is a positive finite number or 'auto', not {C!r}")
    if calibrate not in get_args(Calibrate):
        raise DataError(f"calibrate is one of {', '.join(get_args(Calibrate))}, not {calibrate!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed is a whole number of 0 or more, not {seed!r}")


def _other_rows(
    table: TrainingTable, encoder: Encoder, data: Source, reading: Reading, report: Report
) -> tuple[LabelledRows, str]:
    """Rows of another table to measure, and where they come from, in words."""
    report(Stage(f"reading {opened_name(data)}"))
    types = {**read_types(encoder), **role_types(table.roles)}
    columns = [*encoder_columns(encoder), *table.roles.columns]
    opened = open_table(data, columns=columns, types=types, reading=reading)
    report(Guessed(opened.name, opened.notes))
    require_columns(opened, columns)
    with about(opened):
        kept = stored(opened.schema, counted(opened, report), table.memory)
        rows = labelled_rows(kept.table, table.roles)
        require_labels(len(rows.labels), table.roles)
        source = f"{len(rows.labels):,} rows of another table"
        if unlabelled := kept.table.num_rows - len(rows.labels):
            source += f", {unlabelled:,} more without a label passed over"
    return rows, source


def _encode(table: TrainingTable, rows: LabelledRows, report: Report) -> EncodedRows:
    """Features by an encoder of these rows alone, so that rows held out have no say in it."""
    kinds = {c.name: c.kind for c in table.columns if c.kind is not None and c.left_out is None}
    report(Stage(f"encoding {len(rows.labels):,} rows"))
    columns = describe_columns(rows.table, list(kinds), kinds=kinds, rows=rows.chosen)
    encoder = fit_encoder(rows.table, columns, rows=rows.chosen)

    def blocks() -> "Iterator[Features]":
        done = 0
        for block in rows.blocks_to_encode(encoder):
            yield block.encoded(encoder).features
            done += len(block.labels)
            report(RowsDone(done))

    features = stored_features(
        blocks(), len(rows.labels), width(encoder), sparse=is_sparse(encoder), memory=table.memory
    )
    return EncodedRows(rows, encoder, features, len(table.roles.target.classes))


def _measure(
    chain: Chain,
    data: EncodedRows,
    held_out: LabelledRows,
    known: NDArray[np.int64] | None,
    seed: int,
) -> tuple[Comparison, int]:
    """Figures on the rows held out, and how many of these are among the known, 0 if none are."""
    running = RunningComparison(
        data.rows.class_weights(data.classes),
        weighted=held_out.weights is not None,
        seed=seed,
        rules=chain.rules,
    )
    repeated = 0
    for block, encoded in encoded_blocks(held_out, data.encoder, chain.scorer):
        of_block = chain.scorer, chain.calibrator, encoded.features
        log_probabilities = calibrating.log_probabilities(*of_block)
        probabilities = calibrating.probabilities(*of_block) if chain.rules else None
        running.add(log_probabilities, block, encoded.unseen, probabilities)
        if known is not None:
            keys = row_keys(encoded.features, block.labels)
            places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
            repeated += int((known[places] == keys).sum())
    return running.result(), repeated


def _sorted_keys(data: EncodedRows) -> NDArray[np.int64]:
    labels, blocks = data.rows.labels, blocks_of(data.features, 0)
    keys = np.concatenate([row_keys(data.features[some], labels[some]) for some in blocks])
    keys.sort()
    return keys


def _fingerprint(rows: LabelledRows, encoder: Encoder, roles: Roles) -> str:
    hashed = RowsHash(encoder, roles)
    hashed.add(rows)
    return hashed.hexdigest()
