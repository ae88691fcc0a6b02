"""One resource a process: started at first use, replaced when it broke, closed when the process ends."""

import atexit
import os
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Owned(Protocol):
    """What belongs to the process that started it: a fork inherits the object, but cannot use it."""

    owner: int

    def close(self) -> None:
        """End it."""


Resource = TypeVar("Resource", bound=Owned)


class PerProcess(Generic[Resource]):
    """Holds this process's resource; safe in any thread and after a fork."""

    def __init__(self, start: Callable[[], Resource]) -> None:
        self.held: Resource | None = None
        self._start = start
        self._lock = threading.Lock()
        atexit.register(self._close)

    def get(self) -> Resource:
        """The resource, started if there is none, or only one of the process that forked this one."""
        with self._lock:
            if self.held is None or self.held.owner != os.getpid():
                self.held = self._start()
            return self.held

    def replace(self, broken: Resource) -> Resource:
        """A fresh resource for `broken`, unless another thread has put one in its place already."""
        with self._lock:
            if self.held is None or self.held is broken:
                broken.close()
                self.held = self._start()
            return self.held

    def _close(self) -> None:
        if self.held is not None and self.held.owner == os.getpid():
            self.held.close()
