"""Events: building them from what was observed, and counting them up again by step.

Evidence is append-only and says under which stopping rule it was gathered; nothing here judges.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from distill.errors import DataError
from distill.labelling.protocol import RolloutRequest, RolloutResult
from distill.records import Chain, Event, EventKind, Outcome, content_id


class StepVerdict(Protocol):
    """What a checker says of a step (`checkers.Verdict` is one): status, reason, what was compared."""

    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def compared(self) -> tuple[str, str] | None: ...


def prefix_id(problem_id: str, steps_upto: Sequence[str]) -> str:
    """Id of a prefix: the same for every chain of a problem that begins with the same steps."""
    return content_id("prefix", problem_id, list(steps_upto))


def outcome_event(chain: Chain) -> Event:
    """The chain's own outcome, as evidence about its whole self (step `len - 1`)."""
    return Event(
        chain_id=chain.id,
        prefix_id=prefix_id(chain.problem_id, chain.steps),
        step=len(chain.steps) - 1,
        kind=EventKind.OUTCOME,
        outcome=chain.outcome,
        detail=chain.outcome_reason,
        generator=chain.generator,
    )


def check_events(chain: Chain, verdicts: Sequence[StepVerdict], proves: bool = False) -> list[Event]:
    """One event for the exact check of each step; no verdicts, no events (checks were off). `proves`: a step
    that was found correct is right for certain (`distill.domains.proves`).

    Raises:
        DataError: there are verdicts, but not one a step.
    """
    if verdicts and len(verdicts) != len(chain.steps):
        raise DataError(
            f"chain {chain.id}: expected one verdict a step ({len(chain.steps)}), found {len(verdicts)}; "
            "check the same steps that are labelled"
        )
    proof = EventKind.STEP_PROOF if proves else EventKind.STEP_CHECK
    return [
        Event(
            chain_id=chain.id,
            prefix_id=prefix_id(chain.problem_id, chain.steps[: step + 1]),
            step=step,
            kind=proof if verdict.status == Outcome.CORRECT else EventKind.STEP_CHECK,
            outcome=Outcome(str(verdict.status)),
            detail=_detail(verdict),
        )
        for step, verdict in enumerate(verdicts)
    ]


def rollout_events(request: RolloutRequest, result: RolloutResult, seed: int, generator: str) -> list[Event]:
    """One event a continuation.

    Raises:
        DataError: outcomes and token counts differ in number, or `request.step` lies beyond the chain.
    """
    chain, outcomes, tokens = request.chain, result.outcomes, result.tokens
    if len(outcomes) != len(tokens) or not -1 <= request.step < len(chain.steps):
        raise DataError(
            f"chain {chain.id}: expected a step in -1..{len(chain.steps) - 1} and as many token counts as "
            f"outcomes, found step {request.step}, {len(outcomes)} outcomes, {len(tokens)} token counts"
        )
    prefix = prefix_id(chain.problem_id, request.prefix)
    return [
        Event(
            chain_id=chain.id,
            prefix_id=prefix,
            step=request.step,
            kind=EventKind.ROLLOUT,
            outcome=outcome,
            generated_tokens=count,
            seed=seed,
            generator=generator,
            stopping_rule=request.rule,
        )
        for outcome, count in zip(outcomes, tokens, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class EventsOf:
    """The events of one problem: rollouts by node (`known.known` numbers the prefixes in the same way),
    checks by chain, and what people said."""

    rollouts: dict[int, list[Event]]
    checks: list[list[Event]]
    reviews: list[Event]


def events_of(chains: Sequence[Chain], events: Sequence[Event]) -> EventsOf:
    """Sort the events of a problem's chains.

    Raises:
        DataError: an event belongs to none of `chains`, or lies beyond its own.
    """
    places = {chain.id: c for c, chain in enumerate(chains)}
    paths = prefix_nodes(chains)
    found = EventsOf(defaultdict(list), [[] for _ in chains], [])
    for event in events:
        c = places.get(event.chain_id)
        if c is None or not -1 <= event.step < len(chains[c].steps):
            raise DataError(
                f"expected events of the chains {', '.join(places)}, each at a step of its own, found one of "
                f"chain {event.chain_id} at step {event.step}; group events by problem, and label the "
                "chains that they were gathered for"
            )
        if event.kind == EventKind.ROLLOUT:
            found.rollouts[paths[c][event.step + 1]].append(event)
        elif event.kind in (EventKind.STEP_CHECK, EventKind.STEP_PROOF):
            found.checks[c].append(event)
        elif event.kind == EventKind.REVIEW:
            found.reviews.append(event)
    return found


def prefix_nodes(chains: Sequence[Chain]) -> list[tuple[int, ...]]:
    """For each chain the node after each of its prefixes, the bare problem (node 0) first. Chains that
    begin with the same steps share the nodes of these."""
    children: dict[tuple[int, str], int] = {}
    paths = []
    for chain in chains:
        path = [0]
        for step in chain.steps:
            path.append(children.setdefault((path[-1], step), len(children) + 1))
        paths.append(tuple(path))
    return paths


def _detail(verdict: StepVerdict) -> str:
    return verdict.reason or " against ".join(verdict.compared or ())
