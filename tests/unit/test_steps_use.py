"""Whatever a step is: settings, chains of a file, exact checks and exact truth hold for it."""

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from checkers import Pool, Status
from distill.artifacts import RunFolder, read_records
from distill.config import ChainSettings, GeneratorSettings, Recipe
from distill.labelling.labels import derive_labels
from distill.loading import dump_recipe
from distill.pipeline import stage_fingerprints
from distill.records import Chain, Event, EventKind, Outcome, Problem, completed_lines
from distill.stages.given_chains import given_steps, read_given
from distill.stages.step_checks import texts_to_check, verdicts_of_steps
from distill.stages.worker import ShardTask, ShardWorker
from distill.steps import split_steps, split_tokens
from generators.scripted import ScriptedGenerator
from generators.sources import load_problems
from generators.truth import exact_first_error
from generators.world import judge, sample_problem, solve

STRATEGIES = ("newline", "blank_line", "numbered", "sentences", "code_blocks", "statements")
TOKENS = ChainSettings(segment="tokens", segment_tokens=5)


def recipe(**chains: Any) -> Recipe:
    return Recipe.model_validate({"name": "x", "chains": chains})


# ---- settings


def test_tokens_need_their_number_and_nothing_else_does() -> None:
    assert recipe(segment="tokens", segment_tokens=32).chains.segment_tokens == 32
    with pytest.raises(ValidationError, match="needs `segment_tokens`"):
        recipe(segment="tokens")
    with pytest.raises(ValidationError, match="is for segment 'tokens', found segment 'newline'"):
        recipe(segment_tokens=32)


def test_a_recipe_without_token_steps_is_what_it_was() -> None:
    """The number came later: older recipes keep their text and their fingerprints."""
    assert "segment_tokens" not in dump_recipe(recipe())
    assert "segment_tokens: 32" in dump_recipe(recipe(segment="tokens", segment_tokens=32))


def test_another_segmentation_writes_chains_anew() -> None:
    sizes = [stage_fingerprints(recipe(segment="tokens", segment_tokens=size)) for size in (16, 32)]
    changed = {name for name in sizes[0] if sizes[0][name] != sizes[1][name]}
    assert {"chains", "heldout_chains"} < changed
    assert not {"problems", "heldout_problems"} & changed


# ---- chains from a file


@pytest.fixture
def engine() -> ScriptedGenerator:
    return ScriptedGenerator(GeneratorSettings(backend="scripted", model="solver"))


TEXT = "1. Add. 3 + 4 = 7.\n2. So it is 7.\n\nAnswer: 7"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_text_of_a_file_is_split_as_the_teachers_is(
    strategy: Any, engine: ScriptedGenerator, tmp_path: Path
) -> None:
    row = only_row({"question": "q", "steps": TEXT, "reference": "7"}, tmp_path)
    assert given_steps(row, ChainSettings(segment=strategy), engine) == split_steps(TEXT, strategy)


def test_a_text_of_a_file_is_cut_by_the_engines_tokens(engine: ScriptedGenerator, tmp_path: Path) -> None:
    row = only_row({"question": "q", "steps": TEXT, "reference": "7"}, tmp_path)
    ids = engine.encode(TEXT)[len(engine.encode("")) :]
    assert given_steps(row, TOKENS, engine) == split_tokens(ids, engine.decode, 5)[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_listed_steps_stay_as_they_are(strategy: Any, engine: ScriptedGenerator, tmp_path: Path) -> None:
    row = only_row({"question": "q", "steps": ["One. Two.\nThree", " four "], "reference": "7"}, tmp_path)
    for settings in (ChainSettings(segment=strategy), TOKENS):
        steps = given_steps(row, settings, engine)
        assert [step.strip() for step in steps] == ["One. Two.\nThree", "four"]
        assert all(step.endswith("\n") for step in steps)


def only_row(values: dict[str, Any], folder: Path) -> Any:
    (folder / "chains.jsonl").write_text(json.dumps(values), encoding="utf-8")
    ((row,),) = read_given(str(folder / "chains.jsonl")).values()
    return row


# ---- lines of steps that are cut anywhere


@pytest.mark.parametrize(
    ("steps", "lines"),
    [
        (["a\n", "b\n"], [(0, "a"), (1, "b")]),
        (["a\nb\n\n", "c"], [(0, "a"), (0, "b"), (1, "c")]),
        (["1 + 1", " = 2\n3", " = 3\n"], [(1, "1 + 1 = 2"), (2, "3 = 3")]),
        (["a", "b", "c\n", "\n"], [(2, "abc")]),
        ([], []),
    ],
)
def test_completed_lines(steps: list[str], lines: list[tuple[int, str]]) -> None:
    assert completed_lines(steps) == lines


def checked(steps: tuple[str, ...], settings: ChainSettings) -> list[Status]:
    with Pool(workers=1) as pool:
        (verdicts,) = pool.map("steps", [("", texts_to_check(steps, settings))])
    return [verdict.status for verdict in verdicts_of_steps(verdicts, steps, settings)]


def test_a_cut_equation_is_checked_whole_by_the_step_that_completes_it() -> None:
    """Shown as it is cut, the first step of the right chain would state "13 + 4 = 1"."""
    right, wrong = ("13 + 4 = 1", "7\nAnswer: ", "17\n"), ("13 + 4 = 1", "8\nAnswer: ", "18\n")
    assert checked(right, ChainSettings())[0] == Status.INCORRECT
    assert checked(right, TOKENS) == [Status.UNDECIDED, Status.CORRECT, Status.UNDECIDED]
    assert checked(wrong, TOKENS) == [Status.UNDECIDED, Status.INCORRECT, Status.UNDECIDED]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_other_step_is_checked_as_it_is(strategy: Any) -> None:
    text = "1. So 3 + 4 = 7.\n\n2. So 7 + 1 = 9.\n\n"
    steps = split_steps(text, strategy)
    statuses = checked(steps, ChainSettings(segment=strategy))
    assert statuses == [Status.CORRECT, Status.INCORRECT]


# ---- exact truth


def wrong_chain() -> tuple[Problem, str, int]:
    """A problem of the world, a solution with a slip, and its first wrong line."""
    for seed in range(100):
        problem = sample_problem(seed, "test", min_steps=4)
        lines = list(solve(problem, random.Random(seed), slips=0.5).steps)
        error = judge(problem, lines).first_error
        if 0 < error < len(lines) - 1:
            return problem, "".join(f"{line}\n" for line in lines), error
    raise AssertionError("no slip in 100 solutions")


def test_the_first_wrong_step_holds_the_first_wrong_line() -> None:
    problem, text, error = wrong_chain()
    lines = text.splitlines(keepends=True)
    assert (exact_first_error(problem, lines) or ())[0] == error
    pairs = ["".join(lines[i : i + 2]) for i in range(0, len(lines), 2)]
    assert (exact_first_error(problem, pairs) or ())[0] == error // 2
    cut, _ = split_tokens(list(text.encode()), lambda ids: bytes(ids).decode(), 7)
    found = (exact_first_error(problem, cut) or (-1,))[0]
    before, through = ("".join(cut[: found + k]) for k in (0, 1))
    wrong_line_ends = len("".join(lines[: error + 1]).rstrip())
    assert len(before) < wrong_line_ends + 1 <= len(through) + 1
    assert exact_first_error(replace(problem, domain="math"), cut) is None


# ---- chains written and labelled


@pytest.mark.parametrize("segment", [*STRATEGIES, "tokens"])
def test_a_worker_writes_and_labels_chains(segment: str, tmp_path: Path) -> None:
    asked = Recipe.model_validate(
        {
            "name": "x",
            "teacher": {"backend": "scripted", "model": "scripted:world?slip=0.3", "max_new_tokens": 2000},
            "chains": {"segment": segment, "segment_tokens": 24 if segment == "tokens" else None},
            "labelling": {"method": "math_shepherd", "rollouts": 1},
        }
    )
    problems = load_problems(asked.problems, asked.seed, "label")[:2]
    inputs = tuple(str(tmp_path / stage / "shard-00000.parquet") for stage in ("problems", "chains"))
    RunFolder.writer(tmp_path).commit_shard("problems", 0, problems, {}, "f")
    worker = ShardWorker(asked, asked.teacher, str(tmp_path))
    assert asyncio.run(worker.write_chains(ShardTask("chains", 0, inputs, "f", 2), told))["out"] == 4
    worker = ShardWorker(asked, asked.teacher, str(tmp_path))
    assert asyncio.run(worker.gather_evidence(ShardTask("evidence", 0, inputs, "f"), told))["in"] == 4
    chains = read_records(inputs[1], Chain)
    for chain in chains:
        assert bytes(chain.token_ids).decode() == "".join(chain.steps)
        assert len(chain.step_ends) == len(chain.steps)
        assert chain.step_ends[-1] == len(chain.token_ids)
    events = read_records(tmp_path / "evidence" / "shard-00000.parquet", Event)
    labels = derive_labels(chains, events, asked.labelling)
    assert [len(of_chain) for of_chain, _ in labels] == [len(chain.steps) for chain in chains]
    truths = {c.id: exact_first_error(p, c.steps) for c in chains for p in problems if p.id == c.problem_id}
    for event in events:
        if event.kind == EventKind.STEP_CHECK and event.outcome == Outcome.INCORRECT:
            assert event.step >= (truths[event.chain_id] or (0,))[0] >= 0


def told(*_: Any) -> None:
    """Nobody watches."""
