"""A simulated completer and the loop that answers a policy's requests, for the labelling tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from distill.config import LabellingSettings
from distill.labelling.evidence import check_events, outcome_event, rollout_events
from distill.labelling.policies import RolloutRequest, RolloutResult, make_policy
from distill.records import Chain, Event, Outcome

Completer = Callable[[RolloutRequest], Sequence[Outcome]]


@dataclass(frozen=True)
class Gathered:
    """What a policy asked for, round by round, and all evidence of the chain."""

    rounds: list[list[RolloutRequest]]
    events: list[Event]

    @property
    def requests(self) -> list[RolloutRequest]:
        return [request for asked in self.rounds for request in asked]


def make_chain(n: int, outcome: Outcome) -> Chain:
    return Chain("chain", "problem", tuple(f"step {i}" for i in range(n)), outcome)


def truthful_chain(n: int, first_error: int) -> Chain:
    return make_chain(n, Outcome.CORRECT if first_error < 0 else Outcome.INCORRECT)


def perfect(first_error: int) -> Completer:
    """Reaches the right answer exactly from the good prefixes."""

    def complete(request: RolloutRequest) -> list[Outcome]:
        good = first_error < 0 or request.step < first_error
        return [Outcome.CORRECT if good else Outcome.INCORRECT] * request.n

    return complete


def gather(
    settings: LabellingSettings, chain: Chain, complete: Completer, checks: Sequence[Outcome] = ()
) -> Gathered:
    """Run the policy to its end against `complete`; the events are those that a worker would write."""
    verdicts = [
        SimpleNamespace(status=c.value, reason=f"check {i}", compared=None) for i, c in enumerate(checks)
    ]
    events = [outcome_event(chain), *check_events(chain, verdicts)]
    policy = make_policy(settings, chain, list(checks))
    rounds = []
    asked = next(policy, None)
    while asked is not None:
        rounds.append(asked)
        results = []
        for request in asked:
            outcomes = tuple(complete(request))
            events += rollout_events(chain, request, outcomes, [7] * len(outcomes), 1, "simulated")
            results.append(RolloutResult(request.step, outcomes, 7 * len(outcomes)))
        try:
            asked = policy.send(results)
        except StopIteration:
            asked = None
    return Gathered(rounds, events)
