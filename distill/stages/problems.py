"""Problems to label and problems held out, written in shards."""

from typing import Any

from distill.domains import contradicted
from distill.errors import DataError
from distill.records import Problem
from distill.stages.given_chains import given_problems, heldout_problems
from distill.stages.run import Run
from generators.sources import load_problems

MOST_CONTRADICTED = 0.02
"""Share of logic problems whose stated answer may be another than what follows: a file's own mistakes."""


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
    _tell_contradicted(run, problems)
    run.write_shards(stage, problems, run.recipe.problems.shard_size)
    return {"in": len(problems), "out": len(problems)}


def _tell_contradicted(run: Run, problems: list[Problem]) -> None:
    """Answers and steps are judged by what follows in an open world: where a file says otherwise, say so."""
    found = contradicted(problems)
    if len(found) > MOST_CONTRADICTED * len(problems):
        raise DataError(
            f"expected answers that follow from the premises, found {len(found)} of {len(problems)} logic "
            f"problems of '{run.recipe.problems.path}' that say otherwise, such as {found[0].id} "
            f"({found[0].reference}). In a closed world, where what cannot be derived is false, steps cannot "
            "be judged: take the open-world version (OWA), or a checker of your own (problems.domain)."
        )
    if found:
        run.view.line(
            f"problems: {len(found):,} state an answer that does not follow, such as {found[0].id}; what "
            "follows is taken"
        )
