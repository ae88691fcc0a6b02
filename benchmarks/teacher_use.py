"""Teacher use: tokens/s of labelling against the same engine fed the very same requests in one raw batch.

A worker labels at least 1,000 chains of the exact world under the default policy, as it does in a run (in
this process, so that every request can be recorded; what Ray adds is in orchestration.py). Then the same
engine is given all recorded requests at once. Both are timed from the first request to the last answer,
after the engine is warm, in one run. `ratio` is that of the whole; `ratio_steady` that of the steady states:
the time, in either, while at least `--lanes` requests are open, which a run of many shards is mostly in.
Where the difference of the whole goes is told in shares of the labelling time:

- *engine idle, checks*: no request in flight while steps or answers are checked;
- *engine idle, rest*: no request in flight for any other reason (reading, writing, policies);
- *thinner batches*: the engine works, but its batch is part empty: mostly the end, when few problems are
  left and each waits for its own last rollouts.

    python benchmarks/teacher_use.py [--chains 8000] [--shard-size 4000] [--backend vllm]

`--engine-core N` keeps vLLM's processes (with one thread) on core N and all else (policies, checks, vLLM's
own front end) on the other cores, in both measurements: as on a machine whose engine has a GPU of its own.
"""

import argparse
import asyncio
import json
import math
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from record import record

from distill.artifacts import RunFolder
from distill.config import Recipe
from distill.records import Usage
from distill.stages.worker import ShardTask, ShardWorker
from generators.base import Completion, Generator
from generators.batching import Crew
from generators.sources import load_problems

TARGET = 0.9
PER_PROBLEM = 2
NO_REPORT = lambda *args, **kwargs: None  # noqa: E731


@dataclass
class Meter:
    """Seconds during which at least one thing is going on."""

    seconds: float = 0.0
    _open: int = 0
    _since: float = 0.0

    @contextmanager
    def on(self) -> Any:
        """One thing goes on while the block lasts."""
        if self._open == 0:
            self._since = time.perf_counter()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self.seconds += time.perf_counter() - self._since

    @property
    def busy(self) -> bool:
        """Whether anything goes on now."""
        return self._open > 0


@dataclass
class Recorder:
    """An engine that remembers what it was asked, when it had something to do, and while `lanes` requests
    or more were open."""

    engine: Generator
    lanes: int
    asked: list[tuple[tuple[int, ...], int, int]] = field(default_factory=list)
    used: Usage = field(default_factory=Usage)
    meter: Meter = field(default_factory=Meter)
    open: int = 0
    begun: float = 0.0
    steady: tuple[float, int] = (0.0, 0)
    """Seconds from the first request until fewer than `lanes` were open for good; tokens by then."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        """As the engine's own, noted."""
        self.asked.append((tuple(prefix), n, seed))
        self.begun = self.begun or time.perf_counter()
        self.open += n
        with self.meter.on():
            completion = await self.engine.sample(prefix, n, seed)
        if self.open >= self.lanes:
            tokens = self.used.generated_tokens + completion.usage.generated_tokens
            self.steady = (time.perf_counter() - self.begun, tokens)
        self.open -= n
        self.used += completion.usage
        return completion

    @property
    def steady_rate(self) -> float:
        """Tokens/s of the steady state; NaN where there was none."""
        seconds, tokens = self.steady
        return tokens / seconds if seconds else math.nan


class WatchedPool:
    """A checker pool that notes for how long checks went on while the engine had nothing to do."""

    def __init__(self, pool: Any, engine: Meter) -> None:
        self._pool, self._engine, self.alone = pool, engine, 0.0

    async def amap(self, *args: Any) -> Any:
        """As the pool's own, timed."""
        started, idle = time.perf_counter(), not self._engine.busy
        found = await self._pool.amap(*args)
        self.alone += (time.perf_counter() - started) * (idle and not self._engine.busy)
        return found


def recipe(asked: argparse.Namespace, place: Path) -> Recipe:
    """The quickstart's teacher and completer, and labelling as it is when nothing is said of it."""
    engine = {"backend": asked.backend, "model": asked.model, "max_new_tokens": 160, "temperature": 0.7}
    engine |= {"engine_args": json.loads(asked.engine_args)}
    return Recipe.model_validate(
        {
            "name": "teacher_use",
            "runs": str(place),
            "problems": {
                "count": -(-asked.chains // PER_PROBLEM),
                "heldout": 0,
                "shard_size": asked.shard_size,
            },
            "chains": {"per_problem": PER_PROBLEM},
            "teacher": engine,
            "completer": engine | {"temperature": 0.4},
        }
    )


async def write_chains(made: Recipe, folder: RunFolder) -> int:
    """Problems and the teacher's chains as a run leaves them; how many shards there are."""
    problems = load_problems(made.problems, made.seed, "label")
    size = made.problems.shard_size
    worker = ShardWorker(made, made.teacher, str(folder.path))
    for index, start in enumerate(range(0, len(problems), size)):
        folder.commit_shard("problems", index, problems[start : start + size], {}, "x")
        await worker.write_chains(_task(folder, "chains", index, ("problems",)), NO_REPORT)
    await worker._engine.close()
    return -(-len(problems) // size)


def engine_alone(engine: Any, core: int) -> None:
    """Keep the processes of a vLLM engine on `core`, with all their threads."""
    cores = [p.pid for p in engine._engine.engine._llm.engine_core.resources.engine_manager.processes]
    below = [child.pid for pid in cores for child in psutil.Process(pid).children(recursive=True)]
    for pid in [*cores, *below]:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})


def _task(folder: RunFolder, stage: str, index: int, inputs: tuple[str, ...]) -> ShardTask:
    paths = tuple(str(folder.shard_path(name, index)) for name in inputs)
    return ShardTask(stage, index, paths, "x", PER_PROBLEM)


async def label(worker: ShardWorker, folder: RunFolder, shards: int) -> float:
    """Seconds to gather the evidence of all shards, as many in flight as the engine takes."""
    room = asyncio.Semaphore(worker._engine.shards_in_flight)

    async def one(index: int) -> None:
        async with room:
            await worker.gather_evidence(_task(folder, "evidence", index, ("problems", "chains")), NO_REPORT)

    started = time.perf_counter()
    await asyncio.gather(*(one(index) for index in range(shards)))
    return time.perf_counter() - started


async def raw(engine: Recorder, asked: Sequence[tuple[tuple[int, ...], int, int]]) -> float:
    """Seconds that the same requests take, all at once. As a crew, so that each is answered when it ends."""
    crew = Crew()

    async def one(number: int) -> None:
        with crew.member(number):
            await engine.sample(*asked[number])

    started = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(len(asked))))
    return time.perf_counter() - started


async def measure(made: Recipe, folder: RunFolder, lanes: int, core: int | None) -> dict[str, float]:
    """Both ways on one engine, and where the difference goes."""
    shards = await write_chains(made, folder)
    completer = made.completer or made.teacher
    worker = ShardWorker(made, completer, str(folder.path))
    recorder = Recorder(worker._engine, lanes)
    worker.__dict__["_engine"] = recorder
    if core is not None:
        engine_alone(recorder.engine, core)
    pool = worker._pool = WatchedPool(worker._pool, recorder.meter)
    await recorder.engine.sample(recorder.engine.encode("1 + 1 ="), 8, 0)
    seconds = await label(worker, folder, shards)
    alone = Recorder(recorder.engine, lanes)
    seconds_raw = await raw(alone, recorder.asked)
    await recorder.engine.close()
    rate, rate_raw = recorder.used.generated_tokens / seconds, alone.used.generated_tokens / seconds_raw
    idle = max(0.0, seconds - recorder.meter.seconds)
    thin = 1 - idle / seconds - rate / rate_raw
    return {
        "requests": len(recorder.asked),
        "tokens": recorder.used.generated_tokens,
        "tokens_raw": alone.used.generated_tokens,
        "prompt_tokens": recorder.used.prompt_tokens - recorder.used.cached_tokens,
        "prompt_tokens_raw": alone.used.prompt_tokens - alone.used.cached_tokens,
        "seconds": seconds,
        "seconds_raw": seconds_raw,
        "tokens_per_second": rate,
        "tokens_per_second_raw": rate_raw,
        "ratio": rate / rate_raw,
        "seconds_steady": recorder.steady[0],
        "share_of_tokens_steady": recorder.steady[1] / recorder.used.generated_tokens,
        "tokens_per_second_steady": recorder.steady_rate,
        "tokens_per_second_raw_steady": alone.steady_rate,
        "ratio_steady": recorder.steady_rate / alone.steady_rate,
        "share_idle_checks": min(pool.alone, idle) / seconds,
        "share_idle_rest": max(0.0, idle - pool.alone) / seconds,
        "share_thinner_batches": thin,
    }


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--chains", type=int, default=8000)
    parser.add_argument("--backend", default="transformers")
    parser.add_argument("--model", default="builtin:arith-teacher")
    parser.add_argument("--shard-size", type=int, default=4000)
    parser.add_argument("--lanes", type=int, default=256, help="open requests of a steady state")
    parser.add_argument("--engine-core", type=int, help="core that vLLM's processes have to themselves")
    parser.add_argument("--engine-args", default="{}", help="of vLLM, as JSON")
    asked = parser.parse_args()
    if asked.engine_core is not None:
        os.environ["OMP_NUM_THREADS"] = "1"
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {asked.engine_core})
    place = Path(tempfile.mkdtemp(prefix="teacher-use-"))
    made = recipe(asked, place)
    try:
        with RunFolder.driver(place / made.name) as folder:
            found = asyncio.run(measure(made, folder, asked.lanes, asked.engine_core))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    for name, value in found.items():
        print(f"{name:<26}{value:>14,.3f}" if value < 100 else f"{name:<26}{value:>14,.0f}")
    print(f"steady state {found['ratio_steady']:.3f}, target {TARGET}; the whole {found['ratio']:.3f}")
    command = " ".join(["python benchmarks/teacher_use.py", *map(shlex.quote, sys.argv[1:])])
    name = f"teacher_use_{asked.backend}" + ("_alone" if asked.engine_core is not None else "")
    record(name, command, found)


if __name__ == "__main__":
    main()
