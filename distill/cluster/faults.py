"""What Ray's errors mean to us: which are a death, of what, and which end the run at once."""

import errno
import re

from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from distill.cluster.tries import Fault, FaultKind
from distill.errors import (
    CheckerError,
    DistillError,
    GeneratorError,
    RefusedError,
    StoreError,
    UnfaithfulPrefixError,
    UnfitSettingError,
    UnreachableError,
)

LONGEST_REASON = 4000
"""Characters of a reason that are kept: a traceback's end is what tells."""
OUTAGE_WAIT_SECONDS, LONGEST_OUTAGE_WAIT_SECONDS = 5.0, 60.0


def death(unit: str, error: RayError) -> Fault:
    """The fault behind Ray's word that a worker is gone."""
    text = str(error)
    kind = FaultKind.UNREACHABLE if isinstance(error, ActorUnavailableError) else _kind(text)
    return Fault(unit, kind, _shortened(_advice_left_out(text)))


def raised(unit: str, error: RayTaskError) -> Fault:
    """The fault behind an exception in a worker, with its traceback; our own errors need none."""
    cause = error.cause
    text = f"{type(cause).__name__}: {cause}" if isinstance(cause, DistillError) else _plain(str(error))
    outages = {StoreError: FaultKind.STORE, UnreachableError: FaultKind.SERVER}
    kind = next((kind for of, kind in outages.items() if isinstance(cause, of)), FaultKind.ERROR)
    return Fault(unit, kind, _shortened(text))


def outage_wait(times: int) -> float:
    """Seconds to leave a store or a server in peace after it failed `times` times (from 1) in a row."""
    return float(min(OUTAGE_WAIT_SECONDS * 2 ** min(times - 1, 30), LONGEST_OUTAGE_WAIT_SECONDS))


def ends_the_run(error: BaseException) -> bool:
    """Whether an exception will meet every problem alike, so that trying again is no use: a wrong setting, a
    file that is not what it should be, a full disk, a server that refuses us. An engine or a checker that
    fails may work elsewhere, and a store or a server that is out of reach may come back."""
    if isinstance(error, UnfaithfulPrefixError | RefusedError | UnfitSettingError):
        return True
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    passing = GeneratorError | CheckerError | StoreError
    return isinstance(error, DistillError) and not isinstance(error, passing)


def _kind(text: str) -> FaultKind:
    lower = text.lower()
    if "low on memory" in lower:
        return FaultKind.OUT_OF_MEMORY
    if "node has died" in lower or "node was" in lower or "node died" in lower:
        return FaultKind.NODE_DIED
    return FaultKind.WORKER_DIED


def _advice_left_out(text: str) -> str:
    """Ray's words without its list of potential causes, which names every one there is."""
    for advice in ("There are some potential root causes", "Some common causes include"):
        text = text.split(advice)[0]
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Without the colours that Ray puts into a traceback."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_REASON else "... " + text[-LONGEST_REASON:]
