"""Ways into a cluster that `ray start` made: Ray Client, and a job that is stopped and submitted again."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from cluster_nodes import STORE, counts, kill, shard_files, workers
from conftest import Finished
from pipeline_runs import RECORDS, environment, started, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
BIN = Path(sys.executable).parent
PORTS = ("port", "dashboard-port", "dashboard-agent-listen-port", "ray-client-server-port")
# Ray Client and jobs look for these before they look at what they are told.
ELSEWHERE = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_HEADERS")
SHORT = "verifier.compare_full_precision=false"
"""Changes no record, and saves a training."""


@dataclass(frozen=True)
class There:
    """Where the cluster listens, and the environment of its processes and of commands to it."""

    client: str
    dashboard: str
    told: dict[str, str]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at; all held at once, so that they differ."""
    with ExitStack() as held:
        found = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    """`ray start --head` with a dashboard, which jobs need, and a server for Ray Client."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    told = {name: text for name, text in environment().items() if name not in ELSEWHERE}
    told |= {"PATH": f"{BIN}{os.pathsep}{told['PATH']}", "RAY_AUTH_MODE": "disabled"}
    told |= {"RAY_memory_monitor_refresh_ms": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    output = tmp_path_factory.mktemp("cluster") / "output.txt"
    settings = ["--num-cpus=2", f"--object-store-memory={STORE}", "--include-dashboard=true"]
    settings += [f"--{name}={port}" for name, port in ports.items()]
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as session:
        # short: the names of Ray's sockets hold it
        command = [str(BIN / "ray"), "start", "--head", "--block", f"--temp-dir={session}", *settings]
        with output.open("wb") as file:
            process = subprocess.Popen(command, env=told, stdout=file, stderr=file)
        try:
            dashboard = f"http://127.0.0.1:{ports['dashboard-port']}"
            assert wait_for(lambda: answers(f"{dashboard}/api/jobs/"), process), output.read_text()
            yield There(f"ray://127.0.0.1:{ports['ray-client-server-port']}", dashboard, told)
        finally:
            below = [process, *psutil.Process(process.pid).children(recursive=True)]
            process.terminate()  # Ray ends what it started
            psutil.wait_procs([one for one in below if one is not process], timeout=20)
            for one in below:
                kill(one)
            process.wait()


def answers(url: str) -> bool:
    """Whether the dashboard takes jobs already."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def same_as_undisturbed(found: Path, finished: Finished) -> None:
    """The bytes of every shard, with the ids in them, and the counts of every stage."""
    assert shard_files(found, *RECORDS) == shard_files(finished.folder, *RECORDS)
    assert counts(found, *RECORDS) == counts(finished.folder, *RECORDS)


def test_a_run_by_ray_client_outlives_its_worker(there: There, finished: Finished, tmp_path: Path) -> None:
    found, output = tmp_path / "world", tmp_path / "output.txt"
    given = ("run", "recipe.yaml", "--cluster", there.client, SHORT, f"runs={tmp_path}")
    with started(*given, cwd=finished.place, output=output) as process:
        assert wait_for(lambda: list(found.glob("evidence/shard-*")), process), output.read_text()
        at_work = workers()
        assert at_work, "the worker's process was not found"
        for worker in at_work:
            kill(worker)
        assert process.wait() == 0, output.read_text()
    same_as_undisturbed(found, finished)
    (evidence,) = (
        row for row in json.loads((found / "summary.json").read_text())["stages"] if row["name"] == "evidence"
    )
    assert evidence["retries"] == len(evidence["faults"]) > 0
    assert {fault["kind"] for fault in evidence["faults"]} == {"worker died"}
    assert "Tried again" in (found / "report.html").read_text()


def test_a_job_that_is_stopped_goes_on_when_it_is_submitted_again(
    there: There, finished: Finished, tmp_path: Path
) -> None:
    found, output = tmp_path / "runs" / "world", tmp_path / "output.txt"
    work = tmp_path / "work"
    work.mkdir()
    for name in ("recipe.yaml", "base"):
        (work / name).symlink_to(finished.place / name)
    ray_job = [str(BIN / "ray"), "job"]
    at = ["--address", there.dashboard]
    line = [*ray_job, "submit", *at, "--working-dir", ".", "--", "distill", "run", "recipe.yaml"]
    line += ["--cluster", "auto", SHORT, f"runs={found.parent}"]
    with output.open("wb") as file:
        first = subprocess.Popen(line, cwd=work, env=there.told, stdout=file, stderr=file)
    held: list[psutil.Process] = []
    try:
        assert wait_for(lambda: list(found.glob("evidence/shard-*")), first), output.read_text()
        held = workers()
        for worker in held:  # the command to stop takes seconds to start, and the stage must not end before
            kill(worker, signal.SIGSTOP)
        (job, *_) = re.findall(r"raysubmit_\w+", output.read_text())
        stopped = subprocess.run([*ray_job, "stop", *at, job], env=there.told, capture_output=True, text=True)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
        first.wait()
    finally:
        first.kill()
        for worker in held:
            kill(worker, signal.SIGCONT)
    before = {path.name for path in found.glob("evidence/shard-*")}
    assert not (found / "evidence" / "manifest.json").exists(), "stopped amid the stage"
    again = subprocess.run(line, cwd=work, env=there.told, capture_output=True, text=True)
    assert again.returncode == 0, again.stdout + again.stderr
    same_as_undisturbed(found, finished)
    stats = json.loads((found / "evidence" / "manifest.json").read_text())["stats"]
    assert stats["shards_before"] == len(before) > 0
    assert (found / "report.html").exists()
