"""Step labels: derived late from the evidence, so that a threshold never costs a teacher token."""

from collections import Counter, defaultdict
from typing import Any

from distill.labelling.labels import derive_labels
from distill.labelling.quality import label_accuracy
from distill.records import Chain, Event, EventKind, LabelledChain, Outcome, Problem
from distill.stages.run import Run
from generators.truth import exact_first_error


def derive(run: Run) -> dict[str, Any]:
    """One labelled chain for every chain with steps; the accuracy of it all where truth is known."""
    with run.view.stage("labels", 1):
        return _derive(run)


def _derive(run: Run) -> dict[str, Any]:
    problems = {problem.id: problem for problem in run.read("problems", Problem)}
    chains = [chain for chain in run.read("chains", Chain) if chain.steps]
    evidence: dict[str, list[Event]] = defaultdict(list)
    for event in run.read("evidence", Event):
        evidence[event.chain_id].append(event)
    labelled = [_label(run, problems[chain.problem_id], chain, evidence[chain.id]) for chain in chains]
    run.write_shards("labels", labelled, run.recipe.problems.shard_size * run.recipe.chains.per_problem)
    return _stats(labelled)


def _label(run: Run, problem: Problem, chain: Chain, events: list[Event]) -> LabelledChain:
    labels, first_error = derive_labels(chain, events, run.recipe.labelling)
    rollouts = [event for event in events if event.kind == EventKind.ROLLOUT]
    refuted = [e for e in events if e.kind == EventKind.STEP_CHECK and e.outcome == Outcome.INCORRECT]
    return LabelledChain(
        problem=problem,
        chain=chain,
        labels=labels,
        first_error=first_error,
        method=run.recipe.labelling.method,
        rollout_tokens=sum(event.generated_tokens for event in rollouts),
        checks_used=len(refuted),
    )


def _stats(labelled: list[LabelledChain]) -> dict[str, Any]:
    """Counts by status and first error, and accuracy against exact truth where there is one."""
    positions = Counter("undetermined" if x.first_error is None else str(x.first_error) for x in labelled)
    truth = {
        row.chain.id: found[0]
        for row in labelled
        if (found := exact_first_error(row.problem, row.chain.steps)) is not None
    }
    return {
        "in": len(labelled),
        "out": len(labelled),
        "outcomes": dict(Counter(str(label.status) for row in labelled for label in row.labels)),
        "first_error_positions": dict(positions),
        "rollout_tokens": sum(row.rollout_tokens for row in labelled),
        "chains_refuted": sum(row.checks_used > 0 for row in labelled),
        "accuracy": label_accuracy([r for r in labelled if r.chain.id in truth], truth) if truth else {},
    }
