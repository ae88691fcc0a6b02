"""The one driver of a run on an object store, which knows no lock that dies with its holder.

The lease is one object with its holder's name and a count that the holder raises every `BEAT_SECONDS`. Who
finds one watches it: a count that rises belongs to a living driver; one that stands still for
`SILENT_BEATS` beats to a dead one, and is taken over. No clocks are compared.

It does not protect from
- a holder that stands still that long and wakes up again (a suspended machine, a store out of reach). It
  finds out at its next beat, and stops before it declares a stage finished;
- two drivers that begin within one beat of each other, on a store without conditional puts (S3 and GCS have
  them). The one whose object was replaced finds out at its next beat, as above.
Both cost double work and nothing else: a shard is put whole and names the settings it was made under, and
a stage whose shards are of several settings is refused.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from typing import Any

from distill.errors import ArtifactError
from distill.remote import RemotePath

BEAT_SECONDS = 5.0
SILENT_BEATS = 4

_log = logging.getLogger(__name__)


class Lease:
    """Held from construction to `close`; a thread beats. A killed process leaves a lease that is silent.

    Raises:
        ArtifactError: another driver holds it.
    """

    def __init__(self, place: RemotePath) -> None:
        self._place, self._beat = place, 0
        self._state: dict[str, Any] = {
            "id": uuid.uuid4().hex,
            "holder": f"pid {os.getpid()} on {socket.gethostname()}",
        }
        self._taken_by: str | None = None
        self._closing = threading.Event()
        self._take()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises ArtifactError when another driver took the run over."""
        if self._taken_by is not None:
            raise ArtifactError(
                f"{self._place.parent} was taken over by another run ({self._taken_by}), after this one "
                f"was silent for {SILENT_BEATS * BEAT_SECONDS:.0f} s. What is finished is kept."
            )

    def close(self) -> None:
        """Give the lease back. Safe to call twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._thread.join()
        if self._is_ours(self._read()):
            self._place.unlink(missing_ok=True)

    def _take(self) -> None:
        held = None if self._place.create(self._bytes()) else self._read()
        if held is not None and not self._is_ours(held):
            self._outwait(held)
            self._place.put(self._bytes())
        if not self._is_ours(held := self._read()):  # another came between
            raise self._in_use(held)

    def _outwait(self, held: dict[str, Any]) -> None:
        """Return once `held` has been silent for long enough; ArtifactError as soon as it beats."""
        _log.warning(
            "%s is held by %s; waiting %.0f s to see whether it lives",
            self._place.parent,
            held.get("holder"),
            SILENT_BEATS * BEAT_SECONDS,
        )
        for _ in range(SILENT_BEATS):
            time.sleep(BEAT_SECONDS)
            now = self._read()
            if now is None:
                return
            if now != held:
                raise self._in_use(now)

    def _keep(self) -> None:
        while not self._closing.wait(BEAT_SECONDS):
            try:
                held = self._read()
                if held is not None and not self._is_ours(held):
                    self._taken_by = str(held.get("holder"))
                    return
                self._beat += 1
                self._place.put(self._bytes())
            except ArtifactError as error:  # out of reach for a moment: work may go on until it is not
                _log.warning("the lease was not renewed: %s", error)

    def _bytes(self) -> bytes:
        return json.dumps({**self._state, "beat": self._beat}).encode()

    def _read(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(self._place.read_bytes()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return {"holder": "an unknown process"}

    def _is_ours(self, held: dict[str, Any] | None) -> bool:
        return held is not None and held.get("id") == self._state["id"]

    def _in_use(self, held: dict[str, Any] | None) -> ArtifactError:
        holder = (held or {}).get("holder", "an unknown process")
        return ArtifactError(
            f"{self._place.parent} is in use by another run ({holder}). Wait for it, or stop it, or give "
            "this run another `name`."
        )
