"""The command ``luce``: train, predict, evaluate, inspect."""

import functools
import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn, ParamSpec

import typer

from luce.apps import options
from luce.apps.text import printable
from luce.errors import DataError, LuceError

if TYPE_CHECKING:
    from luce.tables import Reading

P = ParamSpec("P")

BAD_INPUT = 2
FAILURE = 1

app = typer.Typer(
    name="luce",
    help="A table in, a trustworthy classifier out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def readable_errors(command: Callable[P, None]) -> Callable[P, None]:
    """End a command that fails with one paragraph on standard error and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            _fail("Interrupted: no file was written.", FAILURE)
        except Exception as error:
            if kwargs["debug"]:
                traceback.print_exc()
            if isinstance(error, LuceError):
                _fail(str(error), BAD_INPUT)
            if isinstance(error, MemoryError):
                _fail(f"There is not enough memory: {error or 'a request was refused'}", FAILURE)
            if isinstance(error, OSError):
                _fail(f"{error.filename or 'standard output'}: {error.strerror or error}", FAILURE)
            _fail(
                f"Unexpected {type(error).__name__}: {error}. This is a defect of luce: please "
                "report it with the output of the same command with --debug.",
                FAILURE,
            )

    return run


def _fail(message: str, code: int) -> NoReturn:
    from luce.apps.layout import error_console

    console = error_console()
    console.print("Error:", style="bold red", end=" ")
    console.print(printable(message), markup=False, soft_wrap=not console.is_terminal)
    raise typer.Exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        from luce import __version__

        typer.echo(f"luce {__version__}")
        raise typer.Exit


@app.callback()
def luce(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """A table in, a trustworthy classifier out.

    `luce train` makes a model file from a table, `luce predict` uses it, `luce evaluate` measures
    it on other labelled rows, `luce inspect` says what is in it.
    """


@app.command(
    epilog="Example: `luce train examples/penguins.csv --target species --out penguins.luce`"
)
@readable_errors
def train(
    data: options.Data,
    target: options.Target,
    out: options.ModelToWrite = None,
    validation: options.Validation = None,
    validation_data: options.ValidationData = None,
    weight: options.Weight = None,
    group: options.Group = None,
    drop: options.Drop = None,
    kind: options.KindOfColumn = None,
    kind_of_model: options.KindOfModel = "linear",
    penalty: options.Penalty = "1.0",
    calibrate: options.Calibrate = "none",
    abstain_risk: options.AbstainRisk = None,
    coverage: options.Coverage = None,
    costs: options.Costs = None,
    ask: options.Ask = None,
    rule_rows: options.RuleRows = None,
    seed: options.Seed = 0,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = None,
    encoding: options.Encoding = None,
    memory: options.Memory = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Train a classifier on a table, measure it on rows held out, and write a model file."""
    options.exclude(quiet=quiet, json=json)
    options.exclude(validation=validation, validation_data=validation_data)
    C = options.penalty_of(penalty)
    if kind_of_model == "network" and C != 1.0:
        raise DataError("--C is of linear models, and --model network has none: leave it out")
    kinds = options.kinds_of(kind or ())
    options.check_rules(abstain_risk, coverage, costs, ask, rule_rows)

    from luce.apps import report
    from luce.apps.progress import ProgressLine
    from luce.apps.sizes import bytes_of
    from luce.decisions import Abstain, MinimumCost, PredictionSet
    from luce.model.costs import costs_of
    from luce.model.train import train_on
    from luce.model.understand import understand

    path = out or _model_named_after(data)
    _require_writable(path)
    _refuse_to_replace(path, data, validation_data, costs)
    reading = _reading(delimiter, decimal, encoding)
    shown = not (quiet or json)
    with ProgressLine(shown=shown, quiet=not shown) as progress:
        table = understand(
            data, target, weight=weight, group=group, drop=drop or (), kinds=kinds,
            reading=reading, memory=None if memory is None else bytes_of(memory), report=progress,
        )  # fmt: skip
    if shown:
        report.print_table_understood(data, table, drop or ())
    with ProgressLine(shown=shown, quiet=not shown) as progress:
        rules: list[Abstain | MinimumCost | PredictionSet] = []
        if costs is not None:
            rules.append(costs_of(costs, table.roles.target, ask, progress))
        if abstain_risk is not None:
            rules.append(Abstain(abstain_risk))
        if coverage is not None:
            rules.append(PredictionSet(coverage))
        model = train_on(
            table,
            validation=validation_data or (0.2 if validation is None else validation),
            model=kind_of_model,
            C=C,
            calibrate=calibrate,
            rules=rules,
            rule_rows=0.2 if rule_rows is None else rule_rows,
            seed=seed,
            reading=reading,
            report=progress,
        )
    model.save(path)
    if json:
        report.print_json({"model": str(path), **report.model_as_json(model)})
    elif not quiet:
        report.print_training(model, path)


@app.command(
    epilog="Example: `luce predict penguins.luce new.csv --probabilities --out predicted.csv`"
)
@readable_errors
def predict(
    model: options.ModelPath,
    data: options.Data,
    out: options.PredictionsToWrite = None,
    probabilities: options.Probabilities = False,
    top: options.Top = None,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = None,
    encoding: options.Encoding = None,
    debug: options.Debug = False,
) -> None:
    """Predict every row of a table: one output row for each, in order."""
    from luce.apps import report
    from luce.apps.predictions import predicted_blocks
    from luce.apps.progress import ProgressLine
    from luce.apps.writers import open_writer
    from luce.model import load
    from luce.model.events import RowsDone, Stage

    loaded = load(model)
    if out is not None:
        _require_writable(out)
        _refuse_to_replace(out, data, str(model))
    reading = _reading(delimiter, decimal, encoding)
    unseen: Counter[str] = Counter()
    rows = 0
    watched = sys.stderr.isatty() and (out is not None or not sys.stdout.isatty())
    with ProgressLine(shown=watched) as progress, open_writer(out) as write:
        progress(Stage(f"predicting {data}"))
        blocks = predicted_blocks(
            loaded, data, probabilities=probabilities, top=top, reading=reading, report=progress
        )
        for table, unseen_of_block in blocks:
            write(table)
            unseen.update(unseen_of_block)
            rows += table.num_rows
            progress(RowsDone(rows))
    report.print_predicted(rows, out, unseen)


@app.command(epilog="Example: `luce evaluate penguins.luce labelled.csv`")
@readable_errors
def evaluate(
    model: options.ModelPath,
    data: options.Data,
    delimiter: options.Delimiter = None,
    decimal: options.Decimal = None,
    encoding: options.Encoding = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure a model on labelled rows that it was not trained on."""
    from luce.apps import report
    from luce.apps.progress import ProgressLine
    from luce.model import load
    from luce.model.events import Stage

    loaded = load(model)
    with ProgressLine(shown=not json) as progress:
        progress(Stage(f"evaluating {data}"))
        reading = _reading(delimiter, decimal, encoding)
        comparison = loaded.evaluate(data, reading=reading, report=progress)
    if json:
        report.print_json(report.comparison_as_json(loaded, comparison))
    else:
        report.print_evaluation(loaded, data, comparison)


@app.command(epilog="Example: `luce inspect penguins.luce`")
@readable_errors
def inspect(
    model: options.ModelPath, json: options.Json = False, debug: options.Debug = False
) -> None:
    """Say what is in a model file: columns, classes, figures, and what pushes each class."""
    from luce.apps import report
    from luce.model import load

    loaded = load(model)
    if json:
        report.print_json(report.model_as_json(loaded))
    else:
        report.print_model(loaded, model)


def _reading(
    delimiter: str | None, decimal: Literal[".", ","] | None, encoding: str | None
) -> "Reading":
    from luce.tables import Reading

    return Reading(delimiter=delimiter, decimal=decimal, encoding=encoding)


def _model_named_after(data: str) -> Path:
    """The model's file, here, for data that a file or folder of some name holds."""
    from luce.tables.sources import split_query

    name = Path(split_query(data)[0]).stem.split(".")[0]
    if not (Path(data).exists() or re.fullmatch(r"[\w][\w .-]*", name)):
        raise DataError(f"{data}: name the model file with --out")
    return Path(f"{name}.luce")


def _require_writable(path: Path) -> None:
    """Refuse, before any work, an output that cannot be written."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise DataError(f"{path}: there is no folder {path.parent}; make it, or choose another")
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: no regular file; choose another name")
    if not os.access(folder, os.W_OK):
        raise DataError(f"{path}: the folder {path.parent} cannot be written to; choose another")


def _refuse_to_replace(path: Path, *inputs: str | None) -> None:
    """Refuse an output that is one of the files of an input."""
    from luce.tables.sources import STANDARD_INPUT, find_files

    if not path.exists():
        return
    for given in inputs:
        if given in (None, STANDARD_INPUT):
            continue
        for file in find_files(given):
            name = Path(file.name.removeprefix("file://"))
            if name.exists() and path.samefile(name):
                raise DataError(f"{path}: is read by this command; choose another file to write")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except OSError as error:  # From what is printed by no command: the version, a help.
        sys.exit(f"Error: standard output: {error.strerror or error}")
