"""What the cluster does where Ray has no answer of its own. Ray is not started here."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import ray

from distill.cluster import Cluster, Fault, FaultKind, Resources
from distill.cluster.board import Board
from distill.cluster.connect import connect
from distill.cluster.faults import ends_the_run
from distill.cluster.tries import (
    ALWAYS_ALLOWED,
    BLAMELESS,
    BLAMELESS_ALLOWED,
    SERVER_OUTAGES_ALLOWED,
    Tries,
    set_aside_limit,
)
from distill.config import ClusterSettings
from distill.errors import (
    CheckerError,
    ClusterError,
    GeneratorError,
    MissingDependencyError,
    RefusedError,
    UnfitSettingError,
    UnreachableError,
)
from distill.stages.shards import merged

LATE = Exception("The current node timed out during startup.")
ABORTED = ConnectionAbortedError("Initialization failure from server: Starting Ray client server failed.")


class Starts:
    """Stands in for `ray.init`: raises what it is given, in order, then starts."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors, self.calls = [*errors], 0

    def __call__(self, **options: Any) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.mark.parametrize(
    ("errors", "address", "calls", "told"),
    [
        ((), "local", 1, ""),
        ((LATE,), "local", 2, ""),
        ((LATE, LATE), "local", 2, r"timed out during startup\. Wait until the machine is less busy"),
        ((ConnectionError("no cluster"),), "auto", 1, "no cluster.*cluster.address"),
        ((ABORTED,), "ray://head:10001", 2, ""),
        ((ABORTED, ABORTED), "ray://head:10001", 2, "server failed.*cluster.address"),
        ((ConnectionError("nobody"),), "ray://head:10001", 1, "nobody.*cluster.address"),
    ],
)
def test_a_late_start_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[Exception, ...], address: str, calls: int, told: str
) -> None:
    starts = Starts(*errors)
    monkeypatch.setattr(ray, "init", starts)
    if told:
        with pytest.raises(ClusterError, match=told):
            connect(ClusterSettings(address=address))
    else:
        connect(ClusterSettings(address=address))
    assert starts.calls == calls


def test_ctrl_c_is_no_late_start(monkeypatch: pytest.MonkeyPatch) -> None:
    starts = Starts(KeyboardInterrupt())
    monkeypatch.setattr(ray, "init", starts)
    with pytest.raises(KeyboardInterrupt):
        connect(ClusterSettings())
    assert starts.calls == 1


@pytest.mark.parametrize(
    ("address", "replicas", "resources", "told"),
    [
        ("local", 1, Resources(gpus=1.0), "expected 1 GPUs for 1 worker"),
        ("local", 3, Resources(cpus=1.0), "expected 3 CPUs for 3 worker"),
        ("local", 2, Resources(cpus=1.0), ""),
        ("auto", 9, Resources(gpus=9.0), ""),
    ],
)
def test_a_machine_without_room_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, address: str, replicas: int, resources: Resources, told: str
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "nodes", list)
    there = Cluster(ClusterSettings(address=address))
    if not told:
        return there._require_room(replicas, resources)
    with pytest.raises(ClusterError, match=told):
        there._require_room(replicas, resources)
    return None


FOUR = {"Alive": True, "Resources": {"CPU": 32.0, "GPU": 4.0}}
HEAD = {"Alive": True, "Resources": {"CPU": 64.0}}
DEAD_EIGHT = {"Alive": False, "Resources": {"CPU": 96.0, "GPU": 8.0}}


@pytest.mark.parametrize(
    ("nodes", "told"),
    [
        (
            [HEAD, FOUR, DEAD_EIGHT],
            "asks for 8 GPUs and 1 CPUs, the largest of 2 nodes has 4 GPUs and 32 CPUs",
        ),
        ([HEAD], "the largest of 1 nodes has 0 GPUs"),
        ([], "the largest of 0 nodes"),
        ([HEAD, DEAD_EIGHT | {"Alive": True}], ""),
    ],
)
def test_a_cluster_without_a_node_that_is_large_enough_is_told_once(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], told: str
) -> None:
    """It is no error: a larger node may join."""
    notes: list[str] = []
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    there = Cluster(ClusterSettings(address="auto"), on_note=notes.append)
    for _ in range(3):
        there._require_room(2, Resources(cpus=1.0, gpus=8.0))
    assert len(notes) == bool(told)
    assert told in "".join(notes)


def test_the_board_forgets_what_is_not_asked_for() -> None:
    board = Board()
    for key, done in (("a", 1.0), ("b", 1.0), ("a", 2.0)):
        board.put(key, (done, 3.0, 0, ""))
    assert board.read() == {"a": ((2.0, 3.0, 0, ""), 2), "b": ((1.0, 3.0, 0, ""), 1)}
    assert set(board.read(["b", "c"])) == {"b"}
    assert set(board.read()) == {"b"}


@dataclass(frozen=True)
class Shard:
    """A shard of problems, or one problem of it."""

    problems: tuple[int, ...]
    whole: bool = True

    @property
    def key(self) -> str:
        return f"{'shard' if self.whole else 'problem'} {self.problems}"


DEATH = partial(Fault, kind=FaultKind.WORKER_DIED, reason="killed")


def split(shard: Shard) -> list[Shard]:
    return [Shard((problem,), False) for problem in shard.problems] if shard.whole else []


def shards(count: int, size: int) -> list[Shard]:
    return [Shard(tuple(range(i * size, (i + 1) * size))) for i in range(count)]


def work_off(
    tries: Tries[Shard], guilty: Callable[[Shard], bool], room: int = 1
) -> tuple[Counter[int], list[int]]:
    """One worker that takes `room` shards at a time and dies with all of them where one is guilty: how often
    each problem came through, and what was set aside."""
    through: Counter[int] = Counter()
    given_up: list[int] = []
    while tries.unfinished:
        held: list[Shard] = []
        while len(held) < room and not any(map(tries.is_suspect, held)):
            if (shard := tries.take(idle=not held)) is None:
                break
            held.append(shard)
        dies = any(map(guilty, held))
        for shard in held:
            if not dies:
                tries.done(shard)
                through.update(shard.problems)
            elif tries.failed(shard, DEATH(shard.key), sure=len(held) == 1):
                given_up += shard.problems
    return through, given_up


@pytest.mark.parametrize("room", [1, 4])
@pytest.mark.parametrize("retries", [0, 1, 3])
@pytest.mark.parametrize("poison", [{5}, {0, 1, 2}, {3, 8, 15}])
def test_only_what_kills_is_set_aside(poison: set[int], retries: int, room: int) -> None:
    deaths = 0

    def guilty(shard: Shard) -> bool:
        nonlocal deaths
        dies = bool(poison & {*shard.problems})
        deaths += dies
        return dies

    tries = Tries(shards(4, 4), retries, split, limit=8)
    through, given_up = work_off(tries, guilty, room)
    assert sorted(given_up) == sorted(poison)
    assert through == Counter({*range(16)} - poison), "each other problem comes through once"
    bad_shards = len({problem // 4 for problem in poison})
    assert deaths <= (bad_shards + len(poison)) * (retries + 1) + bad_shards


def test_shards_that_die_beside_a_guilty_one_are_tried_again_and_not_split() -> None:
    pieces: list[Shard] = []

    def watched(shard: Shard) -> list[Shard]:
        pieces.extend(found := split(shard))
        return found

    work_off(Tries(shards(4, 4), 2, watched, limit=8), lambda shard: 5 in shard.problems, room=4)
    assert {piece.problems[0] // 4 for piece in pieces} == {1}


def test_what_was_on_a_worker_that_is_replaced_comes_first_again() -> None:
    tries = Tries(shards(2, 4), 3, split, limit=8)
    first = tries.take(idle=True)
    assert first is not None
    tries.returned(first)
    assert tries.take(idle=False) == first
    assert tries.failures(first) == 0


def test_a_lost_node_says_nothing_against_its_shards() -> None:
    tries = Tries(shards(2, 4), 3, split, limit=8)
    first = tries.take(idle=True)
    assert first is not None
    assert not tries.failed(first, Fault(first.key, FaultKind.NODE_DIED, "preempted"))
    assert tries.take(idle=False) == first
    assert not tries.is_suspect(first)


@pytest.mark.parametrize("kind", BLAMELESS)
def test_what_is_blameless_never_splits_and_never_sets_aside(kind: FaultKind) -> None:
    def never(shard: Shard) -> list[Shard]:
        raise AssertionError(f"{shard.key} was split")

    tries = Tries(shards(2, 1), 0, never, limit=8)
    first = tries.take(idle=True)
    assert first is not None
    allowed = SERVER_OUTAGES_ALLOWED if kind is FaultKind.SERVER else BLAMELESS_ALLOWED
    for _ in range(allowed):
        assert not tries.failed(first, Fault(first.key, kind, "preempted"))
        assert tries.take(idle=True) == first
    assert tries.failures(first) == 0
    with pytest.raises(ClusterError, match=rf"lost {allowed + 1} times.*preempted.*shard_size"):
        tries.failed(first, Fault(first.key, kind, "preempted"))


def test_a_suspect_that_loses_its_node_stays_one() -> None:
    tries = Tries(shards(1, 4), 1, split, limit=8)
    for kind in (FaultKind.WORKER_DIED, *[FaultKind.NODE_DIED] * 5):
        shard = tries.take(idle=True)
        assert shard is not None
        assert not tries.failed(shard, Fault(shard.key, kind, "gone"))
    assert tries.take(idle=False) is None
    shard = tries.take(idle=True)
    assert shard is not None
    assert (shard.whole, tries.failures(shard)) == (True, 1)


@pytest.mark.parametrize("size", [1, 64])
@pytest.mark.parametrize(
    ("error", "told"), [(GeneratorError("no GPU"), "no GPU"), (None, "every one failed")]
)
def test_where_nothing_comes_through_it_is_not_the_problems(
    size: int, error: GeneratorError | None, told: str
) -> None:
    tries, failures = Tries(shards(1, size), 3, split, limit=8), 0
    with pytest.raises(GeneratorError if error else ClusterError, match=told):  # noqa: PT012
        while (shard := tries.take(idle=True)) is not None:
            failures += 1
            tries.failed(shard, Fault(shard.key, FaultKind.ERROR, "boom"), error)
    assert failures <= 4 + ALWAYS_ALLOWED


def test_an_error_that_every_shard_meets_ends_the_run_before_all_were_tried() -> None:
    tries, failures = Tries(shards(1000, 4), 3, split, limit=8), 0
    with pytest.raises(GeneratorError, match="no such server"):  # noqa: PT012
        while (shard := tries.take(idle=True)) is not None:
            failures += 1
            tries.failed(shard, Fault(shard.key, FaultKind.ERROR, "boom"), GeneratorError("no such server"))
    assert failures == ALWAYS_ALLOWED


def test_as_many_errors_after_a_success_end_nothing() -> None:
    tries = Tries(shards(100, 4), 3, split, limit=8)
    first = tries.take(idle=True)
    assert first is not None
    tries.done(first)
    for _ in range(99):
        shard = tries.take(idle=True)
        assert shard is not None
        assert not tries.failed(shard, Fault(shard.key, FaultKind.ERROR, "boom"), GeneratorError("boom"))


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (RefusedError, True),
        (UnfitSettingError, True),
        (MissingDependencyError, True),
        (UnreachableError, False),
        (GeneratorError, False),
        (CheckerError, False),
    ],
)
def test_what_ends_the_run_at_once(error: type[Exception], ends: bool) -> None:
    assert ends_the_run(error("why")) is ends


def test_too_much_poison_ends_the_run() -> None:
    assert [set_aside_limit(n, 0.05) for n in (10, 160, 1000)] == [8, 8, 50]
    tries = Tries(shards(8, 4), 0, split, limit=8)
    with pytest.raises(ClusterError, match="set_aside_fraction"):
        work_off(tries, lambda shard: any(problem % 4 and problem > 3 for problem in shard.problems))


def test_the_statistics_of_single_problems_add_up_to_those_of_their_shard() -> None:
    pieces = [
        {"in": 1, "out": 2, "outcomes": {"correct": 2}, "generated_tokens": 5, "records": [1, 2]},
        {"set_aside": [{"problem": "x"}]},
        {
            "in": 1,
            "out": 1,
            "outcomes": {"incorrect": 1, "correct": 1},
            "generated_tokens": 6,
            "records": [3],
        },
    ]
    assert merged(pieces) == {
        "in": 2,
        "out": 3,
        "outcomes": {"correct": 3, "incorrect": 1},
        "generated_tokens": 11,
        "set_aside": [{"problem": "x"}],
    }
    assert merged(pieces[1:2])["in"] == 0
