"""A worker, a scripted teacher and a budget: what is asked, and what it leaves undetermined."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from distill.artifacts import RunFolder, read_records
from distill.config import Recipe
from distill.records import Chain, Event, EventKind, Problem
from distill.stages.labels import label_all
from distill.stages.worker import ShardTask, ShardWorker
from generators.sources import load_problems


def recipe(**labelling: Any) -> Recipe:
    teacher = {"backend": "scripted", "model": "scripted:world?slip=0.3", "max_new_tokens": 2000}
    return Recipe.model_validate(
        {"name": "r", "problems": {"count": 12}, "teacher": teacher, "labelling": labelling}
    )


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Problems and chains of one shard."""
    place, asked = tmp_path_factory.mktemp("run"), recipe()
    problems = load_problems(asked.problems, 0, "label")
    RunFolder.writer(place).commit_shard("problems", 0, problems, {}, "f")
    task = ShardTask("chains", 0, (str(place / "problems" / "shard-00000.parquet"),), "f", 3)
    worker = ShardWorker(asked, asked.teacher, str(place))
    asyncio.run(worker.write_chains(task, lambda *_: None))
    return place


def evidence(place: Path, budget: int, **labelling: Any) -> list[Event]:
    asked = recipe(**labelling)
    inputs = tuple(str(place / stage / "shard-00000.parquet") for stage in ("problems", "chains"))
    task = ShardTask("evidence", 0, inputs, "f", budget=budget)
    asyncio.run(ShardWorker(asked, asked.teacher, str(place)).gather_evidence(task, lambda *_: None))
    return read_records(place / "evidence" / "shard-00000.parquet", Event)


def spent(events: list[Event]) -> int:
    return sum(event.generated_tokens for event in events if event.kind == EventKind.ROLLOUT)


def test_a_budget_is_kept_to_within_one_round_and_repeats(shard: Path) -> None:
    free = evidence(shard, 0)
    budget = spent(free) // 3
    assert budget > 0
    first, again = evidence(shard, budget), evidence(shard, budget)
    assert first == again
    for chain_id in {event.chain_id for event in free}:
        kept, whole = ([e for e in events if e.chain_id == chain_id] for events in (first, free))
        assert kept == whole[: len(kept)]  # the same search, cut off
    assert budget <= spent(first) < spent(free)
    one_round = 12 * 3 * max(event.generated_tokens for event in free)
    assert spent(first) < budget + one_round


def test_a_cut_search_is_undetermined_not_wrong(shard: Path) -> None:
    problems = read_records(shard / "problems" / "shard-00000.parquet", Problem)
    chains = read_records(shard / "chains" / "shard-00000.parquet", Chain)
    settings = recipe().labelling
    full = label_all(problems, chains, evidence(shard, 0), settings)
    cut = label_all(problems, chains, evidence(shard, 1), settings)
    named = [sum(row.first_error is not None for row in rows) for rows in (cut, full)]
    assert named[0] < named[1]


@pytest.mark.parametrize("method", ["math_shepherd", "omegaprm", "record"])
def test_every_method_runs_on_an_engine(method: str, shard: Path) -> None:
    events = evidence(shard, 0, method=method, rollouts=2)
    assert spent(events) > 0
    rules = {event.stopping_rule for event in events if event.kind == EventKind.ROLLOUT}
    assert rules == {f"{method} n=2"}
