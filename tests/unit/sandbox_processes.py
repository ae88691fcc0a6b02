"""What the tests of the sandbox ask of its processes."""

import time

import psutil


def children(sandbox):
    """What the zygote has forked; a namespace of processes puts one more between it and us."""
    zygote = psutil.Process(sandbox.pid)
    return (zygote.children()[0] if "pid" in sandbox.kinds else zygote).children()


def is_dead(process):
    """Whether a process has ended, reaped or not."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def settles(condition, seconds=10):
    """Whether `condition` comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False
