"""Namespaces where the kernel lets us have them: user, mount, process, network, IPC and host name.

The zygote leaves all but the process namespace once, for every program that it will fork; each candidate
then gets a process namespace, and a /tmp in memory, of its own. Pods and hardened kernels often forbid
this, so each kind is tried in a child first and the sandbox is complete without any of them.
"""

import contextlib
import os
import signal
from collections.abc import Iterable

from checkers.sandbox import kernel, limits

KINDS = {
    "user": kernel.CLONE_NEWUSER,
    "mount": kernel.CLONE_NEWNS,
    "pid": kernel.CLONE_NEWPID,
    "net": kernel.CLONE_NEWNET,
    "ipc": kernel.CLONE_NEWIPC,
    "uts": kernel.CLONE_NEWUTS,
}
SCRATCH = "/tmp"
_USER_INSIDE = 1000
_NEW_ROOTS = ("/tmp", "/mnt", "/var/tmp", "/run", "/var", "/opt")
_SCRATCH_FILES = 256
_MOST_DESCRIPTORS = 1 << 16
_LOCKED = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC  # a bind mount must keep its source's


def possible(readable: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The kinds that this kernel lets us have, together, found by trying each in a child."""
    found: list[str] = []
    for kind in KINDS:
        if kind not in without and _succeeds_in_child([*found, kind], readable):
            found.append(kind)
    return found


def leave(kinds: Iterable[str], readable: Iterable[str]) -> int | None:
    """Put this process (the zygote) into namespaces of these kinds. Raises: OSError.

    With "pid" among them it goes on as a child, process 1 of the new namespace, while the parent only
    waits for it. Returns a descriptor of that namespace (for `fork_alone`), or None without one.
    """
    kinds = list(kinds)
    user, group = os.getuid(), os.getgid()
    if "user" in kinds:
        kernel.unshare(kernel.CLONE_NEWUSER)
        _map_user(user, group)
        limits.bound_processes()
    for kind in kinds:
        if kind != "user":
            kernel.unshare(KINDS[kind])
    home = _go_on_as_process_one() if "pid" in kinds else None
    if "mount" in kinds:
        _change_root(list(readable))
    return home


def fork_alone(home: int | None) -> int:
    """os.fork, its child being process 1 of a namespace that dies with it.

    `home` is what `leave` returned; a plain fork where it is None. Raises: OSError.
    """
    if home is None:
        return os.fork()
    kernel.unshare(kernel.CLONE_NEWPID)
    try:
        child = os.fork()
    except OSError:
        kernel.setns(home, kernel.CLONE_NEWPID)
        raise
    if child:
        kernel.setns(home, kernel.CLONE_NEWPID)
    return child


def mount_scratch(size: int) -> None:
    """A /tmp of this process's own, in memory, of `size` bytes. Raises: OSError."""
    kernel.unshare(kernel.CLONE_NEWNS)
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("tmpfs", SCRATCH, "tmpfs", flags, f"size={size},nr_inodes={_SCRATCH_FILES},mode=700")


def _succeeds_in_child(kinds: list[str], readable: Iterable[str]) -> bool:
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(OSError):
            code = _works(leave(kinds, readable), "mount" in kinds)
        os._exit(code)
    return os.waitpid(child, 0)[1] == 0


def _go_on_as_process_one() -> int:
    """Fork; the parent waits and ends as the child does. Returns the child's namespace, in the child."""
    if child := os.fork():
        os.closerange(3, _MOST_DESCRIPTORS)  # else nobody would notice the child's end
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def _works(home: int | None, mount: bool) -> int:
    """0 when a child can be had twice, as the zygote needs it, and a scratch folder in it."""
    codes = []
    for _ in range(2):
        if (child := fork_alone(home)) == 0:
            if mount:
                mount_scratch(limits.MIB)
            os._exit(0)
        codes.append(os.waitpid(child, 0)[1])
    return int(any(codes))


def _map_user(user: int, group: int) -> None:
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{_USER_INSIDE} {user} 1"),
        ("gid_map", f"{_USER_INSIDE} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _change_root(readable: list[str]) -> None:
    """A root of nothing but an empty /tmp and the folders `readable`, all read-only."""
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    base = next(
        d for d in _NEW_ROOTS if os.path.isdir(d) and not any(f"{r}/".startswith(f"{d}/") for r in readable)
    )
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,mode=755")
    os.mkdir(base + SCRATCH)
    for folder in readable:
        os.makedirs(base + folder, exist_ok=True)
        _bind_read_only(folder, base + folder)
    os.chdir(base)
    kernel.syscall("pivot_root", b".", b".")  # the old root ends up over the new one
    kernel.unmount(".")
    os.chdir("/")
    _remount_read_only("/", kernel.MS_NOSUID | kernel.MS_NODEV)


def _bind_read_only(source: str, target: str) -> None:
    kernel.mount(source, target, None, kernel.MS_BIND)
    _remount_read_only(target, os.statvfs(target).f_flag & _LOCKED)


def _remount_read_only(target: str, flags: int) -> None:
    read_only = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY
    kernel.mount(None, target, None, read_only | flags | kernel.MS_NOSUID | kernel.MS_NODEV)
