"""What a program may use: seconds, memory, output, files, threads."""

import math
import resource
from dataclasses import asdict, dataclass

MIB = 1 << 20
_STACK = 64 * MIB  # programs that recurse deeply are common in contests
_PROCESSES = 512  # counts only inside a user namespace of our own, where all programs share it
_LEAST_MEMORY_MB = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one program, all its tests together (of one run, for tests by standard input).

    `seconds` is wall-clock time; `memory_mb` bounds the address space, of which the bare interpreter
    takes about 30; `output_mb` bounds standard output and every value returned; `scratch_mb` bounds each
    file and the private /tmp; `threads` and `files` (open descriptors) are counts.

        check_code(program, tests, limits=Limits(seconds=2, memory_mb=256))
    """

    seconds: float = 5.0
    memory_mb: int = 512
    output_mb: int = 8
    scratch_mb: int = 16
    threads: int = 32
    files: int = 64

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = {"memory_mb": _LEAST_MEMORY_MB, "files": 16}.get(name, 1)
            if name == "seconds":
                least = 0
            if not (math.isfinite(value) and value >= least and value > 0):
                raise ValueError(f"expected Limits.{name} of at least {least}, found {value!r}")


def apply(limits: Limits) -> None:
    """Set the resource limits of this process for good (soft and hard). Raises: OSError, ValueError."""
    processor = math.ceil(limits.seconds) + 1  # a second line: the caller's clock comes first
    largest_file = max(limits.scratch_mb, limits.output_mb) * MIB
    for what, amount in (
        (resource.RLIMIT_AS, limits.memory_mb * MIB),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_FSIZE, largest_file),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_STACK, _STACK),
    ):
        _, hard = resource.getrlimit(what)
        within = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(what, (within, within))


def bound_processes() -> None:
    """Bound the processes of this user; meant for a user namespace, where only ours are counted."""
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    within = _PROCESSES if hard == resource.RLIM_INFINITY else min(_PROCESSES, hard)
    resource.setrlimit(resource.RLIMIT_NPROC, (within, within))
