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
    def stage(self, name: str, total: float) -> Iterator["StageProgress"]:
        """Show `name` until the block ends."""
        shown = StageProgress(self, name, total, self._bars)
        yield shown
        shown.finish()


class StageProgress:
    """The bar of one stage. `done` of `total` units, tokens since the stage began."""

    def __init__(self, view: ProgressView, name: str, total: float, bars: Progress | None) -> None:
        self._view, self._name, self._bars = view, name, bars
        self._started = self._last_line = time.monotonic()
        self.done, self.total, self.tokens = 0.0, total, 0
        self._task: TaskID | None = bars.add_task(name, total=total, note="") if bars else None

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

    def from_board(self, state: Mapping[str, State], base: float = 0.0) -> None:
        """Add up what workers reported, on top of `base` units that were there before."""
        done = base + sum(entry[0] for entry in state.values())
        notes = [entry[3] for entry in state.values() if entry[3]]
        self.update(done, sum(entry[2] for entry in state.values()), notes[-1] if notes else "")

    def finish(self) -> None:
        """Close the bar with the seconds it took."""
        seconds = time.monotonic() - self._started
        if self._bars and self._task is not None:
            self._bars.update(self._task, completed=self.total, note=f"{seconds:.1f} s {self._rates()}")
        else:
            self._view.line(f"{self._name}: done in {seconds:.1f} s {self._rates()}".rstrip())

    def _rates(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        if self.tokens:
            return f"{self.tokens / seconds:,.0f} tokens/s"
        return f"{self.done / seconds:,.1f}/s" if self.done else ""

    def _left(self) -> str:
        if not 0 < self.done < self.total:
            return ""
        left = (time.monotonic() - self._started) / self.done * (self.total - self.done)
        return f", {left:,.0f} s left"
