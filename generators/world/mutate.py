"""Chains with exactly one slip of a given kind, for tests and for training verifiers."""

import random

from distill.records import Problem
from generators.world.graph import decode
from generators.world.numbers import Expr
from generators.world.plan import Plan, make_plan
from generators.world.slips import CORRUPTIONS, WEIGHTS, make_slip
from generators.world.write import P_EQUATION, Slip, Slipper, Solution, State, write

TRIES = 24


def corrupt(
    problem: Problem,
    rng: random.Random,
    kind: str | None = None,
    p_equation: float = P_EQUATION,
) -> Solution | None:
    """A chain whose only slip is of `kind` (one of CORRUPTIONS; None: any), carried on to the end.

    None if the problem offers no such error. `Solution.kind` is what the judge says; an omission
    (`cause`) shows as `operand` or `value`. Raises: ValueError for an unknown kind.
    """
    if kind is not None and kind not in CORRUPTIONS:
        raise ValueError(f"expected a kind of {CORRUPTIONS}, found {kind!r}")
    graph = decode(problem.payload)
    for _ in range(TRIES):
        wanted = kind or rng.choices(CORRUPTIONS, list(WEIGHTS.values()))[0]
        plan = make_plan(graph, rng)
        solution = write(graph, plan, rng, p_equation, _slip_once(wanted, _position(plan, wanted, rng)))
        shown = ("operand", "value") if wanted == "omitted" else (wanted,)
        if solution.first_error >= 0 and solution.kind in shown:
            return solution
    return None


def _slip_once(kind: str, place: int) -> Slipper:
    def slipper(state: State, position: int, target: str, expr: Expr | None, _: bool) -> Slip | None:
        return make_slip(state, kind, target, expr) if position == place else None

    return slipper


def _position(plan: Plan, kind: str, rng: random.Random) -> int:
    if kind == "answer":
        return len(plan)
    if kind == "omitted":
        return rng.randrange(len(plan) - 1) if len(plan) > 1 else -1
    return rng.randrange(len(plan))
