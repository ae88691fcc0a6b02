"""The process that candidates and referees are forked from: clean, small, warm, and outside of everything.

It starts with an empty environment and three descriptors, loads what programs usually import, leaves for
namespaces of its own where the kernel has them, and serves one request at a time over one socket:

    {"start": [role, ...], "limits": {...}, "scratch": path}, with the descriptors of each role
        -> {"pids": [...]} and a pidfd for each
    {"end": [pid, ...], "wait": bool}  -> {"ends": [wait status, ...]}, killed; and dead where `wait`

A first message tells which layers are on. When the caller goes away, the zygote ends, and all its
children with it.
"""

import contextlib
import fcntl
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
from collections.abc import Iterable
from typing import Any

from checkers.sandbox import candidate, kernel, layers, namespaces, referee, seccomp
from checkers.sandbox.channel import Channel
from checkers.sandbox.limits import MIB, Limits

# How many descriptors each role is given; the first is its channel.
ROLES = {"referee": 2, "calls": 1, "script": 4}
MOST_DESCRIPTORS = 8
_LAST_DESCRIPTOR = 1 << 16
_LARGEST_MESSAGE = 64 * MIB
_REFEREE_MEMORY_MB = 1024
_PATIENCE = 3  # what the tests themselves may take, in times of what the program may
_OUT_OF_THE_WAY = 100
_BURY_SECONDS, _MOST_DYING = 0.002, 16
_NULL = 0  # standard input of the zygote, which cannot open /dev/null once it has left
WARM = (
    *("abc", "argparse", "array", "ast", "asyncio", "base64", "binascii", "bisect", "bz2", "calendar"),
    *("cmath", "collections", "contextlib", "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal"),
    *("difflib", "enum", "fractions", "functools", "hashlib", "heapq", "inspect", "io", "itertools", "json"),
    *("keyword", "locale", "logging", "lzma", "math", "numbers", "operator", "pprint", "queue", "random"),
    *("re", "secrets", "statistics", "string", "struct", "sys", "tempfile", "textwrap", "threading", "time"),
    *("traceback", "types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib"),
)


def run(descriptor: int, without: Iterable[str]) -> None:
    """Load everything, say which layers are on, serve. The main program of its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    os.environ.clear()
    for name in WARM:
        importlib.import_module(name)
    readable = layers.readable_folders()
    kinds = namespaces.possible(readable, without)
    zygote = Zygote(readable, "mount" in kinds, namespaces.leave(kinds, readable), tuple(without))
    kernel.forgo_privileges()
    seccomp.compiled()
    gc.collect()
    gc.freeze()  # so that the collector does not copy the shared pages in every child
    control = socket.socket(fileno=descriptor)
    zygote.examine()
    control.sendall(json.dumps({"kinds": kinds, "missing": zygote.missing}).encode() + b"\n")
    zygote.serve(control)


class Zygote:
    """The children of this process, and how they are made and ended.

    `missing` says which required layers cannot be had, and why; children do without those.
    """

    def __init__(
        self, readable: tuple[str, ...], mount: bool, home: int | None, without: tuple[str, ...]
    ) -> None:
        self._readable, self._mount, self._home, self._without = readable, mount, home, without
        self._children: set[int] = set()
        self._dying: set[int] = set()  # killed, not yet waited for
        self.missing: dict[str, str] = {}

    def examine(self) -> None:
        """Find out, in a child, which layers cannot be had or do not bite."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            if (child := namespaces.fork_alone(self._home)) == 0:
                with contextlib.suppress(Exception):
                    faults = self._seal(Limits(), "")
                    theirs.sendall(json.dumps(layers.bites() | faults).encode())
                os._exit(0)
            theirs.close()
            os.waitpid(child, 0)
            died = dict.fromkeys(layers.REQUIRED, "the process that tried it died")
            self.missing = json.loads(ours.recv(1 << 16) or json.dumps(died))

    def serve(self, control: socket.socket) -> None:
        """Answer requests until the caller closes; bury the dead in between."""
        while True:
            while self._dying and not select.select([control], [], [], _BURY_SECONDS)[0]:
                self._bury()
            data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, MOST_DESCRIPTORS)
            if not data:
                break
            request = json.loads(data)
            reply, handles = self._answer(request, descriptors)
            socket.send_fds(control, [json.dumps(reply).encode() + b"\n"], handles)
            for descriptor in (*descriptors, *handles):
                os.close(descriptor)
        self._end({"end": list(self._children), "wait": True})

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        """A reply and the descriptors that go with it."""
        if "end" in request:
            return self._end(request), []
        pids: list[int] = []
        try:
            self._start(request, descriptors, pids)
            return {"pids": pids}, [os.pidfd_open(pid) for pid in pids]
        except OSError as error:  # no process or no memory to be had
            self._end({"end": pids, "wait": True})
            return {"error": f"cannot start a process for a program: {error}"}, []

    def _start(self, request: dict[str, Any], descriptors: list[int], pids: list[int]) -> None:
        limits = Limits(**request["limits"])
        for role in request["start"]:
            own, descriptors = descriptors[: ROLES[role]], descriptors[ROLES[role] :]
            if (child := namespaces.fork_alone(None if role == "referee" else self._home)) == 0:
                self._become(role, limits, own, request["scratch"])
            self._children.add(child)
            pids.append(child)

    def _end(self, request: dict[str, Any]) -> dict[str, Any]:
        """Kill children of ours, with all that they started; wait for them where asked to."""
        pids = [pid for pid in request["end"] if pid in self._children]
        for pid in pids:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)
        self._children.difference_update(pids)
        if request["wait"]:
            return {"ends": [os.waitpid(pid, 0)[1] for pid in pids]}
        self._dying.update(pids)
        if len(self._dying) > _MOST_DYING:
            self._bury()
        return {"ends": []}

    def _bury(self) -> None:
        """Wait for those of the killed children that are dead by now."""
        self._dying -= {pid for pid in self._dying if os.waitpid(pid, os.WNOHANG)[0]}

    # In a child

    def _become(self, role: str, limits: Limits, descriptors: list[int], scratch: str) -> None:
        """The rest of a child's life. Never returns."""
        try:
            channels = _take(descriptors, role)
            random.seed(0)  # the same program meets the same chances in every run
            if role == "referee":
                self._become_referee(limits, channels)
            else:
                self._become_candidate(role, limits, channels[0], scratch)
        finally:
            os._exit(0)

    def _become_candidate(self, role: str, limits: Limits, channel: Channel, scratch: str) -> None:
        try:
            faults = self._seal(limits, scratch)
        except OSError as error:
            faults = {"view": str(error)}
        if unexpected := {name: why for name, why in faults.items() if name not in self.missing}:
            channel.send(["fault", f"layers failed: {unexpected}"])
            return
        channel.send(["ready"])
        candidate.main(channel, role)

    def _become_referee(self, limits: Limits, channels: list[Channel]) -> None:
        own = Limits(seconds=_PATIENCE * limits.seconds, memory_mb=max(limits.memory_mb, _REFEREE_MEMORY_MB))
        layers.die_with_parent()
        layers.enter(layers.View(self._readable), own, self._without)
        try:
            referee.main(*channels)
        except Exception as error:
            channels[0].send({"fault": f"the process of the tests failed: {type(error).__name__}: {error}"})

    def _seal(self, limits: Limits, scratch: str) -> dict[str, str]:
        """Put every layer around this process; which of the required ones failed, and why."""
        os.setsid()
        layers.die_with_parent()
        if self._mount:
            namespaces.mount_scratch(limits.scratch_mb * MIB)
            scratch = namespaces.SCRATCH
        os.chdir(scratch or "/")
        return layers.enter(layers.View(self._readable, scratch), limits, self._without)


def _take(descriptors: list[int], role: str) -> list[Channel]:
    """Keep a role's descriptors and nothing else: standard streams at 0 to 2, channels from 3 on."""
    channels = descriptors if role == "referee" else descriptors[:1]
    streams = descriptors[1:] if role == "script" else []
    for target, source in enumerate(streams or [_NULL] * 3):
        os.dup2(source, target)
    high = [fcntl.fcntl(channel, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY) for channel in channels]
    for target, source in enumerate(high, 3):
        os.dup2(source, target, inheritable=False)
    os.closerange(3 + len(channels), _LAST_DESCRIPTOR)
    return [Channel(socket.socket(fileno=3 + i), _LARGEST_MESSAGE) for i in range(len(channels))]
