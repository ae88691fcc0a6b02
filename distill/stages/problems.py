"""Problems to label and problems held out, written in shards."""

from typing import Any

from distill.records import Problem
from distill.stages.run import Run
from generators.sources import load_problems


def load_labelled_problems(run: Run) -> dict[str, Any]:
    """Problems whose chains will be labelled."""
    return _write(run, "problems", load_problems(run.recipe.problems, run.recipe.seed, "label"))


def load_heldout_problems(run: Run) -> dict[str, Any]:
    """Problems kept apart for evaluation."""
    count = run.recipe.problems.heldout
    problems = load_problems(run.recipe.problems, run.recipe.seed, "heldout") if count else []
    return _write(run, "heldout_problems", problems)


def _write(run: Run, stage: str, problems: list[Problem]) -> dict[str, Any]:
    run.write_shards(stage, problems, run.recipe.problems.shard_size)
    return {"in": len(problems), "out": len(problems)}
