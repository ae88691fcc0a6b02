"""The system calls that a program may make: a list of the allowed, everything else refused with EPERM.

What CPython needs to compute, allocate, read its own files, write to its private /tmp, sleep and run
threads is on the list. Not on it, therefore refused: processes (fork, vfork, execve), signals to anybody,
sockets (all but an unnamed pair, for event loops), ptrace and its kin, mounts, namespaces, keyrings,
io_uring, bpf, perf, userfaultfd, System V and POSIX message objects, memfd, links, special files, and
changes of modes, owners, times or extended attributes (Landlock does not cover those).
"""

import ctypes
import errno
import functools
import struct
from collections.abc import Sequence

from checkers.sandbox import kernel

# name: (x86_64, aarch64 or None where that machine has no such call)
ALLOWED: dict[str, tuple[int, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "access": (21, None), "pipe": (22, None),
    "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "msync": (26, 227),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "nanosleep": (35, 101),
    "getitimer": (36, 102), "alarm": (37, None), "setitimer": (38, 103), "getpid": (39, 172),
    "recvfrom": (45, 207), "shutdown": (48, 210), "getsockname": (51, 204), "getpeername": (52, 205),
    "socketpair": (53, 199), "getsockopt": (55, 209), "exit": (60, 93), "uname": (63, 160),
    "flock": (73, 32), "fsync": (74, 82), "fdatasync": (75, 83), "truncate": (76, 45),
    "ftruncate": (77, 46), "getdents": (78, None), "getcwd": (79, 17), "chdir": (80, 49),
    "fchdir": (81, 50), "rename": (82, None), "creat": (85, None), "unlink": (87, None),
    "readlink": (89, None), "umask": (95, 166), "gettimeofday": (96, 169), "getrlimit": (97, 163),
    "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "getuid": (102, 174),
    "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "getpgrp": (111, None), "getpgid": (121, 155), "getgroups": (115, 158), "getresuid": (118, 148),
    "getresgid": (120, 150), "getsid": (124, 156), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132),
    "statfs": (137, 43), "fstatfs": (138, 44), "arch_prctl": (158, None), "gettid": (186, 178),
    "time": (201, None), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "epoll_create": (213, None), "getdents64": (217, 61), "set_tid_address": (218, 96),
    "restart_syscall": (219, 128), "fadvise64": (221, 223), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, None), "epoll_ctl": (233, 21), "openat": (257, 56), "newfstatat": (262, 79),
    "unlinkat": (263, 35), "renameat": (264, 38), "readlinkat": (267, 78), "faccessat": (269, 48),
    "pselect6": (270, 72), "ppoll": (271, 73), "set_robust_list": (273, 99), "epoll_pwait": (281, 22),
    "eventfd2": (290, 19), "epoll_create1": (291, 20), "dup3": (292, 24), "pipe2": (293, 59),
    "getcpu": (309, 168), "renameat2": (316, 276), "getrandom": (318, 278), "membarrier": (324, 283),
    "copy_file_range": (326, 285), "statx": (332, 291), "rseq": (334, 293),
    "close_range": (436, 436), "faccessat2": (439, 439), "epoll_pwait2": (441, 441),
}  # fmt: skip
# Allowed with some arguments only; the rule for each is in `_conditional`.
CONDITIONAL = {"ioctl": (16, 29), "sendto": (44, 206), "clone": (56, 220), "fcntl": (72, 25),
               "prlimit64": (302, 261), "clone3": (435, 435)}  # fmt: skip
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FION*, FIO*CLEX
_NAMESPACES = 0x7E020000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)  # dup, flags, record locks; never the owner of a signal

_ARCHITECTURES = (0xC000003E, 0xC00000B7)  # AUDIT_ARCH_X86_64, AUDIT_ARCH_AARCH64
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF opcodes
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_SET_MODE_FILTER, _SPEC_ALLOW = 1, 4

Instruction = tuple[int, int, int, int]  # opcode, jump if true, jump if false, constant


def filter_program(machine: int) -> list[Instruction]:
    """The BPF program for machine 0 (x86_64) or 1 (aarch64)."""
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, _ARCHITECTURES[machine]), (_RETURN, 0, 0, _KILL)]
    program.append((_LOAD, 0, 0, 0))
    for numbers in ALLOWED.values():
        if (number := numbers[machine]) is not None:
            program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for name, pair in CONDITIONAL.items():
        body = _conditional(name)
        program += [(_EQUAL, 0, len(body), pair[machine]), *body]
    return [*program, _refuse(errno.EPERM)]


def install() -> None:
    """Put the filter on this process for good; it needs no_new_privs. Raises: OSError."""
    lines = compiled()
    header = struct.pack("HxxxxxxQ", len(lines) // 8, ctypes.addressof(lines))
    kernel.syscall("seccomp", _SET_MODE_FILTER, _SPEC_ALLOW, header)


@functools.cache
def compiled() -> "ctypes.Array[ctypes.c_char]":
    """The filter as the kernel reads it; compiled once, in the zygote."""
    code = b"".join(struct.pack("HBBI", *line) for line in filter_program(kernel.machine_index()))
    return ctypes.create_string_buffer(code, len(code))


def _conditional(name: str) -> list[Instruction]:
    """The rest of the program for one call: it ends by returning."""
    refuse = _refuse(errno.EPERM)
    allow = (_RETURN, 0, 0, _ALLOW)
    if name == "clone3":  # its flags lie in memory; without it the C library falls back to clone
        return [_refuse(errno.ENOSYS)]
    if name == "clone":  # threads of this process, never a process, never a namespace
        thread = (_ANY_BIT, 0, 1, kernel.CLONE_THREAD)
        return [_argument(0), (_ANY_BIT, 2, 0, _NAMESPACES), thread, allow, refuse]
    if name == "prlimit64":  # of ourselves
        return [_argument(0), (_EQUAL, 0, 1, 0), allow, refuse]
    if name == "sendto":  # to the other end of a pair, never to an address
        low_and_high = [_argument(4), (_EQUAL, 0, 3, 0), _argument(4, high=True), (_EQUAL, 0, 1, 0)]
        return [*low_and_high, allow, refuse]
    return [*_one_of(_IOCTLS if name == "ioctl" else _FCNTLS), refuse]


def _one_of(values: Sequence[int]) -> list[Instruction]:
    checks: list[Instruction] = [_argument(1)]
    for value in values:
        checks += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return checks


def _argument(index: int, high: bool = False) -> Instruction:
    """Load half of an argument of the call (both machines are little-endian)."""
    return (_LOAD, 0, 0, 16 + 8 * index + 4 * high)


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERROR | number)
