"""Engines that do not start: tried again, done without, or the end of the run. Ray is not started here."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError

from distill.cluster import shards
from distill.cluster.shards import Replicas, ShardRun
from distill.cluster.tries import Tries
from distill.errors import ClusterError, GeneratorError, MissingDependencyError, UnfitSettingError

NO_MEMORY = GeneratorError("vLLM did not start: out of memory")
RETRIES = 3


@dataclass(frozen=True)
class Shard:
    key: str


@dataclass(eq=False)
class Reference:
    """Stands in for Ray's reference, ready after `looks`."""

    value: Any
    looks: int = 0


class Engine:
    """An actor's handle whose start ends by `start`, and that finishes every shard."""

    def __init__(self, start: Any, looks: int) -> None:
        self.prepare = SimpleNamespace(remote=lambda *_: Reference(start, looks))
        self.write = SimpleNamespace(remote=lambda *_: Reference({}))


def run(
    monkeypatch: pytest.MonkeyPatch, start: Callable[[int], Any], count: int, slow: int = 0
) -> tuple[int, list[str]]:
    """Eight shards over `count` engines. `start(number)` is how the engine made as that number (from 1)
    starts: an error, or the shards that it takes at a time, after `slow` looks. Engines made, and faults."""
    made: list[Engine] = []
    faults: list[str] = []

    def make() -> Engine:
        found = start(len(made) + 1)
        made.append(Engine(found, 0 if isinstance(found, Exception) else slow))
        return made[-1]

    def get(reference: Reference) -> Any:
        if isinstance(reference.value, Exception):
            raise RayTaskError("prepare", "Traceback", reference.value)
        return reference.value

    def wait(references: list[Reference], **_: Any) -> tuple[list[Reference], list[Reference]]:
        for reference in references:
            reference.looks -= 1
        ready = [reference for reference in references if reference.looks < 0]
        return ready, [reference for reference in references if reference.looks >= 0]

    monkeypatch.setattr(ray, "wait", wait)
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "kill", lambda engine: None)
    monkeypatch.setattr(shards, "BoardReporter", lambda board: None)
    outcomes: Any = SimpleNamespace(done=lambda *_: None, set_aside=lambda *_: 1 / 0, split=lambda unit: ())
    tries = Tries([Shard(str(i)) for i in range(8)], 0, outcomes.split, 8)
    replicas = Replicas(make, None, RETRIES, ".")
    on_fault = lambda fault: faults.append(f"{fault.unit}: {fault.kind}")  # noqa: E731
    whole = ShardRun(replicas, count, "write", tries, outcomes, None, 1e9, on_fault, lambda state: None)
    monkeypatch.setattr(whole, "_look", lambda: None)
    try:
        whole.run()
    except Exception as error:
        error.add_note(str(len(made)))
        raise
    return len(made), faults


@pytest.mark.parametrize("error", [NO_MEMORY, ValueError("CUDA error")])
def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Also the first of all, when no engine is up that would show that they can start."""
    made, faults = run(monkeypatch, lambda number: error if number <= RETRIES else 1, 1)
    assert made == RETRIES + 1
    assert faults == [f"engine-{i}: error" for i in range(1, RETRIES + 1)]


def test_one_bad_node_leaves_the_work_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """It fails as often as it is tried, long before the others are up: there is one engine less."""
    made, faults = run(monkeypatch, lambda number: 1 if number in (2, 3) else NO_MEMORY, 3, slow=9)
    assert made == 3 + RETRIES
    assert len(faults) == 1 + RETRIES


@pytest.mark.parametrize("count", [1, 8])
def test_where_no_engine_starts_the_run_ends_by_its_words(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    with pytest.raises(GeneratorError, match="out of memory") as caught:
        run(monkeypatch, lambda number: NO_MEMORY, count)
    assert max(count, RETRIES + 1) <= int(caught.value.__notes__[-1]) <= count + RETRIES
    with pytest.raises(ClusterError, match=r"found 4 in a row that did not"):
        run(monkeypatch, lambda number: ValueError("CUDA error"), 1)


@pytest.mark.parametrize("error", [UnfitSettingError("no such model"), MissingDependencyError("no vllm")])
def test_what_no_retry_can_mend_ends_the_run_at_once(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        run(monkeypatch, lambda number: error, 1)
    assert caught.value.__notes__[-1:] == ["1"]
