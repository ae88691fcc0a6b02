"""A killable worker process: the pool's handle of it, and what runs inside (read items, write verdicts).

Both directions are lines of JSON, never pickles, so that a worker that a hostile item took over can
say nothing but verdicts. A line in is one batch, `[[function, [argument, ...]], ...]`; a line out is one
item, `[retire, many, [[status, reason, compared], ...]]`. `retire` asks to be replaced. Before the first
item of a checker of the user's own comes `{"load": "module:function", "path": [...]}`, which is answered
with why it cannot be loaded (`""`: it is).
"""

import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from checkers import forkserver, plugins
from checkers.logic import check_deduction, check_logic
from checkers.math import check_math
from checkers.steps import check_steps
from checkers.verdict import Status, Verdict, undecided

Result = Verdict | list[Verdict]
FUNCTIONS: dict[str, Callable[..., Result]] = {
    "math": check_math,
    "steps": check_steps,
    "logic": check_logic,
    "deduction": check_deduction,
}
_LOAD_SECONDS = 60.0  # to import a checker of the user's own, once a worker
_LARGEST_REPLY = 1 << 26  # bytes
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_LONGEST_TEXT = 100_000  # characters of a reason, and of each side compared
_LONGEST_FAULT = 300

Reply = tuple[bool, bool, list[Any]]


class NotLoadedError(Exception):
    """A checker of the user's own that a worker cannot import."""


class WorkerDiedError(Exception):
    """The worker is gone or must go. `reason` blames the item it was on, None blames nobody."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


class Worker:
    """One worker process and our end of its socket. Used by one thread; `kill` by any."""

    def __init__(self, server: forkserver.ForkServer, memory_mb: int) -> None:
        self._server = server
        self.pid, self._socket = server.spawn(memory_mb)
        self._buffer = bytearray()
        self._loaded = set(FUNCTIONS)
        self.items = 0

    def load(self, function: str) -> None:
        """Have the worker import a checker of the user's own. Raises: NotLoadedError, WorkerDiedError."""
        if function in self._loaded:
            return
        self._send(json.dumps({"load": function, "path": forkserver.search_path()}), _LOAD_SECONDS)
        try:
            fault = json.loads(self._line(_LOAD_SECONDS, "the import did not end"))
        except WorkerDiedError as death:
            fault = death.reason
        if fault:
            raise NotLoadedError(f"the checker {function!r} cannot be loaded in a worker: {fault}")
        self._loaded.add(function)

    def judge(self, items: Sequence[str], deadline_seconds: float) -> Iterator[Result]:
        """The results of `items` (JSON), each within the deadline. Raises: WorkerDiedError."""
        self._send(f"[{','.join(items)}]", deadline_seconds)
        for _ in range(len(items)):
            retire, result = _decode(self._line(deadline_seconds, "no verdict"))
            self.items += 1
            yield result
            if retire:
                raise WorkerDiedError(None)

    def _send(self, line: str, deadline_seconds: float) -> None:
        try:
            self._socket.settimeout(deadline_seconds)
            self._socket.sendall(line.encode() + b"\n")
        except TimeoutError:
            raise WorkerDiedError(f"the worker read nothing for {deadline_seconds:g} s") from None
        except OSError:
            raise WorkerDiedError(None if self.items else "the worker process died at its start") from None

    def _line(self, deadline_seconds: float, missing: str) -> bytes:
        end, searched = time.monotonic() + deadline_seconds, 0
        while (cut := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > _LARGEST_REPLY:
                raise WorkerDiedError(f"a reply of more than {_LARGEST_REPLY >> 20} MB")
            try:
                self._socket.settimeout(max(end - time.monotonic(), 1e-3))
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise WorkerDiedError(f"{missing} within {deadline_seconds:g} s") from None
            except OSError:
                data = b""
            if not data:
                raise WorkerDiedError("the worker process died of it")
            self._buffer += data
        line = bytes(self._buffer[:cut])
        del self._buffer[: cut + 1]
        return line

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(forkserver.ForkServerError):  # its workers died with it
            self._server.kill(self.pid)

    def close(self) -> None:
        """End the process and release the socket."""
        self.kill()
        self._socket.close()


def _decode(line: bytes) -> tuple[bool, Result]:
    """Raises: WorkerDiedError for what no worker of ours would say."""
    try:
        retire, many, rows = json.loads(line)
        verdicts = [Verdict(Status(row[0]), row[1], tuple(row[2]) if row[2] else None) for row in rows]
        return retire, verdicts if many else verdicts[0]
    except (ValueError, TypeError, LookupError):
        raise WorkerDiedError("the worker process said something that is no verdict") from None


# The worker's side


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
    functions = dict(FUNCTIONS)
    with connection.makefile("rb") as lines:
        for line in lines:
            request = json.loads(line)
            if isinstance(request, dict):
                _say(connection, load(functions, request["load"], request["path"]))
                continue
            for function, arguments in request:
                reply = judge(functions[function], arguments)
                _say(connection, reply)
                if reply[0]:
                    return


def _say(connection: socket.socket, what: object) -> None:
    connection.sendall(json.dumps(what).encode() + b"\n")


def load(functions: dict[str, Callable[..., Any]], target: str, search_path: list[str]) -> str:
    """Add a checker of the user's own to `functions`; why that failed, else ''."""
    try:
        functions[target] = plugins.load(target, search_path)
    except BaseException as error:  # whatever a module raises while it is imported
        return f"{type(error).__name__}: {str(error)[:_LONGEST_FAULT]}"
    return ""


def judge(function: Callable[..., Any], arguments: list[Any]) -> Reply:
    """The reply for one item: whatever it raises is undecided, and no memory means: replace me."""
    retire = False
    try:
        return _reply(function(*arguments))
    except MemoryError:
        result, retire = undecided("out of memory"), True
    except RecursionError:
        result = undecided("nested too deeply")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: an item must not end the worker
        result = undecided(f"the checker failed: {type(error).__name__}: {str(error)[:_LONGEST_FAULT]}")
    return retire, *_reply(result)[1:]


def _reply(result: Any) -> Reply:
    """What a checker returned, as plain data."""
    verdicts = result if isinstance(result, list) else [result]
    for verdict in verdicts:
        if not isinstance(verdict, Verdict):
            fault = f"the checker returned {type(verdict).__name__}, expected checkers.Verdict"
            return False, False, [_row(undecided(fault))]
    return False, isinstance(result, list), [_row(verdict) for verdict in verdicts]


def _row(verdict: Verdict) -> list[Any]:
    """Raises: ValueError or TypeError for a verdict whose parts are not what a verdict has."""
    compared = None
    if verdict.compared is not None:
        stated, wanted = verdict.compared
        compared = [str(stated)[:_LONGEST_TEXT], str(wanted)[:_LONGEST_TEXT]]
    return [Status(verdict.status).value, str(verdict.reason)[:_LONGEST_TEXT], compared]


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
