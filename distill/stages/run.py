"""What every stage is given: the recipe, the run folder, the cluster and a way to show progress."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from distill.artifacts import RunFolder, write_bytes
from distill.cluster import OUTAGES, Cluster, Fault, Resources
from distill.config import GeneratorSettings, Recipe
from distill.errors import StoreError
from distill.memory import MemoryWatch
from distill.progress import ProgressView

Record = TypeVar("Record")

_log = logging.getLogger(__name__)

FAULTS = "faults.json"
"""What was tried again, by stage and fingerprint: written at every fault, so that a killed driver does not
take it along. Absent where nothing failed."""
FAULTS_KEPT = 200
"""Faults of a stage that are told in full; beyond it they are only counted."""


@dataclass
class Run:
    """One execution of a recipe. The cluster starts when the first stage asks for it, so that a
    finished run never starts one."""

    recipe: Recipe
    folder: RunFolder
    view: ProgressView
    fingerprints: dict[str, str]
    memory: MemoryWatch
    stage: str = ""
    _cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """Ray, started on first use."""
        if self._cluster is None:
            self.view.line("starting Ray ...")
            self._cluster = Cluster(self.recipe.cluster, self.note_fault, self.view.line)
            self._cluster.__enter__()  # last, so that it is closed even if Ctrl-C cuts this short
        return self._cluster

    def close(self) -> None:
        """Shut down what was started."""
        if self._cluster is not None:
            self._cluster.__exit__(None, None, None)
            self._cluster = None

    def note_fault(self, fault: Fault) -> None:
        """Show a fault of the stage that runs, and keep it on disk; one that a store out of reach does not
        take is logged, as it must not end a run that the fault itself did not."""
        why = f": {fault.reason}" if fault.kind in OUTAGES else ""
        self.view.line(f"{fault.unit}: {fault.kind}{why}")
        try:
            self._keep_fault(fault)
        except StoreError as error:
            _log.warning("%s: %s is not in %s: %s", fault.unit, fault.kind, FAULTS, error)

    def _keep_fault(self, fault: Fault) -> None:
        every = self._read_faults()
        mine = every.setdefault(self._fault_key(self.stage), {"count": 0, "faults": []})
        mine["count"] += 1
        if mine["count"] <= FAULTS_KEPT:
            mine["faults"].append({**asdict(fault), "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
        write_bytes(self.folder.path / FAULTS, json.dumps(every, indent=1, ensure_ascii=False).encode())

    def faults(self, stage: str) -> dict[str, Any]:
        """`retries`, how often work of a stage was tried again by this command and those before it, and
        `faults`, why; nothing to tell where that is never."""
        mine = self._read_faults().get(self._fault_key(stage))
        return {"retries": mine["count"], "faults": mine["faults"]} if mine else {"retries": 0}

    def _fault_key(self, stage: str) -> str:
        return f"{stage} {self.fingerprints[stage]}"

    def _read_faults(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder.path / FAULTS).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # nothing failed yet
            return {}

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


def engine_resources(settings: GeneratorSettings) -> Resources:
    """What one replica of an engine reserves."""
    return Resources(settings.cpus, settings.gpus)
