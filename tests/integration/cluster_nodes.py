"""A Ray cluster of several nodes on this machine, and the faults that are done to it."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # read when Ray is imported
from ray.cluster_utils import Cluster

STORE = 80 * 2**20
TRIES = 5


class Nodes:
    """A head without CPUs, so that all work is on nodes that may be lost, and workers of one CPU each."""

    def __init__(self, workers: int, **head: Any) -> None:
        self._cluster = Cluster()
        self._add(num_cpus=0, include_dashboard=False, **head)
        self.nodes = [self.add() for _ in range(workers)]
        self.address = self._cluster.address

    def add(self) -> Any:
        """One more node of one CPU."""
        return self._add(num_cpus=1)

    def _add(self, **settings: Any) -> Any:
        """A busy machine misses Ray's own deadline at times. Ray leaves what it has started by then, which
        would join later and make the machine busier still: it is killed."""
        for last in (*[False] * (TRIES - 1), True):
            before = set(psutil.Process().children())
            try:
                return self._cluster.add_node(object_store_memory=STORE, **settings)
            except Exception:  # Ray raises a bare one
                for half_started in set(psutil.Process().children()) - before:
                    kill(half_started)
                if last:
                    raise
        raise AssertionError("the last try returns or raises")

    def lose(self, node: Any) -> None:
        """Kill every process of a node at once."""
        self.nodes = [other for other in self.nodes if other is not node]
        self._cluster.remove_node(node, allow_graceful=False)

    def replace(self, node: Any) -> None:
        """Kill a node, and have another join."""
        self.lose(node)
        self.nodes.append(self.add())

    def stop(self) -> None:
        """End the cluster."""
        self._cluster.shutdown()


@contextmanager
def nodes(workers: int, **head: Any) -> Iterator[Nodes]:
    """A cluster while the block lasts."""
    there = Nodes(workers, **head)
    try:
        yield there
    finally:
        there.stop()


def workers(title: str = "ray::ShardWorker") -> list[psutil.Process]:
    """The processes of our own nodes that hold an engine."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE and title in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it ended while we looked
            continue
    return found


def kill(process: psutil.Process, how: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may have ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, how)


def shard_files(folder: Path, *stages: str) -> dict[str, bytes]:
    """The bytes of every shard of some stages."""
    return {
        f"{stage}/{path.name}": path.read_bytes()
        for stage in stages
        for path in sorted((folder / stage).glob("shard-*.parquet"))
    }


def counts(folder: Path, *stages: str) -> dict[str, dict[str, Any]]:
    """What the manifests of some stages count, but for what may differ between equal runs."""
    differs = {"seconds", "peak_rss_gib", "retries", "faults", "shards_before"}
    stats = {stage: json.loads((folder / stage / "manifest.json").read_text())["stats"] for stage in stages}
    return {stage: {k: v for k, v in told.items() if k not in differs} for stage, told in stats.items()}
