"""The run folder: what is finished, what is not, and nothing in between.

    <run>/.lock                        held by the one driver of the run
    <run>/<stage>/shard-00000.parquet  records, with stage, fingerprint and statistics in the footer
    <run>/<stage>/manifest.json        written last: the stage is finished
    <run>/stale/<stage>-<fingerprint>  what other settings made; put back when the settings come back

A shard is one file and appears by one rename, so that a kill at any moment leaves it finished or
absent. A stage that makes a folder (`stage_folder`) appears by one rename too. A stage makes either
shards or a folder. A file counts only under the fingerprint it was made with.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any

from distill.errors import ArtifactError
from distill.files import TEMPORARY, explain_disk, remove, replace_folder, sync, write_bytes
from distill.parquet import (
    DamagedError,
    Footer,
    check_schema,
    encode_records,
    plain_scalar,
    read_footer,
    read_records,
)
from distill.records import SCHEMA_VERSION

__all__ = ["Manifest", "RunFolder", "read_records", "write_bytes", "write_records"]

_MANIFEST = "manifest.json"
_STALE = "stale"
_RESUMABLE = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished stage: the fingerprint it was made under, how much it made, and its statistics."""

    stage: str
    fingerprint: str
    shards: int
    rows: int
    stats: dict[str, Any]


def write_records(path: str | Path, records: Sequence[Any], extra: Mapping[str, Any] | None = None) -> None:
    """Write records of one dataclass to one Parquet file, whole or not at all.

    Raises:
        ArtifactError: a field does not hold what it declares, or the disk is full.
    """
    write_bytes(Path(path), memoryview(encode_records(records, extra or {})))


class RunFolder:
    """A run's folder. `driver` holds its lock; `writer` and `reader` are for workers and for looking.

    `path` is the folder. A method that reads raises ArtifactError when it meets another schema version.
    """

    def __init__(self, path: str | Path, lock: IO[str] | None = None) -> None:
        self.path = Path(path)
        self._lock = lock

    @classmethod
    def driver(cls, path: str | Path) -> "RunFolder":
        """Make the folder if need be, lock it, and clear away what a killed run left half written.

        Raises:
            ArtifactError: another process drives this run, or the folder cannot be written.
        """
        folder = Path(path)
        with explain_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = _take_lock(folder)
            for leftover in [*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"*/{TEMPORARY}*")]:
                remove(leftover)
        return cls(folder, lock)

    @classmethod
    def writer(cls, path: str | Path) -> "RunFolder":
        """For a worker of the driver: writes shards, takes no lock."""
        return cls(path)

    @classmethod
    def reader(cls, path: str | Path) -> "RunFolder":
        """For looking only.

        Raises:
            ArtifactError: there is no such folder.
        """
        if not Path(path).is_dir():
            raise ArtifactError(f"expected a run folder at {path}, found none")
        return cls(path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back. Safe to call twice; the kernel does it for a killed process."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def stage_path(self, stage: str) -> Path:
        """Where a stage's shards, or the folder it makes, lie."""
        return self.path / stage

    def shard_path(self, stage: str, index: int) -> Path:
        """Where shard `index` (0-based) of a stage lies."""
        return self.stage_path(stage) / f"shard-{index:05d}.parquet"

    def shards(self, stage: str) -> list[Path]:
        """Paths of the shards there, in order of index."""
        return [path for _, path in sorted(_indexed_shards(self.stage_path(stage)))]

    def rows(self, stage: str, index: int) -> int:
        """Records in a shard, by its footer alone."""
        return read_footer(self.shard_path(stage, index)).rows

    def manifest(self, stage: str) -> Manifest | None:
        """The manifest of a finished stage, whatever its settings were; None when not finished."""
        return _read_manifest(self.stage_path(stage))

    def is_done(self, stage: str, fingerprint: str) -> bool:
        """Whether the stage finished under these settings and all its shards are still there."""
        manifest = self.manifest(stage)
        if manifest is None or manifest.fingerprint != fingerprint:
            return False
        return len(self.shards(stage)) == manifest.shards

    def is_stale(self, stage: str, fingerprint: str) -> bool:
        """Whether the stage holds anything that other settings made."""
        manifest = self.manifest(stage)
        if manifest is not None:
            return manifest.fingerprint != fingerprint
        return any(_owner(path) != fingerprint for path in self.shards(stage))

    def finished_shards(self, stage: str, fingerprint: str) -> dict[int, dict[str, Any]]:
        """Statistics of every shard that is finished under these settings, by index.

        A damaged file counts as unfinished: it is made anew and replaced.
        """
        footers = {i: _sound_footer(path) for i, path in sorted(_indexed_shards(self.stage_path(stage)))}
        return {
            index: footer.extra["stats"]
            for index, footer in footers.items()
            if footer is not None and footer.extra.get("fingerprint") == fingerprint
        }

    def commit_shard(
        self, stage: str, index: int, records: Sequence[Any], stats: Mapping[str, Any], fingerprint: str
    ) -> None:
        """Publish a finished shard: records, statistics (JSON) and fingerprint by one rename.

        Raises:
            ArtifactError: a record cannot be stored, or the disk is full. What was there stays.
        """
        extra = {"stage": stage, "fingerprint": fingerprint, "stats": dict(stats)}
        write_records(self.shard_path(stage, index), records, extra)

    def commit_stage(self, stage: str, fingerprint: str, stats: Mapping[str, Any]) -> None:
        """Declare a stage finished. Its shards must be numbered without a gap, all of this fingerprint.

        Raises:
            ArtifactError: a shard is missing, damaged or of other settings (a worker that outlived a
                killed run wrote it); or the disk is full.
        """
        indexed = dict(_indexed_shards(self.stage_path(stage)))
        footers = [_sound_footer(indexed[index]) for index in sorted(indexed)]
        if sorted(indexed) != list(range(len(indexed))) or not all(_is_of(f, fingerprint) for f in footers):
            raise ArtifactError(
                f"stage '{stage}' is not whole: expected shards 0 to {len(indexed) - 1} made under these "
                "settings, found a gap or a shard of another run. Give the same command again."
            )
        manifest = {
            "schema": SCHEMA_VERSION,
            "stage": stage,
            "fingerprint": fingerprint,
            "shards": len(footers),
            "rows": sum(footer.rows for footer in footers if footer),
            "stats": dict(stats),
        }
        text = json.dumps(manifest, indent=2, ensure_ascii=False, default=plain_scalar)
        write_bytes(self.stage_path(stage) / _MANIFEST, text.encode())

    def discard_stale(self, stage: str, fingerprint: str) -> None:
        """Move what other settings made to `stale/`, and put back what these settings once made.

        Only this stage is touched. Call it before `is_done`, and a setting that was changed and changed
        back costs nothing.

        Raises:
            ArtifactError: the folder cannot be written.
        """
        place = self.stage_path(stage)
        with explain_disk(place):
            self._drop_unfinished(stage, fingerprint)
            manifest = self.manifest(stage)
            if manifest is not None and manifest.fingerprint != fingerprint:
                _move_folder(place, self._stale_path(stage, manifest.fingerprint))
            for path in self.shards(stage):
                owner = _owner(path)
                if owner is None:
                    remove(path)
                elif owner != fingerprint:
                    _move_file(path, self._stale_path(stage, owner))
            if self.manifest(stage) is None:
                _put_back(self._stale_path(stage, fingerprint), place)

    @contextmanager
    def stage_folder(self, stage: str, fingerprint: str, resume: bool = False) -> Iterator[Path]:
        """A folder to fill; it becomes the stage's folder when the block ends well.

        `resume`: what a killed or failed block left there under the same fingerprint is found again (a
        trainer's checkpoints). Otherwise the folder begins empty and is removed on failure. Call
        `commit_stage` after it.

        Raises:
            ArtifactError: the disk is full, also when the block met that.
        """
        prefix = _RESUMABLE if resume else TEMPORARY
        work = self.path / f"{prefix}{stage}-{fingerprint}"
        try:
            with explain_disk(self.stage_path(stage), only_full=True):
                if not resume:
                    remove(work)
                work.mkdir(parents=True, exist_ok=True)
                yield work
            replace_folder(work, self.stage_path(stage))
        except BaseException:
            if not resume:
                remove(work)
            raise

    def _stale_path(self, stage: str, fingerprint: str) -> Path:
        return self.path / _STALE / f"{stage}-{fingerprint}"

    def _drop_unfinished(self, stage: str, fingerprint: str) -> None:
        for work in self.path.glob(f"{_RESUMABLE}*"):
            owner, _, found = work.name.removeprefix(_RESUMABLE).rpartition("-")
            if owner == stage and found != fingerprint:
                remove(work)


def _take_lock(folder: Path) -> IO[str]:
    """The open, locked lock file. flock, so that the kernel frees it however the process ends."""
    lock = (folder / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip() or "an unknown process"
        lock.close()
        raise ArtifactError(
            f"{folder} is in use by another run ({holder}). Wait for it, or stop it, or give this run "
            "another `name`."
        ) from None
    lock.truncate(0)
    lock.write(f"pid {os.getpid()} on {socket.gethostname()}")
    lock.flush()
    return lock


def _read_manifest(place: Path) -> Manifest | None:
    path = place / _MANIFEST
    try:
        stored = dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({error}). Delete it and give the same command again; shards are kept."
        ) from error
    check_schema(path, stored.get("schema"))
    return Manifest(**{field.name: stored[field.name] for field in fields(Manifest)})


def _indexed_shards(place: Path) -> Iterator[tuple[int, Path]]:
    for path in place.glob("shard-*.parquet"):
        with suppress(ValueError):
            yield int(path.stem.removeprefix("shard-")), path


def _sound_footer(path: Path) -> Footer | None:
    """The footer, None when the file is damaged; another schema version still raises."""
    try:
        return read_footer(path)
    except DamagedError:
        return None


def _owner(path: Path) -> str | None:
    footer = _sound_footer(path)
    return None if footer is None else footer.extra.get("fingerprint")


def _is_of(footer: Footer | None, fingerprint: str) -> bool:
    return footer is not None and footer.extra.get("fingerprint") == fingerprint


def _move_folder(place: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    remove(target)
    os.rename(place, target)
    sync(target.parent)
    sync(place.parent)


def _move_file(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.replace(path, folder / path.name)


def _put_back(kept: Path, place: Path) -> None:
    """Bring a stage's earlier work back: the whole folder, or the shards that `place` lacks."""
    if not kept.is_dir():
        return
    if not any(_indexed_shards(place)):  # no manifest and no shard: nothing finished is there
        remove(place)
        os.rename(kept, place)
        return
    for _, path in _indexed_shards(kept):
        if not (place / path.name).exists():
            os.rename(path, place / path.name)
    remove(kept)
