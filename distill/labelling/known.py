"""All that is known of one problem: the tree of its chains' prefixes, with the trials of each.

Chains of a problem share prefixes, and the bare problem is the prefix that all share (node 0). A rollout
from a shared prefix is evidence for every chain through it, and so is the final answer of each chain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from distill.config import AdaptiveSettings, LabellingSettings
from distill.labelling.evidence import prefix_nodes
from distill.labelling.protocol import Case, RolloutRequest, RolloutResult
from distill.labelling.trials import (
    NOTHING,
    NodeTest,
    Tally,
    certainly_bad_from,
    prefix_status,
    tally,
)
from distill.records import Outcome, StepStatus

CERTAIN = 0.95  # a rate above this is not claimed: one failure would end the test


@dataclass(frozen=True, slots=True)
class Known:
    """`paths[c][i + 1]` is the node of the prefix that ends with step i of chain c; `rollouts[node]`
    grows as results come in; `outcomes[node]` counts the final answers of the chains through it."""

    case: Case
    paths: tuple[tuple[int, ...], ...]
    rollouts: list[Tally]
    outcomes: list[Tally]

    def add(self, requests: Sequence[RolloutRequest], results: Sequence[RolloutResult]) -> None:
        """Count the results of a round."""
        places = {chain.id: c for c, chain in enumerate(self.case.chains)}
        for request, result in zip(requests, results, strict=True):
            node = self.paths[places[request.chain.id]][request.step + 1]
            self.rollouts[node] += tally(result.outcomes)


def known(case: Case) -> Known:
    """The tree of a case before any rollout."""
    paths = prefix_nodes(case.chains)
    outcomes = [NOTHING] * (1 + max(node for path in paths for node in path))
    for chain, nodes in zip(case.chains, paths, strict=True):
        for node in nodes:
            outcomes[node] += tally([chain.outcome])
    return Known(case, tuple(paths), [NOTHING] * len(outcomes), outcomes)


def certain_from(found: Known, c: int) -> int:
    """First step of chain `c` that is bad without any rollout."""
    return certainly_bad_from(found.case.chains[c], found.case.refuted[c])


def pass_rate(settings: AdaptiveSettings, found: Known) -> float:
    """Posterior mean of the problem's pass rate under a uniform prior, from the rollouts of the bare
    problem and, if `siblings`, the problem's chains."""
    seen = found.rollouts[0] + (found.outcomes[0] if settings.siblings else NOTHING)
    return (seen.successes + 1) / (seen.successes + seen.failures + 2)


def node_test(settings: AdaptiveSettings, rate: float, places: int) -> NodeTest:
    """The test at every node of a search in a problem of pass rate `rate`, when the first error may be at
    one of `places` places.

    The user's error bounds are for the whole search; by the union bound they are divided among the nodes
    that it visits at most.
    """
    nodes = max(1, math.ceil(math.log2(places)) if settings.bisect else places - 1)
    nodes = nodes if settings.corrected else 1
    high = min(CERTAIN, settings.smallest * rate)
    low = min(high / 2, settings.repair * rate)
    return NodeTest(low, high, settings.false_positive / nodes, settings.false_negative / nodes)


def trials(settings: LabellingSettings, found: Known, c: int, step: int) -> Tally:
    """Trials of the prefix that ends with `step` of chain `c`, for the sequential test.

    The chain's own answer is left out: that it is wrong is why the chain is searched, so it is no fresh
    trial of its prefixes.
    """
    node = found.paths[c][step + 1]
    seen = found.rollouts[node]
    others = found.outcomes[node]
    if settings.adaptive.siblings and settings.count_outcome and others.total > 1:
        own = tally([found.case.chains[c].outcome])
        seen += Tally(others.successes - own.successes, others.failures - own.failures)
    return seen


def step_status(settings: LabellingSettings, found: Known, c: int, i: int) -> StepStatus:
    """Good, bad or undetermined by the trials of one prefix alone."""
    if not is_sequential(settings):
        own = found.case.chains[c].outcome if settings.count_outcome else None
        seen = found.rollouts[found.paths[c][i + 1]]
        return prefix_status(seen, own, settings.good_at, settings.rollouts)
    seen = trials(settings, found, c, i)
    if not seen.successes and not seen.failures:
        return StepStatus.UNDETERMINED
    return chain_test(settings, found, c, i).status(seen)


def is_sequential(settings: LabellingSettings) -> bool:
    """Whether prefixes are judged by a sequential test; else by the share of K rollouts."""
    return settings.method == "adaptive" and settings.adaptive.sequential


def chain_test(settings: LabellingSettings, found: Known, c: int, step: int) -> NodeTest:
    """The sequential test of the prefix that ends with `step` of chain `c`.

    With `relative`, what is expected of a right prefix grows along the chain: from the problem's pass
    rate before the first step to 1 after the last, by the same factor at each step.
    """
    rate = pass_rate(settings.adaptive, found)
    if settings.adaptive.relative:
        rate **= 1 - (step + 1) / len(found.case.chains[c].steps)
    return node_test(settings.adaptive, rate, certain_from(found, c) + 1)


def solved(settings: LabellingSettings, found: Known) -> bool:
    """Whether the problem was ever solved: by a rollout of the bare problem or by one of its chains."""
    siblings = settings.count_outcome and settings.method != "math_shepherd"
    seen = found.rollouts[0] + (found.outcomes[0] if siblings else NOTHING)
    return seen.successes > 0


def probed_bounds(settings: LabellingSettings, found: Known, c: int) -> tuple[int, int]:
    """Last step of chain `c` known good (-1: none) and first step known bad (number of steps: none),
    before it is asked whether the completer solves the problem at all."""
    certain = certain_from(found, c)
    if settings.count_outcome and found.case.chains[c].outcome == Outcome.CORRECT:
        return certain - 1, certain
    seen = [step_status(settings, found, c, i) for i in range(certain)]
    proved = min(found.case.proved[c], certain) if found.case.proved else 0
    good = (i for i, status in enumerate(seen) if status == StepStatus.GOOD)
    last_good = max((proved - 1, *good))
    first_bad = next((i for i in range(last_good + 1, certain) if seen[i] == StepStatus.BAD), certain)
    return last_good, first_bad


def bounds(settings: LabellingSettings, found: Known, c: int) -> tuple[int, int]:
    """`probed_bounds`, where the failures of a search count only if success was seen before them."""
    last_good, first_bad = probed_bounds(settings, found, c)
    if settings.method in ("omegaprm", "adaptive") and last_good < 0 and not solved(settings, found):
        return last_good, certain_from(found, c)
    return last_good, first_bad
