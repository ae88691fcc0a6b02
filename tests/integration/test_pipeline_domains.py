"""Whole runs on files of deduction problems and of programming tasks, in their usual shapes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import distill, rows

from distill.config import ProblemSettings
from distill.domains import claim_of, premises_of
from distill.records import Problem
from generators.sources import load_problems

pytestmark = pytest.mark.slow

RECIPE = """\
name: file
problems: {source: file, path: problems.json, domain: DOMAIN, count: 24, heldout: 8, shard_size: 12}
teacher: {model: "builtin:trio-teacher", temperature: 1.0, max_new_tokens: 160}
chains: {per_problem: 2, heldout_per_problem: 4}
dataset: {validation_fraction: 0.4}
verifier: {base: "builtin:trio-teacher", epochs: 1, batch_size: 16, evaluations: 1, keep_indent: true,
  compare_full_precision: false, lora: {r: 4, alpha: 8}}
evaluation: {bootstrap: 50, best_of: [1, 4]}
"""


def proof_writer(problem: Problem) -> dict[str, Any]:
    """As ProofWriter and ProntoQA are distributed: facts and rules, a question, and lettered options."""
    return {
        "id": problem.id,
        "context": " ".join(premises_of(problem.question)),
        "question": f"{claim_of(problem.question)} True, False or Unknown?",
        "options": ["A) True", "B) False", "C) Unknown"],
        "answer": "ABC"[["True", "False", "Unknown"].index(problem.reference)],
    }


def mbpp(problem: Problem) -> dict[str, Any]:
    """As MBPP is distributed: a text and asserts."""
    tests = json.loads(problem.reference)["tests"]
    asserts = [f"assert f({', '.join(map(repr, t['args']))}) == {t['expected']!r}" for t in tests]
    return {"task_id": problem.id, "text": problem.question, "test_list": asserts}


SHAPES = {"logic": proof_writer, "code": mbpp}


def problems(domain: str) -> Iterator[dict[str, Any]]:
    settings = ProblemSettings.model_validate({"worlds": [domain], "count": 32, "heldout": 0})
    return map(SHAPES[domain], load_problems(settings, 0, "label"))


@pytest.mark.parametrize("domain", ["logic", "code"])
def test_a_run_on_a_problem_file(domain: str, tmp_path: Path) -> None:
    (tmp_path / "problems.json").write_text(json.dumps([*problems(domain)]))
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("DOMAIN", domain))
    ran = distill("run", "recipe.yaml", cwd=tmp_path)
    assert ran.code == 0, ran.text
    folder = tmp_path / "runs" / "file"
    assert {row["domain"] for row in rows(folder, "problems")} == {domain}
    assert {row["outcome"] for row in rows(folder, "chains")} >= {"correct", "incorrect"}
    scored = distill("score", folder / "export" / "verifier", "-", cwd=tmp_path, given=asked(folder))
    [found] = map(json.loads, scored.out.splitlines())
    assert len(found["scores"]) == len(found["steps"]) > 0


def asked(folder: Path) -> str:
    """A chain with its question; no domain, because the verifier knows its own."""
    questions = {row["id"]: row["question"] for row in rows(folder, "problems")}
    chain = rows(folder, "chains")[0]
    return json.dumps({"question": questions[chain["problem_id"]], "steps": chain["steps"]})
