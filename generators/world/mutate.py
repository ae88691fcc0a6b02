"""Chains with exactly one slip of a given kind, for tests and for training verifiers."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from distill.records import Problem
from generators.world.graph import FACT, decode
from generators.world.numbers import Expr, has_floor, leaves
from generators.world.plan import Plan, make_plan
from generators.world.slips import CORRUPTIONS, WEIGHTS, make_slip, random_slip
from generators.world.write import (
    P_EQUATION,
    P_RESTATE,
    Slip,
    Slipper,
    Solution,
    State,
    line,
    restate,
    write,
    write_answer,
    write_step,
)

TRIES = 24

Target = tuple[str, Expr | None]
"""A quantity and its derivation; None for the answer line."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a step of a solution; after a wrong one the same step is tried again."""

    step: str
    right: bool


def attempts(
    problem: Problem,
    rng: random.Random,
    p_wrong: float,
    p_equation: float = P_EQUATION,
    kind: str | None = None,
) -> tuple[Attempt, ...]:
    """A right solution with wrong tries (`p_wrong` each, of `kind` or any) before its steps.

    Whatever stands before an attempt and is right is a right beginning of a chain, so each wrong one
    is what the judge calls a first error.
    """
    graph = decode(problem.payload)
    known = [name for name, quantity in graph.quantities.items() if quantity.role == FACT]
    state = State(graph, rng, dict(graph.values), known=known)
    targets: list[Target] = [*make_plan(graph, rng), (graph.goal, None)]
    found: list[Attempt] = []
    for position, (target, expr) in enumerate(targets):
        if rng.random() < P_RESTATE:
            restate(state)
            found.append(Attempt(state.steps[-1], right=True))
        p_stated = 1.0 if expr and len(leaves(expr)) > 2 else p_equation
        stated = expr is not None and not has_floor(expr) and rng.random() < p_stated
        while rng.random() < p_wrong:
            slip = make_slip(state, kind, target, expr) if kind else random_slip(state, target, expr, stated)
            wrong = slip and _wrong_step(state, slip, targets[position:], stated)
            if not wrong:
                break
            found.append(Attempt(wrong, right=False))
        _write(state, (target, expr), stated, None)
        found.append(Attempt(state.steps[-1], right=True))
    return tuple(found)


def recite(problem: Problem, rng: random.Random, p_wrong: float) -> tuple[Attempt, ...]:
    """Every fact of the problem restated, in random order; a wrong try has the number of another quantity."""
    graph = decode(problem.payload)
    state = State(graph, rng, dict(graph.values), known=[])
    facts = [name for name, quantity in graph.quantities.items() if quantity.role == FACT]
    others = [graph.quantities[name].value for name in facts]
    rng.shuffle(facts)
    found: list[Attempt] = []
    for name in facts:
        while len(facts) > 1 and rng.random() < p_wrong:
            value = others[rng.randrange(len(others))]
            if value != graph.quantities[name].value:
                found.append(Attempt(line(state, name, None, value), right=False))
        found.append(Attempt(line(state, name, None, graph.quantities[name].value), right=True))
    return tuple(found)


def _wrong_step(state: State, slip: Slip, targets: Sequence[Target], stated: bool) -> str | None:
    """The step in which `slip`, made at the first target, shows; the state stays as it is."""
    trial = replace(state, belief=dict(state.belief), known=list(state.known), steps=[], confused=set())
    _write(trial, targets[0], stated, slip)
    if slip.skip:  # it shows where the skipped quantity is used
        user = next(t for t in targets[1:] if t[1] and targets[0][0] in leaves(t[1]))
        _write(trial, user, not has_floor(user[1]), None)
    return trial.steps[-1] if trial.first_error >= 0 else None


def _write(state: State, target: Target, stated: bool, slip: Slip | None) -> None:
    name, expr = target
    if expr is None:
        write_answer(state, slip)
    else:
        write_step(state, name, expr, stated, slip)


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
