"""A live line while a model is trained or rows go by; plain lines where nobody watches."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.status import Status

from luce.model.train import Stage
from luce.training import Progress

SECONDS_BETWEEN_PLAIN_LINES = 2.0
SECONDS_WITHOUT_ROWS_LINE = 1.0
UNKNOWN_GAP = 1e3


class ProgressLine:
    """Shows the stages of a training and the passes of each, on standard error."""

    def __init__(self, *, shown: bool) -> None:
        self.console = Console(stderr=True, highlight=False, quiet=not shown)
        self.live = Status("", console=self.console) if self.console.is_terminal else None
        self.stage = ""
        self.last: Progress | None = None
        self.started = self.printed = 0.0

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()
        if error is None:
            self._finish_stage()

    def __call__(self, event: Stage | Progress) -> None:
        """Take up what has happened."""
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
            self.live.update(text)
        elif now - self.printed > SECONDS_BETWEEN_PLAIN_LINES:
            self.printed = now
            self.console.print(text, soft_wrap=True)

    def _finish_stage(self) -> None:
        if self.stage and self.last is not None:
            seconds = time.monotonic() - self.started
            self.console.print(f"{self._text(self.last)}, {seconds:.2f} s", soft_wrap=True)

    def _text(self, progress: Progress) -> str:
        gap = f"{progress.gap:.1e}" if progress.gap < UNKNOWN_GAP else "not known yet"
        return f"{self.stage}: pass {progress.passes}, objective {progress.value:.6g}, gap {gap}"


class RowsLine:
    """Shows how many rows are done, and how many a second, on standard error.

    Only where it is a terminal, and not in the first second.
    """

    def __init__(self, *, shown: bool) -> None:
        console = Console(stderr=True, highlight=False)
        self.live = Status("", console=console) if shown and console.is_terminal else None
        self.started = time.monotonic()
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()

    def add(self, rows: int) -> None:
        """So many more rows are done."""
        self.rows += rows
        seconds = time.monotonic() - self.started
        if self.live is not None and seconds > SECONDS_WITHOUT_ROWS_LINE:
            self.live.update(f"{self.rows:,} rows, {self.rows / seconds:,.0f} rows/s")
            self.live.start()
