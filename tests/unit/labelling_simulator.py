"""A simulated completer and the loop that answers a policy's requests, for the labelling tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

from distill.config import LabellingSettings
from distill.labelling.evidence import check_events, outcome_event, rollout_events
from distill.labelling.policies import make_policy
from distill.labelling.protocol import RolloutRequest, RolloutResult
from distill.records import Chain, Event, Outcome

Completer = Callable[[RolloutRequest], Sequence[Outcome]]
LONGEST = 100_000


@dataclass(frozen=True)
class Gathered:
    """What a policy asked for, round by round, and all evidence of the chains."""

    rounds: list[list[RolloutRequest]]
    events: list[Event]

    @property
    def requests(self) -> list[RolloutRequest]:
        return [request for asked in self.rounds for request in asked]


def make_settings(method: str = "adaptive", adaptive: dict[str, object] | None = None, **more: object):  # type: ignore[no-untyped-def]
    """Settings under which a perfect completer is judged by few rollouts."""
    return LabellingSettings.model_validate(
        {"method": method, "rollouts": 4, "adaptive": adaptive or {}, **more}
    )


def make_chain(n: int, outcome: Outcome, name: str = "chain", steps: Sequence[str] = ()) -> Chain:
    return Chain(name, "problem", tuple(steps) or tuple(f"step {i}" for i in range(n)), outcome)


def truthful_chain(n: int, first_error: int) -> Chain:
    return make_chain(n, Outcome.CORRECT if first_error < 0 else Outcome.INCORRECT)


def perfect(first_error: int) -> Completer:
    """Reaches the right answer exactly from the good prefixes."""

    def complete(request: RolloutRequest) -> list[Outcome]:
        good = first_error < 0 or request.step < first_error
        return [Outcome.CORRECT if good else Outcome.INCORRECT] * request.n

    return complete


def gather(
    settings: LabellingSettings,
    chains: Chain | Sequence[Chain],
    complete: Completer,
    checks: Sequence[Sequence[Outcome]] = (),
) -> Gathered:
    """Run the policy to its end against `complete`; the events are those that a worker would write."""
    chains = [chains] if isinstance(chains, Chain) else chains
    checks = checks or [[] for _ in chains]
    events = [outcome_event(chain) for chain in chains]
    for chain, found in zip(chains, checks, strict=True):
        events += check_events(chain, [_verdict(c, i) for i, c in enumerate(found)])
    policy = make_policy(settings, chains, checks)
    rounds: list[list[RolloutRequest]] = []
    asked = next(policy, None)
    while asked is not None:
        rounds.append(asked)
        assert asked, "a round is never empty"
        assert len(rounds) < LONGEST, "the policy does not end"
        results = []
        for request in asked:
            outcomes = tuple(complete(request))
            results.append(RolloutResult(outcomes, (7,) * len(outcomes)))
            events += rollout_events(request, results[-1], 1, "simulated")
        try:
            asked = policy.send(results)
        except StopIteration:
            asked = None
    return Gathered(rounds, events)


def _verdict(check: Outcome, i: int) -> SimpleNamespace:
    return SimpleNamespace(status=check.value, reason=f"check {i}", compared=None)
