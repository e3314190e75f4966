"""How output is laid out: the console, tables without lines, numbers and names in words."""

import math
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from luce.apps.text import printable

WIDTH = 80  # where output is no terminal
MOST_CLASSES = 12  # in one line, and in a confusion matrix


class Right(str):
    """Title of a column that is aligned to the right."""


class Output(Console):
    """A console that goes on when nobody reads it any more: a model is still to be written."""

    def on_broken_pipe(self) -> None:
        """Let all further output go nowhere."""
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def console() -> Console:
    """Standard output, in full width where it is a terminal."""
    made = Output(highlight=False, emoji=False)
    if made.is_terminal:
        return made
    return Output(highlight=False, emoji=False, width=WIDTH, soft_wrap=True)


def error_console(*, quiet: bool = False) -> Console:
    """Standard error: what is no result."""
    return Console(stderr=True, highlight=False, emoji=False, quiet=quiet)


def listing(names: Iterable[str]) -> str:
    """Names in one line, the first `MOST_CLASSES` of them."""
    listed = list(names)
    rest = f" and {len(listed) - MOST_CLASSES} more" if len(listed) > MOST_CLASSES else ""
    return ", ".join(listed[:MOST_CLASSES]) + rest


def new_table(*titles: str) -> Table:
    """A table without lines; titles that are `Right` are of numbers."""
    listed = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in titles:
        justify: Literal["left", "right"] = "right" if isinstance(title, Right) else "left"
        listed.add_column(Text(printable(title)), justify=justify)
    return listed


def add(listed: Table, *cells: object) -> None:
    """Add a row of a user's texts."""
    listed.add_row(*(Text(printable(cell)) for cell in cells))


def paragraph(out: Console, text: object) -> None:
    """Print a user's text in lines that are no wider than the screen."""
    for line in Text(printable(text)).wrap(out, out.width):
        line.rstrip()
        out.print(line, soft_wrap=True)


def number(value: float) -> str:
    """A number: whole ones in full."""
    return f"{value:.0f}" if value == math.floor(value) else f"{value:.4g}"


def counted(count: int, noun: str) -> str:
    """So many of a noun."""
    plural = "classes" if noun == "class" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def bytes_in_words(size: int) -> str:
    """The size of a file."""
    return f"{size} bytes" if size < 10_000 else f"{size / 1000:.0f} kB"


def plain(text: object) -> str:
    """Text of a user's that rich does not take for markup."""
    return escape(printable(text))
