"""A live line while a model is trained or rows go by; plain lines where nobody watches."""

import time
from threading import Timer
from types import TracebackType
from typing import Self

from rich.status import Status

from luce.apps.layout import error_console
from luce.apps.text import printable
from luce.model.events import Event, Guessed, RowsDone, Stage
from luce.training import Progress
from luce.training.network import NetworkProgress

SECONDS_BETWEEN_PLAIN_LINES = 2.0
SECONDS_WORTH_A_LINE = 1.0
UNKNOWN_GAP = 1e3
FITTING = (Progress, NetworkProgress)


class ProgressLine:
    """Shows the stages of some work, the rows, passes and epochs of each, on standard error.

    Where that is a terminal, on one line, from the first pass on or after a second. What was
    guessed of a file is told there also where nothing else is shown, unless all is to be quiet.
    """

    def __init__(self, *, shown: bool, quiet: bool = False) -> None:
        self.console = error_console(quiet=not shown)
        self.guesses = self.console if shown or quiet else error_console()
        self.live = Status("", console=self.console) if self.console.is_terminal else None
        if self.live is not None:
            self.timer = Timer(SECONDS_WORTH_A_LINE, self.live.start)
        self.stage = ""
        self.last: RowsDone | Progress | NetworkProgress | None = None
        self.started = self.printed = 0.0

    def __enter__(self) -> Self:
        if self.live is not None:
            self.timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.timer.cancel()
            self.timer.join()
            self.live.stop()
        if error is None:
            self._finish_stage()

    def __call__(self, event: Event) -> None:
        """Take up what has happened."""
        if isinstance(event, Guessed):
            if event.notes:
                told = printable(f"{event.name}: {', '.join(event.notes)}")
                self.guesses.print(told, markup=False, soft_wrap=True)
            return
        now = time.monotonic()
        if isinstance(event, Stage):
            self._finish_stage()
            self.stage, self.last = event.name, None
            self.started = self.printed = now
            text = f"{self.stage} ..."
        else:
            self.last = event
            text = self._text(event)
        if self.live is not None:
            if isinstance(event, FITTING):
                self.live.start()
            self.live.update(text)
        elif now - self.printed > SECONDS_BETWEEN_PLAIN_LINES:
            self.printed = now
            self.console.print(text, soft_wrap=True)

    def _finish_stage(self) -> None:
        seconds = time.monotonic() - self.started
        if isinstance(self.last, FITTING) or (self.last and seconds > SECONDS_WORTH_A_LINE):
            self.console.print(f"{self._text(self.last)}, {seconds:.2f} s", soft_wrap=True)

    def _text(self, event: RowsDone | Progress | NetworkProgress) -> str:
        if isinstance(event, RowsDone):
            seconds = max(time.monotonic() - self.started, 1e-3)
            return f"{self.stage}: {event.rows:,} rows, {event.rows / seconds:,.0f} a second"
        if isinstance(event, NetworkProgress):
            return (
                f"{self.stage}: epoch {event.epoch} (best {event.best_epoch}), "
                f"loss {event.loss:.4g}, validation loss {event.validation_loss:.4g}"
            )
        gap = f"{event.gap:.1e}" if event.gap < UNKNOWN_GAP else "not known yet"
        return f"{self.stage}: pass {event.passes}, objective {event.value:.6g}, gap {gap}"
