"""Policies: which prefixes of a chain to continue, how often, and when to stop.

A policy is sans-IO: a Python generator that yields a round of requests, is sent their results in the
same order, and returns when it needs no more. It therefore runs alike against an engine, a simulator
or recorded rollouts. A round is never empty.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from distill.config import LabellingSettings
from distill.errors import DataError
from distill.labelling.trials import Tally, certainly_bad_from, prefix_status, stopping_rule, tally
from distill.records import Chain, Outcome, StepStatus


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """Continue `n` times after step `step` (0-based; -1 is the bare problem). `rule` goes with every
    resulting event, and tells a second request for a prefix from the first (so that its seed differs)."""

    step: int
    n: int
    rule: str


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """The outcome of each continuation that a request asked for, and the tokens they cost together."""

    step: int
    outcomes: tuple[Outcome, ...]
    generated_tokens: int


Policy: TypeAlias = Generator[list[RolloutRequest], list[RolloutResult], None]


def math_shepherd(settings: LabellingSettings, chain: Chain, refuted: Sequence[int]) -> Policy:
    """A fixed number K of rollouts at every step, all in one round (arXiv 2312.08935, section 3.3).

    As published when `count_outcome` is off: every step, whatever is known already. Otherwise the
    chain's own answer counts: a right one is a success of every prefix, so nothing is asked; after a
    wrong one only the steps that are not certainly bad are. A step whose rollouts are all undecided is
    not asked for again and stays undetermined.
    """
    stop = certainly_bad_from(chain, refuted) if settings.count_outcome else len(chain.steps)
    if stop == 0 or _answered_by_outcome(settings, chain):
        return
    rule = stopping_rule("math_shepherd", settings.rollouts)
    yield [RolloutRequest(step, settings.rollouts, rule) for step in range(stop)]


def binary(settings: LabellingSettings, chain: Chain, refuted: Sequence[int]) -> Policy:
    """Binary search for the first error, K rollouts a probe (the search of OmegaPRM, arXiv 2406.06592,
    section 3.2): after a good prefix look later, after a bad one earlier.

    Known without rollouts: everything, when the chain's answer is right and counts; that the last step
    is bad, when its answer is wrong; that the first error is at or before a refuted step. A refuted step
    mostly *is* the first error, so the step just before it is probed first; otherwise the middle.

    A probe without a decided rollout is asked once more (K again). Still undecided, its node is left
    undetermined and only the steps below it are searched: the first error is then found when it lies
    there, and the labels from the node on stay undetermined.

    A search that blames the first step ends with a probe of the bare problem (step -1): a completer that
    never solves the problem at all fails after every step, right or wrong, and so says nothing of any.
    """
    if _answered_by_outcome(settings, chain):
        return
    certain = certainly_bad_from(chain, refuted)
    last_good, first_bad = -1, certain
    step = first_bad - 1 if refuted else (last_good + first_bad) // 2
    while first_bad - last_good > 1:
        if (yield from _probe(settings, chain, step)) == StepStatus.GOOD:
            last_good = step
        else:
            first_bad = step
        step = (last_good + first_bad) // 2
    if first_bad == 0 < certain:
        yield from _probe(settings, chain, -1)


METHODS: dict[str, Callable[[LabellingSettings, Chain, Sequence[int]], Policy]] = {
    "math_shepherd": math_shepherd,
    "binary": binary,
}


def make_policy(settings: LabellingSettings, chain: Chain, checks: Sequence[Outcome]) -> Policy:
    """The policy that `settings.method` names, for one chain.

    `checks` holds the exact check of each step; empty means that none was made. With
    `settings.step_checks` off they are ignored.

    Raises:
        DataError: `checks` is neither empty nor one a step; later, from the generator: it was sent
            results that do not answer its requests.
    """
    if checks and len(checks) != len(chain.steps):
        raise DataError(
            f"chain {chain.id}: expected one check a step ({len(chain.steps)}) or none, "
            f"found {len(checks)}; check the same steps that are labelled"
        )
    refuted = [i for i, check in enumerate(checks) if check == Outcome.INCORRECT]
    return METHODS[settings.method](settings, chain, refuted if settings.step_checks else [])


def _answered_by_outcome(settings: LabellingSettings, chain: Chain) -> bool:
    return settings.count_outcome and chain.outcome == Outcome.CORRECT


def _probe(
    settings: LabellingSettings, chain: Chain, step: int
) -> Generator[list[RolloutRequest], list[RolloutResult], StepStatus]:
    """K rollouts after `step`, and K more if those decide nothing."""
    own = chain.outcome if settings.count_outcome else None
    seen = Tally()
    for again in (False, True):
        rule = stopping_rule("binary", settings.rollouts, again)
        request = RolloutRequest(step, settings.rollouts, rule)
        results = yield [request]
        seen += tally(_answer(chain, request, results), request.n)
        status = prefix_status(seen, own, settings.good_at)
        if status != StepStatus.UNDETERMINED:
            return status
    return StepStatus.UNDETERMINED


def _answer(chain: Chain, request: RolloutRequest, results: list[RolloutResult]) -> tuple[Outcome, ...]:
    steps = [result.step for result in results]
    if steps != [request.step]:
        raise DataError(
            f"chain {chain.id}: expected the result of one request, after step {request.step}, found "
            f"results after steps {steps}; send the results of a round in the order of its requests"
        )
    return results[0].outcomes
