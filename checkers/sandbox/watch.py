"""What the caller sees of a running program from outside: its threads, files and share of the machine."""

import contextlib
import functools
import os

from checkers.sandbox.limits import MIB, Limits

_STARVED_SHARE = 0.5  # of the time limit spent ready to run, but waiting for a processor
_NANOSECONDS = 1e9
_THREADS_FIELD = 17  # of /proc/PID/stat, counted after the name


class Watch:
    """One candidate, by its pidfd, open as long as this is used. Sees nothing where /proc is hidden."""

    def __init__(self, handle: int, limits: Limits, scratch: str) -> None:
        self._handle, self._limits, self._scratch = handle, limits, scratch

    @functools.cached_property
    def _pid(self) -> int:
        return _pid_of(self._handle)  # most programs end before anybody asks

    def trespass(self) -> str:
        """Which limit the program has broken that the kernel does not hold for us, "" for none."""
        fields = _read(f"/proc/{self._pid}/stat").rpartition(")")[2].split()
        if len(fields) > _THREADS_FIELD and int(fields[_THREADS_FIELD]) > self._limits.threads:
            return f"started more than {self._limits.threads} threads"
        if self._scratch and _size_of(self._scratch) > self._limits.scratch_mb * MIB:
            return f"wrote more than {self._limits.scratch_mb} MB to its folder"
        return ""

    def was_starved(self) -> bool:
        """Whether the machine, rather than the program, used up the time (Linux: run-queue delay)."""
        fields = _read(f"/proc/{self._pid}/schedstat").split()
        waited = int(fields[1]) / _NANOSECONDS if len(fields) == 3 else 0.0
        return waited > _STARVED_SHARE * self._limits.seconds


def _pid_of(handle: int) -> int:
    """The process behind a pidfd, as a number in our own view of processes; 0 where it has none."""
    lines = _read(f"/proc/self/fdinfo/{handle}").splitlines()
    found = next((int(line.split()[1]) for line in lines if line.startswith("Pid:")), 0)
    return max(found, 0)


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:
        return file.read()
    return ""


def _size_of(folder: str) -> int:
    """Bytes in the files of a folder; a program can make no folders in it."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += max(entry.stat(follow_symlinks=False).st_blocks * 512, 4096)
    return total
