"""Progress of a run: a live bar on a terminal, plain lines elsewhere.

Every stage shows done/total, rate, time left and, where a teacher works, its tokens a second.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

PLAIN_SECONDS = 5.0
MEASURABLE_SECONDS = 0.1
"""A rate over less than this says nothing."""

State = tuple[float, float, int, str]


class ProgressView:
    """Holds the console; one stage is shown at a time."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bars: Progress | None = None
        if self.console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<17}"),
                BarColumn(bar_width=24),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
            )

    def __enter__(self) -> "ProgressView":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def line(self, text: str) -> None:
        """Print one plain line above the bars."""
        self.console.print(text, highlight=False, markup=False)

    @contextmanager
    def stage(self, name: str, total: float, done_before: float = 0.0) -> Iterator["StageProgress"]:
        """Show `name` until the block ends; `done_before` units were there already."""
        shown = StageProgress(self, name, total, self._bars, done_before)
        try:
            yield shown
        except BaseException:
            shown.stop()
            raise
        shown.finish()


class StageProgress:
    """The bar of one stage. `done` of `total` units, tokens since the stage began."""

    def __init__(
        self, view: ProgressView, name: str, total: float, bars: Progress | None, done_before: float = 0.0
    ) -> None:
        self._view, self._name, self._bars, self._before = view, name, bars, done_before
        self._started = self._last_line = time.monotonic()
        self.done, self.total, self.tokens = done_before, total, 0
        self._task: TaskID | None = None
        if bars:
            self._task = bars.add_task(name, total=total, completed=int(done_before), note="")
        else:
            view.line(f"{name}: begins" + (f" at {done_before:,.0f}/{total:,.0f}" if done_before else ""))

    def update(self, done: float, tokens: int = 0, note: str = "", total: float | None = None) -> None:
        """Show a new state; plain output is limited to a line every few seconds."""
        self.done, self.tokens = done, tokens
        self.total = self.total if total is None else total
        text = " ".join(part for part in (self._rates(), note) if part)
        if self._bars and self._task is not None:
            self._bars.update(self._task, completed=done, total=self.total, note=text)
        elif time.monotonic() - self._last_line >= PLAIN_SECONDS:
            self._last_line = time.monotonic()
            self._view.line(f"{self._name}: {done:,.0f}/{self.total:,.0f} {text}{self._left()}")

    def from_board(self, state: Mapping[str, State], done: float | None = None, tokens: int = 0) -> None:
        """Add up what workers report of shards in flight, on top of what finished ones made (None: those
        that were there before)."""
        done = (self._before if done is None else done) + sum(entry[0] for entry in state.values())
        notes = [entry[3] for entry in state.values() if entry[3]]
        self.update(done, tokens + sum(entry[2] for entry in state.values()), notes[-1] if notes else "")

    def finish(self) -> None:
        """Close the bar with the seconds it took."""
        self.done = self.total
        text = f"{self._seconds():.1f} s {self._rates()}".rstrip()
        if self._bars and self._task is not None:
            self._bars.update(self._task, completed=self.total, note=text)
            self._bars.stop_task(self._task)
        else:
            self._view.line(f"{self._name}: done in {text}")

    def stop(self) -> None:
        """Leave the bar where it is: the stage failed, or was stopped."""
        if self._bars and self._task is not None:
            self._bars.stop_task(self._task)

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _rates(self) -> str:
        """Units or tokens a second since this command took the stage up; "" before anything is known."""
        made = self.tokens or self.done - self._before
        if made <= 0 or self.total <= 1 or self._seconds() < MEASURABLE_SECONDS:
            return ""
        rate = made / self._seconds()
        return f"{rate:,.0f} tokens/s" if self.tokens else f"{rate:,.1f}/s"

    def _left(self) -> str:
        made = self.done - self._before
        if made <= 0 or self.done >= self.total:
            return ""
        return f", {self._seconds() / made * (self.total - self.done):,.0f} s left"
