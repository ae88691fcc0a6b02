"""Landlock: no file or folder but those named, no TCP port, no signal or abstract socket to the outside.

Landlock (Linux 5.13 and later) needs no privileges. It does not cover calls on paths that neither read nor
write a file's data (stat, access, readlink, chmod, utime): `seccomp` refuses those that change something.
"""

import os
import struct
from collections.abc import Iterable

from checkers.sandbox import kernel

# From linux/landlock.h
_READ_FILE, _READ_FOLDER, _WRITE, _REMOVE_FILE, _MAKE_FILE, _TRUNCATE = 4, 8, 2, 32, 256, 1 << 14
_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 5: 16}  # how many rights over files each version knows
_NETWORK_ABI, _SCOPE_ABI = 4, 6
_PATH_BENEATH, _ASK_VERSION = 1, 1
READ = _READ_FILE | _READ_FOLDER
SCRATCH = READ | _WRITE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE


def version() -> int:
    """The version of Landlock that the kernel speaks. Raises: OSError where it has none."""
    return kernel.syscall("landlock_create_ruleset", None, 0, _ASK_VERSION)


def restrict(allowed: Iterable[tuple[str, int]]) -> None:
    """Leave this process only the (folder, rights) named; it needs no_new_privs. Raises: OSError."""
    abi = version()
    handled = (1 << max(count for since, count in _FILE_RIGHTS_BY_ABI.items() if since <= abi)) - 1
    ruleset = kernel.syscall("landlock_create_ruleset", *_attributes(abi, handled), 0)
    try:
        for folder, rights in allowed:
            _allow(ruleset, folder, rights & handled)
        kernel.syscall("landlock_restrict_self", ruleset, 0)
    finally:
        os.close(ruleset)


def _attributes(abi: int, handled: int) -> tuple[bytes, int]:
    """struct landlock_ruleset_attr as far as this version knows it, and its size."""
    packed = struct.pack("Q", handled)
    if abi >= _NETWORK_ABI:
        packed += struct.pack("Q", 0b11)  # bind and connect, TCP
    if abi >= _SCOPE_ABI:
        packed += struct.pack("Q", 0b11)  # abstract sockets and signals
    return packed, len(packed)


def _allow(ruleset: int, folder: str, rights: int) -> None:
    descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        kernel.syscall("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(descriptor)
