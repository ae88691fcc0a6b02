"""The caller's side: start a zygote once, run programs in it, keep the clock, kill.

    with Sandbox() as sandbox:                        # or shared.get(), one for this process
        reply = sandbox.judge({"program": ..., "tests": [...], ...}, Limits())
        run = sandbox.run_script("print(input())", "hello", Limits())

Any number of threads may use one sandbox. No signals are used and nothing of the caller is forked.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from checkers.per_process import PerProcess
from checkers.sandbox import kernel
from checkers.sandbox.candidate import READY
from checkers.sandbox.channel import Channel, ChannelClosedError, ChannelGarbageError
from checkers.sandbox.layers import OPTIONAL, REQUIRED, Layer
from checkers.sandbox.limits import MIB, Limits
from checkers.sandbox.watch import Watch

_START_SECONDS, _REQUEST_SECONDS, _GRACE_SECONDS = 60.0, 30.0, 5.0
_PATIENCE = 3  # the tests may take this many times what the program may, before they count as hung
_SLICE_SECONDS = 0.05
_LARGEST_REPLY = 64 * MIB
_MOST_HANDLES = 2
_BUSY = "the machine was too busy: the program waited for a processor most of its time"
_BOOT = """
import json, sys, types
folder, without = json.loads(sys.argv[2])
package = types.ModuleType("checkers")
package.__path__ = [folder]
sys.modules["checkers"] = package
from checkers.sandbox import warm
warm.load()
from checkers.sandbox import zygote
zygote.run(int(sys.argv[1]), without)
"""


class SandboxError(RuntimeError):
    """The sandbox cannot be had on this machine, or not as safe as was demanded.

        issubclass(SandboxError, RuntimeError)  # True

    The message says which layer is missing; `sandbox="weak"` accepts that by name.
    """


class SandboxFaultError(Exception):
    """The sandbox, or the tests, failed at one program, which is therefore undecided."""


class ZygoteDiedError(SandboxFaultError):
    """The zygote is gone; a new one may do."""


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """How a program that reads standard input ended.

    `fault` says what the program did wrong, "" for nothing: ran too long, raised, crashed.
    """

    output: bytes
    fault: str


class Sandbox:
    """A running zygote. `without` names layers to treat as missing, for tests."""

    def __init__(self, without: Iterable[str] = ()) -> None:
        try:
            kernel.machine_index()
        except OSError as error:
            raise SandboxError(str(error)) from None
        self._lock = threading.Lock()
        self.owner = os.getpid()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _start_zygote(theirs, list(without))
        try:
            self._socket.settimeout(_START_SECONDS)
            hello, _ = self._receive()
        except SandboxFaultError as error:
            self.close()
            raise SandboxError(f"the sandbox cannot be started: {error}") from None
        self._socket.settimeout(_REQUEST_SECONDS)
        self.kinds: list[str] = hello["kinds"]
        self.missing: dict[str, str] = hello["missing"]

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def close(self) -> None:
        """End the zygote and all its children."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    def layers(self) -> list[Layer]:
        """Every layer and whether it is on; the required ones were tried from inside."""
        required = [Layer(n, True, n not in self.missing, self.missing.get(n, "bites")) for n in REQUIRED]
        return required + [
            Layer(f"{n} namespace", False, n in self.kinds, "own" if n in self.kinds else "not allowed here")
            for n in OPTIONAL
        ]

    def demand(self) -> None:
        """Raises: SandboxError when a required layer is missing."""
        if self.missing:
            what = "; ".join(f"{name} ({why})" for name, why in self.missing.items())
            raise SandboxError(
                f"the sandbox lacks a required layer on this machine: {what}. Run on Linux 5.13 or later "
                "with Landlock and seccomp (`distill doctor` lists the layers), or say sandbox: weak, for "
                "programs that you trust"
            )

    def judge(self, job: dict[str, Any], limits: Limits) -> dict[str, Any]:
        """The referee's reply to a job (see `referee`), or `{"stopped": why}` for a program that was killed.

        Raises: SandboxFaultError.
        """
        deadline = time.monotonic() + _PATIENCE * limits.seconds + _GRACE_SECONDS
        with self._running("calls", limits) as (channel, watch, _), _faults("the process of the tests"):
            reply = _ask_referee(channel, job, limits, watch, deadline)
        if "fault" in reply:
            raise SandboxFaultError(reply["fault"])
        return reply

    def run_script(self, program: str, given: str, limits: Limits) -> ScriptRun:
        """Run a program on its standard input. Raises: SandboxFaultError."""
        with _files(given) as files:
            with self._running("script", limits, files) as (channel, watch, ends):
                with _faults("the program's process"):
                    if (ready := channel.receive(time.monotonic() + _START_SECONDS)) != READY:
                        raise SandboxFaultError(str(ready))
                fault = _follow(channel, program, watch, limits)
            size = os.fstat(files[1]).st_size
            if size > limits.output_mb * MIB:
                return ScriptRun(b"", f"wrote more than {limits.output_mb} MB")
            return ScriptRun(os.pread(files[1], size, 0), _ending(ends[0]) if fault is None else fault)

    # The zygote's protocol

    @contextlib.contextmanager
    def _running(
        self, role: str, limits: Limits, streams: Sequence[int] = ()
    ) -> Iterator[tuple[Channel, Watch, list[int]]]:
        """Start what judges one program and end it all, whatever happens.

        Yields our channel, a watch over the program and, filled after the block for scripts, the wait
        status of its process.
        """
        ends: list[int] = []
        with contextlib.ExitStack() as stack:
            scratch = "" if "mount" in self.kinds else stack.enter_context(_scratch_folder())
            request = {"start": role, "limits": asdict(limits), "scratch": scratch}
            reply, (connection, program) = self._request(request, streams)
            ours = stack.enter_context(socket.socket(fileno=connection))
            wait = bool(scratch) or role == "script"
            try:
                yield Channel(ours, _LARGEST_REPLY), Watch(program, limits, scratch), ends
            except SandboxFaultError:
                wait = True  # no answer says that the zygote died, and all that it started with it
                raise
            finally:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(program, signal.SIGKILL)  # it runs no longer than our block
                os.close(program)
                ends += self._end(reply["pids"], wait)

    def _end(self, pids: list[int], wait: bool) -> list[int]:
        """Have processes killed and buried; where `wait`, how each ended, else it happens behind our back."""
        request = {"end": pids, "wait": wait}
        if wait:
            ends: list[int] = self._request(request)[0]["ends"]
            return ends
        with self._lock:
            self._send(request)
        return []

    def _request(
        self, request: dict[str, Any], files: Sequence[int] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            try:
                self._send(request, files)
                reply, handles = self._receive()
            except SandboxFaultError:
                raise
            except BaseException:  # interrupted: whatever comes now would be taken for another's reply
                self._socket.close()
                raise
        if "error" in reply:
            raise SandboxFaultError(reply["error"])
        return reply, handles

    def _send(self, request: dict[str, Any], files: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._socket, [json.dumps(request).encode()], files)
        except OSError as error:
            raise ZygoteDiedError(f"the sandbox's zygote has died ({error})") from None

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        try:
            flags = socket.MSG_CMSG_CLOEXEC
            line, handles, _, _ = socket.recv_fds(self._socket, 1 << 16, _MOST_HANDLES, flags)
        except OSError as error:
            raise ZygoteDiedError(f"no answer from the sandbox's zygote ({error})") from None
        if not line:
            raise ZygoteDiedError(f"the sandbox's zygote ended: {self._last_words()}")
        return json.loads(line), handles

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired, ValueError):
            _, stderr = self._process.communicate(timeout=1)
            return stderr.decode(errors="replace")[-500:].strip() or f"exit code {self._process.returncode}"
        return "no message"


def _start_zygote(theirs: socket.socket, without: list[str]) -> "subprocess.Popen[bytes]":
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    settings = json.dumps([folder, without])
    # -S and -P keep what is installed, and the current folder, off the import path; a fixed hash seed
    # orders sets alike in every run; one arena keeps threads from reserving memory that counts; symbols
    # are resolved at once, not in each child
    command = [sys.executable, "-s", "-S", "-P", "-B", "-c", _BOOT, str(theirs.fileno()), settings]
    environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1", "LD_BIND_NOW": "1"}
    if "LD_LIBRARY_PATH" in os.environ:  # some interpreters do not start without
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, start_new_session=True, env=environment, cwd="/",
    )  # fmt: skip


def _scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="checkers-", ignore_cleanup_errors=True)


@contextlib.contextmanager
def _files(given: str) -> Iterator[list[int]]:
    """Standard input, output and error as files in memory, the first holding `given`."""
    with contextlib.ExitStack() as stack:
        files = []
        for name in ("stdin", "stdout", "stderr"):
            files.append(os.memfd_create(name))
            stack.callback(os.close, files[-1])
        with open(os.dup(files[0]), "w", encoding="utf-8", errors="surrogatepass", newline="") as file:
            file.write(given)
        os.lseek(files[0], 0, os.SEEK_SET)
        yield files


@contextlib.contextmanager
def _faults(whose: str) -> Iterator[None]:
    """What goes wrong in the block is the sandbox's fault, or the tests', and not the program's."""
    try:
        yield
    except TimeoutError:
        raise SandboxFaultError(f"{whose} took too long") from None
    except (ChannelClosedError, ChannelGarbageError) as error:
        raise SandboxFaultError(f"{whose} ended: {error}") from None


def _ask_referee(
    channel: Channel, job: dict[str, Any], limits: Limits, watch: Watch, deadline: float
) -> dict[str, Any]:
    channel.send({**job, "seconds": limits.seconds, "largest": limits.output_mb * MIB}, deadline)
    if stopped := _wait(channel, watch, deadline):
        return {"stopped": stopped}
    reply: dict[str, Any] = channel.receive(deadline)
    if reply.get("overran") and watch.was_starved():
        raise SandboxFaultError(_BUSY)
    return reply


def _wait(channel: Channel, watch: Watch, deadline: float) -> str:
    """Wait until a message can be read; why the program has to be stopped before, "" if it has not.

    Raises: TimeoutError.
    """
    while not select.select([channel], [], [], _SLICE_SECONDS)[0]:
        if reason := watch.trespass():
            return reason
        if time.monotonic() > deadline:
            raise TimeoutError
    return ""


def _follow(channel: Channel, program: str, watch: Watch, limits: Limits) -> str | None:
    """Send a script its program and wait for its end.

    What it did wrong ("" for nothing), None when it left without a word. Raises: SandboxFaultError.
    """
    deadline = time.monotonic() + limits.seconds
    try:
        channel.send(program, deadline)
        return _wait(channel, watch, deadline) or _raised(channel.receive(deadline))
    except TimeoutError:
        if watch.was_starved():
            raise SandboxFaultError(_BUSY) from None
        return f"did not end within {limits.seconds:g} s"
    except ChannelClosedError:
        return None
    except ChannelGarbageError as error:
        return f"sent {error}"


def _raised(ended: Any) -> str:
    """A script's own account of how it ended: nothing, or what it raised."""
    if isinstance(ended, list) and len(ended) == 4:
        return f"raised {ended[1]}: {ended[2]}"
    return ""


def _ending(status: int) -> str:
    """What a wait status says of a program that left without a word."""
    code = os.waitstatus_to_exitcode(status)
    return f"was ended by signal {-code}" if code < 0 else f"left with exit code {code}" if code else ""


shared = PerProcess(Sandbox)
"""This process's sandbox: `shared.get()` takes 0.3 s, once. Raises: SandboxError."""


def active_layers() -> list[Layer]:
    """Which layers a program on this machine is put behind, the required ones tried from inside.

        print([layer.name for layer in active_layers() if not layer.on])

    Raises: SandboxError.
    """
    return shared.get().layers()
