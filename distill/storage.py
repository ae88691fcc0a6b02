"""Where a run lies: a folder on a disk, or a URL on an object store. One set of verbs for both.

On a disk a file is written beside its place and renamed, a folder is renamed, and the driver holds a
`flock`. On a store an object is put whole, a folder is copied and its manifest put last, and the driver
holds a lease (`distill.lease`).
"""

import fcntl
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote

from distill import files
from distill.errors import ArtifactError, StoreError
from distill.lease import Lease
from distill.remote import RemotePath, is_url, url_trouble

MANIFEST = "manifest.json"

_log = logging.getLogger(__name__)

Place = Path | RemotePath
"""A folder or file of a run, wherever it lies; `str(place)` names it to another process."""


def locate(where: str | Path | RemotePath) -> Place:
    """The place that a recipe or a command line names; `file://` is the local disk.

    Raises:
        ArtifactError: a URL that cannot name a place.
    """
    if not isinstance(where, str) or not is_url(where):
        return Path(where) if isinstance(where, str) else where
    if where.startswith("file://"):
        return Path(unquote(where.removeprefix("file://")))
    if trouble := url_trouble(where):
        raise ArtifactError(trouble)
    return RemotePath(where.rstrip("/"))


def write_bytes(place: Place, data: bytes | memoryview) -> None:
    """Make `data` the file at `place`, whole or not at all; what was there before stays until then.

    Raises:
        ArtifactError: the disk is full, or the place cannot be written.
    """
    if isinstance(place, Path):
        files.write_bytes(place, data)
    else:
        place.put(data)


def remove(place: Place) -> None:
    """Delete a file or folder that may be there or not."""
    if isinstance(place, Path):
        files.remove(place)
    else:
        place.remove()


def make_folder(place: Place) -> None:
    """Make a folder, parents included; on a store a folder needs no making."""
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)


def move_file(source: Place, target: Place) -> None:
    """Move one file within a run, in place of what `target` was."""
    if isinstance(source, Path) and isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
    elif isinstance(source, RemotePath) and isinstance(target, RemotePath):
        source.copy_to(target)
        source.unlink()


def move_folder(source: Place, target: Place) -> None:
    """Move a folder within a run, in place of what `target` was: by one rename on a disk.

    On a store it is copied, the manifest after all else, and deleted, the manifest before all else. A kill
    in between leaves a source that still counts and is moved again, or files that no manifest declares.
    """
    if isinstance(source, Path) and isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        files.remove(target)
        os.rename(source, target)
        files.sync(target.parent)
        files.sync(source.parent)
    elif isinstance(source, RemotePath) and isinstance(target, RemotePath):
        target.remove()
        source.copy_files(target, last=MANIFEST)
        (source / MANIFEST).unlink(missing_ok=True)
        source.remove()


def publish_folder(made: Place, place: Place) -> None:
    """Make `made` the folder at `place`, whatever was there. On a store `place` may be seen half filled:
    nothing reads it before its manifest, which is put after this."""
    if isinstance(made, Path) and isinstance(place, Path):
        files.replace_folder(made, place)
    else:
        move_folder(made, place)


class Lock(Protocol):
    """What the one driver of a run holds."""

    def check(self) -> None:
        """Raises ArtifactError when it was lost."""

    def close(self) -> None:
        """Give it back. Safe to call twice."""


def take_lock(folder: Place) -> Lock:
    """The lock of a run's folder.

    Raises:
        ArtifactError: another process drives this run.
    """
    return _Flock(folder) if isinstance(folder, Path) else Lease(folder / ".lock")


class _Flock:
    """The open, locked lock file. flock, so that the kernel frees it however the process ends."""

    def __init__(self, folder: Path) -> None:
        self._file: IO[str] = (folder / ".lock").open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.seek(0)
            holder = self._file.read().strip() or "an unknown process"
            self._file.close()
            raise ArtifactError(
                f"{folder} is in use by another run ({holder}). Wait for it, or stop it, or give this run "
                "another `name`."
            ) from None
        self._file.truncate(0)
        self._file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def check(self) -> None:
        """The kernel takes a flock from nobody."""

    def close(self) -> None:
        self._file.close()


@contextmanager
def local_copy(place: Place) -> Iterator[Path]:
    """A folder to read what `place` holds from: itself on a disk, else a copy that is removed again."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="distill-") as scratch:
        place.download(Path(scratch, place.name))
        yield Path(scratch, place.name)


@contextmanager
def working_copy(place: Place) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A folder on this machine's disk to work in, and a function that saves its state to `place`.

    On a disk it is `place` itself, and there is nothing to save. Of a store it holds what `place` holds;
    when the block ends well `place` is made to hold what the folder holds. Saving before that (a trainer's
    checkpoints) lets another machine go on: it puts what is new or changed, and then, with a whole
    checkpoint there, deletes what the trainer has deleted. Where the store is out of reach it only logs:
    the next saving makes up for it.
    """
    if isinstance(place, Path):
        yield place, lambda: None
        return
    with local_copy(place) as folder:
        known = _state(folder)

        def put() -> dict[str, tuple[int, int]]:
            now = _state(folder)
            place.upload(folder, sorted((n for n in now if now[n] != known.get(n)), key=_says_whole))
            known.update(now)
            return now

        def drop(now: Collection[str]) -> None:
            for name in sorted(known.keys() - set(now), key=_says_whole, reverse=True):
                (place / name).unlink(missing_ok=True)
                del known[name]

        def save() -> None:
            now = put()
            if any(map(_says_whole, now)):
                drop(now)

        def save_if_reachable() -> None:
            try:
                save()
            except StoreError as error:
                _log.warning("not saved this time: %s", error)

        yield folder, save_if_reachable
        drop(put())


def _says_whole(name: str) -> bool:
    """Whether this file says that its checkpoint is whole: put after the others, deleted before them."""
    return name.endswith("trainer_state.json")


def _state(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of every file below, by relative name."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}
