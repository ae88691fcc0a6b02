"""A small labelling run whose teacher is vLLM, each engine in a Ray actor, up to the labels."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from backends import VLLM_ARGS
from rich.console import Console

from distill.config import Recipe
from distill.pipeline import execute
from distill.progress import ProgressView

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
PER_PROBLEM = 4


def problems(teacher: str) -> int:
    """A pretrained model is a hundred times the size of the shipped one."""
    return 24 if teacher.startswith("builtin:") else 6


def recipe(runs: Path, teacher: str) -> Recipe:
    told: dict[str, Any] = {
        "name": "vllm",
        "runs": str(runs),
        "problems": {"count": problems(teacher), "heldout": 0, "shard_size": 4},
        "teacher": {
            "backend": "vllm",
            "model": teacher,
            "dtype": "float32" if teacher.startswith("builtin:") else "bfloat16",
            "engine_args": VLLM_ARGS,
            "batch_size": 64,
            "chat": bool(os.environ.get("CHAT")),
            "max_new_tokens": 200,
        },
        "chains": {"per_problem": PER_PROBLEM},
        "labelling": {"rollouts": 4},
    }
    return Recipe.model_validate(told)


def test_a_labelling_run_to_the_labels(tmp_path: Path, teacher: str) -> None:
    folder = execute(recipe(tmp_path, teacher), ProgressView(Console(quiet=True)), last="labels")
    stats = {name: folder.manifest(name).stats for name in ("chains", "evidence", "labels")}  # type: ignore[union-attr]
    shown = json.dumps(stats, indent=1)
    print(shown)
    (Path(os.environ["FIGURES"]) if os.environ.get("FIGURES") else tmp_path / "figures").write_text(shown)
    chains, evidence, labels = stats.values()
    asked = problems(teacher) * PER_PROBLEM
    assert chains["in"] == problems(teacher)
    assert chains["out"] == asked
    assert evidence["in"] == labels["in"] == asked - chains["empty"]
    assert chains["generated_tokens"] > 500
    assert evidence["generated_tokens"] > 0
    if teacher.startswith("builtin:"):
        assert chains["outcomes"]["correct"] > 0.35 * asked  # right in about half at temperature 0.8
        assert set(labels["outcomes"]) >= {"good", "bad"}
