"""What runs inside a killable worker process: read items, judge them, write verdicts.

Both directions are lines of JSON, never pickles, so that a worker that a hostile item took over can
say nothing but verdicts. A line in is one batch, `[[function, [argument, ...]], ...]`; a line out is one
item, `[retire, many, [[status, reason, compared], ...]]`. `retire` asks to be replaced.
"""

import importlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from checkers.logic import check_deduction, check_logic
from checkers.math import check_math
from checkers.steps import check_steps
from checkers.verdict import Verdict, undecided

FUNCTIONS: dict[str, Callable[..., Verdict | list[Verdict]]] = {
    "math": check_math,
    "steps": check_steps,
    "logic": check_logic,
    "deduction": check_deduction,
}
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def limit_process(memory_mb: int) -> None:
    """Bound the memory of this process, forbid core files, and die with the fork server (Linux)."""
    for what, amount in ((resource.RLIMIT_AS, memory_mb << 20), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(what)
        within = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(what, (within, within))
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def serve(connection: socket.socket) -> None:
    """Judge batches until the other end closes."""
    with connection.makefile("rb") as lines:
        for line in lines:
            for function, arguments in json.loads(line):
                reply = judge(function, arguments)
                connection.sendall(json.dumps(reply).encode() + b"\n")
                if reply[0]:
                    return


def judge(function: str, arguments: list[Any]) -> tuple[bool, bool, list[Any]]:
    """The reply for one item: whatever it raises is undecided, and no memory means: replace me."""
    retire = False
    try:
        result = resolve(function)(*arguments)
    except MemoryError:
        result, retire = undecided("out of memory"), True
    except RecursionError:
        result = undecided("nested too deeply")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: an item must not end the worker
        result = undecided(f"the checker failed: {type(error).__name__}: {str(error)[:200]}")
    many = isinstance(result, list)
    verdicts = result if isinstance(result, list) else [result]
    return retire, many, [[verdict.status.value, verdict.reason, verdict.compared] for verdict in verdicts]


def resolve(function: str) -> Callable[..., Verdict | list[Verdict]]:
    """`math`, `steps`, or `package.module:function` for a checker of the user's own. Raises: ValueError."""
    if function in FUNCTIONS:
        return FUNCTIONS[function]
    module, _, name = function.partition(":")
    if not name:
        raise ValueError(f"expected one of {sorted(FUNCTIONS)} or 'module:function', found {function!r}")
    found: Callable[..., Verdict | list[Verdict]] = getattr(importlib.import_module(module), name)
    return found


def main(connection: socket.socket, memory_mb: int) -> None:
    """The whole life of a worker, from its fork to its exit."""
    code = 1
    try:
        limit_process(memory_mb)
        serve(connection)
        code = 0
    except (BrokenPipeError, ConnectionResetError):
        pass  # the pool has gone; nobody waits for this verdict
    finally:
        os._exit(code)
