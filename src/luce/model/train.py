"""From a table to a model: understand, hold out, fit, evaluate, fit again on all rows."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from luce.errors import DataError
from luce.maps import log_softmax
from luce.model.model import Model
from luce.model.record import (
    Document,
    Figures,
    LeftOut,
    Training,
    Validation,
    confusion_to_keep,
)
from luce.model.rows import (
    LabelledRows,
    Source,
    about,
    compare,
    count_repeated,
    fingerprint_of_rows,
    labelled_rows,
)
from luce.model.split import fold_of_rows, hold_out
from luce.scorers import linear
from luce.tables import (
    ColumnSummary,
    Encoder,
    describe_columns,
    encode,
    fit_encoder,
    read_table,
    types_of_kinds,
)
from luce.tables.roles import Target, fit_target, label_types
from luce.training import LinearFit, Progress, fit_softmax_regression

TOL = 1e-6
GRID = tuple(10.0**exponent for exponent in range(-3, 5))
FOLDS = 5


@dataclass(frozen=True, eq=False)
class TrainingTable:
    """What luce understood of a table before any training.

    Attributes
    ----------
    target : Target
    columns : tuple of ColumnSummary
        Every column that may be a feature, with the reason for those that are left out.
    rows : LabelledRows
        Those whose label is not missing.
    weight, group : str or None
        Names of the columns that give them.
    """

    target: Target
    columns: tuple[ColumnSummary, ...]
    rows: LabelledRows
    weight: str | None
    group: str | None


@dataclass(frozen=True)
class Stage:
    """What is being done now, for a progress line: "fitting on 275 rows"."""

    name: str


Report = Callable[[Stage | Progress], None]


def understand(
    data: Source,
    target: str,
    *,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> TrainingTable:
    """Read a table and decide what each of its columns is for: parameters as for `train`."""
    kinds = kinds or {}
    if isinstance(drop, str):
        raise DataError(f"drop is a list of columns, such as [{drop!r}], not a text")
    table = read_table(data, types=types_of_kinds(kinds))
    with about(data):
        roles = [name for name in (target, weight, group) if name is not None]
        if len(set(roles)) < len(roles):
            raise DataError("target, weight and group are columns of their own: two are the same")
        for name in (*roles, *drop):
            if name not in table.column_names:
                raise DataError(
                    f"the table has no column {name!r}; its columns are "
                    f"{', '.join(map(repr, table.column_names))}"
                )
        fitted_target = fit_target(table, target)
        rows = labelled_rows(table, fitted_target, weight, group)
        totals = rows.class_weights(len(fitted_target.classes))
        if not totals.all():
            weightless = fitted_target.classes[int(np.argmin(totals))]
            raise DataError(
                f"all rows of class {weightless!r} have weight 0: give some a positive weight, or "
                "leave the class out"
            )
        candidates = [n for n in table.column_names if n not in {target, weight, group, *drop}]
        columns = describe_columns(table, candidates, kinds=kinds)
    return TrainingTable(fitted_target, columns, rows, weight, group)


def train(
    data: Source,
    target: str,
    *,
    validation: float | Source = 0.2,
    weight: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    C: float | Literal["auto"] = 1.0,
    seed: int = 0,
    report: Report | None = None,
) -> Model:
    """Train a classifier on a table, and measure it on rows that it has not seen.

    Columns become features (see `luce.tables.fit_encoder`), a linear softmax classifier is fitted
    to a certified optimum, measured on held-out rows, and fitted again on all rows of `data`.

    Parameters
    ----------
    data : path or dataframe
        A .csv or .parquet file, or anything with the Arrow PyCapsule interface (pandas, polars,
        pyarrow). Rows whose label is missing are passed over.
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
    C : float or "auto"
        Inverse strength of the L2 penalty on standardised features, as in `SoftmaxClassifier`;
        "auto" takes that of 0.001, 0.01 ... 10000 with the best log loss in a 5-fold
        cross-validation over the rows that are not held out.
    seed : int
        For the choice of rows and the intervals.
    report : callable, optional
        Given a `Stage` when one begins and a `Progress` after each pass.

    Returns
    -------
    Model

    Raises
    ------
    DataError
        The table or a parameter cannot be used: the message says what, where and what to do.

    Examples
    --------
    >>> import luce
    >>> model = luce.train("examples/penguins.csv", "species")
    >>> model.document.validation.model.accuracy.value > 0.95
    True
    """
    table = understand(data, target, weight=weight, group=group, drop=drop, kinds=kinds)
    return train_on(table, validation=validation, C=C, seed=seed, report=report)


def train_on(
    table: TrainingTable,
    *,
    validation: float | Source = 0.2,
    C: float | Literal["auto"] = 1.0,
    seed: int = 0,
    report: Report | None = None,
) -> Model:
    """Train on a table that is understood: parameters as for `train`."""
    tell = report or (lambda _: None)
    _check_parameters(C, seed)
    everything = table.rows
    classes = len(table.target.classes)
    training, held_out, source = _rows_to_fit_and_to_measure(table, validation, seed)
    encoder, features = _encode_training_rows(table, training)
    chosen = _choose_penalty(features, training, classes, seed, tell) if C == "auto" else float(C)
    tell(Stage(f"fitting on {len(training.labels):,} rows"))
    fit = _fit(features, training, classes, chosen, tell)
    encoded = encode(encoder, held_out.table)
    if training is everything:
        repeated = count_repeated(features, training.labels, encoded.features, held_out.labels)
        source += f"; {repeated:,} of them equal rows trained on" if repeated else ""
    comparison = compare(
        log_softmax(linear(encoded.features, fit.coef, fit.intercept)),
        held_out,
        training.class_weights(classes),
        seed=seed,
        unseen=encoded.unseen,
    )
    if training is not everything:
        tell(Stage(f"fitting again on all {len(everything.labels):,} rows"))
        encoder, features = _encode_training_rows(table, everything)
        fit = _fit(features, everything, classes, chosen, tell)

    used = [column.name for column in encoder.columns]
    left_out = [
        LeftOut(column=column.name, reason=column.left_out or "not enough values to learn from")
        for column in table.columns
        if column.name not in used
    ]
    document = Document(
        target=table.target,
        encoder=encoder,
        left_out=tuple(left_out),
        training=Training(
            luce=version("luce"),
            rows=len(everything.labels),
            unlabelled=everything.unlabelled,
            refitted=training is not everything,
            class_weights=tuple(everything.class_weights(classes).tolist()),
            fingerprint=fingerprint_of_rows(
                everything, encoder, table.target, table.weight, table.group
            ),
            weight=table.weight,
            group=table.group,
            seed=int(seed),
            C=chosen,
            C_chosen_by="cross-validation" if C == "auto" else "user",
            objective=fit.objective,
            optimality_gap=fit.optimality_gap,
            tol=TOL,
            passes=fit.passes,
        ),
        validation=Validation(
            source=source,
            rows=comparison.model.rows,
            model=Figures.of(comparison.model),
            baseline=Figures.of(comparison.baseline),
        ),
    )
    return Model(document, fit.coef, fit.intercept, confusion_to_keep(comparison.model))


def _check_parameters(C: object, seed: int) -> None:
    usable = (
        isinstance(C, int | float | np.integer | np.floating)
        and not isinstance(C, bool)
        and 0 < C < math.inf
    )
    if C != "auto" and not usable:
        raise DataError(f"C is a positive finite number or 'auto', not {C!r}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise DataError(f"seed is a whole number of 0 or more, not {seed!r}")


def _rows_to_fit_and_to_measure(
    table: TrainingTable, validation: float | Source, seed: int
) -> tuple[LabelledRows, LabelledRows, str]:
    """The rows of both kinds, and where those to measure come from, in words."""
    everything = table.rows
    if isinstance(validation, int | float | np.floating):
        if not 0 < validation < 1:
            raise DataError(f"validation is a share between 0 and 1 or a table, not {validation!r}")
        held = hold_out(everything.labels, everything.groups, float(validation), seed)
        training, held_out = everything.take(~held), everything.take(held)
        how = "at random by class" if table.group is None else "in whole groups"
        source = f"{len(held_out.labels):,} of {len(held):,} rows, held out {how}"
    else:
        training = everything
        kinds = {c.name: c.kind for c in table.columns if c.kind is not None}
        types = {**types_of_kinds(kinds), **label_types(table.target)}
        read = read_table(validation, types=types)
        with about(validation):
            held_out = labelled_rows(read, table.target, table.weight, table.group)
        source = f"{len(held_out.labels):,} rows of another table"
        if held_out.unlabelled:
            source += f", {held_out.unlabelled:,} more without a label passed over"
    totals = training.class_weights(len(table.target.classes))
    if not totals.all():
        raise DataError(
            f"every row of class {table.target.classes[int(np.argmin(totals))]!r} is in the groups "
            "held out, or has weight 0: use another seed, or a validation table of your own"
        )
    return training, held_out, source


def _encode_training_rows(
    table: TrainingTable, rows: LabelledRows
) -> tuple[Encoder, NDArray[np.float32]]:
    """Encoder of these rows alone, so that rows held out have no say in it, and their features."""
    kinds = {c.name: c.kind for c in table.columns if c.kind is not None and c.left_out is None}
    if not kinds:
        reasons = "; ".join(f"{c.name!r}: {c.left_out}" for c in table.columns)
        raise DataError(f"no column can be used: {reasons or 'there is none beside the target'}")
    encoder = fit_encoder(rows.table, describe_columns(rows.table, list(kinds), kinds=kinds))
    return encoder, encode(encoder, rows.table).features


def _fit(
    features: NDArray[np.float32],
    rows: LabelledRows,
    classes: int,
    C: float,
    tell: Report,
    *,
    tol: float = TOL,
    start: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> LinearFit:
    """Fit at scikit-learn's C: of two classes, the binary one is twice the softmax one."""
    fit = fit_softmax_regression(
        features,
        rows.labels,
        classes=classes,
        C=C / 2 if classes == 2 else C,
        sample_weight=rows.weights,
        tol=tol,
        start=start,
        on_pass=tell,
    )
    if fit.stopped == "interrupted":
        raise KeyboardInterrupt
    return fit


def _choose_penalty(
    features: NDArray[np.float32], rows: LabelledRows, classes: int, seed: int, tell: Report
) -> float:
    """C of the grid with the least log loss over rows that its fit has not seen."""
    folds = fold_of_rows(rows.labels, rows.groups, FOLDS, seed)
    weights = np.ones(len(folds)) if rows.weights is None else rows.weights
    losses = np.zeros(len(GRID))
    for fold in range(FOLDS):
        held = folds == fold
        kept = rows.take(~held)
        if not kept.class_weights(classes).all():
            raise DataError(
                "C=auto needs every class in at least two groups, or two rows of positive weight: "
                "give C, or bring more rows"
            )
        tell(Stage(f"choosing C, part {fold + 1} of {FOLDS}"))
        start = None
        for position, C in enumerate(GRID):
            fit = _fit(features[~held], kept, classes, C, tell, tol=1e-3, start=start)
            start = fit.coef, fit.intercept
            scores = log_softmax(linear(features[held], fit.coef, fit.intercept))
            losses[position] -= weights[held] @ scores[np.arange(len(scores)), rows.labels[held]]
    return GRID[int(np.argmin(losses))]
