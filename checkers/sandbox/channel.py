"""Messages between two of our processes: JSON behind a length, bounded in size and in time.

JSON and never pickle: what reads it builds plain lists and text, whatever a hostile program sends.
"""

import json
import socket
import time
from typing import Any

_HEADER = 4
_CHUNK = 1 << 16


class ChannelClosedError(ConnectionError):
    """The other end is gone."""


class ChannelGarbageError(ValueError):
    """The other end sent what is no message, or one that is too large."""


class Channel:
    """One end of a socket pair. `largest` bounds a message that comes in, in bytes."""

    def __init__(self, connection: socket.socket, largest: int) -> None:
        self._socket, self.largest = connection, largest

    def fileno(self) -> int:
        """The descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: Any, deadline: float | None = None) -> None:
        """Send one message. Raises: ChannelClosedError, TimeoutError past `deadline` (time.monotonic)."""
        data = json.dumps(message, separators=(",", ":")).encode()
        self._set_timeout(deadline)
        try:
            self._socket.sendall(len(data).to_bytes(_HEADER, "little") + data)
        except TimeoutError:
            raise
        except OSError as error:
            raise ChannelClosedError(str(error)) from None

    def receive(self, deadline: float | None = None) -> Any:
        """The next message. Raises: ChannelClosedError, ChannelGarbageError, TimeoutError."""
        size = int.from_bytes(self._exactly(_HEADER, deadline), "little")
        if size > self.largest:
            raise ChannelGarbageError(f"a message of {size:,} bytes, allowed are {self.largest:,}")
        data = self._exactly(size, deadline)
        try:
            return json.loads(data)
        except (ValueError, RecursionError, MemoryError) as error:
            raise ChannelGarbageError(f"not a message: {type(error).__name__}") from None

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _exactly(self, count: int, deadline: float | None) -> bytes:
        pieces = []
        while count:
            self._set_timeout(deadline)
            try:
                piece = self._socket.recv(min(count, _CHUNK))
            except TimeoutError:
                raise
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            if not piece:
                raise ChannelClosedError("the other end is closed")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _set_timeout(self, deadline: float | None) -> None:
        self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-4))
