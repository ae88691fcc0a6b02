"""How often work is tried: again, then problem by problem, then not at all. No I/O, no Ray.

A unit of work whose worker died is a *suspect*: it is tried again alone on its worker, so that the next
death is surely its own. One that failed more than `retries` times is split, and a piece that fails as often
is set aside. So one problem that kills its worker costs a bounded number of workers, and no other problem.
What is `BLAMELESS` counts apart: it splits nothing and sets nothing aside.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from distill.errors import ClusterError, DistillError

ALWAYS_ALLOWED = 8
"""Problems that may be set aside however few a stage has; also the failures of single problems, or the
units that raised an error, with no success at all, after which it is the engine that is at fault."""


class FaultKind(StrEnum):
    """What befell a unit of work or an engine."""

    WORKER_DIED = "worker died"
    OUT_OF_MEMORY = "out of memory"
    NODE_DIED = "node died"
    UNREACHABLE = "worker out of reach"
    STALLED = "stalled"
    STORE = "store out of reach"
    SERVER = "server out of reach"
    ERROR = "error"


OUTAGES = (FaultKind.STORE, FaultKind.SERVER)
"""What all units meet alike, and what may pass: nothing is given out for a while."""
BLAMELESS = (FaultKind.NODE_DIED, FaultKind.UNREACHABLE, *OUTAGES)
"""What says nothing against the work."""
BLAMELESS_ALLOWED = 30
"""Blameless failures of one unit, after which the cluster is not fit for it."""
SERVER_OUTAGES_ALLOWED = 120
"""The same for a server out of reach: three hours and more, as each takes the client's tries (at least 35 s)
and a pause (a minute)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: of which unit (or engine), of what kind, and what is known (exit reason, traceback)."""

    unit: str
    kind: FaultKind
    reason: str


class Unit(Protocol):
    """A shard, or one problem of it; `key` names it."""

    @property
    def key(self) -> str: ...


UnitT = TypeVar("UnitT", bound=Unit)


class Tries(Generic[UnitT]):
    """The units that wait, and how often each has failed.

    `split` gives the pieces of a unit, nothing where it is one problem already. `limit` is how many pieces
    may be set aside. `proven` says that others of its kind have come through before.
    """

    def __init__(
        self,
        units: Sequence[UnitT],
        retries: int,
        split: Callable[[UnitT], Sequence[UnitT]],
        limit: int,
        proven: bool = False,
    ) -> None:
        self._fresh, self._suspects = deque(units), deque[UnitT]()
        self._retries, self._split, self._limit = retries, split, limit
        self._failures: Counter[str] = Counter()
        self._blameless: Counter[tuple[str, FaultKind]] = Counter()
        self._through = 0
        self._through_at_outage: dict[str, int] = {}
        self._pieces: set[str] = set()
        self._suspected: set[str] = set()
        self._raised: set[str] = set()
        self._in_flight = self._set_aside = self._failed_pieces = 0
        self._any_success = proven

    @property
    def unfinished(self) -> int:
        """Units that wait or are worked on."""
        return len(self._fresh) + len(self._suspects) + self._in_flight

    def take(self, idle: bool) -> UnitT | None:
        """The next unit for a worker; a suspect only for an `idle` one, and after all that are none."""
        queue = self._fresh or (self._suspects if idle else None)
        if not queue:
            return None
        self._in_flight += 1
        return queue.popleft()

    def is_suspect(self, unit: UnitT) -> bool:
        """Whether nothing else may run beside this unit."""
        return unit.key in self._suspected

    def done(self, unit: UnitT) -> None:
        """`unit` came to its end."""
        self._in_flight -= 1
        self._through += 1
        self._any_success = True
        self._suspected.discard(unit.key)

    def returned(self, unit: UnitT) -> None:
        """`unit` was taken from its worker for no fault of its own."""
        self._in_flight -= 1
        (self._suspects if self.is_suspect(unit) else self._fresh).appendleft(unit)

    def failed(
        self, unit: UnitT, fault: Fault, error: BaseException | None = None, sure: bool = True
    ) -> bool:
        """Whether `unit` is set aside by this failure; otherwise it waits to be tried again, or its pieces.
        Not `sure`: others were on the worker that died, so that this one becomes a suspect and no more.

        Raises:
            DistillError: so much fails that it is not the problems: `error` itself if it is one of ours.
        """
        self._in_flight -= 1
        if fault.kind in BLAMELESS and not self._answers_others(unit, fault):
            self._stop_if_blameless_too_often(unit, fault, error)
            self._put_back(unit, fault)
            return False
        if not sure:
            self._put_back(unit, fault)
            return False
        self._failures[unit.key] += 1
        self._failed_pieces += unit.key in self._pieces
        if fault.kind is FaultKind.ERROR:
            self._raised.add(unit.key)
        if self._failures[unit.key] <= self._retries:
            self._put_back(unit, fault)
            self._stop_if_nothing_works(fault, error)
            return False
        if pieces := self._split(unit):
            self._pieces.update(piece.key for piece in pieces)
            self._suspected.update(piece.key for piece in pieces)
            self._suspects.extend(pieces)
            return False
        self._set_aside += 1
        self._stop_if_nothing_works(fault, error)
        self._stop_if_too_many(fault)
        return True

    def failures(self, unit: UnitT) -> int:
        """How often `unit` has failed, blameless failures apart."""
        return self._failures[unit.key]

    def _answers_others(self, unit: UnitT, fault: Fault) -> bool:
        """Whether a server that is out of reach for `unit` answered others since it last was: a request that
        breaks the connection, or takes longer than a gateway waits, is the unit's own."""
        if fault.kind is not FaultKind.SERVER:
            return False
        before = self._through_at_outage.get(unit.key, self._through)
        self._through_at_outage[unit.key] = self._through
        return self._through > before

    def _put_back(self, unit: UnitT, fault: Fault) -> None:
        """What is blameless says nothing against the unit: it goes first again, beside others."""
        if fault.kind in BLAMELESS and unit.key not in self._suspected:
            self._fresh.appendleft(unit)
            return
        self._suspected.add(unit.key)
        self._suspects.append(unit)

    def _stop_if_nothing_works(self, fault: Fault, error: BaseException | None) -> None:
        if self._any_success:
            return
        if self.unfinished and max(self._failed_pieces, len(self._raised)) < ALWAYS_ALLOWED:
            return
        if isinstance(error, DistillError):
            raise error
        raise ClusterError(
            f"expected at least one problem to come through, found that every one failed that was tried. The "
            f"last one ({fault.unit}, {fault.kind}): {fault.reason.rstrip('.')}. Mend the cause and give the "
            "same command again."
        ) from error

    def _stop_if_blameless_too_often(self, unit: UnitT, fault: Fault, error: BaseException | None) -> None:
        self._blameless[unit.key, fault.kind] += 1
        allowed = SERVER_OUTAGES_ALLOWED if fault.kind is FaultKind.SERVER else BLAMELESS_ALLOWED
        if self._blameless[unit.key, fault.kind] > allowed:
            if isinstance(error, DistillError):
                raise error
            raise ClusterError(
                f"expected {unit.key} to come through, found that it was lost {allowed + 1} times "
                f"through no fault of its own. The last time ({fault.kind}): {fault.reason.rstrip('.')}. "
                "What is finished is kept; use nodes that stay longer, or a smaller problems.shard_size, and "
                "give the same command again."
            ) from error

    def _stop_if_too_many(self, fault: Fault) -> None:
        if self._set_aside > self._limit:
            raise ClusterError(
                f"expected at most {self._limit:,} problems to fail again and again "
                f"(cluster.set_aside_fraction), found one more. The last one ({fault.unit}, {fault.kind}): "
                f"{fault.reason.rstrip('.')}. What is finished is kept; mend the cause, or raise the "
                "fraction, and give the same command again."
            )


def set_aside_limit(problems: int, fraction: float) -> int:
    """Problems of `problems` that may be set aside before a run ends with an error."""
    return max(ALWAYS_ALLOWED, math.ceil(problems * fraction))
