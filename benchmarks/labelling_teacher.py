"""A simulated teacher: what the real one cannot reach, thousands of problems in seconds.

The process. A problem of pass rate v (drawn evenly from a range) has the value v before its first step.
Along a right chain of n steps the chance to reach the answer rises towards 1: after i steps it is
v^(1 - i/n), disturbed by a step's own difficulty (its logit moves by a normal deviate of scale `spread`).
A chain goes wrong with chance 1 - v, at a step drawn evenly. From a prefix with an error a rollout
reaches the answer with `repair` times the chance of the right prefix; with chance `breaks` a completer
cannot go on from a right prefix at all (its rate there is a tenth). A wrong step is refuted by a check
with chance `refutable`. A rollout costs `tokens_a_step` for each step that is left.

All randomness comes from the problem's number, so every method meets the same problems and, at a prefix,
the same rollouts in the same order.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from distill.labelling.protocol import Prefix, RolloutRequest, RolloutResult
from distill.records import Chain, Outcome, Problem


@dataclass(frozen=True)
class World:
    """Parameters of the process."""

    steps: tuple[int, int] = (2, 10)
    pass_rate: tuple[float, float] = (0.02, 0.98)
    chains: int = 4
    repair: float = 0.0
    breaks: float = 0.0
    refutable: float = 0.24
    spread: float = 0.5
    tokens_a_step: int = 20


@dataclass(frozen=True)
class Simulated:
    """One problem and its chains; answers requests like a recorded one."""

    world: World
    number: int
    problem: Problem
    rate: float
    chains: tuple[Chain, ...]
    truth: tuple[int, ...]
    checks: tuple[tuple[Outcome, ...], ...]
    drawn: dict[Prefix, tuple[float, random.Random, list[Outcome]]] = field(default_factory=dict)

    @property
    def _places(self) -> dict[str, int]:
        return {chain.id: c for c, chain in enumerate(self.chains)}

    def chance(self, c: int, step: int) -> float:
        """Chance that a rollout after `step` of chain `c` reaches the answer."""
        n, error = len(self.chains[c].steps), self.truth[c]
        right = step if error < 0 else min(step, error - 1)
        rate = self.rate ** (1 - (right + 1) / n)
        if right >= 0:
            noise = random.Random(f"{self.number} {c} {right}")
            rate = min(rate, 0.98)
            rate = 1 / (1 + (1 / rate - 1) * math.exp(-noise.gauss(0, self.world.spread)))
            rate *= 0.1 if noise.random() < self.world.breaks else 1.0
        return rate if right == step else rate * self.world.repair

    def answer(self, request: RolloutRequest) -> RolloutResult:
        """Rollouts number `first` to `first + n` of the prefix."""
        c = self._places[request.chain.id]
        if request.prefix not in self.drawn:
            stream = random.Random(f"{self.number} {c} {request.step} rollouts")
            self.drawn[request.prefix] = self.chance(c, request.step), stream, []
        chance, stream, seen = self.drawn[request.prefix]
        while len(seen) < request.first + request.n:
            seen.append(Outcome.CORRECT if stream.random() < chance else Outcome.INCORRECT)
        left = len(request.chain.steps) - 1 - request.step
        cost = max(1, left * self.world.tokens_a_step)
        return RolloutResult(tuple(seen[request.first : request.first + request.n]), (cost,) * request.n)


def simulate(world: World, number: int) -> Simulated:
    """Problem `number` of the world."""
    draw = random.Random(f"problem {number}")
    rate = draw.uniform(*world.pass_rate)
    made = [_chain(world, draw, number, c, rate) for c in range(world.chains)]
    chains, truth, checks = (tuple(part) for part in zip(*made, strict=True))
    problem = Problem(f"p{number}", "simulated", "")
    return Simulated(world, number, problem, rate, chains, truth, checks)


def _chain(
    world: World, draw: random.Random, number: int, c: int, rate: float
) -> tuple[Chain, int, tuple[Outcome, ...]]:
    n = draw.randint(*world.steps)
    wrong = draw.random() >= rate
    error = draw.randrange(n) if wrong else -1
    refuted = wrong and draw.random() < world.refutable
    repaired = wrong and draw.random() < world.repair * rate and error < n - 1
    steps = tuple(f"{number}.{c}.{i}" for i in range(n))
    outcome = Outcome.INCORRECT if wrong and not repaired else Outcome.CORRECT
    checks = tuple(Outcome.INCORRECT if refuted and i == error else Outcome.UNDECIDED for i in range(n))
    spent = n * world.tokens_a_step
    return Chain(f"{number}.{c}", f"p{number}", steps, outcome, generated_tokens=spent), error, checks


def problems(world: World, count: int, start: int = 0) -> Iterator[Simulated]:
    """Problems `start` to `start + count`."""
    return (simulate(world, number) for number in range(start, start + count))
