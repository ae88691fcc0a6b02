"""Events: building them from what was observed, and counting them up again by step.

Evidence is append-only and says under which stopping rule it was gathered; nothing here judges.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from distill.errors import DataError
from distill.labelling.policies import RolloutRequest
from distill.labelling.trials import Tally, planned_trials, tally
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


def check_events(chain: Chain, verdicts: Sequence[StepVerdict]) -> list[Event]:
    """One event for the exact check of each step; no verdicts, no events (checks were off).

    Raises:
        DataError: there are verdicts, but not one a step.
    """
    if verdicts and len(verdicts) != len(chain.steps):
        raise DataError(
            f"chain {chain.id}: expected one verdict a step ({len(chain.steps)}), found {len(verdicts)}; "
            "check the same steps that are labelled"
        )
    return [
        Event(
            chain_id=chain.id,
            prefix_id=prefix_id(chain.problem_id, chain.steps[: step + 1]),
            step=step,
            kind=EventKind.STEP_CHECK,
            outcome=Outcome(str(verdict.status)),
            detail=_detail(verdict),
        )
        for step, verdict in enumerate(verdicts)
    ]


def rollout_events(
    chain: Chain,
    request: RolloutRequest,
    outcomes: Sequence[Outcome],
    tokens: Sequence[int],
    seed: int,
    generator: str,
) -> list[Event]:
    """One event a continuation: `outcomes[i]` cost `tokens[i]` generated tokens.

    Raises:
        DataError: the two differ in length, or `request.step` lies beyond the chain.
    """
    if len(outcomes) != len(tokens) or not -1 <= request.step < len(chain.steps):
        raise DataError(
            f"chain {chain.id}: expected a step in -1..{len(chain.steps) - 1} and as many token counts as "
            f"outcomes, found step {request.step}, {len(outcomes)} outcomes, {len(tokens)} token counts"
        )
    prefix = prefix_id(chain.problem_id, chain.steps[: request.step + 1])
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


def tally_rollouts(events: Sequence[Event]) -> dict[int, Tally]:
    """Tally of the rollouts after each step that was probed, keyed by step.

    Rollouts that a probe's stopping rule planned but that are not among `events` are counted missing.
    """
    probes: dict[tuple[int, str], list[Outcome]] = defaultdict(list)
    for event in events:
        if event.kind == EventKind.ROLLOUT:
            probes[event.step, event.stopping_rule].append(event.outcome)
    tallies: dict[int, Tally] = defaultdict(Tally)
    for (step, rule), outcomes in probes.items():
        tallies[step] += tally(outcomes, planned_trials(rule))
    return dict(tallies)


def _detail(verdict: StepVerdict) -> str:
    return verdict.reason or " against ".join(verdict.compared or ())
