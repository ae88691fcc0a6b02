"""Peak memory of this process and everything it started (Ray's processes among them)."""

import threading
import time
from types import TracebackType

import psutil

SAMPLE_SECONDS = 1.0
SHARE = 0.01
"""Of one core, at most. The system walks the page tables of every process that it is asked about, with the
process waiting where it needs more memory: a third of a second for a model of 10 GiB."""


class MemoryWatch:
    """Samples the proportional set size of the process tree from a thread of its own.

    Proportional: a page shared by n processes counts 1/n in each, so that Ray's shared memory is not
    counted once for every worker. Falls back to resident size where the system does not tell.
    """

    def __init__(self) -> None:
        self.peak_gib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="memory-watch", daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        me, pause = psutil.Process(), SAMPLE_SECONDS
        while not self._stop.wait(pause):
            began = time.thread_time()
            processes = [me, *me.children(recursive=True)]
            self.peak_gib = max(self.peak_gib, sum(map(_size, processes)) / 2**30)
            pause = max(SAMPLE_SECONDS, (time.thread_time() - began) / SHARE)


def _size(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.Error:  # it ended, or is not ours to look into
        return 0
