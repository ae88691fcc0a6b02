"""Writing a plan as text, one line per derivation, with the errors that a slipper makes.

The writer keeps what the solver believes each quantity to be. A slip changes a belief, and later
steps go on from it, as a person would; the index and kind of the first wrong step are recorded.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from generators.judgement import ANSWER
from generators.world.graph import FACT, Graph
from generators.world.judge import verdict
from generators.world.numbers import (
    Expr,
    Number,
    evaluate,
    format_number,
    has_floor,
    leaves,
    render,
    substitute,
)
from generators.world.plan import Plan

P_EQUATION = 0.6
P_RESTATE = 0.03
P_FIRST_FRAME = 0.7
LONGEST_RESTATED = 6  # longer plans are not made longer still


@dataclass(frozen=True, slots=True)
class Solution:
    """Steps with the 0-based first error (-1 none), its kind, and the slip that caused it."""

    steps: tuple[str, ...]
    first_error: int = -1
    kind: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Slip:
    """One error: what is printed (expr None: no equation) and believed. `skip`: no step at all,
    and the quantity is confused with the value from then on."""

    cause: str
    expr: Expr | None
    value: Number
    skip: bool = False


@dataclass(slots=True)
class State:
    """What the writer knows while it writes."""

    graph: Graph
    rng: random.Random
    belief: dict[str, Number]
    steps: list[str] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    confused: set[str] = field(default_factory=set)
    first_error: int = -1
    kind: str = ""
    cause: str = ""

    def literals(self, expr: Expr) -> Expr:
        """`expr` with what is believed in place of the quantity ids."""
        return substitute(expr, self.belief)


# (state, position in the plan, target, derivation or None for the answer, equation stated)
Slipper = Callable[[State, int, str, Expr | None, bool], Slip | None]


def write(
    graph: Graph,
    plan: Plan,
    rng: random.Random,
    p_equation: float = P_EQUATION,
    slipper: Slipper | None = None,
) -> Solution:
    """The text of a plan, with the errors that `slipper` makes."""
    known = [name for name, quantity in graph.quantities.items() if quantity.role == FACT]
    state = State(graph, rng, dict(graph.values), known=known)
    for position, (target, expr) in enumerate(plan):
        if len(plan) <= LONGEST_RESTATED and rng.random() < P_RESTATE:
            restate(state)
        # A step that does the work of several shows it: nobody does three operations silently.
        stated = (rng.random() < p_equation or len(leaves(expr)) > 2) and not has_floor(expr)
        slip = slipper(state, position, target, expr, stated) if slipper else None
        write_step(state, target, expr, stated, slip)
    slip = slipper(state, len(plan), graph.goal, None, False) if slipper else None
    write_answer(state, slip)
    return Solution(tuple(state.steps), state.first_error, state.kind, state.cause)


def spelled(graph: Graph, name: str, value: Number) -> str:
    """`value` as the quantity spells its own: its text if true, a fraction if that is one."""
    quantity = graph.quantities[name]
    return quantity.text if value == quantity.value else format_number(value)


def write_step(state: State, target: str, expr: Expr, stated: bool, slip: Slip | None) -> None:
    """Add the line that derives `target`, as `slip` has it, to the state."""
    if slip and slip.skip:
        state.belief[target] = slip.value
        state.confused.add(target)
        state.cause = state.cause or slip.cause
        return
    if slip:
        literals, value = slip.expr, slip.value
        state.cause = state.cause if state.first_error >= 0 else slip.cause
    else:
        try:
            value = evaluate(expr, state.belief)
        except ZeroDivisionError:  # only after an error
            value, stated = state.belief[target], False
        literals = state.literals(expr) if stated else None
    if state.first_error < 0 and (slip or not state.confused.isdisjoint(leaves(expr))):
        kind = verdict(state.graph, target, literals, value)
        if kind:
            state.first_error, state.kind = len(state.steps), kind
    state.belief[target] = value
    state.known.append(target)
    state.steps.append(line(state, target, literals, value))


def line(state: State, target: str, literals: Expr | None, value: Number) -> str:
    """A line that states `value` for the quantity `target`, with the equation if there is one."""
    frames = state.graph.quantities[target].frames
    frame = frames[0]
    if len(frames) > 1 and state.rng.random() > P_FIRST_FRAME:
        frame = frames[state.rng.randrange(1, len(frames))]
    text = spelled(state.graph, target, value)
    if literals is not None:
        text = f"{render(literals, _speller(state.graph))} = {text}"
    return frame.replace("{}", text)


def _speller(graph: Graph) -> Callable[[Number], str]:
    """Literals as the problem spells them: `3/4`, not `0.75`."""

    def spell(value: Number) -> str:
        if type(value) is int:
            return str(value)
        name = graph.by_value.get(value)
        return graph.quantities[name].text if name else format_number(value)

    return spell


def write_answer(state: State, slip: Slip | None) -> None:
    """Add the answer line, as `slip` has it, to the state."""
    goal = state.graph.goal
    value = slip.value if slip else state.belief[goal]
    if state.first_error < 0 and value != state.graph.values[goal]:
        state.first_error, state.kind = len(state.steps), "answer"
        state.cause = slip.cause if slip else state.cause
    state.steps.append(ANSWER + spelled(state.graph, goal, value))


def restate(state: State) -> None:
    """A true restatement of a fact."""
    names = [name for name in state.known if state.graph.quantities[name].role == FACT]
    name = names[state.rng.randrange(len(names))]
    state.steps.append(line(state, name, None, state.belief[name]))
