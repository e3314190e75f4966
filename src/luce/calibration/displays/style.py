"""How all displays look, and the one place where matplotlib is loaded."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#333333"
MUTED = "#767676"
FAINT = "#DADADA"
BLUE = "#2B6CB0"
ORANGE = "#D97706"


def pyplot() -> Any:
    """matplotlib.pyplot, or an ImportError that says how to get it."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("matplotlib draws the displays: pip install 'luce[plot]'") from error
    return pyplot


def quiet(axes: "Axes") -> None:
    """Only the frame that is read from: below and to the left, thin."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(MUTED)
        axes.spines[side].set_linewidth(0.8)
    axes.tick_params(colors=MUTED, labelcolor=INK, width=0.8)


def shown(name: str, most: int) -> str:
    """A name in one line of at most so many characters, with no formula in it."""
    name = " ".join(name.split())
    if len(name) > most:
        name = name[: most - 1].rstrip() + "…"
    return name.replace("$", r"\$")


def counted(rows: int) -> str:
    """So many rows, in words."""
    return "1 row" if rows == 1 else f"{rows:,} rows"
