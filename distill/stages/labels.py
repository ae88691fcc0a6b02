"""Step labels: derived late from the evidence, so that a threshold never costs a teacher token."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from distill.config import LabellingSettings
from distill.errors import ArtifactError
from distill.labelling.labels import Gathered, Labelled, gather, labels_of
from distill.labelling.quality import label_accuracy
from distill.labelling.review import read_answers, review_events, review_rows, write_review
from distill.labelling.surprisal import ChainEvidence, ErrorModel, fit_error_model
from distill.records import SURPRISAL, Chain, Event, EventKind, LabelledChain, Outcome, Problem
from distill.stages.run import Run
from generators.truth import exact_first_error

SOURCES = ("problems", "chains", "evidence")
"""Stages that labels are made from."""


def derive(run: Run) -> dict[str, Any]:
    """One labelled chain for every chain with steps; the accuracy of it all where truth is known. The
    most uncertain go to `review.jsonl` in the run folder."""
    with run.view.stage("labels", 1):
        settings = run.recipe.labelling
        parts = (run.read("problems", Problem), run.read("chains", Chain), run.read("evidence", Event))
        answers = stored_answers(settings.reviews, parts[1])
        labelled = label_all(*parts, settings, answers)
        run.write_shards("labels", labelled, run.recipe.problems.shard_size * run.recipe.chains.per_problem)
        offer_review(run, labelled)
        stats = label_stats(labelled, answers)
        if unused := stats["reviews"]["of_other_chains"]:
            run.view.line(f"labels: {unused:,} answers in {settings.reviews} left out: of other chains")
        made_from = {name: run.fingerprints[name] for name in SOURCES}
        return stats | {"labelling": settings.model_dump(mode="json"), "made_from": made_from}


def offer_review(run: Run, labelled: Sequence[LabelledChain]) -> None:
    """Write `review.jsonl`, unless the one there asks about these very labels."""
    rows = review_rows(labelled, run.recipe.labelling.review)
    if kept := write_review(run.folder.path, rows):
        run.view.line(f"labels: review.jsonl had answers and is kept as {kept}")


def label_all(
    problems: Sequence[Problem],
    chains: Sequence[Chain],
    events: Sequence[Event],
    settings: LabellingSettings,
    answers: Sequence[Mapping[str, Any]] = (),
) -> list[LabelledChain]:
    """Labels of every chain that has steps, in the order of `chains`; people's `answers` (of
    `stored_answers`) are evidence too.

    Raises:
        ArtifactError: there is evidence of other chains.
    """
    by_id = {problem.id: problem for problem in problems}
    with_steps = {chain.id: chain for chain in chains if chain.steps}
    _require_own(events, with_steps)
    evidence: dict[str, list[Event]] = defaultdict(list)
    for event in [*events, *review_events(answers, with_steps)]:
        evidence[event.chain_id].append(event)
    siblings: dict[str, list[Chain]] = defaultdict(list)
    for chain in with_steps.values():
        siblings[chain.problem_id].append(chain)
    gathered = {
        problem: gather(group, [event for chain in group for event in evidence[chain.id]], settings)
        for problem, group in siblings.items()
    }
    models = _error_models(gathered, by_id)
    found: dict[str, tuple[Labelled, str]] = {}
    for problem, group in siblings.items():
        own = gathered[problem]
        labels = labels_of(own, settings, models.get(by_id[problem].domain))
        methods = [SURPRISAL if weighed else settings.method for weighed in own.weighed]
        found |= zip((c.id for c in group), zip(labels, methods, strict=True), strict=True)
    return [
        _record(by_id[c.problem_id], c, found[c.id], evidence[c.id], settings) for c in with_steps.values()
    ]


def _error_models(gathered: Mapping[str, Gathered], problems: Mapping[str, Problem]) -> dict[str, ErrorModel]:
    """What the chains of each domain have in common; none where no chain's surprisal is known."""
    shown: dict[str, list[ChainEvidence]] = defaultdict(list)
    for problem, own in gathered.items():
        shown[problems[problem].domain] += [weighed for weighed in own.weighed if weighed]
    return {domain: fit_error_model(chains) for domain, chains in shown.items() if chains}


def _require_own(events: Sequence[Event], chains: Mapping[str, Chain]) -> None:
    """Raises ArtifactError where evidence is not of `chains`: a shard of these was written anew after the
    evidence was gathered, and most teachers never write the same again."""
    strangers = {event.chain_id for event in events} - chains.keys()
    if strangers:
        raise ArtifactError(
            f"expected evidence of the chains of this run, found some of {len(strangers):,} other chains "
            f"(such as {min(strangers)}): a shard of chains was written anew after its evidence was "
            "gathered. Delete the shard of the same number in the run's folder `evidence` (or that folder) "
            "and give the same command again."
        )


def stored_answers(path: str | None, chains: Sequence[Chain]) -> list[dict[str, Any]]:
    """Rows of the file that `labelling.reviews` names, those about other chains too; none without a file.

    Raises:
        DataError: the file cannot be read, or an answer about one of `chains` is faulty.
    """
    return read_answers(path, {chain.id: chain for chain in chains}, others=True) if path else []


def _record(
    problem: Problem,
    chain: Chain,
    found: tuple[Labelled, str],
    events: Sequence[Event],
    settings: LabellingSettings,
) -> LabelledChain:
    """`found` are the labels and by what method. `events` are the chain's own: rollouts of a shared prefix
    are paid for by the chain that asked."""
    rollouts = [event for event in events if event.kind == EventKind.ROLLOUT]
    refuted = [e for e in events if e.kind == EventKind.STEP_CHECK and e.outcome == Outcome.INCORRECT]
    return LabelledChain(
        problem=problem,
        chain=chain,
        labels=found[0][0],
        first_error=found[0][1],
        method=found[1],
        rollout_tokens=sum(event.generated_tokens for event in rollouts),
        checks_used=len(refuted) if settings.step_checks else 0,
    )


def label_stats(
    labelled: Sequence[LabelledChain], answers: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Counts by status, first error and use of people's answers, and accuracy against exact truth where
    there is one."""
    known = {row.chain.id for row in labelled}
    used = sum(str(row["chain_id"]) in known for row in answers)
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
        "reviews": {"used": used, "of_other_chains": len(answers) - used},
        "rollout_tokens": sum(row.rollout_tokens for row in labelled),
        "chains_refuted": sum(row.checks_used > 0 for row in labelled),
        "accuracy": label_accuracy([r for r in labelled if r.chain.id in truth], truth) if truth else {},
    }
