"""`kill -9` at any moment, then the same command again: nothing finished is redone, nothing is lost."""

import random
from pathlib import Path

import psutil
import pytest
from conftest import Finished
from pipeline_runs import (
    LABELLED,
    RECORDS,
    Ran,
    descendants,
    distill,
    identities,
    rows,
    started,
    wait_for,
)

# Work of these stages shows in the run folder while they run; a kill meets one of them, or what follows.
TRACES = {
    "problems": "problems/*",
    "chains": "chains/shard-*",
    "evidence": "evidence/shard-*",
    "labels": "labels/*",
    "verifier": ".unfinished-verifier-*",
    "trained": ".unfinished-verifier-*/nf4/*",
    "export": ".tmp-export-*",
}
KILLS = 5
RECIPE = ("recipe.yaml", "verifier.compare_full_precision=false")
SHARDS = "[pcdhl]*/shard-*"  # of problems, chains, dataset, heldout, labels: never written twice


@pytest.mark.timeout(900)  # some seven runs, on a machine that may be busy
def test_five_kills_of_the_driver(finished: Finished, tmp_path: Path) -> None:
    folder, chance = tmp_path / "world", random.Random(20)
    moments = sorted(chance.sample(list(TRACES), KILLS), key=list(TRACES).index)
    kept: dict[str, tuple[int, int]] = {}
    for stage in moments:
        kill_driver(finished.place, folder, stage, chance.uniform(0.0, 0.6))
        now = identities(folder, SHARDS) | identities(folder, "evidence/shard-*") | manifests(folder)
        assert {path: now.get(path) for path in kept} == kept
        kept = now
    ended = distill("run", *RECIPE, f"runs={tmp_path}", cwd=finished.place)
    assert ended.code == 0, ended.text
    assert identities(folder).items() >= kept.items()
    for stage in RECORDS:
        assert rows(folder, stage) == rows(finished.folder, stage), stage
    assert not [path for path in folder.rglob("*") if path.name.startswith((".tmp-", ".unfinished-"))]


def manifests(folder: Path) -> dict[str, tuple[int, int]]:
    return identities(folder, "*/manifest.json")


def kill_driver(place: Path, folder: Path, stage: str, delay: float) -> None:
    """Start the run, and kill the driver `delay` seconds after the first trace of `stage`; with it ends
    everything that it started (Ray's own agents take a minute longer to notice)."""
    output = folder.parent / "output.txt"
    with started("run", *RECIPE, f"runs={folder.parent}", cwd=place, output=output) as process:
        assert wait_for(lambda: list(folder.glob(TRACES[stage])), process), output.read_text()
        below = [child for child in descendants(process) if not child.name().endswith("Agent")]
        with pytest.raises(psutil.TimeoutExpired):  # it ends by the kill, not before
            psutil.Process(process.pid).wait(delay)
        process.kill()
    _, alive = psutil.wait_procs(below, timeout=60)
    assert not alive, "Ray's processes must not outlive their driver"


@pytest.fixture(scope="module")
def with_killed_workers(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The labels of the same recipe, while a worker is killed at its chains and another at its evidence."""
    runs = tmp_path_factory.mktemp("workers")
    output = runs / "output.txt"
    arguments = ("pilot", "recipe.yaml", "--sample", "24", f"runs={runs}")
    with started(*arguments, cwd=finished.place, output=output) as process:
        for stage in ("chains", "evidence"):
            shard = f"*/{stage}/shard-*"
            assert wait_for(lambda shard=shard: list(runs.glob(shard)), process), output.read_text()
            workers = descendants(process, "ray::ShardWorker")
            assert workers, "the worker's process was not found"
            for worker in workers:
                worker.kill()
        return runs / "world-pilot", Ran(process.wait(), output.read_text(), "", 0)


def test_a_killed_worker_is_replaced_and_the_labels_are_the_same(
    finished: Finished, with_killed_workers: tuple[Path, Ran]
) -> None:
    folder, ran = with_killed_workers
    assert ran.code == 0, ran.text
    for stage in LABELLED:
        assert rows(folder, stage) == rows(finished.folder, stage), stage


@pytest.mark.slow
def test_without_a_retry_a_shard_is_done_problem_by_problem(finished: Finished, tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    arguments = ("pilot", "recipe.yaml", "--sample", "24", f"runs={tmp_path}", "cluster.retries=0")
    with started(*arguments, cwd=finished.place, output=output) as process:
        assert wait_for(lambda: list(tmp_path.glob("*/chains/shard-*")), process), output.read_text()
        for worker in descendants(process, "ray::ShardWorker"):
            worker.kill()
        assert process.wait() == 0, output.read_text()
    assert "worker died" in output.read_text()
    for stage in LABELLED:
        assert rows(tmp_path / "world-pilot", stage) == rows(finished.folder, stage), stage
