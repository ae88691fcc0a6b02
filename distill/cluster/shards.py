"""Shards over long-lived workers that each own an engine: who works on what, and what happens on a death.

Placement is Ray's: a replica that has no room yet waits in Ray's queue and takes part once it started, so
that a node that joins late is used and a missing one blocks nobody.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from distill.cluster.board import BoardReporter, State
from distill.cluster.faults import death, ends_the_run, outage_wait, raised
from distill.cluster.tries import BLAMELESS, OUTAGES, Fault, FaultKind, Tries, UnitT
from distill.errors import ClusterError, DistillError, NeverAnsweredError

POLL_SECONDS = 0.5
ERRORS = 2
"""Errors in a row after which a worker is replaced."""
OnProgress = Callable[[dict[str, State]], None]


class Outcomes(Protocol[UnitT]):
    """Who is told how each unit ended, and how a unit is split into single problems."""

    def done(self, unit: UnitT, result: Any) -> None:
        """`unit` came to its end."""

    def set_aside(self, unit: UnitT, fault: Fault, tries: int) -> None:
        """`unit` failed `tries` times, the last time by `fault`, and is given up."""

    def split(self, unit: UnitT) -> Sequence[UnitT]:
        """One unit a problem; nothing where `unit` is one already."""


@dataclass(eq=False)
class Replica:
    """One actor: what it works on, by Ray's reference to the result."""

    key: str
    engine: Any
    starting: Any
    """The reference of its start; None once it has come up."""
    room: int = 1
    running: dict[Any, Any] = field(default_factory=dict)
    alone: bool = False
    errors: int = 0
    """Errors that it raised since it last came to an end of anything."""

    def references(self) -> list[Any]:
        """Everything that may become ready."""
        return [self.starting] if self.starting is not None else list(self.running)

    def kill(self) -> None:
        """End its process."""
        with suppress(RayError, ValueError):
            ray.kill(self.engine)


class Replicas:
    """The actors of one engine; they stay for the stages that use the same engine."""

    def __init__(self, make: Callable[[], Any], board: Any, retries: int, in_folder: str) -> None:
        self._make, self._board, self._retries, self._cwd = make, board, retries, in_folder
        self.alive: list[Replica] = []
        self.answered = False
        """Whether any of them generated a token in this command: its server, if it has one, is there."""
        self._made = self._failed_starts = self._given_up = 0

    def staff(self, count: int) -> None:
        """Have `count` replicas, started or waiting for room, less those that were given up."""
        while len(self.alive) < max(1, count - self._given_up):
            self._made += 1
            key, engine = f"engine-{self._made}", self._make()
            start = engine.prepare.remote(key, BoardReporter(self._board), self._cwd)
            self.alive.append(Replica(key, engine, start))

    def started(self, replica: Replica, room: int) -> None:
        """`replica` has come up and takes `room` shards at a time."""
        replica.starting, replica.room, self._failed_starts = None, max(1, room), 0

    def failed_to_start(self, replica: Replica, fault: Fault, error: BaseException | None) -> None:
        """End `replica`; another takes its place, up to `retries` in a row. After that those that are up or
        still start do the work alone.

        Raises:
            DistillError: there are none: `error` itself if it is one of ours.
        """
        self.drop(replica)
        if fault.kind in BLAMELESS:
            return
        self._failed_starts += 1
        if self._failed_starts <= self._retries:
            return
        if self.alive:
            self._given_up += 1
            return
        if isinstance(error, DistillError):
            raise error
        raise ClusterError(
            f"expected an engine to start, found {self._failed_starts} in a row that did not. The last "
            f"one ({fault.kind}): {fault.reason.rstrip('.')}. See that model, memory and GPUs fit."
        ) from error

    def drop(self, replica: Replica) -> None:
        """End a replica."""
        replica.kill()
        self.alive.remove(replica)

    def release(self) -> None:
        """End them all."""
        for replica in list(self.alive):
            self.drop(replica)


class ShardRun(Generic[UnitT]):
    """One stage's units over the replicas, until every unit is done or set aside."""

    def __init__(
        self,
        replicas: Replicas,
        count: int,
        method: str,
        tries: Tries[UnitT],
        outcomes: Outcomes[UnitT],
        board: Any,
        stall_seconds: float,
        on_fault: Callable[[Fault], None],
        on_progress: OnProgress,
    ) -> None:
        self._replicas, self._count, self._method = replicas, count, method
        self._tries, self._outcomes, self._board = tries, outcomes, board
        self._stall_seconds, self._on_fault, self._on_progress = stall_seconds, on_fault, on_progress
        self._heard: dict[str, tuple[int, float]] = {}
        self._looked = self._paused_until = 0.0
        self._pauses = 0
        """Pauses since anything came through, each for a store or a server that was out of reach."""

    def run(self) -> None:
        """Raises DistillError where trying again is no use."""
        while self._tries.unfinished:
            self._replicas.staff(min(self._count, self._tries.unfinished))
            self._give_out()
            self._collect()
            if time.monotonic() - self._looked >= POLL_SECONDS:
                self._look()

    def _give_out(self) -> None:
        """Units to whoever has room, the least busy first; a suspect gets a worker of its own."""
        while True:
            free = [r for r in self._replicas.alive if self._has_room(r)]
            if not free or time.monotonic() < self._paused_until:
                return
            replica = min(free, key=lambda r: len(r.running))
            unit = self._tries.take(idle=not replica.running)
            if unit is None:
                return
            replica.alone = self._tries.is_suspect(unit)
            call = getattr(replica.engine, self._method)
            replica.running[call.remote(unit, BoardReporter(self._board))] = unit
            self._heard[unit.key] = (0, time.monotonic())

    @staticmethod
    def _has_room(replica: Replica) -> bool:
        return replica.starting is None and not replica.alone and len(replica.running) < replica.room

    def _collect(self) -> None:
        """Wait a moment for results, and take all that are there."""
        owners = {ref: replica for replica in self._replicas.alive for ref in replica.references()}
        if not owners:  # all idle, in a pause
            time.sleep(POLL_SECONDS)
            return
        ready, rest = ray.wait(list(owners), timeout=POLL_SECONDS)
        if ready and rest:
            ready += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        for reference in ready:
            replica = owners[reference]
            if reference == replica.starting:  # Ray Client answers with equal references, not the same
                self._take_start(replica, reference)
            elif reference in replica.running:
                self._take_result(replica, reference)

    def _take_start(self, replica: Replica, reference: Any) -> None:
        try:
            self._replicas.started(replica, ray.get(reference))
        except RayTaskError as error:
            if ends_the_run(error.cause):
                raise error.cause from None
            self._lose_start(replica, raised(replica.key, error), error.cause)
        except RayError as error:
            self._lose_start(replica, death(replica.key, error))

    def _lose_start(self, replica: Replica, fault: Fault, error: BaseException | None = None) -> None:
        self._on_fault(fault)
        self._replicas.failed_to_start(replica, fault, error)

    def _take_result(self, replica: Replica, reference: Any) -> None:
        try:
            result = ray.get(reference)
        except RayTaskError as error:
            if ends_the_run(error.cause) or self._never_answered(error.cause):
                raise error.cause from error
            unit = self._withdraw(replica, reference)
            fault = raised(unit.key, error)
            if fault.kind in OUTAGES:
                self._replicas.answered |= fault.kind is FaultKind.SERVER
                self._pause()
            else:
                self._doubt(replica)
            self._fail(unit, fault, error.cause)
        except RayError as error:
            self._lose(replica, partial(death, error=error))
        else:
            unit = self._withdraw(replica, reference)
            replica.errors = self._pauses = 0
            self._tries.done(unit)
            self._outcomes.done(unit, result)

    def _never_answered(self, error: BaseException) -> bool:
        """Whether this is no outage but a server of which nobody had an answer. An engine that was replaced
        during an outage had none itself, but others had."""
        return isinstance(error, NeverAnsweredError) and not self._replicas.answered

    def _withdraw(self, replica: Replica, reference: Any) -> UnitT:
        unit: UnitT = replica.running.pop(reference)
        replica.alone = False
        self._heard.pop(unit.key, None)
        return unit

    def _pause(self) -> None:
        """Give nothing out for a while: the store or server is out of reach, for all alike. What was in
        flight beside the first failure is no reason to wait longer."""
        if time.monotonic() >= self._paused_until:
            self._pauses += 1
            self._paused_until = time.monotonic() + outage_wait(self._pauses)

    def _doubt(self, replica: Replica) -> None:
        """A replica raised an error. After a second one in a row it may be the engine, so another takes its
        place, before it fails whatever it is given."""
        replica.errors += 1
        if replica.errors >= ERRORS:
            for unit in self._withdraw_all(replica):
                self._tries.returned(unit)

    def _withdraw_all(self, replica: Replica) -> list[UnitT]:
        lost = [self._withdraw(replica, reference) for reference in list(replica.running)]
        self._replicas.drop(replica)
        return lost

    def _lose(self, replica: Replica, fault_of: Callable[[str], Fault]) -> None:
        """A replica is gone: all that it worked on has failed once more, and another takes its place."""
        lost = self._withdraw_all(replica)
        for unit in lost:
            self._fail(unit, fault_of(unit.key), sure=len(lost) == 1)

    def _fail(self, unit: UnitT, fault: Fault, error: BaseException | None = None, sure: bool = True) -> None:
        self._on_fault(fault)
        if self._tries.failed(unit, fault, error, sure):
            self._outcomes.set_aside(unit, fault, self._tries.failures(unit))

    def _look(self) -> None:
        """Read the board: what to show, and who has been silent for too long."""
        self._looked = time.monotonic()
        keys = {unit.key for replica in self._replicas.alive for unit in replica.running.values()}
        starting = [replica.key for replica in self._replicas.alive if replica.starting is not None]
        found = ray.get(self._board.read.remote([*keys, *starting]))
        self._replicas.answered |= any(tokens for (_, _, tokens, _), _ in found.values())
        for key, (_, news) in found.items():
            if self._heard.get(key, (-1, 0.0))[0] != news:
                self._heard[key] = (news, self._looked)
        self._on_progress({key: found[key][0] for key in found if key in keys} | self._waiting(len(starting)))
        self._kill_stalled()

    def _waiting(self, starting: int) -> dict[str, State]:
        if not starting:
            return {}
        return {"engines": (0.0, 0.0, 0, f"{starting} of {len(self._replicas.alive)} engines not up yet")}

    def _kill_stalled(self) -> None:
        """A replica is stalled when all that it works on is silent; one that waits for room never is."""
        for replica in list(self._replicas.alive):
            keys = [u.key for u in replica.running.values()] if replica.starting is None else [replica.key]
            heard = [self._heard[key][1] for key in keys if key in self._heard]
            if heard and self._looked - max(heard) > self._stall_seconds:
                self._stall(replica)

    def _stall(self, replica: Replica) -> None:
        def fault(key: str) -> Fault:
            reason = f"no news for {self._stall_seconds:g} s (cluster.stall_seconds)"
            return Fault(key, FaultKind.STALLED, reason)

        if replica.starting is not None:
            self._lose_start(replica, fault(replica.key))
        else:
            self._lose(replica, fault)
