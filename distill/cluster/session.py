"""A connection to Ray and the two ways to run work on it.

`run_shards` spreads shards over long-lived workers that each own an engine; `run_task` runs one heavy
function (training, export, scoring) in a process of its own. Workers report through a small board that
the driver reads. What fails is tried again, and told to `on_fault`.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from distill.cluster.board import BoardReporter, Reporter, start_board
from distill.cluster.connect import connect
from distill.cluster.faults import death, outage_wait, raised
from distill.cluster.shards import POLL_SECONDS, OnProgress, Outcomes, Replicas, ShardRun
from distill.cluster.tries import Fault, Tries, UnitT
from distill.config import ClusterSettings
from distill.errors import ClusterError, StoreError


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker or task reserves."""

    cpus: float = 1.0
    gpus: float = 0.0


class Cluster:
    """A connection to Ray; started on entry, and shut down on exit if this process started it."""

    def __init__(
        self,
        settings: ClusterSettings,
        on_fault: Callable[[Fault], None] = lambda fault: None,
        on_note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._settings, self._on_fault, self._on_note = settings, on_fault, on_note
        self._noted: set[Resources] = set()
        self._replicas: Replicas | None = None
        self._worker_key: Any = None
        self._answered: list[Any] = []
        """Keys of released workers whose engines are known to answer."""
        self._board: Any = None
        self._ours = False

    def __enter__(self) -> "Cluster":
        if not ray.is_initialized():
            connect(self._settings)
            self._ours = True
        self._board = start_board()
        return self

    def __exit__(self, *exc: object) -> None:
        self.release_workers()
        if self._ours:
            ray.shutdown()

    def run_shards(
        self,
        worker: type,
        worker_args: tuple[Any, ...],
        method: str,
        shards: Sequence[UnitT],
        replicas: int,
        resources: Resources,
        outcomes: Outcomes[UnitT],
        may_set_aside: int,
        proven: bool,
        on_progress: OnProgress,
    ) -> None:
        """Run `method(shard, reporter)` of at most `replicas` workers over `shards`, each to its end once.

        A worker has a method `prepare(key, reporter, folder)` that loads its engine and answers how many
        shards it takes at a time. Workers stay alive between calls with the same arguments, so that an
        engine is loaded once. Those that have no room yet join when there is some. `proven`: an earlier
        command finished shards of this stage, so that the engine is known to work.

        Raises:
            DistillError: a worker raised what would meet every shard, or engines do not start, or more than
                `may_set_aside` problems failed again and again.
        """
        self._require_room(replicas, resources)
        engines = self._workers_for(worker, worker_args, resources)
        ray.get(self._board.clear.remote())
        settings = self._settings
        tries = Tries(shards, settings.retries, outcomes.split, may_set_aside, proven)
        ShardRun(
            engines,
            replicas,
            method,
            tries,
            outcomes,
            self._board,
            settings.stall_seconds,
            self._on_fault,
            on_progress,
        ).run()

    def run_task(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources,
        on_progress: OnProgress,
    ) -> Any:
        """`function(*args, reporter)` in a fresh process; its result. Workers are released first, so
        that one heavy process has the machine. A process or node that dies is replaced; one that met a
        store out of reach is started again after a while.

        Raises:
            ClusterError: it died more often than `cluster.retries` allows.
            DistillError: what `function` raised.
        """
        self.release_workers()
        self._require_room(1, resources)
        remote: Any = ray.remote(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=0,
            max_calls=1,
            runtime_env={"env_vars": _thread_env()},
        )(in_folder)
        name = function.__name__
        for again in range(self._settings.retries, -1, -1):
            ray.get(self._board.clear.remote())
            reference = remote.options(name=name).remote(
                os.getcwd(), function, *args, BoardReporter(self._board)
            )
            try:
                return self._watch(reference, on_progress)
            except RayTaskError as error:
                if not again or not isinstance(error.cause, StoreError):
                    raise error.cause from error  # a full disk is told by its errno, which the wrapping hides
                self._on_fault(raised(name.strip("_"), error))
                time.sleep(outage_wait(self._settings.retries - again + 1))
            except RayError as error:
                fault = death(name.strip("_"), error)
                self._on_fault(fault)
                if not again:
                    raise ClusterError(_died_too_often(fault)) from error
        raise AssertionError("a task ends or raises")

    def _watch(self, reference: Any, on_progress: OnProgress) -> Any:
        while not ray.wait([reference], timeout=POLL_SECONDS)[0]:
            self._show(on_progress)
        self._show(on_progress)
        return ray.get(reference)

    def _show(self, on_progress: OnProgress) -> None:
        on_progress({key: state for key, (state, _) in ray.get(self._board.read.remote()).items()})

    def release_workers(self) -> None:
        """End the workers that are alive, and give their memory back."""
        if self._replicas is not None:
            self._replicas.release()
            if self._replicas.answered and self._worker_key not in self._answered:
                self._answered.append(self._worker_key)
        self._replicas = self._worker_key = None

    def _require_room(self, replicas: int, resources: Resources) -> None:
        """Raises ClusterError where a local Ray would wait for ever. A cluster may grow: there, a note says
        once that no node is large enough yet."""
        if self._settings.address != "local":
            if resources not in self._noted and (note := no_node_fits(resources, ray.nodes())):
                self._noted.add(resources)
                self._on_note(note)
            return
        there = ray.cluster_resources()
        for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
            if replicas * wanted > there.get(name, 0.0):
                raise ClusterError(
                    f"expected {replicas * wanted:g} {name}s for {replicas} worker(s) with {wanted:g} each, "
                    f"found {there.get(name, 0.0):g} on this machine. Lower `{name.lower()}s` or `replicas`."
                )

    def _workers_for(self, worker: type, args: tuple[Any, ...], resources: Resources) -> Replicas:
        key = (worker, args, resources)
        if self._replicas is None or key != self._worker_key:
            self.release_workers()
            remote: Any = ray.remote(
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                runtime_env={"env_vars": _thread_env()},
            )(worker)
            make = lambda: remote.remote(*args)  # noqa: E731
            self._replicas = Replicas(make, self._board, self._settings.retries, os.getcwd())
            self._replicas.answered = key in self._answered
            self._worker_key = key
        return self._replicas


def in_folder(folder: str, function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` in the driver's working directory, which the recipe's paths are relative to, where
    this node has it (Ray starts its processes elsewhere)."""
    with suppress(OSError):
        os.chdir(folder)
    return function(*args)


def no_node_fits(resources: Resources, nodes: Sequence[dict[str, Any]]) -> str:
    """What to tell of `nodes` (as `ray.nodes` lists them) of which none could ever hold `resources`, were it
    empty; nothing where one could."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    there = [(node.get("GPU", 0.0), node.get("CPU", 0.0)) for node in alive]
    if any(gpus >= resources.gpus and cpus >= resources.cpus for gpus, cpus in there):
        return ""
    gpus, cpus = max(there, default=(0.0, 0.0))
    return (
        f"no node is large enough: one worker asks for {resources.gpus:g} GPUs and {resources.cpus:g} CPUs, "
        f"the largest of {len(there)} nodes has {gpus:g} GPUs and {cpus:g} CPUs. The run waits for a larger, "
        "which an autoscaler may add; if none will come, stop it and lower `gpus` or `cpus`."
    )


def _thread_env() -> dict[str, str]:
    # Ray sets OMP_NUM_THREADS to the reserved CPUs; a busy-waiting OpenMP also starves every other process.
    return {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "", "TOKENIZERS_PARALLELISM": "false"}


def _died_too_often(fault: Fault) -> str:
    return (
        f"`{fault.unit}` died more often than `cluster.retries` allows; the last time: {fault.kind}: "
        f"{fault.reason.rstrip('.')}. What is finished is kept; mend the cause and give the same command "
        "again."
    )


def probe() -> str:
    """Start Ray on this machine, run one task, stop: what `distill doctor` tells of it."""
    with Cluster(ClusterSettings()) as cluster:
        answer = cluster.run_task(_probe_task, resources=Resources(), on_progress=lambda state: None)
        resources = ray.cluster_resources()
    return f"{answer}; {resources.get('CPU', 0):.0f} CPUs, {resources.get('GPU', 0):.0f} GPUs"


def _probe_task(report: Reporter) -> str:
    return "a task ran"
