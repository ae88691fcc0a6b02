"""A clean process that has sympy loaded and forks workers on request.

It is our own rather than `multiprocessing`'s, whose children import the caller's `__main__` again (wrong
in notebooks, scripts without a guard, and Ray actors) and which daemonic processes may not use. It never
forks the caller, which may hold CUDA or threads.

Over one socket, one request at a time: `{"spawn": memory_mb}` together with the worker's end of a
socket pair is answered `{"pid": n}`; `{"kill": pid}` is answered `{}` once that worker is dead. When the
caller goes away, the server kills its workers and ends.
"""

import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading

from checkers.per_process import PerProcess

_START_SECONDS = 120.0
_REQUEST_SECONDS = 30.0
_PROGRAM = "import json, sys; sys.path[:] = json.loads(sys.argv[2]); from checkers import forkserver; \
forkserver.run(int(sys.argv[1]))"


class ForkServerError(RuntimeError):
    """The fork server could not be started or has died."""


class ForkServer:
    """The caller's handle; thread-safe. One for each process, from `shared`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _PROGRAM, str(theirs.fileno()), json.dumps(search_path())]
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        self._socket = ours
        self.owner = os.getpid()
        self._socket.settimeout(_START_SECONDS)
        try:
            self._receive()
        except ForkServerError:
            self.close()
            raise
        self._socket.settimeout(_REQUEST_SECONDS)

    def spawn(self, memory_mb: int) -> tuple[int, socket.socket]:
        """A new worker: its pid and our end of its socket. Raises: ForkServerError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                reply = self._request({"spawn": memory_mb}, [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        return reply["pid"], ours

    def kill(self, pid: int) -> None:
        """End a worker of ours, whatever it is doing, with all that it started."""
        self._request({"kill": pid})

    def close(self) -> None:
        """End the server and its workers."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def _request(self, request: dict[str, int], descriptors: list[int] | None = None) -> dict[str, int]:
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode() + b"\n"], descriptors or [])
                return self._receive()
            except OSError as error:
                raise ForkServerError(f"the checkers' fork server has died ({error})") from error
            except ForkServerError:
                self.close()  # an answer that comes late must not be taken for that to the next request
                raise

    def _receive(self) -> dict[str, int]:
        try:
            line = self._socket.recv(4096)
        except OSError as error:
            raise ForkServerError(f"no answer from the checkers' fork server ({error})") from error
        if not line:
            raise ForkServerError(f"the checkers' fork server ended: {self._last_words()}")
        reply: dict[str, int] = json.loads(line)
        return reply

    def _last_words(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, stderr = self._process.communicate(timeout=1)
            return stderr.decode(errors="replace")[-500:].strip() or f"exit code {self._process.returncode}"
        return "no message"


def search_path() -> list[str]:
    """This process's import path, made absolute, with the folder of this package on it."""
    package_parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = [os.path.abspath(entry) for entry in sys.path]
    return path if package_parent in path else [package_parent, *path]


shared = PerProcess(ForkServer)
"""This process's fork server: `shared.get()` takes 1 to 2 s, once. Raises: ForkServerError."""


# The server's side


def run(descriptor: int) -> None:
    """Load everything, say so, and serve. Runs as the main program of its own process."""
    from checkers import algebra, worker

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    algebra.warm_up()
    worker.check_steps("", ["1 + 1 = 2"])
    gc.collect()
    gc.freeze()  # so that the collector does not copy the shared pages in every worker
    control = socket.socket(fileno=descriptor)
    control.sendall(b"{}\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads what workers complain about
    children: set[int] = set()
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 4096, 1)
        if not request:
            break
        control.sendall(json.dumps(_answer(json.loads(request), descriptors, children, control)).encode())
    for pid in list(children):
        _end(pid, children)


def _answer(
    request: dict[str, int], descriptors: list[int], children: set[int], control: socket.socket
) -> dict[str, int]:
    _reap(children)
    if "kill" in request:
        _end(request["kill"], children)
        return {}
    pid = os.fork()
    if pid == 0:
        _become_worker(descriptors[0], request["spawn"], control)
    os.close(descriptors[0])
    children.add(pid)
    return {"pid": pid}


def _become_worker(descriptor: int, memory_mb: int, control: socket.socket) -> None:
    from checkers import worker

    try:
        os.setsid()  # a group of its own, so that what it starts dies with it
        control.close()
        worker.main(socket.socket(fileno=descriptor), memory_mb)
    finally:
        os._exit(1)


def _end(pid: int, children: set[int]) -> None:
    """Kill a child, and its group, and wait for it. A pid that is no child of ours is left alone."""
    if pid not in children:
        return
    for kill in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    children.discard(pid)


def _reap(children: set[int]) -> None:
    for pid in list(children):
        if os.waitpid(pid, os.WNOHANG)[0]:
            children.discard(pid)
