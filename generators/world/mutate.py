"""Errors made on purpose: chains with one slip of a kind, and single steps tried wrongly, then rightly."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

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
    """One try at a step of a solution; after a wrong one the same step is tried again.

    `wrong_at` is the index of the character where a wrong step parts from the right one that it would
    have been; None for a right step."""

    step: str
    wrong_at: int | None = None

    @property
    def right(self) -> bool:
        """Whether the judge would accept it."""
        return self.wrong_at is None


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
            found.append(Attempt(state.steps[-1]))
        p_stated = 1.0 if expr and len(leaves(expr)) > 2 else p_equation
        stated = expr is not None and not has_floor(expr) and rng.random() < p_stated
        while rng.random() < p_wrong:
            slip = make_slip(state, kind, target, expr) if kind else random_slip(state, target, expr, stated)
            wrong = slip and _wrong_step(state, slip, targets[position:], stated)
            if not wrong:
                break
            found.append(wrong)
        _write(state, (target, expr), stated, None)
        found.append(Attempt(state.steps[-1]))
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
        true = graph.quantities[name].value
        while len(facts) > 1 and rng.random() < p_wrong:
            value = others[rng.randrange(len(others))]
            if value != true:
                found.append(_twins(rng, *(partial(line, state, name, None, v) for v in (value, true))))
        found.append(Attempt(line(state, name, None, true)))
    return tuple(found)


def _wrong_step(state: State, slip: Slip, targets: Sequence[Target], stated: bool) -> Attempt | None:
    """The step in which `slip`, made at the first target, shows; the state stays as it is."""
    trial, twin = _copy(state), _copy(state)
    target = targets[0]
    if slip.skip:  # it shows where the skipped quantity is used
        _write(trial, target, stated, slip)
        target = next(t for t in targets[1:] if t[1] and targets[0][0] in leaves(t[1]))
        stated = not has_floor(target[1])
    found = _twins(
        state.rng,
        lambda: _write(trial, target, stated, None if slip.skip else slip),
        lambda: _write(twin, target, stated, None),
    )
    return found if trial.first_error >= 0 else None


def _twins(rng: random.Random, wrong: Callable[[], str], right: Callable[[], str]) -> Attempt:
    """A wrong line, and where it parts from the right one in the same words."""
    before = rng.getstate()
    step = wrong()
    after = rng.getstate()
    rng.setstate(before)
    twin = right()
    rng.setstate(after)
    parting = (i for i, (a, b) in enumerate(zip(step, twin)) if a != b)
    return Attempt(step, next(parting, min(len(step), len(twin)) - 1))


def _copy(state: State) -> State:
    return replace(state, belief=dict(state.belief), known=list(state.known), steps=[], confused=set())


def _write(state: State, target: Target, stated: bool, slip: Slip | None) -> str:
    name, expr = target
    if expr is None:
        write_answer(state, slip)
    else:
        write_step(state, name, expr, stated, slip)
    return state.steps[-1] if state.steps else ""


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
