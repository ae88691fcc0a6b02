"""Errors that a person would make, one function per kind."""

import random
from fractions import Fraction

from generators.world.graph import CONST, DERIVED, FACT
from generators.world.judge import verdict
from generators.world.numbers import Expr, Number, evaluate, has_floor, leaves, substitute
from generators.world.write import Slip, State

CORRUPTIONS = ("arithmetic", "value", "operand", "operation", "invented", "omitted", "answer")
WEIGHTS = {
    "arithmetic": 22,
    "value": 20,
    "operand": 24,
    "operation": 12,
    "invented": 4,
    "omitted": 12,
    "answer": 6,
}
P_SILENT = 0.6  # of the value errors: computed from a wrong operand or operation
LARGEST = 2000
TRIES = 6
OTHER_OPERATIONS = {"+": "--*", "-": "++*", "*": "//+", "/": "**-"}


def random_slip(state: State, target: str, expr: Expr | None, stated: bool) -> Slip | None:
    """A slip that fits the step: `expr` is None for the answer line."""
    if expr is None:
        return make_slip(state, "answer", target, None)
    kinds = ("arithmetic", "operand", "operation", "invented", "omitted") if stated else ("value", "omitted")
    weights = [WEIGHTS[kind] for kind in kinds]
    for _ in range(3):
        slip = make_slip(state, state.rng.choices(kinds, weights)[0], target, expr)
        if slip:
            return slip
    return None


def make_slip(state: State, kind: str, target: str, expr: Expr | None) -> Slip | None:
    """One error of `kind` where `target` is derived by `expr`; None where it has no place."""
    if kind == "answer":
        return _answer(state, target) if expr is None else None
    if expr is None:
        return None
    if kind == "omitted":
        return _omit(state, target, expr)
    if kind != "value" and has_floor(expr):
        return None
    for _ in range(TRIES):
        try:
            slip = _MAKERS[kind](state, target, expr)
        except ZeroDivisionError:
            continue
        if slip and _fits(state, slip, kind, target, expr):
            return slip
    return None


def _fits(state: State, slip: Slip, kind: str, target: str, expr: Expr) -> bool:
    """Plausible, and (while all beliefs are true) what the judge calls `kind`, with a wrong value."""
    if not _plausible(slip.value) or slip.value == evaluate(expr, state.belief):
        return False
    if state.first_error >= 0 or state.confused:
        return True
    if slip.value == state.graph.values[target]:
        return False
    return verdict(state.graph, target, slip.expr, slip.value) == kind


def _plausible(value: Number) -> bool:
    return 0 < value <= LARGEST and 100 % value.denominator == 0


def near_miss(rng: random.Random, value: Number, expr: Expr | None = None) -> Number:
    """A slip of the pen near `value`: one off, a digit, a carry, a neighbour in the times table."""
    options: list[Number] = [value + 1, value - 1, value + 10, value - 10, value + 2]
    if expr and expr[0] in "*/" and type(expr[1]) is not tuple and type(expr[2]) is not tuple:
        options += [value + expr[1], value - expr[1], value + expr[2], value - expr[2]] * (expr[0] == "*")
    if type(value) is int:
        digits = str(abs(value))
        if value > 99:
            options += [value + 100, value - 100]
        if value > 9:
            options += [int(digits[1::-1] + digits[2:]), int(digits[:-1] + str(rng.randrange(10)))]
    else:
        options += [value + Fraction(1, 2), value - Fraction(1, 2), value * 10]
    return options[int(rng.random() * len(options))]


def _arithmetic(state: State, target: str, expr: Expr) -> Slip:
    literals = state.literals(expr)
    return Slip("arithmetic", literals, near_miss(state.rng, evaluate(literals), literals))


def _value(state: State, target: str, expr: Expr) -> Slip | None:
    """No equation: a near miss, or silently from a wrong operand or operation."""
    if not has_floor(expr) and state.rng.random() < P_SILENT:
        maker = (_operand, _operation)[state.rng.random() < 0.4]
        slip = maker(state, target, expr)
        return slip and Slip(f"silent {slip.cause}", None, slip.value)
    literals = state.literals(expr)
    return Slip("value", None, near_miss(state.rng, evaluate(literals), literals))


def _operand(state: State, target: str, expr: Expr) -> Slip | None:
    """Another known quantity in place of one leaf."""
    used = leaves(expr)
    options = [name for name in state.known if name not in used and name != target]
    quantities = state.graph.quantities
    places = [leaf for leaf in used if quantities[leaf].role != CONST]
    if not options or not places:
        return None
    rng = state.rng
    swap = {places[int(rng.random() * len(places))]: options[int(rng.random() * len(options))]}
    literals = state.literals(substitute(expr, swap))
    return Slip("operand", literals, evaluate(literals))


def _operation(state: State, target: str, expr: Expr) -> Slip:
    """Another sign for one of the operations, or the operands of - and / exchanged."""
    wrong = _other_sign(expr, state.rng)
    literals = state.literals(wrong)
    return Slip("operation", literals, evaluate(literals))


def _other_sign(expr: Expr, rng: random.Random) -> Expr:
    inner = [i for i in (1, 2) if type(expr[i]) is tuple]
    if inner and rng.random() < 0.5:
        i = inner[int(rng.random() * len(inner))]
        changed = _other_sign(expr[i], rng)
        return (expr[0], changed, expr[2]) if i == 1 else (expr[0], expr[1], changed)
    signs = OTHER_OPERATIONS[expr[0]]
    return (signs[int(rng.random() * len(signs))], expr[1], expr[2])


def _invented(state: State, target: str, expr: Expr) -> Slip | None:
    """A number from nowhere in place of one leaf."""
    used = leaves(expr)
    leaf = used[int(state.rng.random() * len(used))]
    number = near_miss(state.rng, state.belief[leaf])
    if not _plausible(number) or number in state.graph.by_value:
        return None
    literals = substitute(expr, {**state.belief, leaf: number})
    return Slip("invented", literals, evaluate(literals))


def _omit(state: State, target: str, expr: Expr) -> Slip | None:
    """No step for `target`: one of its inputs is taken for it from then on."""
    inputs = [leaf for leaf in leaves(expr) if state.graph.quantities[leaf].role in (FACT, DERIVED)]
    if target == state.graph.goal or not inputs:
        return None
    name = inputs[int(state.rng.random() * len(inputs))]
    return Slip("omitted", None, state.belief[name], skip=True)


def _answer(state: State, target: str) -> Slip | None:
    """The value of another quantity, or a near miss."""
    options = [name for name in state.known if name != target]
    for _ in range(TRIES):
        value = near_miss(state.rng, state.belief[target])
        if options and state.rng.random() < 0.6:
            value = state.belief[options[-1 - int(state.rng.random() ** 2 * len(options))]]
        if _plausible(value) and value != state.belief[target] and value != state.graph.values[target]:
            return Slip("answer", None, value)
    return None


_MAKERS = {
    "arithmetic": _arithmetic,
    "value": _value,
    "operand": _operand,
    "operation": _operation,
    "invented": _invented,
}
