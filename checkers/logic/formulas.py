"""Formulas: atoms over named individuals, joined by connectives. A sentence holds at most one variable.

An atom is `Atom("cold", ("bob",))`, `Atom("like", ("cow", "tiger"))` or a proposition `Atom("P")`. The
argument `VARIABLE` stands for any individual: a formula that holds it is meant for all of them.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VARIABLE = "?"
FRESH = "?new"  # an individual that no text names, for proofs about all of them


@dataclass(frozen=True, slots=True)
class Atom:
    """A predicate of individuals; without arguments, a proposition."""

    name: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """It is false that `body`."""

    body: "Formula"


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more parts."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of two or more parts."""

    parts: "tuple[Formula, ...]"


@dataclass(frozen=True, slots=True)
class Implies:
    """If `left` then `right`."""

    left: "Formula"
    right: "Formula"


@dataclass(frozen=True, slots=True)
class Iff:
    """`left` exactly if `right`."""

    left: "Formula"
    right: "Formula"


Formula = Atom | Not | And | Or | Implies | Iff
Literal = tuple[Atom, bool]


def negate(formula: Formula) -> Formula:
    """The opposite, without a double negation."""
    return formula.body if isinstance(formula, Not) else Not(formula)


def conjunction(parts: Iterable[Formula]) -> Formula:
    """All of one or more parts."""
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else And(parts)


def disjunction(parts: Iterable[Formula]) -> Formula:
    """At least one of one or more parts."""
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else Or(parts)


def children(formula: Formula) -> tuple[Formula, ...]:
    """The formulas directly inside."""
    match formula:
        case Atom():
            return ()
        case Not(body):
            return (body,)
        case And(parts) | Or(parts):
            return parts
        case Implies(left, right) | Iff(left, right):
            return (left, right)


def atoms(formula: Formula) -> Iterator[Atom]:
    """Its atoms from left to right, with repetitions."""
    if isinstance(formula, Atom):
        yield formula
    for child in children(formula):
        yield from atoms(child)


def individuals(formula: Formula) -> set[str]:
    """The named individuals in it."""
    return {name for atom in atoms(formula) for name in atom.args} - {VARIABLE}


def is_universal(formula: Formula) -> bool:
    """Whether it speaks of all individuals."""
    return any(VARIABLE in atom.args for atom in atoms(formula))


def instance(formula: Formula, individual: str) -> Formula:
    """`formula` with its variable put to `individual`."""
    match formula:
        case Atom(name, args):
            return Atom(name, tuple(individual if arg == VARIABLE else arg for arg in args))
        case Not(body):
            return Not(instance(body, individual))
        case And(parts):
            return And(tuple(instance(part, individual) for part in parts))
        case Or(parts):
            return Or(tuple(instance(part, individual) for part in parts))
        case Implies(left, right):
            return Implies(instance(left, individual), instance(right, individual))
        case Iff(left, right):
            return Iff(instance(left, individual), instance(right, individual))


def ground(formula: Formula, domain: Iterable[str]) -> Iterator[Formula]:
    """What it says of each individual of `domain`, or itself where it holds no variable."""
    if not is_universal(formula):
        yield formula
        return
    for individual in domain:
        yield instance(formula, individual)


def show(formula: Formula) -> str:
    """Its symbols, which `notation.parse_notation` reads back.

    show(Implies(Atom("red", ("?",)), Not(Atom("cold", ("?",)))))  # "∀x: red(x) -> ~cold(x)"
    """
    return ("∀x: " if is_universal(formula) else "") + _show(formula)


def _show(formula: Formula) -> str:
    match formula:
        case Atom(name, args):
            return name + (f"({', '.join(map(_argument, args))})" if args else "")
        case Not(body):
            return "~" + _inner(body)
        case And(parts):
            return " & ".join(map(_inner, parts))
        case Or(parts):
            return " | ".join(map(_inner, parts))
        case Implies(left, right):
            return f"{_inner(left)} -> {_inner(right)}"
        case Iff(left, right):
            return f"{_inner(left)} <-> {_inner(right)}"


def _inner(formula: Formula) -> str:
    return _show(formula) if isinstance(formula, Atom | Not) else f"({_show(formula)})"


def _argument(name: str) -> str:
    return "x" if name == VARIABLE else re.sub(r"\W", "_", name)
