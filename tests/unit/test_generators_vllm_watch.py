"""When a vLLM engine is taken for hung, and what is killed then; vLLM itself is not needed here."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from generators import vllm_watch
from generators.vllm_watch import LOOKS, end_if_hung, kill

Tokens = dict[str, int]


class Engine:
    """Stands in for `AsyncLLM`: at each look it has these requests with these tokens; then it is dead."""

    def __init__(self, looks: list[Tokens]) -> None:
        self._looks, self.seen = looks, 0
        manager = SimpleNamespace(processes=[SimpleNamespace(pid=1 << 30)])
        self.engine_core = SimpleNamespace(resources=SimpleNamespace(engine_manager=manager))

    @property
    def errored(self) -> bool:
        return self.seen == len(self._looks)

    @property
    def output_processor(self) -> Any:
        self.seen += 1
        return SimpleNamespace(
            request_states={n: _state(count) for n, count in self._looks[self.seen - 1].items()}
        )


def _state(tokens: int) -> Any:
    return SimpleNamespace(detokenizer=SimpleNamespace(num_output_tokens=lambda: tokens))


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    found: list[list[int]] = []
    monkeypatch.setattr(vllm_watch, "HUNG_SECONDS", 0.0)
    monkeypatch.setattr(vllm_watch, "kill", found.append)
    return found


SILENT: list[Tokens] = [{"a": 3, "b": 0}] * LOOKS


@pytest.mark.parametrize(
    ("looks", "at"),
    [
        ([{}] * 99, 0),
        ([{"a": 3}] * LOOKS, 0),
        ([{"a": 0}] * LOOKS, LOOKS),
        ([{"a": 3}, *SILENT], LOOKS + 1),
        ([*SILENT, {"a": 3, "b": 0}], LOOKS + 1),
        ([*SILENT, {"a": 3, "b": 1}] * 3, 0),
        ([*SILENT, {"a": 3}, *SILENT[1:]], 0),
        ([{"a": 3}] + [{"a": 3} | {str(i): 0 for i in range(n)} for n in range(LOOKS)], LOOKS + 1),
        ([{str(i): 0} for i in range(99)], 0),
        ([{str(i): 1} for i in range(99)], 0),
    ],
    ids=[
        "idle",
        "not long enough",
        "never a token",
        "one more arrives",
        "long enough",
        "another token",
        "one has ended",
        "arrivals are no sign of life",
        "each ends between two looks",
        "each begins and ends there",
    ],
)
def test_silence_with_open_requests(killed: list[list[int]], looks: list[Tokens], at: int) -> None:
    engine: Any = Engine(looks)
    asyncio.run(end_if_hung(engine))
    assert killed == ([[1 << 30]] if at else [])
    assert engine.seen == (at or len(looks))


def test_every_look_at_which_tokens_came_is_told(killed: list[list[int]]) -> None:
    told: list[int] = []
    engine: Any = Engine([{}, {"a": 0}, {"a": 3}, {"a": 3}, {"a": 4}, {}])
    asyncio.run(end_if_hung(engine, lambda: told.append(engine.seen)))
    assert told == [3, 5, 6]
    assert not killed


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """A process and its child, that would live for long."""
    sleeps = "import time; time.sleep(600)"
    starts = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{sleeps}']); print(flush=True)"
    )
    code = f"{starts}; {sleeps}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children()]
        yield found
        for process in found:
            if process.is_running():
                process.kill()


def test_what_is_below_a_core_is_killed_with_it(family: list[psutil.Process]) -> None:
    assert len(family) == 2
    family[0].suspend()
    kill([family[0].pid, 1 << 30])
    psutil.wait_procs(family[1:], timeout=20)
    assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
