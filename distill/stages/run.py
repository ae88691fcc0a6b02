"""What every stage is given: the recipe, the run folder, the cluster and a way to show progress."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from distill.artifacts import RunFolder
from distill.cluster import Cluster, Resources
from distill.config import GeneratorSettings, Recipe
from distill.memory import MemoryWatch
from distill.progress import ProgressView

Record = TypeVar("Record")


@dataclass
class Run:
    """One execution of a recipe. The cluster starts when the first stage asks for it, so that a
    finished run never starts one."""

    recipe: Recipe
    folder: RunFolder
    view: ProgressView
    fingerprints: dict[str, str]
    memory: MemoryWatch
    started: float = field(default_factory=time.monotonic)
    finished_before: set[str] = field(default_factory=set)
    _cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """Ray, started on first use."""
        if self._cluster is None:
            self.view.line("starting Ray ...")
            self._cluster = Cluster(self.recipe.cluster)
            self._cluster.__enter__()  # last, so that it is closed even if Ctrl-C cuts this short
        return self._cluster

    def wall_seconds(self) -> float:
        """Seconds of this command, and of the stages that earlier commands had finished."""
        earlier = (self.stats(name).get("seconds", 0.0) for name in self.finished_before)
        return time.monotonic() - self.started + sum(earlier)

    def close(self) -> None:
        """Shut down what was started."""
        if self._cluster is not None:
            self._cluster.__exit__(None, None, None)
            self._cluster = None

    def read(self, stage: str, record: type[Record]) -> list[Record]:
        """All records of a finished stage, in shard order."""
        return self.folder.read(stage, record)

    def stats(self, stage: str) -> dict[str, Any]:
        """Statistics of a finished stage."""
        manifest = self.folder.manifest(stage)
        return manifest.stats if manifest else {}

    def write_shards(self, stage: str, records: Sequence[Any], size: int) -> None:
        """Write `records` as shards of `size` (for a stage that runs in the driver)."""
        self.commit_shards(stage, [records[start : start + size] for start in range(0, len(records), size)])

    def commit_shards(self, stage: str, parts: Sequence[Sequence[Any]]) -> None:
        """Write every part as one shard; those that an earlier command finished stay as they are."""
        fingerprint = self.fingerprints[stage]
        finished = self.folder.finished_shards(stage, fingerprint)
        for index, part in enumerate(parts):
            if index not in finished:
                self.folder.commit_shard(stage, index, part, {"out": len(part)}, fingerprint)


def engine_resources(settings: GeneratorSettings, recipe: Recipe) -> Resources:
    """What one replica of an engine reserves."""
    return Resources(settings.cpus, settings.gpus, recipe.cluster.retries)
