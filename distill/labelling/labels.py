"""Step labels as a pure function of a problem's chains, their evidence and the settings.

How evidence about single prefixes becomes labels, in this order:

1. *Certain*: a step that an exact check refutes is bad, and so is the last step of a chain with a
   wrong final answer. A step that a check confirms is not thereby good: its equation may hold and
   still use the wrong operand. Where the check is a proof (entailment), the steps up to the first
   that is not proved are good.
2. *Probed*: a prefix is good or bad by its trials, against a threshold (`trials.prefix_status`) or by
   the sequential test under the settings of now (`trials.NodeTest`), whatever they were when the
   trials were asked for. Between the test's bounds it is undetermined, and so it is where fewer than K
   were drawn (evidence of another method) and the missing ones could turn it.
3. *Monotone*: an answer reached from a prefix was reachable from everything before it, so every step
   before a good prefix is good, and overrides failures seen there; steps at and after the first bad
   one are bad. What succeeds from a certainly bad step onwards is repair, and says nothing.
4. *Solvable*: in a search, failures count against a step only where success was seen before it, after
   an earlier step or from the bare problem (step -1). A completer that never solves the problem
   fails everywhere, and that is no fault of the step.
5. *Surprisal*: in a run whose teacher told log-probabilities, 2 to 4 give way to the probability of each
   place of the first error, given all of this and how surprised the teacher was (`surprisal`): a step is
   good, or bad, where that is sure enough (`settings.confidence`).
6. *People*: a reviewer's first error overrules all of this.
7. Whatever is neither probed nor implied is undetermined.

Math-Shepherd as published labels each step by its own trials alone; rule 3 is applied to it too (in
the baseline's favour), and each label keeps its own counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count

from distill.config import LabellingSettings
from distill.labelling.evidence import EventsOf, events_of
from distill.labelling.known import Known, bounds, is_sequential, known
from distill.labelling.posterior import jeffreys
from distill.labelling.protocol import Case
from distill.labelling.surprisal import (
    ChainEvidence,
    ErrorModel,
    chain_evidence,
    first_error_posterior,
    posterior_bounds,
)
from distill.labelling.trials import tally
from distill.records import Chain, Event, EventKind, Outcome, StepLabel, StepStatus

Labelled = tuple[tuple[StepLabel, ...], int | None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """All evidence of one problem, sorted; of each chain what refutes which step, and what its first error is
    weighed by (None: its labels go by rollouts and checks alone)."""

    known: Known
    events: EventsOf
    refuted: list[dict[int, str]]
    weighed: list[ChainEvidence | None]


def gather(chains: Sequence[Chain], events: Sequence[Event], settings: LabellingSettings) -> Gathered:
    """Sort the evidence of one problem. `events` are those of all its chains, in any order. A chain's own
    outcome is read from the chain; its OUTCOME event is the same fact on record and is not counted again.

    Raises:
        DataError: an event belongs to another chain or lies beyond its own.
    """
    found = events_of(chains, events)
    refuted = [_refutations(found, c) if settings.step_checks else {} for c in range(len(chains))]
    proved = tuple(_proved(found, c) if settings.step_checks else 0 for c in range(len(chains)))
    case = Case(tuple(chains), tuple(tuple(sorted(steps)) for steps in refuted), proved)
    evidence = known(case)
    for node, rollouts in found.rollouts.items():
        evidence.rollouts[node] = tally(event.outcome for event in rollouts)
    weighed = [chain_evidence(settings, evidence, c) for c in range(len(chains))]
    return Gathered(evidence, found, refuted, weighed)


def derive_labels(
    chains: Sequence[Chain], events: Sequence[Event], settings: LabellingSettings
) -> list[Labelled]:
    """`labels_of` one problem by rollouts and checks alone."""
    return labels_of(gather(chains, events, settings), settings, None)


def labels_of(gathered: Gathered, settings: LabellingSettings, model: ErrorModel | None) -> list[Labelled]:
    """For each chain of one problem: one label a step, and the first error (0-based, -1 none, None
    undetermined or no steps). `model` is fitted to the evidence of the whole run; without one, labels go by
    rollouts and checks alone. With it `soft` is the probability that there is no error up to the step.

    Otherwise a label's `soft` (posterior mean; for `math_shepherd` the plain share of successes, as
    published), and always its counts and interval, are those of the rollouts of its prefix, for whichever
    chain they were asked, and the chain's own outcome if `settings.count_outcome`; a label
    that is implied by another prefix has none. The sequential test searches a chain because its answer is
    wrong, so that answer is no trial of its prefixes (`known.trials`), and is not counted there.
    """
    return [_labelled(settings, gathered, model, c) for c in range(len(gathered.refuted))]


def _labelled(settings: LabellingSettings, gathered: Gathered, model: ErrorModel | None, c: int) -> Labelled:
    evidence, found, weighed = gathered.known, gathered.events, gathered.weighed[c]
    chain = evidence.case.chains[c]
    n = len(chain.steps)
    reviewed = next((event for event in found.reviews if event.chain_id == chain.id), None)
    right = None
    if model is not None and weighed is not None:
        posterior = first_error_posterior(model, weighed)
        last_good, first_bad = posterior_bounds(posterior, settings.confidence)
        right = (1 - posterior[:-1].cumsum()).clip(0.0).tolist()
    else:
        last_good, first_bad = bounds(settings, evidence, c)
    if reviewed is not None:
        first_bad = n if reviewed.step < 0 else reviewed.step
        last_good = first_bad - 1
        right = right and [float(step < first_bad) for step in range(n)]
    own: Outcome | None = chain.outcome
    if not settings.count_outcome or (is_sequential(settings) and own == Outcome.INCORRECT):
        own = None
    labels = tuple(
        _label(
            found.rollouts.get(evidence.paths[c][step + 1], []),
            own,
            _status(step, last_good, first_bad),
            gathered.refuted[c].get(step, ""),
            reviewed.detail if reviewed else "",
            plain=settings.method == "math_shepherd",
        )
        for step in range(n)
    )
    if right:
        labels = tuple(replace(label, soft=p) for label, p in zip(labels, right, strict=True))
    return labels, _first_error(n, last_good, first_bad)


def _status(step: int, last_good: int, first_bad: int) -> StepStatus:
    if step <= last_good:
        return StepStatus.GOOD
    return StepStatus.BAD if step >= first_bad else StepStatus.UNDETERMINED


def _first_error(n: int, last_good: int, first_bad: int) -> int | None:
    if n == 0 or first_bad != last_good + 1:
        return None
    return first_bad if first_bad < n else -1


def _label(
    rollouts: Sequence[Event],
    own: Outcome | None,
    status: StepStatus,
    refutation: str,
    review: str,
    *,
    plain: bool,
) -> StepLabel:
    """`plain`: `soft` is the share of successes (arXiv 2312.08935, equation 4), not the posterior mean."""
    outcomes = [event.outcome for event in rollouts]
    seen = tally([*outcomes, own] if outcomes and own is not None else outcomes)
    posterior = jeffreys(seen.successes, seen.failures)
    decided = seen.successes + seen.failures
    return StepLabel(
        status=status,
        successes=seen.successes,
        failures=seen.failures,
        undecided=seen.undecided,
        soft=seen.successes / decided if plain and decided else posterior.mean,
        low=posterior.low,
        high=posterior.high,
        refutation=refutation,
        stopping_rule=rollouts[-1].stopping_rule if rollouts else "",
        tokens=sum(event.generated_tokens for event in rollouts),
        seeds=tuple(dict.fromkeys(event.seed for event in rollouts)),
        completer=rollouts[-1].generator if rollouts else "",
        review=review,
    )


def _proved(found: EventsOf, c: int) -> int:
    """How many of the first steps of chain `c` are proved right."""
    steps = {event.step for event in found.checks[c] if event.kind == EventKind.STEP_PROOF}
    return next(i for i in count() if i not in steps)


def _refutations(found: EventsOf, c: int) -> dict[int, str]:
    """What refutes each refuted step of chain `c`, keyed by step."""
    return {
        event.step: event.detail or "refuted"
        for event in found.checks[c]
        if event.kind == EventKind.STEP_CHECK and event.outcome == Outcome.INCORRECT
    }
