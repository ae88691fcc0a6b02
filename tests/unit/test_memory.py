"""Watching memory costs no more than its share of a core."""

import time

import pytest

from distill import memory
from distill.memory import MemoryWatch


def test_the_peak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SAMPLE_SECONDS", 0.01)
    with MemoryWatch() as watch:
        held = bytearray(64 << 20)
        while not watch.peak_gib:
            time.sleep(0.01)
    assert watch.peak_gib > len(held) / 2**30


def test_samples_that_cost_much_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    watch = MemoryWatch()
    clock = iter([0.0, 0.3, 1.0, 1.0])
    monkeypatch.setattr(memory.time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(watch, "_stop", Recorder(pauses))
    watch._loop()
    assert pauses == [1.0, pytest.approx(0.3 / memory.SHARE), 1.0]


class Recorder:
    """Notes how long it was asked to wait, and says stop at the third time."""

    def __init__(self, pauses: list[float]) -> None:
        self.pauses = pauses

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        return len(self.pauses) == 3
