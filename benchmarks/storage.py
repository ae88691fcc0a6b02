"""What a shard costs where it lies: bytes, seconds on a disk, requests on a store, memory in the driver.

    python benchmarks/storage.py [--shards 16] [--url s3://bucket/scratch]

Shards hold random records of a real run's shape (64 problems, 8 chains each of 8 steps and 250 tokens, 60
rollout events a chain). Requests are counted at an fsspec filesystem in memory, with the calls that a
store charges for; seconds on a real store come with `--url`.
"""

import argparse
import collections
import os
import random
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem
from record import record

from distill.artifacts import RunFolder
from distill.records import Chain, Event, EventKind, LabelledChain, Outcome, Problem, StepLabel, StepStatus

PROBLEMS, CHAINS, STEPS, TOKENS, EVENTS = 64, 8, 8, 250, 60
CALLS: collections.Counter[str] = collections.Counter()


class Counted(MemoryFileSystem):
    """Memory, with a count of the requests that a store would see."""

    protocol = "counted"


def _count(name: str, request: str) -> None:
    whole = getattr(MemoryFileSystem, name)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        CALLS[request] += 1
        return whole(self, *args, **kwargs)

    setattr(Counted, name, call)


for _name, _request in {
    "pipe_file": "put",
    "cat_file": "get",
    "ls": "list",
    "rm_file": "delete",
    "cp_file": "copy",
}.items():
    _count(_name, _request)
fsspec.register_implementation("counted", Counted)


WORDS = ["".join(random.Random(i).choices(string.ascii_lowercase, k=2 + i % 7)) for i in range(2000)]


def text(chance: random.Random, words: int) -> str:
    """Random words, about 6 characters each: compresses like text, not like a constant."""
    return " ".join(chance.choices(WORDS, k=words))


def shard(seed: int) -> dict[str, list[Any]]:
    """One shard of each stage at which the teacher works, and of the labels made from it."""
    chance = random.Random(seed)
    problems = [Problem(f"p{seed}-{i}", text(chance, 50), "42") for i in range(PROBLEMS)]
    chains = [chain(chance, problem.id, i) for problem in problems for i in range(CHAINS)]
    events = [event(chance, made) for made in chains for _ in range(EVENTS)]
    by_id = {problem.id: problem for problem in problems}
    label = StepLabel(StepStatus.GOOD, 1, 0, 0)
    labels = [
        LabelledChain(by_id[made.problem_id], made, (label,) * STEPS, -1, "benchmark") for made in chains
    ]
    return {"problems": problems, "chains": chains, "evidence": events, "labels": labels}


def chain(chance: random.Random, problem: str, i: int) -> Chain:
    steps = tuple(text(chance, 18) + "\n" for _ in range(STEPS))
    ids = tuple(chance.randrange(150_000) for _ in range(TOKENS))
    ends = tuple((k + 1) * TOKENS // STEPS for k in range(STEPS))
    name = f"{chance.getrandbits(64):016x}"
    return Chain(name, problem, steps, Outcome.CORRECT, token_ids=ids, step_ends=ends, seed=i)


def event(chance: random.Random, made: Chain) -> Event:
    outcome = chance.choice((Outcome.CORRECT, Outcome.INCORRECT))
    return Event(
        made.id, f"{chance.getrandbits(64):016x}", chance.randrange(STEPS), EventKind.ROLLOUT, outcome
    )


@contextmanager
def timed(into: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    into[name] = time.perf_counter() - began


def cost(where: str, made: list[dict[str, list[Any]]]) -> dict[str, Any]:
    """Seconds and requests of every step of `len(made)` shards at one place, for each shard."""
    found: dict[str, Any] = {}
    with RunFolder.driver(where) as run:
        for stage in ("chains", "evidence"):
            run.discard_stale(stage, "A")
            parts: dict[str, Callable[[], object]] = {
                "commit": lambda s=stage: [
                    run.commit_shard(s, i, rows[s], {"in": 1}, "A") for i, rows in enumerate(made)
                ],
                "finish": lambda s=stage: run.commit_stage(s, "A", {}),
                "look again": lambda s=stage: (run.is_done(s, "A"), run.finished_shards(s, "A")),
                "read": lambda s=stage: run.read(s, Chain if s == "chains" else Event),
            }
            found[stage] = {name: _one(work, len(made)) for name, work in parts.items()}
    return found


def _one(work: Callable[[], object], shards: int) -> dict[str, Any]:
    CALLS.clear()
    seconds: dict[str, float] = {}
    with timed(seconds, "s"):
        work()
    requests = {name: round(count / shards, 3) for name, count in CALLS.items()}
    return {"ms_a_shard": round(1000 * seconds["s"] / shards, 2), "requests_a_shard": requests}


HOLD = """
import sys, psutil
from distill.artifacts import RunFolder
from distill.records import LabelledChain
run = RunFolder.reader(sys.argv[1])
run.read("warm", LabelledChain)
before = psutil.Process().memory_info().rss
held = run.read("labels", LabelledChain)
print((psutil.Process().memory_info().rss - before) / len(held))
"""


def driver_memory(made: list[dict[str, list[Any]]]) -> float:
    """Bytes of a fresh process for each labelled chain that it holds, as the driver does at labels and
    dataset; one shard is read before, for what the first reading takes."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.writer(folder)
        run.commit_shard("warm", 0, made[0]["labels"], {}, "A")
        for i, rows in enumerate(made):
            run.commit_shard("labels", i, rows["labels"], {}, "A")
        ended = subprocess.run([sys.executable, "-c", HOLD, folder], capture_output=True, check=True)
        return float(ended.stdout)


def sizes(rows: dict[str, list[Any]]) -> dict[str, int]:
    """Bytes of one shard of each stage."""
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder.writer(folder)
        for stage, records in rows.items():
            run.commit_shard(stage, 0, records, {}, "A")
        return {stage: os.path.getsize(str(run.shard_path(stage, 0))) for stage in rows}


def main() -> None:
    """Print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--url", help="a scratch URL on a real store, whose seconds are measured too")
    options = parser.parse_args()
    made = [shard(seed) for seed in range(options.shards)]
    figures: dict[str, Any] = {
        "shape": {"problems": PROBLEMS, "chains": CHAINS, "steps": STEPS, "tokens": TOKENS, "events": EVENTS},
        "shard_bytes": sizes(made[0]),
    }
    with tempfile.TemporaryDirectory() as folder:
        places = {"disk": f"{folder}/run", "store": "counted://bucket/run", "url": options.url}
        figures |= {name: cost(where, made) for name, where in places.items() if where}
    figures["driver_bytes_a_labelled_chain"] = round(driver_memory(made))
    print("bytes of a shard:", figures["shard_bytes"])
    for name in ("disk", "store", "url"):
        for stage, parts in figures.get(name, {}).items():
            for part, entry in parts.items():
                print(
                    f"{name:<6}{stage:<10}{part:<11}{entry['ms_a_shard']:>9} ms  {entry['requests_a_shard']}"
                )
    print("driver memory:", figures["driver_bytes_a_labelled_chain"], "bytes a labelled chain")
    record("storage", f"python benchmarks/storage.py --shards {options.shards}", figures)


if __name__ == "__main__":
    main()
