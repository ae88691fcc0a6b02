"""The process that candidates and referees are forked from: clean, small, warm, and outside of everything.

It starts with an empty environment and three descriptors, loads what `warm` names, leaves for namespaces of
its own where the kernel has them, and serves one request at a time over one socket:

    {"start": "calls" or "script", "limits": {...}, "scratch": path}, for a script with its streams
        -> {"pids": [...]}, our end of its channel and a pidfd of the program's process
    {"end": [pid, ...], "wait": bool}  -> {"ends": [wait status, ...]} where `wait`, nothing otherwise

A first message tells which layers are on. When the caller goes away, the zygote ends, and all its
children with it.

Between requests it prepares *spares*: a candidate and its referee, sealed by every layer and waiting for
their one program. At most MOST_SPARES pairs wait, with the limits that were last asked for twice running;
each is used once, and one that has died is replaced. Where a program's folder has to be made by the
caller (no mount namespace), and for scripts, whose streams come with them, there are none.
"""

import contextlib
import fcntl
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from checkers.sandbox import candidate, kernel, layers, namespaces, referee, seccomp
from checkers.sandbox.channel import Channel
from checkers.sandbox.limits import MIB, Limits

MOST_SPARES = 2
_MOST_STREAMS = 3
_LAST_DESCRIPTOR = 1 << 16
_LARGEST_MESSAGE = 64 * MIB
_REFEREE_MEMORY_MB = 1024
_PATIENCE = 3  # what the tests themselves may take, in times of what the program may
_OUT_OF_THE_WAY = 100
_NULL = 0  # standard input of the zygote, which cannot open /dev/null once it has left


def run(descriptor: int, without: Iterable[str]) -> None:
    """Load everything, say which layers are on, serve. The main program of its own process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    os.environ.clear()
    readable = layers.readable_folders()
    kinds = namespaces.possible(readable, without)
    zygote = Zygote(readable, "mount" in kinds, namespaces.leave(kinds, readable), tuple(without))
    kernel.forgo_privileges()
    seccomp.compiled()
    for name in [name for name in sys.modules if name.partition(".")[0] == "checkers"]:
        del sys.modules[name]  # a program may import a module of that name, and must not meet ours
    gc.collect()
    gc.freeze()  # so that the collector does not copy the shared pages in every child
    control = socket.socket(fileno=descriptor)
    zygote.examine()
    control.send(json.dumps({"kinds": kinds, "missing": zygote.missing}).encode())
    zygote.serve(control)


@dataclass(frozen=True, slots=True)
class _Team:
    """The processes that judge one program, and the caller's end of their channel."""

    pids: tuple[int, ...]  # the program's first
    channel: socket.socket
    limits: Limits


class Zygote:
    """The children of this process, and how they are made and ended.

    `missing` says which required layers cannot be had, and why; children do without those.
    """

    def __init__(
        self, readable: tuple[str, ...], mount: bool, home: int | None, without: tuple[str, ...]
    ) -> None:
        self._readable, self._mount, self._home, self._without = readable, mount, home, without
        self._children: dict[int, int] = {}  # pid to pidfd
        self._dying: dict[int, int] = {}  # pidfd to pid: killed, not yet waited for
        self._spares: list[_Team] = []
        self._last: Limits | None = None  # of the last program that was called by value
        self._usual: Limits | None = None  # those that spares are made with; None for no spares
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
        """Answer requests until the caller closes."""
        while True:
            self._until_asked(control)
            data, streams, _, _ = socket.recv_fds(control, 1 << 16, _MOST_STREAMS)
            if not data:
                break
            request = json.loads(data)
            if "end" in request:
                ends = self._end(request["end"], request["wait"])
                if request["wait"]:
                    control.send(json.dumps({"ends": ends}).encode())
            else:
                self._hand_out(control, request, streams)
            for stream in streams:
                os.close(stream)
        self._end(list(self._children), wait=True)

    def _until_asked(self, control: socket.socket) -> None:
        """Bury the dead and prepare spares until a request is there."""
        while True:
            short = self._usual is not None and len(self._spares) < MOST_SPARES
            watched: list[Any] = [control, *self._dying]
            ready = select.select(watched, [], [], 0 if short else None)[0]
            for handle in self._dying.keys() & set(ready):
                _bury(handle, self._dying.pop(handle))
            if control in ready:
                return
            if short:
                self._prepare()

    def _hand_out(self, control: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
        """Send the caller what it asked for: a spare where there is one."""
        role, limits, scratch = request["start"], Limits(**request["limits"]), request["scratch"]
        can_spare = role == "calls" and not scratch
        try:
            team = (can_spare and self._take_spare(limits)) or self._team(role, limits, scratch, streams)
        except OSError as error:  # no process or no memory to be had
            reply = {"error": f"cannot start a process for a program: {error}"}
            control.send(json.dumps(reply).encode())
            return
        with team.channel:
            handles = [team.channel.fileno(), self._children[team.pids[0]]]
            socket.send_fds(control, [json.dumps({"pids": team.pids}).encode()], handles)

    # Spares

    def _take_spare(self, limits: Limits) -> _Team | None:
        """A spare with these limits that is alive, if there is one. Limits asked for twice become usual."""
        if limits == self._last:
            self._usual = limits
        self._last = limits
        while self._spares and limits == self._usual:
            spare = self._spares.pop(0)
            handles = [self._children[pid] for pid in spare.pids]
            if spare.limits == limits and not select.select(handles, [], [], 0)[0]:
                return spare
            spare.channel.close()
            self._end(spare.pids, wait=False)
        return None

    def _prepare(self) -> None:
        if self._usual is not None:
            try:
                self._spares.append(self._team("calls", self._usual))
            except OSError:
                self._usual = None  # the machine has no room for spares now

    # Starting and ending

    def _team(self, role: str, limits: Limits, scratch: str = "", streams: Sequence[int] = ()) -> _Team:
        """Start what judges a program in this role. Raises: OSError."""
        pids: list[int] = []
        ours, theirs = socket.socketpair()
        asking, answering = socket.socketpair()
        with theirs, asking, answering:
            program = [theirs if role == "script" else answering]
            try:
                pids.append(self._fork(role, limits, [*program, *streams], scratch))
                if role == "calls":
                    pids.append(self._fork("referee", limits, [theirs, asking]))
            except OSError:
                ours.close()
                self._end(pids, wait=True)
                raise
        return _Team(tuple(pids), ours, limits)

    def _fork(
        self, role: str, limits: Limits, files: Sequence[socket.socket | int], scratch: str = ""
    ) -> int:
        """A child in this role, with these files and no others. Raises: OSError."""
        child = namespaces.fork_alone(None if role == "referee" else self._home)
        if child == 0:
            self._become(role, limits, [f if isinstance(f, int) else f.fileno() for f in files], scratch)
        try:
            self._children[child] = os.pidfd_open(child)
        except OSError:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        return child

    def _end(self, pids: Iterable[int], wait: bool) -> list[int]:
        """Kill children of ours, with all that they started; where `wait`, how each ended."""
        handles = {self._children.pop(pid): pid for pid in pids if pid in self._children}
        for pid in handles.values():
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)
        if wait:
            return [_bury(handle, pid) for handle, pid in handles.items()]
        self._dying.update(handles)
        return []

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


def _bury(handle: int, pid: int) -> int:
    """Wait for a child; its wait status."""
    os.close(handle)
    return os.waitpid(pid, 0)[1]


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
