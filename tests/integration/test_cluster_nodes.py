"""A cluster of several nodes on this machine: late nodes, lost nodes, dead, hanging and poisoned workers."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster_nodes import Nodes, kill, nodes, shard_files, workers
from pipeline_runs import LABELLED, distill, started, wait_for

pytestmark = pytest.mark.timeout(1500)
LABELS = """\
name: cluster
problems: {source: world, count: 24, heldout: 0, shard_size: 2}
teacher: {backend: scripted, model: "scripted:world?slip=0.15&delay=2", max_new_tokens: 2000, replicas: 3}
chains: {per_problem: 2}
labelling: {method: math_shepherd, rollouts: 3}
cluster: {stall_seconds: 12}
"""
POISON = "Eva%20is%2018"
"""Words of one question of the recipe."""


@pytest.fixture(scope="module")
def there() -> Iterator[Nodes]:
    with nodes(1) as cluster:
        yield cluster


def labels(there: Nodes, place: Path, *arguments: str) -> tuple[str, ...]:
    (place / "recipe.yaml").write_text(LABELS)
    return ("pilot", "recipe.yaml", "--sample", "24", f"cluster.address={there.address}", *arguments)


def manifest(place: Path, stage: str) -> dict[str, Any]:
    return json.loads((place / "runs" / "cluster-pilot" / stage / "manifest.json").read_text())["stats"]


@pytest.fixture(scope="module")
def undisturbed(there: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe leaves when nothing happens: on one node, where one of three replicas has room."""
    place = tmp_path_factory.mktemp("undisturbed")
    ran = distill(*labels(there, place), cwd=place)
    assert ran.code == 0, ran.text
    return place / "runs" / "cluster-pilot"


@pytest.mark.slow
def test_nodes_that_join_are_used_and_lost_ones_are_not_missed(
    there: Nodes, undisturbed: Path, tmp_path: Path
) -> None:
    found, output = tmp_path / "runs" / "cluster-pilot", tmp_path / "output.txt"
    with started(*labels(there, tmp_path), cwd=tmp_path, output=output) as process:
        assert wait_for(lambda: list(found.glob("chains/shard-*")), process), output.read_text()
        there.nodes.append(there.add())
        assert wait_for(lambda: len(workers()) == 2, process), "the late node was not used"
        there.replace(there.nodes[0])
        assert wait_for(lambda: list(found.glob("evidence/shard-*")), process), output.read_text()
        victim, at_work = workers()[:2]
        kill(victim)
        assert wait_for(lambda: victim not in workers() and len(workers()) == 2, process), output.read_text()
        kill(at_work, signal.SIGSTOP)
        assert process.wait() == 0, output.read_text()
    assert shard_files(found, *LABELLED) == shard_files(undisturbed, *LABELLED)
    told = [
        fault for stage in ("chains", "evidence") for fault in manifest(tmp_path, stage).get("faults", [])
    ]
    assert {"worker died", "stalled"} <= {fault["kind"] for fault in told}, told
    assert {"node died", "worker out of reach"} & {fault["kind"] for fault in told}, told
    assert all(fault["reason"] for fault in told)


@pytest.mark.slow
def test_a_killed_driver_is_taken_over_by_the_same_command(
    there: Nodes, undisturbed: Path, tmp_path: Path
) -> None:
    found, output = tmp_path / "runs" / "cluster-pilot", tmp_path / "output.txt"
    for stage in ("chains", "evidence"):
        with started(*labels(there, tmp_path), cwd=tmp_path, output=output) as process:
            shard = f"{stage}/shard-*"
            assert wait_for(lambda shard=shard: list(found.glob(shard)), process), output.read_text()
            process.kill()
    ran = distill(*labels(there, tmp_path), cwd=tmp_path)
    assert ran.code == 0, ran.text
    assert shard_files(found, *LABELLED) == shard_files(undisturbed, *LABELLED)
    assert manifest(tmp_path, "evidence")["shards_before"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("how", ["exit", "hang", "raise"])
def test_a_problem_that_kills_its_worker_is_set_aside_and_no_other(
    there: Nodes, undisturbed: Path, tmp_path: Path, how: str
) -> None:
    model = f"teacher.model='scripted:world?slip=0.15&{how}={POISON}'"
    given = (model, "cluster.retries=1", "problems.shard_size=8", "cluster.stall_seconds=6")
    ran = distill(*labels(there, tmp_path, *given), cwd=tmp_path)
    assert ran.code == 0, ran.text
    (lost,) = manifest(tmp_path, "chains")["set_aside"]
    assert "Eva is 18" in lost["question"]
    assert lost["tries"] == 2
    assert {"exit": "worker died", "hang": "stalled", "raise": "error"}[how] == lost["kind"]
    assert how != "raise" or 'scripted.py", line' in lost["reason"]
    assert "\x1b" not in lost["reason"]
    assert manifest(tmp_path, "chains")["out"] == 46


@pytest.mark.slow
def test_a_worker_that_eats_the_memory_of_its_node_is_set_aside(tmp_path: Path) -> None:
    """Ray's own monitor kills it. The threshold is just above what the machine uses now."""
    memory = psutil.virtual_memory()
    limits = {
        "memory_usage_threshold": (memory.total - memory.available + (3 << 30)) / memory.total,
        "memory_monitor_refresh_ms": 100,
    }
    if limits["memory_usage_threshold"] > 0.9:
        pytest.skip("needs 3 GiB of free memory and more")
    with nodes(1, _system_config=limits) as there:
        model = f"teacher.model='scripted:world?slip=0.15&memory={POISON}'"
        ran = distill(*labels(there, tmp_path, model, "cluster.retries=0"), cwd=tmp_path)
    assert ran.code == 0, ran.text
    (lost,) = manifest(tmp_path, "chains")["set_aside"]
    assert lost["kind"] == "out of memory", lost


@pytest.mark.slow
def test_training_survives_the_death_of_its_node(there: Nodes, place: Path, tmp_path: Path) -> None:
    """The whole pipeline, its node killed while it trains; complete but for one problem: exit code 3."""
    shutil.copytree(place / "base", tmp_path / "base")
    text = (place / "recipe.yaml").read_text().replace("delay=0.3", f"exit={POISON}")
    (tmp_path / "recipe.yaml").write_text(text)
    given = (f"cluster.address={there.address}", "cluster.retries=1")
    found, output = tmp_path / "runs" / "world", tmp_path / "output.txt"
    with started("run", "recipe.yaml", *given, cwd=tmp_path, output=output) as process:
        assert wait_for(lambda: workers("ray::_train_task"), process), output.read_text()
        there.replace(there.nodes[-1])
        assert process.wait() == 3, output.read_text()
    summary = json.loads((found / "summary.json").read_text())
    assert len(summary["set_aside"]) == 1
    rows = {row["name"]: row for row in summary["stages"]}
    assert [fault["unit"] for fault in rows["verifier"]["faults"]] == ["train_task"]
    assert "complete with 1 set aside" in output.read_text()
    page = (found / "report.html").read_text()
    assert "Set aside" in page
    assert "Tried again" in page
    again = distill("run", "recipe.yaml", *given, cwd=tmp_path)
    assert again.code == 3, again.text
