"""Problems to label and problems held out, written in shards."""

from typing import Any

from distill.records import Problem
from distill.stages.given_chains import given_problems, heldout_problems
from distill.stages.run import Run
from generators.sources import load_problems


def load_labelled_problems(run: Run) -> dict[str, Any]:
    """Problems whose chains will be labelled; with `chains.path`, those of that file's chains."""
    if run.recipe.chains.path is None:
        with run.view.stage("problems", 1):
            return _write(run, "problems", load_problems(run.recipe.problems, run.recipe.seed, "label"))
    with run.view.stage("problems", 1):
        problems, fates = given_problems(run.recipe)
    left_out = ", ".join(f"{count:,} {fate}" for fate, count in fates.items() if count and fate != "labelled")
    if left_out:
        run.view.line(f"problems: left out of {run.recipe.chains.path}: {left_out}")
    return _write(run, "problems", problems) | {"in": sum(fates.values()), "outcomes": fates}


def load_heldout_problems(run: Run) -> dict[str, Any]:
    """Problems kept apart for evaluation."""
    with run.view.stage("heldout_problems", 1):
        return _write(run, "heldout_problems", heldout_problems(run.recipe))


def _write(run: Run, stage: str, problems: list[Problem]) -> dict[str, Any]:
    run.write_shards(stage, problems, run.recipe.problems.shard_size)
    return {"in": len(problems), "out": len(problems)}
