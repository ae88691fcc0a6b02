"""The words and sentences of the logic world, and what they mean, as sets of bits.

A *literal* is a property or its negation: bit 2i says that somebody is ADJECTIVES[i], bit 2i + 1 that they
are not. A set of literals is the sum of their bits, so "all of these hold" is one comparison.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

Literals = int

NAMES = ("Ana", "Ben", "Eva", "Leo", "Mia", "Sam", "Tom", "Zoe")
ADJECTIVES = (
    "big", "blue", "brave", "calm", "clean", "cold", "fast", "funny", "happy", "kind", "neat", "nice",
    "proud", "quiet", "red", "rich", "rough", "round", "shy", "smart", "strong", "tall", "wise", "young",
)  # fmt: skip
ALL_POSITIVE: Literals = sum(1 << 2 * i for i in range(len(ADJECTIVES)))

_PHRASES = {1 << 2 * i + no: "not " * no + word for i, word in enumerate(ADJECTIVES) for no in (0, 1)}
_LITERALS = {phrase: literal for literal, phrase in _PHRASES.items()}
_SUBJECTS = {f"{name} is ": name for name in NAMES}
_CONDITIONAL = re.compile(r"If someone is ([a-z ]+) then they are ([a-z ]+)\.")
_PLURAL = re.compile(r"([A-Z][a-z]+(?:, [a-z]+)*) people are ([a-z ]+)\.")


@dataclass(frozen=True, slots=True)
class Statement:
    """Literals of one person, all stated; more than one by `and`."""

    person: str
    literals: Literals


@dataclass(frozen=True, slots=True)
class Rule:
    """Whoever has all literals of `body` has the one of `head`."""

    body: Literals
    head: Literals


@dataclass(frozen=True, slots=True)
class Deduction:
    """What a line states: grounds (none in a bare fact) and conclusions."""

    grounds: tuple[Statement, ...]
    conclusions: tuple[Statement, ...]


def negated(literals: Literals) -> Literals:
    """Each literal's negation."""
    return (literals & ALL_POSITIVE) << 1 | (literals >> 1) & ALL_POSITIVE


def each(literals: Literals) -> Iterator[Literals]:
    """The literals one by one: what is so first, then what is not, as they are spelled."""
    for part in (literals & ALL_POSITIVE, literals & ~ALL_POSITIVE):
        while part:
            lowest = part & -part
            yield lowest
            part ^= lowest


def phrase(literals: Literals) -> str:
    """phrase(...)  # "calm and not rich" """
    return " and ".join(map(_PHRASES.__getitem__, each(literals)))


def clause(person: str, literals: Literals) -> str:
    """clause("Eva", ...)  # "Eva is calm and not rich" """
    return f"{person} is {phrase(literals)}"


def rule_text(rule: Rule, short: bool) -> str:
    """The sentence of a rule; the short form has no negated condition, else the long one is taken."""
    if short and not rule.body & ~ALL_POSITIVE:
        kinds = ", ".join(map(_PHRASES.__getitem__, each(rule.body)))
        return f"{kinds.capitalize()} people are {_PHRASES[rule.head]}."
    return f"If someone is {phrase(rule.body)} then they are {_PHRASES[rule.head]}."


def read_rule(text: str) -> Rule | None:
    """The rule that a sentence states, if it is one."""
    if found := _CONDITIONAL.fullmatch(text):
        body = _read_phrase(found[1].split(" and "))
    elif found := _PLURAL.fullmatch(text):
        kinds = (found[1][0].lower() + found[1][1:]).split(", ")
        body = _read_phrase(kinds)
    else:
        return None
    head = _LITERALS.get(found[2])
    return Rule(body, head) if body and head else None


def read_deduction(text: str) -> Deduction | None:
    """What a fact or deduction states, if `text` is one."""
    if not text.endswith("."):
        return None
    grounds, so, conclusions = text[:-1].rpartition(", so ")
    given, concluded = _read_statements(grounds) if so else (), _read_statements(conclusions)
    return None if given is None or concluded is None else Deduction(given, concluded)


def _read_statements(text: str) -> tuple[Statement, ...] | None:
    """The statements of `Eva is calm and not rich and Tom is big`; None if there is another word."""
    found: list[tuple[str, list[str]]] = []
    for piece in text.split(" and "):
        if person := _SUBJECTS.get(piece[: piece.find(" is ") + 4]):
            found.append((person, [piece[len(person) + 4 :]]))
        elif found:
            found[-1][1].append(piece)
        else:
            return None
    read = [Statement(person, _read_phrase(phrases)) for person, phrases in found]
    return tuple(read) if all(statement.literals for statement in read) else None


def _read_phrase(phrases: list[str]) -> Literals:
    """The literals of `calm`, `not rich`; 0 if one cannot be read, or how far a `not` reaches is unclear."""
    literals = 0
    for text in phrases:
        literal = _LITERALS.get(text, 0)
        if not literal or (literals & ~ALL_POSITIVE and literal & ALL_POSITIVE):
            return 0
        literals |= literal
    return literals
