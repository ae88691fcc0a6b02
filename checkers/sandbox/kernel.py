"""The Linux calls that Python 3.11 does not offer, by ctypes, for x86_64 and aarch64."""

import contextlib
import ctypes
import os
import platform
import sys

# From Linux's UAPI headers: prctl.h, sched.h, mount.h, capability.h
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
CLONE_THREAD, CLONE_NEWNS, CLONE_NEWCGROUP = 0x10000, 0x20000, 0x02000000
CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER = 0x04000000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 4096, 16384, 1 << 18, 2
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64

# call: (x86_64, aarch64); from asm/unistd_64.h and asm-generic/unistd.h
_NUMBERS = {
    "capset": (126, 91),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
}
MACHINES = ("x86_64", "aarch64")
_libc = ctypes.CDLL(None, use_errno=True)


def machine_index() -> int:
    """0 on x86_64, 1 on aarch64. Raises: OSError on anything else."""
    if not sys.platform.startswith("linux") or platform.machine() not in MACHINES:
        where = f"{sys.platform} on {platform.machine()}"
        raise OSError(f"the sandbox knows Linux on {' and '.join(MACHINES)}, found {where}")
    return MACHINES.index(platform.machine())


def syscall(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """The result of a system call. Raises: OSError."""
    number = _NUMBERS[name][machine_index()]
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(name, _libc.syscall(ctypes.c_long(number), *plain))


def prctl(option: int, argument: int = 0, third: int = 0) -> None:
    """prctl(2) with integers. Raises: OSError."""
    _checked("prctl", _libc.prctl(option, *(ctypes.c_ulong(a) for a in (argument, third, 0, 0))))


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` for new ones. Raises: OSError."""
    _checked("unshare", _libc.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace behind `descriptor`. Raises: OSError."""
    _checked("setns", _libc.setns(descriptor, kind))


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    """mount(2). Raises: OSError."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = _libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() or None)
    _checked(f"mount {target}", result)


def unmount(target: str) -> None:
    """Detach a mount. Raises: OSError."""
    _checked(f"umount {target}", _libc.umount2(os.fsencode(target), MNT_DETACH))


def forgo_privileges() -> None:
    """Empty the sets that a later execve could draw capabilities from. Keeps what this process has now."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    with contextlib.suppress(OSError):  # EPERM: there were none to begin with; EINVAL: past the last one
        for capability in range(_MOST_CAPABILITIES):
            prctl(PR_CAPBSET_DROP, capability)


def drop_privileges() -> None:
    """No capability, none by any later call, and nothing of us for other processes to attach to.

    Raises: OSError.
    """
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    nothing = (ctypes.c_uint32 * 6)()
    syscall("capset", bytes(header), bytes(nothing))
    prctl(PR_SET_DUMPABLE, 0)


def _checked(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result
