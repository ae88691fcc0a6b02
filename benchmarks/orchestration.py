"""What orchestration alone can carry: rollouts a second per core of the driver, and its memory over time.

The engine is the scripted one, which costs next to nothing, so what is measured is ours and Ray's: shards
given out, progress told, events written. Two figures matter. The *driver* is one process for the whole
cluster: rollouts per second of its CPU time, against what 100 GPUs would make. A *worker* serves one
replica: rollouts a second of one worker process, checks and files included, against what one replica makes.
Memory of the driver and of Ray's object store is sampled on the way and must not grow with the rollouts.

The budget: GPUS x TOKENS a second each (a 7B teacher in vLLM), ROLLOUT tokens a rollout.

    python benchmarks/orchestration.py [--rollouts 1000000] [--workers 1] [--shard-size 64]
"""

import argparse
import json
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
import ray
from record import record

from distill.config import Recipe
from distill.parquet import read_footer
from distill.pipeline import execute
from distill.progress import ProgressView

GPUS, TOKENS, ROLLOUT = 100, 3000, 300
BUDGET = GPUS * TOKENS / ROLLOUT
CHAINS, SAMPLES = 2, 8
PER_PROBLEM = CHAINS * SAMPLES * 4.0
"""Rollouts that the recipe below asks for a problem, whose chains have four steps."""
ROWS = 11
MIB = 2**20


@dataclass(frozen=True)
class Sampled:
    """The state at one moment of the evidence stage: finished rollouts, seconds since it was first seen
    to have finished any, CPU seconds of the driver, its memory and the object store's (MiB)."""

    rollouts: int
    wall: float
    driver_cpu: float
    driver_mib: float
    store_mib: float


class Sampler(threading.Thread):
    """Looks at the run folder and at this process every second."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self._folder, self._stop_now = folder, threading.Event()
        self._counted: dict[str, int] = {}
        self.seen: list[Sampled] = []

    def run(self) -> None:
        """Sample until told to stop."""
        while not self._stop_now.wait(1.0):
            with suppress(Exception):  # Ray comes up late and goes early
                if self._rollouts() and ray.is_initialized():
                    self.seen.append(self._sample())

    def stop(self) -> None:
        """End the thread."""
        self._stop_now.set()
        self.join()

    def _rollouts(self) -> int:
        for path in self._folder.glob("evidence/shard-*.parquet"):
            if path.name not in self._counted:
                self._counted[path.name] = rollouts_of(path)
        return sum(self._counted.values())

    def _sample(self) -> Sampled:
        process = psutil.Process()
        cpu = process.cpu_times()
        store = ray.cluster_resources().get("object_store_memory", 0.0)
        used = store - ray.available_resources().get("object_store_memory", 0.0)
        return Sampled(
            self._rollouts(),
            time.monotonic(),
            cpu.user + cpu.system,
            process.memory_info().rss / MIB,
            used / MIB,
        )


def rollouts_of(path: Path) -> int:
    """Rollouts in a shard of evidence, by the statistics in its footer."""
    outcomes = read_footer(path).extra["stats"]["outcomes"]
    return sum(count for kind, count in outcomes.items() if kind.startswith("rollout"))


def recipe(place: Path, rollouts: int, workers: int, shard_size: int) -> Recipe:
    """A fixed number of rollouts at every step of sums that the script gets wrong at times."""
    count = max(1, round(rollouts / PER_PROBLEM))
    problems = place / "problems.jsonl"
    rows = ({"question": f"Add {i}, {i % 97} and 5 and {i % 13}.", "answer": str(i + i % 97 + 5 + i % 13)}
            for i in range(count))  # fmt: skip
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Recipe.model_validate(
        {
            "name": "orchestration",
            "runs": str(place / "runs"),
            "problems": {
                "source": "file",
                "path": str(problems),
                "count": count,
                "heldout": 0,
                "shard_size": shard_size,
            },
            "teacher": {
                "backend": "scripted",
                "model": "scripted:solver?slip=0.2",
                "max_new_tokens": 400,
                "replicas": workers,
            },
            "chains": {"per_problem": CHAINS},
            "labelling": {"method": "math_shepherd", "rollouts": SAMPLES, "count_outcome": False},
        }
    )


def table(seen: list[Sampled]) -> None:
    """About ROWS of the samples, the first and the last among them."""
    print(f"{'rollouts':>12}{'seconds':>9}{'driver CPU s':>14}{'driver MiB':>12}{'store MiB':>11}")
    picked = (
        [seen[round(i * (len(seen) - 1) / (ROWS - 1))] for i in range(ROWS)] if len(seen) > ROWS else seen
    )
    for row in picked:
        wall, cpu = row.wall - seen[0].wall, row.driver_cpu - seen[0].driver_cpu
        print(f"{row.rollouts:>12,}{wall:>9.1f}{cpu:>14.2f}{row.driver_mib:>12.1f}{row.store_mib:>11.2f}")


def figures(seen: list[Sampled], workers: int) -> dict[str, float]:
    """Rates between the first and the last sample; memory growth over the second half of the rollouts."""
    first, last = seen[0], seen[-1]
    half = next(row for row in seen if row.rollouts >= last.rollouts / 2)
    made = last.rollouts - first.rollouts
    wall, cpu = last.wall - first.wall, max(last.driver_cpu - first.driver_cpu, 1e-9)
    return {
        "rollouts": last.rollouts,
        "rollouts_per_second": made / wall,
        "rollouts_per_second_of_a_worker": made / wall / workers,
        "rollouts_per_driver_core_second": made / cpu,
        "driver_share_of_a_core": cpu / wall,
        "budget_rollouts_per_second": BUDGET,
        "driver_over_budget": made / cpu / BUDGET,
        "driver_mib": last.driver_mib,
        "driver_growth_mib": last.driver_mib - half.driver_mib,
        "store_mib": max(row.store_mib for row in seen),
        "store_growth_mib": last.store_mib - half.store_mib,
    }


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--shard-size", type=int, default=64)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="orchestration-"))
    made = recipe(place, asked.rollouts, asked.workers, asked.shard_size)
    sampler = Sampler(Path(made.runs) / made.name)
    try:
        execute(made, ProgressView(), last="chains")
        sampler.start()
        execute(made, ProgressView(), last="evidence")
        sampler.stop()
    finally:
        shutil.rmtree(place, ignore_errors=True)
    table(sampler.seen)
    found = figures(sampler.seen, asked.workers)
    for name, value in found.items():
        print(f"{name:<36}{value:>14,.2f}")
    print(
        f"budget: {GPUS} GPUs x {TOKENS:,} tokens/s / {ROLLOUT} tokens a rollout = {BUDGET:,.0f} rollouts/s"
    )
    command = f"python benchmarks/orchestration.py --rollouts {asked.rollouts} --workers {asked.workers}"
    samples = [astuple(row) for row in sampler.seen[:: max(1, len(sampler.seen) // 200)]]
    record("orchestration", f"{command} --shard-size {asked.shard_size}", found | {"samples": samples})


if __name__ == "__main__":
    main()
