"""The arguments and options of the commands, and what is made of their texts."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from luce.errors import DataError

_DECISIONS = "Calibration and decisions"

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Table to read: a file, folder, glob or URI of .csv, .parquet, .arrow, .jsonl, .npz "
        "or .svmlight; - for CSV on standard input.",
        show_default=False,
    ),
]
ModelPath = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="Model file that `luce train` wrote.",
        show_default=False,
        readable=False,  # What is wrong with it is said where it is read.
    ),
]
Target = Annotated[
    str, typer.Option(metavar="COLUMN", help="Column with the labels.", show_default=False)
]
ModelToWrite = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Model file to write.",
        show_default="the name of DATA, ending in .luce, here",
    ),
]
Validation = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the rows held out to measure on, stratified by class.",
        show_default="0.2",
    ),
]
ValidationData = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Measure on this table instead of a share.", show_default=False
    ),
]
Weight = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column with row weights.", show_default=False),
]
Group = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column whose equal values (a patient, a document) are held out together.",
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="Column to leave out; repeatable.", show_default=False),
]
KindOfColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=KIND",
        help="Kind of a column (numeric, boolean, category, datetime, text, embedding) where "
        "the guess is wrong; repeatable.",
        show_default=False,
    ),
]
KindOfModel = Annotated[
    Literal["linear", "network", "auto"],
    typer.Option(
        "--model",
        metavar="linear|network|auto",
        help="A linear classifier, a network of 100 hidden units, or (auto) the better of "
        "both on rows that neither has seen, which are not those held out.",
    ),
]
Penalty = Annotated[
    str,
    typer.Option(
        "--C",
        metavar="VALUE|auto",
        help="Inverse strength of a linear model's L2 penalty; auto chooses by cross-validation.",
    ),
]
Calibrate = Annotated[
    Literal["auto", "temperature", "vector", "none"],
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="METHOD",
        help="Calibrate the probabilities, where that helps: temperature, vector, auto for the "
        "better one, or none. By scores of each row from a model fitted without it.",
    ),
]
AbstainRisk = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="RISK",
        help="Answer only where the error rate is at most this, shown with 95 % confidence.",
        show_default=False,
    ),
]
Coverage = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="SHARE",
        help="Give sets of classes too, that hold the true one for this share of the rows.",
        show_default=False,
    ),
]
Costs = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="FILE",
        help="Choose the action of least expected cost: a table with the classes in its first "
        "column, and in each further one what an action costs.",
        show_default=False,
    ),
]
Ask = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="ACTION",
        help="Action of the costs that hands the row to a person.",
        show_default=False,
    ),
]
RuleRows = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=_DECISIONS,
        metavar="SHARE",
        help="Share of the rows that --abstain-risk and --coverage are fitted on, never the model.",
        show_default="0.2",
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, help="For the choice of rows, intervals, and a network's start.")
]
Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="What the table and its features may take, such as 2GB; what would take more is "
        "kept on disk, in TMPDIR.",
        show_default="half of what is available",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER", help="What separates the values of CSV.", show_default="detected"
    ),
]
Decimal = Annotated[
    Literal[".", ","] | None,
    typer.Option(
        metavar="CHARACTER", help="Decimal point or comma of CSV.", show_default="detected"
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of text, such as cp1252.", show_default="detected"),
]
PredictionsToWrite = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File to write: .csv, .parquet, .jsonl, .ndjson, .arrow or .feather.",
        show_default="standard output, as CSV",
    ),
]
Probabilities = Annotated[
    bool, typer.Option("--probabilities", help="Add a column for every class's probability.")
]
Top = Annotated[
    int | None,
    typer.Option(
        metavar="K",
        min=1,
        help="Add the K most probable classes with their probabilities.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def exclude(**given: object) -> None:
    """Refuse options that exclude each other, if more than one is given (not None, not False)."""
    names = [
        f"--{name.replace('_', '-')}" for name, value in given.items() if value not in (None, False)
    ]
    if len(names) > 1:
        raise DataError(f"{' and '.join(names)} exclude each other: give one of them")


def penalty_of(text: str) -> float | Literal["auto"]:
    """The number that --C gives, or auto."""
    if text == "auto":
        return "auto"
    try:
        penalty = float(text)
    except ValueError:
        penalty = math.nan
    if not 0 < penalty < math.inf:
        raise DataError(f"--C is a positive number or auto, not {text!r}")
    return penalty


def kinds_of(texts: Sequence[str]) -> dict[str, str]:
    """The kinds that --kind gives, by column."""
    kinds: dict[str, str] = {}
    for text in texts:
        column, equals, kind = text.rpartition("=")
        if not equals:
            raise DataError(f"--kind is COLUMN=KIND, such as zip=category, not {text!r}")
        if kinds.setdefault(column, kind) != kind:
            raise DataError(f"--kind: two are given for {column!r}, {kinds[column]} and {kind}")
    return kinds


def check_rules(
    abstain_risk: float | None,
    coverage: float | None,
    costs: str | None,
    ask: str | None,
    rule_rows: float | None,
) -> None:
    """Refuse options of decisions that are out of range, or do not go together."""
    exclude(abstain_risk=abstain_risk, costs=costs)
    shares = {"--abstain-risk": abstain_risk, "--coverage": coverage, "--rule-rows": rule_rows}
    for option, share in shares.items():
        if share is not None and not 0 < share < 1:
            raise DataError(f"{option} is a share above 0 and below 1, not {share:g}")
    if ask is not None and costs is None:
        raise DataError("--ask names an action of --costs: give both, or leave it out")
    if rule_rows is not None and abstain_risk is None and coverage is None:
        raise DataError(
            "--rule-rows is for --abstain-risk and --coverage: give one, or leave it out"
        )
