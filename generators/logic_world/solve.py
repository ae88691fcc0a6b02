"""Solutions of a problem: right, with slips by chance, or with one error of a given kind."""

import random

from distill.records import Problem
from generators.logic_world.language import Deduction, Rule
from generators.logic_world.slips import CORRUPTIONS, WEIGHTS, make_slip, random_slip
from generators.logic_world.theory import Theory, decode
from generators.logic_world.write import Slipper, Solution, State, write

TRIES = 24


def solve(problem: Problem, rng: random.Random, slips: float = 0.0) -> Solution:
    """A varied solution. `slips` is the probability, per step, of an error of a random kind."""

    def slipper(state: State, rule: Rule | None) -> Deduction | None:
        return random_slip(state, rule) if rng.random() < slips else None

    return write(decode(problem), rng, slipper if slips > 0 else None, p_wrong_answer=slips)


def corrupt(problem: Problem, rng: random.Random, kind: str | None = None) -> Solution | None:
    """A chain whose only slip is of `kind` (one of CORRUPTIONS; None: any), carried on to the end.

    None if the problem offers no such error. Raises: ValueError for an unknown kind.
    """
    if kind is not None and kind not in CORRUPTIONS:
        raise ValueError(f"expected a kind of {CORRUPTIONS}, found {kind!r}")
    theory = decode(problem)
    for _ in range(TRIES):
        wanted = kind or rng.choices(CORRUPTIONS, list(WEIGHTS.values()))[0]
        solution = _corrupted(theory, rng, wanted)
        if solution.kind == wanted:
            return solution
    return None


def _corrupted(theory: Theory, rng: random.Random, kind: str) -> Solution:
    """A chain with one slip, where the place that is drawn offers one."""
    if kind == "answer":
        return write(theory, rng, p_wrong_answer=1.0)
    return write(theory, rng, _once(kind, int(rng.random() * (theory.depth + 1))))


def _once(kind: str, place: int) -> Slipper:
    """A slip at the `place`-th deduction, or as soon after as there is one."""

    def slipper(state: State, rule: Rule | None) -> Deduction | None:
        due = not state.slipped and len(state.steps) >= place
        return make_slip(state, kind, rule) if due else None

    return slipper
