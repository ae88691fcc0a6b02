"""Ray, and the only file that imports it: a laptop and a cluster are the same to everything else.

Two ways to run work: `run_shards` spreads shards over long-lived workers that each own an engine;
`run_task` runs one heavy function (training, export, scoring) in a process of its own. Retries,
restarts and placement are Ray's. Workers report through a small board that the driver reads.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import psutil
import ray
from ray.exceptions import RayError, RayTaskError

from distill.config import ClusterSettings
from distill.errors import ClusterError, DistillError

POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker or task reserves, and how often Ray tries again after a death."""

    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3


class Reporter(Protocol):
    """What a worker is given to tell how far it is; cheap to call, never blocks."""

    def __call__(self, key: str, done: float, total: float, tokens: int = 0, note: str = "") -> None:
        """State of `key`: `done` of `total`, tokens so far, one short note."""


class _Board:
    """Latest state of every shard or task, and which processes worked on it (a Ray actor)."""

    def __init__(self) -> None:
        self._state: dict[str, tuple[float, float, int, str]] = {}
        self._workers: dict[str, set[str]] = defaultdict(set)

    def put(self, key: str, worker: str, state: tuple[float, float, int, str]) -> None:
        self._state[key] = state
        self._workers[key].add(worker)

    def read(self) -> dict[str, tuple[float, float, int, str]]:
        return dict(self._state)

    def retries(self) -> int:
        """How often work was taken up again by another process than the one that began it."""
        return sum(len(workers) - 1 for workers in self._workers.values())

    def clear(self) -> None:
        self._state.clear()
        self._workers.clear()


@dataclass(frozen=True, slots=True)
class _BoardReporter:
    """Sends to the board without waiting for it."""

    board: Any

    def __call__(self, key: str, done: float, total: float, tokens: int = 0, note: str = "") -> None:
        worker = ray.get_runtime_context().get_worker_id()
        self.board.put.remote(key, worker, (done, total, tokens, note))


OnProgress = Callable[[dict[str, tuple[float, float, int, str]]], None]


class Cluster:
    """A connection to Ray; started on entry, and shut down on exit if this process started it."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._workers: list[Any] = []
        self._worker_key: Any = None
        self._board: Any = None
        self._ours = False

    def __enter__(self) -> "Cluster":
        if not ray.is_initialized():
            _start(_init_options(self._settings))
            self._ours = True
        self._board = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Board).remote()
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
        shards: Sequence[Any],
        replicas: int,
        resources: Resources,
        on_done: Callable[[dict[str, Any]], None],
        on_progress: OnProgress,
    ) -> int:
        """Run `method(shard, reporter)` of `replicas` workers over `shards`, each shard exactly once.

        Workers stay alive between calls with the same arguments, so that an engine is loaded once.
        A worker that dies is restarted by Ray and its shard tried again.

        Returns:
            how many shards were begun again, as far as their workers had reported before they died.

        Raises:
            DistillError: a worker raised it, or died more often than `resources.retries`.
        """
        self._require_room(replicas, resources)
        workers = self._workers_for(worker, worker_args, replicas, resources)
        ray.get(self._board.clear.remote())
        reporter = _BoardReporter(self._board)
        queue, idle = list(shards), list(workers)
        running: dict[Any, Any] = {}
        while queue or running:
            while queue and idle:
                engine = idle.pop()
                running[getattr(engine, method).remote(queue.pop(0), reporter)] = engine
            ready, _ = ray.wait(list(running), timeout=POLL_SECONDS)
            on_progress(ray.get(self._board.read.remote()))
            for reference in ready:
                idle.append(running.pop(reference))
                on_done(_result(reference))
        return int(ray.get(self._board.retries.remote()))

    def run_task(
        self,
        function: Callable[..., Any],
        *args: Any,
        resources: Resources,
        on_progress: OnProgress,
    ) -> Any:
        """`function(*args, reporter)` in a fresh process; its result. Workers are released first, so
        that one heavy process has the machine."""
        self.release_workers()
        self._require_room(1, resources)
        ray.get(self._board.clear.remote())
        remote = ray.remote(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=resources.retries,
            max_calls=1,
            runtime_env={"env_vars": _thread_env()},
        )(function)
        reference = remote.remote(*args, _BoardReporter(self._board))
        while not ray.wait([reference], timeout=POLL_SECONDS)[0]:
            on_progress(ray.get(self._board.read.remote()))
        on_progress(ray.get(self._board.read.remote()))
        return _result(reference)

    def release_workers(self) -> None:
        """End the workers that are alive, and give their memory back."""
        for engine in self._workers:
            ray.kill(engine)
        self._workers, self._worker_key = [], None

    def _require_room(self, replicas: int, resources: Resources) -> None:
        """Raises ClusterError where a local Ray would wait for ever (a cluster may grow)."""
        if self._settings.address != "local":
            return
        there = ray.cluster_resources()
        for name, wanted in (("CPU", resources.cpus), ("GPU", resources.gpus)):
            if replicas * wanted > there.get(name, 0.0):
                raise ClusterError(
                    f"expected {replicas * wanted:g} {name}s for {replicas} worker(s) with {wanted:g} each, "
                    f"found {there.get(name, 0.0):g} on this machine. Lower `{name.lower()}s` or `replicas`."
                )

    def _workers_for(
        self, worker: type, args: tuple[Any, ...], replicas: int, resources: Resources
    ) -> list[Any]:
        key = (worker, args, replicas)
        if key != self._worker_key:
            self.release_workers()
            remote: Any = ray.remote(
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                max_restarts=resources.retries,
                max_task_retries=resources.retries,
                runtime_env={"env_vars": _thread_env()},
            )(worker)
            self._workers = [remote.remote(*args) for _ in range(replicas)]
            self._worker_key = key
        return self._workers


def _start(options: dict[str, Any]) -> None:
    """`ray.init`, tried twice: on a busy machine its processes may miss Ray's own deadline.

    Raises:
        ClusterError: Ray does not start, or there is no cluster at the address.
    """
    before = set(psutil.Process().children(recursive=True))
    for last in (False, True):
        try:
            ray.init(**options)
            return
        except BaseException as error:  # Ray raises a bare Exception on its deadline
            ray.shutdown()
            for half_started in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.Error):
                    half_started.kill()  # Ray leaves them, and they make the machine busier still
            if not isinstance(error, Exception):  # Ctrl-C
                raise
            if last or options["address"] != "local":
                raise ClusterError(_start_trouble(options["address"], error)) from error


def _start_trouble(address: str, error: Exception) -> str:
    advice = (
        "Wait until the machine is less busy, see that /tmp has room, and give the same command again; what "
        "is finished is kept. `distill doctor` tries Ray alone."
        if address == "local"
        else "See that the cluster runs (`ray status` on its head node) and that cluster.address is right."
    )
    told = str(error).rstrip(".")
    return f"expected Ray at '{address}', found: {type(error).__name__}: {told}. {advice}"


def _init_options(settings: ClusterSettings) -> dict[str, Any]:
    quiet = {"log_to_driver": False, "logging_level": "error", "ignore_reinit_error": True}
    if settings.address != "local":
        return {"address": settings.address, **quiet}
    return {
        "address": "local",
        "include_dashboard": False,
        "num_cpus": os.cpu_count(),
        "object_store_memory": int(settings.object_store_gib * 2**30),
        **quiet,
    }


def _thread_env() -> dict[str, str]:
    # Ray sets OMP_NUM_THREADS to the reserved CPUs; a busy-waiting OpenMP also starves every other process.
    return {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "", "TOKENIZERS_PARALLELISM": "false"}


def _result(reference: Any) -> Any:
    """The value behind `reference`, or the worker's own error without Ray's wrapping."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, DistillError):
            raise error.cause from None
        raise error.cause from error  # a full disk is told by its errno, which the wrapping hides
    except RayError as error:
        raise ClusterError(
            f"A worker died more often than `cluster.retries` allows ({type(error).__name__}: {error}). "
            "What is finished is kept; mend the cause and give the same command again."
        ) from error


def probe() -> str:
    """Start Ray on this machine, run one task, stop: what `distill doctor` tells of it."""
    with Cluster(ClusterSettings()) as cluster:
        answer = cluster.run_task(_probe_task, resources=Resources(), on_progress=lambda state: None)
        resources = ray.cluster_resources()
    return f"{answer}; {resources.get('CPU', 0):.0f} CPUs, {resources.get('GPU', 0):.0f} GPUs"


def _probe_task(report: Reporter) -> str:
    return "a task ran"
