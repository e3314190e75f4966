"""A trace as text for a terminal: the chain rule with its numbers."""

import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from luce.scorers.layer import Array
    from luce.scorers.trace import Step, Trace

Grid: TypeAlias = list[str]
"""Lines of equal length."""
Piece: TypeAlias = "tuple[str, Array]"
"""An array of a formula, and the symbol before it."""

MOST_ROWS, MOST_COLUMNS = 6, 8
NAME = len("features_gradient")
DECIMALS = (100.0, 1), (0.1, 3), (0.01, 4), (0.0, 5)
"""For arrays whose largest number is at least so large."""
INDENT = " " * 5
OPERATION = re.compile(r"[a-z_]+(\.T)?( [-+*@] [a-z_]+(\.T)?)+")
ELSEWHERE = re.compile(r"[a-z_]+( of .+)?")
LEGEND = """
Each line is NumPy, over the names of its layer. features: what it was given.
cotangent: the gradient of the loss with respect to its outputs. slope: the
derivative of its activation. The name of a gradient says with respect to what.
"""


def explained(trace: "Trace", columns: int) -> str:
    """Blocks of lines, one a layer, from the loss back to the features."""
    arrays = trace.arrays
    rows, width = arrays["features"].shape
    scores = arrays["scores"]
    layers = sum("." not in place for place in trace.layers)
    loss = next(step for step in trace.forward if step.key == "loss")
    lines = [
        f"{rows} x {width} features -> {rows} x {scores.shape[1]} scores in {scores.dtype}, "
        f"{layers} layer{'s' * (layers > 1)}",
        f"loss {loss.array:.6g} = {loss.formula}",
        *([f"map = {trace.map}"] if "map" in loss.formula else []),
        *LEGEND.splitlines(),
    ]
    seen: set[str] = set()
    for place, group in groupby(trace.backward, attrgetter("layer")):
        back = list(group)
        if not place:
            lines += _block("the loss", [back, _forward(trace, place)], arrays, columns)
        elif place not in seen:
            title = f"layer {place}: {_short(trace.layers[place])}"
            lines += _block(title, [_forward(trace, place), back], arrays, columns)
        else:
            title = f"layer {place}, where both ways meet"
            lines += _block(title, [back], arrays, columns)
        seen.add(place)
    return "\n".join(line.rstrip() for line in lines)


def _forward(trace: "Trace", place: str) -> "list[Step]":
    said = {"features", "loss"}
    return [step for step in trace.forward if step.layer == place and step.key not in said]


def _block(
    title: str, parts: "list[list[Step]]", arrays: "dict[str, Array]", columns: int
) -> Iterator[str]:
    yield ""
    yield f"{title} ".ljust(columns, "-")
    for i, part in enumerate(parts):
        if i:
            yield ""
        for step in part:
            yield from _lines(step, arrays, columns)


def _short(layer: Any) -> str:
    """As one would type it, without what is as it is by default; only counting inner layers."""
    if not is_dataclass(layer):
        return type(layer).__name__
    values = [
        f"{len(value)} layers" if isinstance(value, tuple) else repr(value)
        for field in fields(layer)
        if (value := getattr(layer, field.name)) != field.default or field.default is MISSING
    ]
    return f"{type(layer).__name__}({', '.join(values)})"


def _lines(step: "Step", arrays: "dict[str, Array]", columns: int) -> Iterator[str]:
    """The formula with its shapes; beneath it the numbers, where they are not elsewhere."""
    pieces = _pieces(step, arrays)
    text = f"  {step.name:{NAME}} = {step.formula}"
    shapes = " ".join(f"{symbol} {array.shape}".strip() for symbol, array in pieces)
    shapes = shapes.replace("=", "->")
    if len(text) + 1 + len(shapes) > columns:
        shapes = str(step.array.shape)
    yield f"{text} {shapes:>{max(columns - len(text) - 1, 0)}}"
    if ELSEWHERE.fullmatch(step.formula):
        return
    if any(_is_large(array) for _, array in pieces):
        pieces = [("", step.array)]
    yield from _side_by_side([(symbol, _grid(array, columns)) for symbol, array in pieces], columns)


def _pieces(step: "Step", arrays: "dict[str, Array]") -> list[Piece]:
    """The operands behind their operators, and the result behind an equals sign."""
    if not OPERATION.fullmatch(step.formula):
        return [("", step.array)]
    place = f"{step.layer}." if step.layer else ""
    words = ["", *step.formula.split()]
    pieces = []
    for symbol, name in zip(words[::2], words[1::2], strict=True):
        array = arrays[place + name.removesuffix(".T")]
        pieces.append((symbol, array.T if name.endswith(".T") else array))
    return [*pieces, ("=", step.array)]


def _is_large(array: "Array") -> bool:
    table = np.atleast_2d(array)
    return len(table) > MOST_ROWS or len(table.T) > MOST_COLUMNS


def _grid(array: "Array", columns: int) -> Grid:
    """The numbers in columns of one width; of many, the first and the last."""
    table, write = np.atleast_2d(array), _writer(array)
    for most in range(MOST_COLUMNS, 3, -1):
        cells = [
            [
                "..." if i is None or j is None else write(table[i, j])
                for j in _some(len(table.T), most)
            ]
            for i in _some(len(table), MOST_ROWS)
        ]
        width = max(len(cell) for row in cells for cell in row)
        grid = [f"[ {'  '.join(cell.rjust(width) for cell in row)} ]" for row in cells]
        if len(INDENT) + 2 + len(grid[0]) <= columns:
            break
    return grid


def _some(count: int, most: int) -> list[int | None]:
    """The indices of a few of `count`, None where others are left out."""
    if count <= most:
        return list(range(count))
    return [*range(most - 2), None, count - 1]


def _writer(array: "Array") -> Callable[[float], str]:
    """How to write the numbers of an array: with as many decimals as they need, and no more."""
    numbers = array[np.isfinite(array)]
    largest = float(np.abs(numbers).max(initial=0.0))
    if largest and not 1e-3 <= largest < 1e5:
        style = ".1e"
    else:
        most = next(decimals for least, decimals in DECIMALS if largest >= least)
        lost = [np.abs(numbers - numbers.round(i)).max(initial=0.0) for i in range(most)]
        rounding = largest * np.finfo(array.dtype).eps
        style = f".{next((i for i in range(most) if lost[i] <= rounding), most)}f"
    # An exact 0 stands out; what is rounded to 0 has its decimals, and no sign.
    return lambda number: f"{number:z{style}}" if number else "0"


def _side_by_side(pieces: list[tuple[str, Grid]], columns: int) -> Iterator[str]:
    """Grids in a row, each behind its symbol, in as many bands as the columns ask for."""
    band: list[Grid] = []
    for symbol, grid in pieces:
        piece = [[symbol], grid] if symbol else [grid]
        if band and sum(len(each[0]) + 1 for each in [*band, *piece]) > columns - len(INDENT):
            yield from _band(band)
            band = []
        band += piece
    yield from _band(band)


def _band(grids: list[Grid]) -> Iterator[str]:
    height = max(map(len, grids))
    for line in range(height):
        cells = []
        for grid in grids:
            at = line - (height - len(grid)) // 2
            cells.append(grid[at] if 0 <= at < len(grid) else " " * len(grid[0]))
        yield INDENT + " ".join(cells)
