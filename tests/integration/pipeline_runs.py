"""The real command line in processes of its own, on recipes that take seconds, and what it leaves behind."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

# The exact world, so that label accuracy is measured; a slow teacher, so that a kill meets it at work.
WORLD = """\
name: world
problems: {source: world, count: 24, heldout: 8, shard_size: 8}
teacher: {backend: scripted, model: "scripted:world?slip=0.15&delay=0.3", max_new_tokens: 2000}
chains: {per_problem: 2, heldout_per_problem: 8}
labelling: {rollouts: 3, adaptive: {floor: 0.1}}
dataset: {validation_fraction: 0.3}
verifier:
  {base: base, epochs: 1, batch_size: 16, evaluations: 1, max_length: 256, lora: {r: 4, alpha: 8}}
evaluation: {bootstrap: 50}
"""

STAGES = (
    "problems",
    "chains",
    "heldout_problems",
    "heldout_chains",
    "evidence",
    "labels",
    "dataset",
    "verifier",
    "export",
    "evaluation",
    "report",
)
RECORDS = ("problems", "chains", "heldout_chains", "evidence", "labels", "dataset")
LABELLED = ("problems", "chains", "evidence", "labels")
SECONDS = 1200  # of a busy machine; in the default suite pytest's own limit comes first
COMMAND = (sys.executable, "-m", "distill.cli")


@dataclass(frozen=True)
class Ran:
    """A command that ended: its exit code, what it printed, and how long it took."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out + self.err


def distill(*arguments: object, cwd: Path, given: str = "", wrapper: tuple[str, ...] = ()) -> Ran:
    """Run `distill ARGUMENTS` in `cwd` to its end."""
    command = [*wrapper, *COMMAND, *map(str, arguments)]
    began = time.monotonic()
    ended = subprocess.run(
        command, cwd=cwd, env=environment(), input=given, capture_output=True, text=True, timeout=SECONDS
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - began)


@contextmanager
def started(*arguments: object, cwd: Path, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`distill ARGUMENTS` in the background, what it prints in a file; killed when the block ends."""
    with output.open("wb") as file:
        command = [*COMMAND, *map(str, arguments)]
        process = subprocess.Popen(command, cwd=cwd, env=environment(), stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def environment() -> dict[str, str]:
    """One thread each, no colours, and lines that are not wrapped."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "240", "TERM": "dumb", "NO_COLOR": "1"}


def wait_for(found: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    """What `found` returns once that is true; None if the process ends before."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        if process.poll() is not None:
            return None
        time.sleep(0.02)
    raise TimeoutError(f"nothing found within {SECONDS} s")


def descendants(process: subprocess.Popen[bytes], title: str = "") -> list[psutil.Process]:
    """Processes below `process` whose command line holds `title`."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if title in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:  # it ended while we looked
            continue
    return found


def rows(folder: Path, stage: str) -> list[dict[str, Any]]:
    """Every Parquet row of a stage, in shard order."""
    shards = sorted((folder / stage).glob("shard-*.parquet"))
    assert shards, f"no shards of {stage} in {folder}"
    return [row for path in shards for row in pq.ParquetFile(path).read().to_pylist()]


def identities(folder: Path, pattern: str = "*/*") -> dict[str, tuple[int, int]]:
    """Inode and time of change of the files that match, by path: a file written again has others."""
    files = [path for path in folder.glob(pattern) if path.is_file() and not path.name.startswith(".tmp-")]
    return {str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}
