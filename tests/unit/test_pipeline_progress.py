"""Progress in plain lines and as bars: something to see at once, and never a number that says nothing."""

import io

import pytest
from rich.console import Console

from distill import progress
from distill.progress import ProgressView


class Clock:
    """Stands in for the `time` module."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def make_view(terminal: bool = False) -> tuple[ProgressView, io.StringIO]:
    shown = io.StringIO()
    return ProgressView(Console(file=shown, width=100, force_terminal=terminal)), shown


def test_plain_lines_from_the_beginning_to_the_end(clock: Clock) -> None:
    view, shown = make_view()
    with view, view.stage("chains", 40) as stage:
        clock.now = 4.0
        stage.update(1, 100)  # too soon for another line
        clock.now = 10.0
        stage.from_board({"a": (10, 20, 500, ""), "b": (0, 20, 500, "busy")})
        clock.now = 20.0
    assert shown.getvalue().splitlines() == [
        "chains: begins",
        "chains: 10/40 100 tokens/s busy, 30 s left",
        "chains: done in 20.0 s 50 tokens/s",
    ]


def test_what_was_there_before_is_no_speed(clock: Clock) -> None:
    view, shown = make_view()
    with view.stage("evidence", 1000, 900) as stage:
        clock.now = 10.0
        stage.from_board({"shard": (50, 100, 0, "")})
    assert shown.getvalue().splitlines() == [
        "evidence: begins at 900/1,000",
        "evidence: 950/1,000 5.0/s, 10 s left",
        "evidence: done in 10.0 s 10.0/s",
    ]


@pytest.mark.parametrize("total", [0, 1, 5])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_number_without_sense(clock: Clock, total: int, terminal: bool) -> None:
    view, shown = make_view(terminal)
    with view, view.stage("stage", total) as stage:
        stage.update(0)
        clock.now = 6.0
        stage.update(0, note="waiting")
    with view.stage("at once", total):
        pass
    assert not [word for word in ("inf", "nan", "e+", "None") if word in shown.getvalue()]


def test_a_stage_that_fails_is_not_called_done() -> None:
    view, shown = make_view()
    with pytest.raises(ValueError, match="broken"), view.stage("labels", 3):
        raise ValueError("broken")
    assert shown.getvalue() == "labels: begins\n"
