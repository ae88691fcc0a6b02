"""The run folder: what is finished, what is not, and nothing in between.

    <run>/.lock                        held by the one driver of the run (on a store: its lease)
    <run>/<stage>/shard-00000.parquet  records, with stage, fingerprint and statistics in the footer
    <run>/<stage>/manifest.json        written last: the stage is finished
    <run>/stale/<stage>-<fingerprint>  what other settings made; put back when the settings come back

The folder is one on a disk, or a URL on an object store (`distill.storage` does the same to both). A
shard is one file and appears by one rename, or one put, so that a kill at any moment leaves it finished
or absent. A stage that makes a folder (`stage_folder`) appears by one rename too; on a store, which has
none, by its manifest. A stage makes either shards or a folder. A file counts only under the fingerprint
it was made with.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from distill.errors import ArtifactError
from distill.files import TEMPORARY, explain_disk
from distill.parquet import (
    Footer,
    check_schema,
    encode_records,
    plain_scalar,
    read_footer,
    read_footers,
    read_records,
    read_shards,
)
from distill.records import SCHEMA_VERSION
from distill.storage import (
    MANIFEST,
    Lock,
    Place,
    locate,
    make_folder,
    move_file,
    move_folder,
    publish_folder,
    remove,
    take_lock,
    write_bytes,
)

__all__ = ["Manifest", "RunFolder", "read_records", "write_bytes", "write_records"]

Record = TypeVar("Record")

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


def write_records(path: str | Place, records: Sequence[Any], extra: Mapping[str, Any] | None = None) -> None:
    """Write records of one dataclass to one Parquet file, whole or not at all.

    Raises:
        ArtifactError: a field does not hold what it declares, or the disk is full.
    """
    write_bytes(locate(path), memoryview(encode_records(records, extra or {})))


class RunFolder:
    """A run's folder. `driver` holds its lock; `writer` and `reader` are for workers and for looking.

    `path` is the folder. A method that reads raises ArtifactError when it meets another schema version, or
    a store that cannot be reached.
    """

    def __init__(self, path: str | Place, lock: Lock | None = None) -> None:
        self.path = locate(path)
        self._lock = lock

    @classmethod
    def driver(cls, path: str | Place) -> "RunFolder":
        """Make the folder if need be, lock it, and clear away what a killed run left half written.

        Raises:
            ArtifactError: another process drives this run, or the folder cannot be written.
        """
        folder = locate(path)
        with explain_disk(folder):
            make_folder(folder)
            lock = take_lock(folder)
            for leftover in [*folder.glob(f"{TEMPORARY}*"), *folder.glob(f"*/{TEMPORARY}*")]:
                remove(leftover)
        return cls(folder, lock)

    @classmethod
    def writer(cls, path: str | Place) -> "RunFolder":
        """For a worker of the driver: writes shards, takes no lock."""
        return cls(path)

    @classmethod
    def reader(cls, path: str | Place) -> "RunFolder":
        """For looking only.

        Raises:
            ArtifactError: there is no such folder.
        """
        if not locate(path).is_dir():
            raise ArtifactError(f"expected a run folder at {path}, found none")
        return cls(path)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back. Safe to call twice."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def stage_path(self, stage: str) -> Place:
        """Where a stage's shards, or the folder it makes, lie."""
        return self.path / stage

    def shard_path(self, stage: str, index: int) -> Place:
        """Where shard `index` (0-based) of a stage lies."""
        return self.stage_path(stage) / f"shard-{index:05d}.parquet"

    def shards(self, stage: str) -> list[Place]:
        """Paths of the shards there, in order of index."""
        return [path for _, path in sorted(_indexed_shards(self.stage_path(stage)))]

    def read(self, stage: str, record: type[Record]) -> list[Record]:
        """Every record of a stage, in order of shard."""
        return [row for rows in read_shards(self.shards(stage), record) for row in rows]

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
        return any(_owner(footer) != fingerprint for footer in read_footers(self.shards(stage)))

    def is_kept(self, stage: str, fingerprint: str) -> bool:
        """Whether the stage, finished under these settings, lies in `stale/`, to be put back."""
        return _read_manifest(self._stale_path(stage, fingerprint)) is not None

    def finished_shards(self, stage: str, fingerprint: str) -> dict[int, dict[str, Any]]:
        """Statistics of every shard that is finished under these settings, by index.

        A damaged file counts as unfinished: it is made anew and replaced.
        """
        indexed = sorted(_indexed_shards(self.stage_path(stage)))
        footers = read_footers([path for _, path in indexed])
        return {
            index: footer.extra["stats"]
            for (index, _), footer in zip(indexed, footers, strict=True)
            if footer is not None and _owner(footer) == fingerprint
        }

    def commit_shard(
        self, stage: str, index: int, records: Sequence[Any], stats: Mapping[str, Any], fingerprint: str
    ) -> None:
        """Publish a finished shard: records, statistics (JSON) and fingerprint in one file.

        Raises:
            ArtifactError: a record cannot be stored, or the disk is full. What was there stays.
        """
        extra = {"stage": stage, "fingerprint": fingerprint, "stats": dict(stats)}
        write_records(self.shard_path(stage, index), records, extra)

    def commit_stage(self, stage: str, fingerprint: str, stats: Mapping[str, Any]) -> None:
        """Declare a stage finished. Its shards must be numbered without a gap, all of this fingerprint.

        Raises:
            ArtifactError: a shard is missing, damaged or of other settings (a worker that outlived a
                killed run wrote it); the disk is full; or another driver took the run over.
        """
        self._check_lock()
        indexed = dict(_indexed_shards(self.stage_path(stage)))
        footers = read_footers([indexed[index] for index in sorted(indexed)])
        if sorted(indexed) != list(range(len(indexed))) or any(_owner(f) != fingerprint for f in footers):
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
        write_bytes(self.stage_path(stage) / MANIFEST, text.encode())

    def discard_stale(self, stage: str, fingerprint: str) -> None:
        """Move what other settings made to `stale/`, and put back what these settings once made.

        Only this stage is touched. Call it before `is_done`, and a setting that was changed and changed
        back costs nothing.

        Raises:
            ArtifactError: the folder cannot be written, or another driver took the run over.
        """
        self._check_lock()
        place = self.stage_path(stage)
        with explain_disk(place):
            self._drop_unfinished(stage, fingerprint)
            manifest = self.manifest(stage)
            if manifest is not None and manifest.fingerprint != fingerprint:
                move_folder(place, self._stale_path(stage, manifest.fingerprint))
            shards = self.shards(stage)
            for path, footer in zip(shards, read_footers(shards), strict=True):
                owner = _owner(footer)
                if owner is None:
                    remove(path)
                elif owner != fingerprint:
                    move_file(path, self._stale_path(stage, owner) / path.name)
            if self.manifest(stage) is None:
                _put_back(self._stale_path(stage, fingerprint), place)

    @contextmanager
    def stage_folder(self, stage: str, fingerprint: str, resume: bool = False) -> Iterator[Place]:
        """A folder to fill; it becomes the stage's folder when the block ends well. On a store it is a
        place that is filled through `storage.working_copy`, by whatever machine does the work.

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
                make_folder(work)
                yield work
            with explain_disk(self.stage_path(stage)):
                publish_folder(work, self.stage_path(stage))
        except BaseException:
            if not resume:
                remove(work)
            raise

    def _stale_path(self, stage: str, fingerprint: str) -> Place:
        return self.path / _STALE / f"{stage}-{fingerprint}"

    def _drop_unfinished(self, stage: str, fingerprint: str) -> None:
        for work in self.path.glob(f"{_RESUMABLE}*"):
            owner, _, found = work.name.removeprefix(_RESUMABLE).rpartition("-")
            if owner == stage and found != fingerprint:
                remove(work)

    def _check_lock(self) -> None:
        if self._lock is not None:
            self._lock.check()


def _read_manifest(place: Place) -> Manifest | None:
    path = place / MANIFEST
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


def _indexed_shards(place: Place) -> Iterator[tuple[int, Place]]:
    for path in place.glob("shard-*.parquet"):
        with suppress(ValueError):
            yield int(path.stem.removeprefix("shard-")), path


def _owner(footer: Footer | None) -> str | None:
    """Fingerprint of the settings that made a shard; None of a damaged one."""
    return None if footer is None else footer.extra.get("fingerprint")


def _put_back(kept: Place, place: Place) -> None:
    """Bring a stage's earlier work back: the whole folder, or the shards that `place` lacks."""
    if not kept.is_dir():
        return
    if not any(_indexed_shards(place)):  # no manifest and no shard: nothing finished is there
        move_folder(kept, place)
        return
    for _, path in _indexed_shards(kept):
        if not (place / path.name).exists():
            move_file(path, place / path.name)
    remove(kept)
