"""A worker with engines that fail or spell otherwise: what is withdrawn, and what is left out."""

import asyncio
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from test_labelling_budget import evidence, recipe, shard

from distill.artifacts import RunFolder, read_records
from distill.errors import ArtifactError, GeneratorError, UnfaithfulPrefixError
from distill.records import Chain, Event, EventKind, Problem
from distill.stages.labels import label_all
from distill.stages.pulse import CountingEngine
from distill.stages.worker import ShardTask, ShardWorker
from generators.base import Completion
from generators.scripted import ScriptedGenerator

__all__ = ["shard"]
OHM = "\u2126"


class Slow(ScriptedGenerator):
    """Fails at its fifth request; `open` counts those that wait for an answer."""

    open = 0

    async def sample(self, prefix: Sequence[int], n: int, seed: int) -> Completion:
        self.calls += 1
        if self.calls == 5:
            raise GeneratorError("this request is refused")
        self.open += 1
        try:
            await asyncio.sleep(60)
        finally:
            self.open -= 1
        raise AssertionError("too late")


class Normalising(ScriptedGenerator):
    """Composes characters before it spells them, as many tokenizers do; `trims` loses leading blanks too."""

    trims = False

    def encode(self, text: str) -> tuple[int, ...]:
        found = unicodedata.normalize("NFC", text)
        return super().encode(found.replace(" ", "") if self.trims else found)


def worker_with(engine: ScriptedGenerator, place: Path) -> ShardWorker:
    worker = ShardWorker(recipe(), recipe().teacher, str(place))
    worker.__dict__["_engine"] = CountingEngine(engine)
    return worker


def task(place: Path, stage: str, *inputs: str, per_problem: int = 0) -> ShardTask:
    paths = tuple(str(place / name / "shard-00000.parquet") for name in inputs)
    return ShardTask(stage, 0, paths, "f", per_problem)


@pytest.mark.parametrize("stage", ["chains", "evidence"])
def test_what_fails_withdraws_what_was_asked_with_it(stage: str, shard: Path, tmp_path: Path) -> None:
    """The shard is tried again from its beginning: nobody would read what the others are paid for."""
    engine = Slow(recipe().teacher)
    worker = worker_with(engine, tmp_path)

    async def scenario() -> int:
        if stage == "chains":
            work = worker.write_chains(task(shard, stage, "problems", per_problem=3), lambda *_: None)
        else:
            work = worker.gather_evidence(task(shard, stage, "problems", "chains"), lambda *_: None)
        with pytest.raises(GeneratorError, match="refused"):
            await work
        for _ in range(20):  # a cancelled task ends at its next turn
            await asyncio.sleep(0)
        return engine.open

    assert asyncio.run(scenario()) == 0


def with_ohm(shard: Path, place: Path, siblings: bool) -> tuple[list[Chain], list[Chain]]:
    """A run in `place` with the chains of `shard`, the first wrong one (and its `siblings`) with a character
    that is not in its composed form; these chains, and all of them."""
    problems = read_records(shard / "problems" / "shard-00000.parquet", Problem)
    chains = read_records(shard / "chains" / "shard-00000.parquet", Chain)
    wrong = next(chain for chain in chains if chain.outcome == "incorrect")
    odd = []
    for i, chain in enumerate(chains):
        if chain.id == wrong.id or (siblings and chain.problem_id == wrong.problem_id):
            steps = (chain.steps[0].replace("\n", f" {OHM}\n"), *chain.steps[1:])
            chains[i] = replace(chain, steps=steps)
            odd.append(chains[i])
    folder = RunFolder.writer(place)
    folder.commit_shard("problems", 0, problems, {}, "f")
    folder.commit_shard("chains", 0, chains, {}, "f")
    return odd, chains


@pytest.mark.parametrize("siblings", [False, True])
def test_chains_that_a_completer_cannot_spell_are_not_continued(
    siblings: bool, shard: Path, tmp_path: Path
) -> None:
    odd, chains = with_ohm(shard, tmp_path, siblings)
    engine = Normalising(recipe().teacher)
    engine.name = "other"
    worker = worker_with(engine, tmp_path)
    job = task(tmp_path, "evidence", "problems", "chains")
    stats = asyncio.run(worker.gather_evidence(job, lambda *_: None))
    events = read_records(tmp_path / "evidence" / "shard-00000.parquet", Event)
    asked = {event.chain_id for event in events if event.kind == EventKind.ROLLOUT}
    assert asked
    assert asked.isdisjoint(chain.id for chain in odd)
    assert stats["unspelt"] == len(odd) == (3 if siblings else 1)
    for chain in odd:
        kinds = [event.kind for event in events if event.chain_id == chain.id]
        assert kinds.count(EventKind.STEP_CHECK) == len(chain.steps)
    assert len({event.chain_id for event in events}) == len(chains)


def test_a_completer_that_can_spell_nothing_ends_the_run(shard: Path, tmp_path: Path) -> None:
    engine = Normalising(recipe().teacher)
    engine.name, engine.trims = "other", True
    worker = worker_with(engine, tmp_path)
    with pytest.raises(UnfaithfulPrefixError, match="byte-level"):
        asyncio.run(worker.gather_evidence(task(shard, "evidence", "problems", "chains"), lambda *_: None))


def test_evidence_of_chains_that_were_written_anew_is_refused(shard: Path) -> None:
    """A teacher that does not repeat wrote one shard again, after its evidence was gathered."""
    problems = read_records(shard / "problems" / "shard-00000.parquet", Problem)
    chains = read_records(shard / "chains" / "shard-00000.parquet", Chain)
    anew = [replace(chain, id=f"new{i}") for i, chain in enumerate(chains)]
    with pytest.raises(ArtifactError, match=r"written anew.*Delete the shard"):
        label_all(problems, anew, evidence(shard, 0), recipe().labelling)
