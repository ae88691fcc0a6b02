"""The layers around a program: switching them on, and the proof that each one bites.

for layer in active_layers():           # from checkers.sandbox.host
    print(layer.name, layer.on, layer.found)
"""

import contextlib
import errno
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from checkers.sandbox import kernel, landlock, limits, namespaces, seccomp
from checkers.sandbox.limits import Limits

REQUIRED = ("privileges", "landlock", "seccomp", "limits")
OPTIONAL = tuple(namespaces.KINDS)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its name, whether the strict sandbox demands it, whether it is on, and what was found."""

    name: str
    required: bool
    on: bool
    found: str


@dataclass(frozen=True, slots=True)
class View:
    """What a program sees of the file system: folders to read, and a folder to write in ("" for none)."""

    readable: tuple[str, ...]
    scratch: str = ""


def readable_folders() -> tuple[str, ...]:
    """Where this interpreter (started without `site`) finds the standard library."""
    folders = {os.path.realpath(entry) for entry in sys.path if os.path.isdir(entry)}
    return tuple(sorted(f for f in folders if not any(f.startswith(f"{other}/") for other in folders)))


def enter(view: View, limit: Limits, without: Iterable[str] = ()) -> dict[str, str]:
    """Switch every required layer on for this process, for good; which failed, and why ({} for none).

    `without` names layers to be treated as refused by the kernel (for tests).
    """
    failures = {}
    steps: dict[str, Callable[[], None]] = {
        "limits": lambda: limits.apply(limit),
        "privileges": kernel.drop_privileges,
        "landlock": lambda: landlock.restrict(_rules(view)),
        "seccomp": seccomp.install,  # last: it refuses what the others need
    }
    for name, step in steps.items():
        try:
            if name in without:
                raise OSError(errno.ENOSYS, "left out on request")
            step()
        except (OSError, ValueError) as error:
            failures[name] = str(error)
    return failures


def _rules(view: View) -> list[tuple[str, int]]:
    scratch = [(view.scratch, landlock.SCRATCH)] if view.scratch else []
    return [*((folder, landlock.READ) for folder in view.readable), *scratch]


def die_with_parent() -> None:
    """SIGKILL to this process when its parent ends. To be called after credentials have changed."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


# The proof


def bites() -> dict[str, str]:
    """Which layers do not bite although they were switched on, seen from inside; {} when all do."""
    proofs = {"privileges": _no_privileges, "landlock": _no_files, "seccomp": _no_calls, "limits": _no_memory}
    faults = {}
    for name, proof in proofs.items():
        if fault := proof():
            faults[name] = fault
    return faults


def _no_privileges() -> str:
    try:
        os.setgroups([])
    except PermissionError:
        return ""
    return "privileges are left"


def _no_files() -> str:
    for path in ("/", "/proc/self/status", "/etc", "/dev"):
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY))
            return f"{path} can be opened"
    return ""


def _no_calls() -> str:
    with contextlib.suppress(OSError):
        socket.socket().close()
        return "a socket can be opened"
    with contextlib.suppress(OSError):
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return "a process can be started"
    return ""


def _no_memory() -> str:
    try:
        bytearray(1 << 40)
    except MemoryError:
        return ""
    return "1 TiB of memory can be had"
