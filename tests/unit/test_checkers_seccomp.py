"""The system call filter, interpreted: what both kinds of machine would refuse, on either."""

import pytest

from checkers.sandbox import kernel, namespaces, seccomp


@pytest.mark.parametrize("machine", [0, 1])
def test_filter_refuses_what_must_be_refused(machine):
    """The BPF program, interpreted: both machines, every dangerous call and a foreign machine."""
    refused = {
        "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "kill": (62, 129), "ptrace": (101, 117),
        "socket": (41, 198), "connect": (42, 203), "mount": (165, 40), "unshare": (272, 97),
        "prctl": (157, 167),
        "setns": (308, 268), "keyctl": (250, 219), "io_uring_setup": (425, 425), "bpf": (321, 280),
        "execveat": (322, 281), "process_vm_readv": (310, 270), "chmod": (90, None), "fchmodat": (268, 53),
        "sendmsg": (46, 211), "memfd_create": (319, 279), "symlinkat": (266, 36), "linkat": (265, 37),
        "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "tgkill": (234, 131),
        "setsid": (112, 157),
    }  # fmt: skip
    for name, numbers in refused.items():
        if numbers[machine] is not None:
            assert interpret(machine, numbers[machine]) == 0x00050001, name
    assert interpret(machine, seccomp.ALLOWED["read"][machine]) == 0x7FFF0000
    assert interpret(machine, 0, architecture=0x40000003) == 0x80000000
    clone, sendto = seccomp.CONDITIONAL["clone"][machine], seccomp.CONDITIONAL["sendto"][machine]
    assert interpret(machine, clone, [kernel.CLONE_THREAD | 0x100]) == 0x7FFF0000
    assert interpret(machine, clone, [17]) == 0x00050001
    for namespace in (*namespaces.KINDS.values(), kernel.CLONE_NEWCGROUP):
        assert interpret(machine, clone, [kernel.CLONE_THREAD | namespace]) == 0x00050001
    assert interpret(machine, sendto, [3, 0, 0, 0, 0]) == 0x7FFF0000
    assert interpret(machine, sendto, [3, 0, 0, 0, 1 << 40]) == 0x00050001


def interpret(machine, number, arguments=(), architecture=None):
    """What the filter returns for one call."""
    architecture = architecture or (0xC000003E, 0xC00000B7)[machine]
    memory = {0: number, 4: architecture}
    for i in range(6):
        value = arguments[i] if i < len(arguments) else 0
        memory |= {16 + 8 * i: value & 0xFFFFFFFF, 20 + 8 * i: value >> 32}
    program, at, register = seccomp.filter_program(machine), 0, 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == 0x20:
            register = memory[constant]
        elif code == 0x06:
            return constant
        else:
            met = register == constant if code == 0x15 else register & constant
            at += if_true if met else if_false
