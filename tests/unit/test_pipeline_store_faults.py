"""What an object store that is out of reach for a moment ends, and what it does not. Ray is not started here:
its answers are what it would give."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import object_store
import pytest
import ray
from ray.exceptions import RayTaskError

from distill.artifacts import RunFolder, write_bytes
from distill.cluster import Cluster, Fault, FaultKind, Resources, session, shards
from distill.cluster.faults import LONGEST_OUTAGE_WAIT_SECONDS, ends_the_run, outage_wait
from distill.cluster.shards import Replica, ShardRun
from distill.cluster.tries import BLAMELESS_ALLOWED, SERVER_OUTAGES_ALLOWED, Tries
from distill.config import ClusterSettings, Recipe
from distill.errors import ArtifactError, NeverAnsweredError, StoreError, UnreachableError
from distill.memory import MemoryWatch
from distill.progress import ProgressView
from distill.remote import RemotePath
from distill.stages.run import FAULTS, Run
from distill.storage import working_copy

URL = "plain://bucket/run"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the store's objects."""
    object_store.use(tmp_path, monkeypatch)
    return tmp_path / "objects"


def fail(patched: pytest.MonkeyPatch, error: Exception, *requests: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    for request in requests:
        patched.setattr(object_store.PlainStore, request, refuse)


class NoCredentialsError(Exception):
    """As botocore names it."""


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (ConnectionResetError("reset"), False),
        (TimeoutError("slow"), False),
        (OSError("503 SlowDown"), False),
        (PermissionError("Access Denied"), True),
        (FileNotFoundError("The specified bucket does not exist"), True),
        (NoCredentialsError("Unable to locate credentials"), True),
    ],
)
def test_a_request_that_fails_ends_a_run_only_where_it_would_fail_again(
    monkeypatch: pytest.MonkeyPatch, error: Exception, ends: bool
) -> None:
    fail(monkeypatch, error, "pipe_file")
    with pytest.raises(ArtifactError, match=str(error)) as caught:
        write_bytes(RemotePath(URL) / "x", b"x")
    assert isinstance(caught.value, StoreError) is not ends
    assert ends_the_run(caught.value) is ends


def test_a_checkpoint_that_could_not_be_saved_is_saved_by_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = RemotePath(URL)
    with working_copy(place) as (folder, save):
        (folder / "checkpoint-1").write_text("1")
        with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
            fail(patched, TimeoutError("slow"), "pipe_file", "put_file")
            save()
        assert "not saved this time" in caplog.text
        assert not place.files()
        (folder / "checkpoint-2").write_text("2")
        save()
        assert set(place.files()) == {"checkpoint-1", "checkpoint-2"}


def test_what_was_made_must_be_saved_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError), working_copy(RemotePath(URL)) as (folder, _):  # noqa: PT012
        (folder / "adapter").write_text("done")
        fail(monkeypatch, TimeoutError("slow"), "pipe_file", "put_file")


@pytest.mark.parametrize("request_", ["pipe_file", "cat_file"])
def test_a_fault_that_cannot_be_kept_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, request_: str
) -> None:
    place = RunFolder.writer(URL)
    run = Run(Recipe(name="r"), place, ProgressView(), {"chains": "A"}, MemoryWatch(), stage="chains")
    run.note_fault(Fault("chains-1", FaultKind.WORKER_DIED, "killed"))
    with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
        fail(patched, TimeoutError("slow"), request_)
        run.note_fault(Fault("chains-2", FaultKind.WORKER_DIED, "killed"))
    assert f"chains-2: worker died is not in {FAULTS}" in caplog.text
    run.note_fault(Fault("chains-3", FaultKind.WORKER_DIED, "killed"))
    assert [fault["unit"] for fault in run.faults("chains")["faults"]] == ["chains-1", "chains-3"]


@dataclass(frozen=True)
class Shard:
    key: str


@dataclass
class Clock:
    """Stands in for `time`, where sleeping takes none."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def raising(error: Exception) -> RayTaskError:
    return RayTaskError("write_chains", "Traceback", error)


class Engine:
    """A worker's handle: every call ends at once by what `answers` gives next."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.answers, self.calls, self.killed = iter(answers), 0, False
        self.write = SimpleNamespace(remote=self._call)

    def _call(self, unit: Shard, report: Any) -> "Engine.Result":
        self.calls += 1
        return Engine.Result(next(self.answers))

    @dataclass(eq=False)
    class Result:
        """Stands in for Ray's reference."""

        value: Any


def run_shards(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, units: int, answered: bool = False
) -> tuple[Clock, list[str]]:
    """`units` shards over one worker; the clock, and what ended how."""
    clock, ended = Clock(), []

    def get(reference: Any) -> Any:
        if isinstance(reference.value, Exception):
            raise reference.value
        return reference.value

    monkeypatch.setattr(shards, "time", clock)
    monkeypatch.setattr(ray, "wait", lambda references, **_: (references[:1], references[1:1]))
    monkeypatch.setattr(ray, "get", get)
    replica = Replica("engine-1", engine, None)
    replicas: Any = SimpleNamespace(
        alive=[replica], staff=lambda count: None, drop=lambda replica: 1 / 0, answered=answered
    )
    outcomes: Any = SimpleNamespace(
        done=lambda unit, result: ended.append(f"done {unit.key}"),
        set_aside=lambda unit, fault, tries: ended.append(f"set aside {unit.key}"),
        split=lambda unit: (),
    )
    tries = Tries([Shard(str(i)) for i in range(units)], 0, outcomes.split, 8)
    on_fault = lambda fault: ended.append(f"{fault.kind} {fault.unit}")  # noqa: E731
    run = ShardRun(replicas, 1, "write", tries, outcomes, None, 1e9, on_fault, lambda state: None)
    monkeypatch.setattr(run, "_look", lambda: None)
    run.run()
    return clock, ended


@pytest.mark.parametrize(
    ("error", "what"), [(StoreError("reset"), "store"), (UnreachableError("status 503"), "server")]
)
def test_a_shard_that_meets_an_outage_is_tried_again_after_a_while(
    monkeypatch: pytest.MonkeyPatch, error: Exception, what: str
) -> None:
    """The engine is kept, as it is not to blame, and no problem is set aside (`retries` is 0 here)."""
    out = raising(error)
    engine = Engine([out, out, out, {}, {}])
    clock, ended = run_shards(monkeypatch, engine, 2)
    assert ended == [f"{what} out of reach 0"] * 3 + ["done 0", "done 1"]
    assert outage_wait(1) + outage_wait(2) + outage_wait(3) <= clock.now < 40


def test_a_store_that_stays_away_ends_the_run_by_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine([raising(StoreError("gone for good"))] * 99)
    with pytest.raises(StoreError, match="gone for good"):
        run_shards(monkeypatch, engine, 1)
    assert engine.calls == BLAMELESS_ALLOWED + 1


def test_a_server_may_stay_away_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pauses alone: the client's own tries come on top."""
    engine = Engine([raising(UnreachableError("status 503, give the command again"))] * 999)
    with pytest.raises(UnreachableError, match="give the command again"):
        run_shards(monkeypatch, engine, 1)
    assert engine.calls == SERVER_OUTAGES_ALLOWED + 1
    assert sum(outage_wait(n + 1) for n in range(SERVER_OUTAGES_ALLOWED)) > 1.9 * 3600


def test_a_server_that_never_answered_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine([raising(NeverAnsweredError("wrong URL?"))] * 9)
    with pytest.raises(NeverAnsweredError, match="wrong URL"):
        run_shards(monkeypatch, engine, 2)
    assert engine.calls == 1


def test_an_engine_that_is_replaced_during_an_outage_waits_like_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own client had no answer yet; earlier ones had, or met an outage."""
    late = raising(NeverAnsweredError("wrong URL?"))
    _, ended = run_shards(monkeypatch, Engine([late, late, {}]), 1, answered=True)
    assert ended == ["server out of reach 0"] * 2 + ["done 0"]
    _, ended = run_shards(monkeypatch, Engine([raising(UnreachableError("503")), late, {}]), 1)
    assert ended == ["server out of reach 0"] * 2 + ["done 0"]


def test_a_token_says_that_the_server_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen on the board, and remembered for the engine's next workers when these are released."""
    monkeypatch.setattr(ray, "get", lambda found: found)
    cluster = Cluster(ClusterSettings(address="auto"))

    def answered(tokens: int) -> bool:
        found = {"0": ((0.0, 2.0, tokens, ""), 1)}
        board = SimpleNamespace(read=SimpleNamespace(remote=lambda keys: found))
        replicas = cluster._workers_for(Engine, ([],), Resources())
        nothing: Any = None
        run = ShardRun(replicas, 1, "write", Tries([], 0, list, 8), nothing, board, 1.0, print, print)
        run._look()
        cluster.release_workers()
        return replicas.answered

    assert [answered(tokens) for tokens in (0, 5, 0)] == [False, True, True]
    assert not cluster._workers_for(Engine, ([1],), Resources()).answered


def test_a_request_that_breaks_a_server_which_answers_others_is_set_aside() -> None:
    tries = Tries([Shard("poison"), Shard("well")], 0, lambda unit: (), 8)
    fault = Fault("poison", FaultKind.SERVER, "status 504")
    poison = tries.take(idle=True)
    assert poison is not None
    assert not tries.failed(poison, fault)
    assert tries.take(idle=True) == poison
    assert not tries.failed(poison, fault), "nobody was answered meanwhile: an outage"
    poison, well = tries.take(idle=True), tries.take(idle=True)
    assert poison is not None
    assert well is not None
    tries.done(well)
    assert tries.failed(poison, fault)


def test_waits_for_a_store_grow_to_a_minute() -> None:
    assert [outage_wait(n) for n in (1, 2, 3)] == [5.0, 10.0, 20.0]
    assert outage_wait(31) == LONGEST_OUTAGE_WAIT_SECONDS


def run_task(monkeypatch: pytest.MonkeyPatch, answers: list[Any]) -> tuple[Any, Clock, list[Fault]]:
    """A task whose tries end by `answers`, with `cluster.retries` 2."""
    clock, faults = Clock(), []
    cluster = Cluster(ClusterSettings(address="auto", retries=2), faults.append)
    cluster._board = SimpleNamespace(clear=SimpleNamespace(remote=lambda: None))
    task = SimpleNamespace(remote=lambda *_: None)
    task.options = lambda **_: task

    def watch(reference: Any, on_progress: Callable[..., None]) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(session, "time", clock)
    monkeypatch.setattr(ray, "get", lambda reference: None)
    monkeypatch.setattr(ray, "nodes", list)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda function: task)
    monkeypatch.setattr(cluster, "_watch", watch)
    result = cluster.run_task(print, resources=Resources(), on_progress=lambda state: None)
    return result, clock, faults


def test_a_task_that_meets_an_outage_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    out = raising(StoreError("reset"))
    result, clock, faults = run_task(monkeypatch, [out, out, "trained"])
    assert (result, clock.slept) == ("trained", [5.0, 10.0])
    assert [fault.kind for fault in faults] == [FaultKind.STORE] * 2


@pytest.mark.parametrize(
    ("error", "tries"), [(StoreError("reset"), 3), (ArtifactError("another schema version"), 1)]
)
def test_a_task_that_cannot_go_on_tells_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception, tries: int
) -> None:
    answers = [raising(error)] * 4
    with pytest.raises(type(error), match=str(error)):
        run_task(monkeypatch, answers)
    assert len(answers) == 4 - tries
