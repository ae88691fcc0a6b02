"""How long a stage takes over all the commands that worked on it, killed ones among them."""

import json
import logging
from threading import Event, Thread
from time import monotonic
from types import TracebackType

from distill.errors import ArtifactError
from distill.storage import Place, remove, write_bytes

KEEP_SECONDS = 30.0
"""Between two writings of how long it took so far: what a killed driver may lose."""

_log = logging.getLogger(__name__)


class StageClock:
    """Counts while the block lasts, from where earlier commands left off. What has passed lies in the file at
    `path` under `key`, until the block ends well; then whoever asked for `seconds` has it."""

    def __init__(self, path: Place, key: str) -> None:
        self._path, self._key = path, key
        self._stop = Event()
        self._thread = Thread(target=self._loop, name="stage-clock", daemon=True)

    @property
    def seconds(self) -> float:
        """Of this command and those before it."""
        return self._earlier + monotonic() - self._began

    def __enter__(self) -> "StageClock":
        self._earlier, self._began = self._read().get(self._key, 0.0), monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._keep(None if kind is None else self.seconds)

    def _loop(self) -> None:
        while not self._stop.wait(KEEP_SECONDS):
            self._keep(self.seconds)

    def _keep(self, seconds: float | None) -> None:
        """Write how long it took so far, or that it has ended (None). What cannot be written is logged: a run
        does not end for it."""
        try:
            before = self._read()
            kept = {key: value for key, value in before.items() if key != self._key}
            kept |= {} if seconds is None else {self._key: seconds}
            if kept:
                write_bytes(self._path, json.dumps(kept, indent=1).encode())
            elif before:
                remove(self._path)
        except ArtifactError as error:
            _log.warning("how long %s took is not in %s: %s", self._key, self._path, error)

    def _read(self) -> dict[str, float]:
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError):  # nothing was cut short yet
            return {}
