"""Varied solutions of a problem, right or with slips."""

import random

from distill.records import Problem
from generators.world.graph import decode
from generators.world.numbers import Expr
from generators.world.plan import make_plan
from generators.world.slips import random_slip
from generators.world.write import P_EQUATION, Slip, Solution, State, write


def solve(
    problem: Problem, rng: random.Random, slips: float = 0.0, p_equation: float = P_EQUATION
) -> Solution:
    """A varied solution. `slips` is the probability, per step, of an error of a random kind;
    `p_equation` that a step states its equation."""
    graph = decode(problem.payload)

    def slipper(state: State, _: int, target: str, expr: Expr | None, stated: bool) -> Slip | None:
        return random_slip(state, target, expr, stated) if rng.random() < slips else None

    return write(graph, make_plan(graph, rng), rng, p_equation, slipper if slips > 0 else None)
