"""A recipe's domain may name a checker of one's own; it alone then judges final answers."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from checkers import StdinCase, check_code
from distill.artifacts import RunFolder, read_records
from distill.config import Recipe
from distill.records import Chain, Outcome
from distill.stages.worker import ShardTask, ShardWorker, _stated, _with_outcome
from generators.sources import load_problems

CHECKER = """\
from checkers.verdict import incorrect, undecided


def check(text, reference):
    return undecided("no answer") if len(text) % 2 else incorrect("never right", ("seen", reference))
"""


@pytest.mark.parametrize("domain", ["own_domain:check", "math"])
def test_the_checker_that_a_domain_names(
    domain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_domain.py").write_text(CHECKER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    asked = Recipe.model_validate(
        {
            "name": "x",
            "teacher": {"backend": "scripted", "model": "scripted:world", "max_new_tokens": 2000},
        }
    )
    found = load_problems(asked.problems, asked.seed, "label")[:8]
    problems = [replace(problem, domain=domain) for problem in found]
    RunFolder.writer(tmp_path).commit_shard("problems", 0, problems, {}, "f")
    inputs = tuple(str(tmp_path / stage / "shard-00000.parquet") for stage in ("problems", "chains"))
    task = ShardTask("chains", 0, inputs, "f", 1)
    asyncio.run(ShardWorker(asked, asked.teacher, str(tmp_path)).write_chains(task, lambda *_: None))
    chains = read_records(inputs[1], Chain)
    own = [Outcome.UNDECIDED if len("".join(c.steps)) % 2 else Outcome.INCORRECT for c in chains]
    assert [chain.outcome for chain in chains] == (own if ":" in domain else [Outcome.CORRECT] * 8)
    assert {chain.answer for chain in chains if chain.outcome == Outcome.INCORRECT} <= {"seen"}


def test_a_program_that_prints_a_blank_line_first_is_judged_and_votes_with_all_it_prints() -> None:
    verdict = check_code("print('\\n6')", [StdinCase("", "\n6")])
    assert verdict.compared == ("", "")
    assert _stated(verdict, True) is verdict
    assert _stated(verdict, False).status == "undecided"
    chain = _with_outcome(Chain("c", "p", ("print('\\n6')",), Outcome.UNDECIDED), verdict)
    assert (chain.outcome, chain.answer) == (Outcome.CORRECT, verdict.answer)
