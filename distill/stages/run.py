"""What every stage is given: the recipe, the run folder, the cluster and a way to show progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from distill.artifacts import RunFolder, read_records
from distill.cluster import Cluster, Resources
from distill.config import GeneratorSettings, Recipe
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
    _cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """Ray, started on first use."""
        if self._cluster is None:
            self.view.line("starting Ray ...")
            self._cluster = Cluster(self.recipe.cluster).__enter__()
        return self._cluster

    def close(self) -> None:
        """Shut down what was started."""
        if self._cluster is not None:
            self._cluster.__exit__(None, None, None)
            self._cluster = None

    def read(self, stage: str, record: type[Record]) -> list[Record]:
        """All records of a finished stage, in shard order."""
        return [row for path in self.folder.shards(stage) for row in read_records(path, record)]

    def write_shards(self, stage: str, records: Sequence[Any], size: int) -> None:
        """Write `records` as shards of `size` (for a stage that runs in the driver)."""
        for index, start in enumerate(range(0, len(records), size)):
            part = list(records[start : start + size])
            self.folder.commit_shard(stage, index, part, {"out": len(part)}, self.fingerprints[stage])


def engine_resources(settings: GeneratorSettings, recipe: Recipe) -> Resources:
    """What one replica of an engine reserves."""
    return Resources(settings.cpus, settings.gpus, recipe.cluster.retries)
