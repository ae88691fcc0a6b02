"""OmegaPRM: a tree of states, and binary search for the first error (arXiv 2406.06592).

Section 3.3 of the paper. A pool holds wrong rollouts (s, r): r continues state s. The one with the
greatest Q(s, r) + U(s) is searched next, where

    Q(s, r) = ALPHA^(1 - MC(s)) * BETA^(len(r) / LENGTH)                    (equation 1)
    U(s)    = C_PUCT * sqrt(sum_i N(s_i)) / (1 + N(s))                      (equation 2)

MC(s) is the share of the rollouts of s that are right, N(s) the visits of s; states with MC(s) = 0 or 1
are not searched. The search probes the middle of r with K rollouts: one success, and the error lies
later, else earlier. A prefix that was probed is a state of the tree and is never probed again.

The rollouts of the root are the given chains, which therefore cost nothing; when none of them is right,
the root gets K rollouts more. As in the paper a chain with a right answer is not searched.

What differs from the paper:
- Only the given chains are in the pool. The paper adds the wrong rollouts of every state that it probes,
  and searches on in them: new chains with labels of their own, beside the given ones, whose text a
  `RolloutResult` does not carry. So every s of the pool is the root, MC(s) and U(s) are the same for all
  of them, and the rule comes to "the shortest chain first". All are searched in the end; their order
  matters only where a budget ends it.
- A state whose rollouts are all undecided (the paper has none) says nothing of where the error lies: the
  search of that chain ends there, and what is not known by then stays undetermined.
- Lengths are counted in words (the paper: tokens).
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from distill.config import LabellingSettings
from distill.labelling.protocol import Case, Policy, Prefix, RolloutRequest, RolloutResult
from distill.labelling.trials import NOTHING, Tally, certainly_bad_from, tally
from distill.records import Chain, Outcome

ALPHA, BETA, LENGTH, C_PUCT = 0.5, 0.9, 500, 0.125
Probe: TypeAlias = Generator[list[RolloutRequest], list[RolloutResult], Tally]


@dataclass(slots=True)
class Tree:
    """States by prefix: their rollouts so far and how often one of their rollouts was searched."""

    rollouts: dict[Prefix, Tally] = field(default_factory=dict)
    visits: dict[Prefix, int] = field(default_factory=dict)


def omegaprm(settings: LabellingSettings, case: Case) -> Policy:
    """Search the wrong chains of a problem, in the order of Q + U."""
    tree = Tree({(): tally(chain.outcome for chain in case.chains) if settings.count_outcome else NOTHING})
    pool = [
        (chain, certainly_bad_from(chain, refuted))
        for chain, refuted in zip(case.chains, case.refuted, strict=True)
        if not (settings.count_outcome and chain.outcome == Outcome.CORRECT)
    ]
    if pool and not tree.rollouts[()].successes:
        yield from _probe(settings, tree, pool[0][0], -1)
    while pool and value(tree, ()) > 0:
        chosen = max(pool, key=lambda entry: score(tree, (), entry[0].steps))
        pool.remove(chosen)
        yield from _search(settings, tree, *chosen)


def value(tree: Tree, state: Prefix) -> float:
    """MC(s)."""
    seen = tree.rollouts.get(state, NOTHING)
    return seen.successes / max(1, seen.successes + seen.failures)


def score(tree: Tree, state: Prefix, rest: Sequence[str]) -> float:
    """Q(s, r) + U(s), for the rollout that adds the steps `rest` to `state`."""
    words = sum(len(step.split()) for step in rest)
    quality = ALPHA ** (1 - value(tree, state)) * BETA ** (words / LENGTH)
    visits = tree.visits.get(state, 0)
    return float(quality + C_PUCT * math.sqrt(sum(tree.visits.values())) / (1 + visits))


def _search(settings: LabellingSettings, tree: Tree, chain: Chain, bad: int) -> Policy:
    """Binary search for the first error of one chain, which is at `bad` at the latest (section 3.2)."""
    tree.visits[()] = tree.visits.get((), 0) + 1
    good = -1
    while bad - good > 1:
        middle = (good + bad) // 2
        seen = tree.rollouts.get(chain.steps[: middle + 1])
        if seen is None:
            seen = yield from _probe(settings, tree, chain, middle)
        if not seen.successes + seen.failures:
            return
        if seen.successes > settings.good_at * (seen.successes + seen.failures):
            good = middle
        else:
            bad = middle


def _probe(settings: LabellingSettings, tree: Tree, chain: Chain, step: int) -> Probe:
    """K rollouts of one state."""
    request = RolloutRequest(chain, step, settings.rollouts, f"omegaprm n={settings.rollouts}")
    (result,) = yield [request]
    tree.rollouts[request.prefix] = tree.rollouts.get(request.prefix, NOTHING) + tally(result.outcomes)
    return tree.rollouts[request.prefix]
