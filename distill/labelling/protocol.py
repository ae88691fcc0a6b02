"""What a labelling policy and its driver say to each other.

A policy labels the chains of one problem. It is sans-IO: a Python generator that yields a round of
requests, is sent their results in the same order, and returns when it needs no more. It therefore runs
alike against an engine, a simulator or recorded rollouts. A round is never empty.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from distill.records import Chain, Outcome

Prefix: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """The chains of one problem, and for each the steps (0-based) that an exact check refutes, and how many
    of its first steps are proved right (empty: none of any)."""

    chains: tuple[Chain, ...]
    refuted: tuple[tuple[int, ...], ...]
    proved: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RolloutRequest:
    """Continue `n` times after step `step` of `chain` (0-based; -1 is the bare problem).

    `first` rollouts of this very prefix were asked for before; it seeds the new ones, so that no
    rollout is drawn twice. `rule` says why and until when is asked, and goes with every event.
    """

    chain: Chain
    step: int
    n: int
    rule: str
    first: int = 0

    @property
    def prefix(self) -> Prefix:
        """The steps that are continued."""
        return self.chain.steps[: self.step + 1]


@dataclass(frozen=True, slots=True)
class RolloutResult:
    """The outcome of each continuation that a request asked for, and the tokens that each cost."""

    outcomes: tuple[Outcome, ...]
    tokens: tuple[int, ...]


Policy: TypeAlias = Generator[list[RolloutRequest], list[RolloutResult], None]


def by_problem(chains: Sequence[Chain]) -> list[list[int]]:
    """Places of the chains of each problem, in order of first appearance."""
    places: dict[str, list[int]] = {}
    for i, chain in enumerate(chains):
        places.setdefault(chain.problem_id, []).append(i)
    return list(places.values())
