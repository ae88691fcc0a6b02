"""What a family of problems writes into: facts, derived quantities and a question."""

import random
from typing import TypeVar

from generators.world.graph import CONST, DERIVED, FACT, encode
from generators.world.numbers import (
    Expr,
    Number,
    evaluate,
    format_number,
    leaves,
    parse_derivation,
    parse_number,
)

T = TypeVar("T")
LARGEST = 100  # what a model of 3M parameters learns to reckon with
LARGEST_LONG = 1000  # problems that are asked to be long need room
LONG = 7
P_DISTRACTOR = 0.5  # not every family offers one every time: about 40% of the problems carry one
NAMES = ("Mia", "Tom", "Eva", "Ben", "Ana", "Leo", "Zoe", "Sam", "Ida", "Max", "Amy", "Jon", "Lia", "Dan")
ITEMS = ("apples", "pens", "books", "cards", "eggs", "cups", "toys", "hats", "cakes", "balls", "coins",
         "stamps", "shirts", "plums")  # fmt: skip


class Rejected(Exception):
    """These numbers make no good problem (two equal, negative, too large): draw again."""


class Builder:
    """Collects one problem. Frames are written with `#` for the slot."""

    def __init__(self, rng: random.Random, steps: int) -> None:
        self.rng = rng
        self.steps = steps  # the wanted length, a hint for the families that can have any
        self.largest = LARGEST_LONG if steps >= LONG else LARGEST
        self.values: dict[str, Number] = {}
        self.rows: dict[str, tuple] = {}
        self.trees: dict[str, Expr] = {}
        self.seen: set[Number] = set()
        self.facts: list[str] = []
        self.distracted = False
        self.goal = ""
        self.query = ""

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends possible."""
        return low + int(self.rng.random() * (high - low + 1))

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return self.rng.random() < p

    def pick(self, options: tuple[T, ...]) -> T:
        """One of a tuple."""
        return options[int(self.rng.random() * len(options))]

    def people(self, count: int) -> list[str]:
        """Distinct first names."""
        return self.rng.sample(NAMES, count)

    def items(self, count: int) -> list[str]:
        """Distinct things, plural (the singular drops the s)."""
        return self.rng.sample(ITEMS, count)

    def fact(self, name: str, value: Number | str, *frames: str) -> Number:
        """A given number; the first frame is a sentence of the question. `3/4`: a fraction."""
        text = value if isinstance(value, str) else format_number(value)
        parts = text.split("/")
        derivation = " / ".join(parts) if len(parts) > 1 else ""
        if derivation:
            self._constants(parse_derivation(derivation))
        self._add(name, FACT, text, frames, (derivation,) if derivation else ())
        self.facts.append(frames[0].replace("#", text))
        return self.values[name]

    def derive(self, name: str, ways: str | tuple[str, ...], *frames: str) -> Number:
        """A quantity by its derivations; the first is the usual one."""
        ways = (ways,) if isinstance(ways, str) else ways
        tree = parse_derivation(ways[0])
        for way in ways:
            self._constants(parse_derivation(way))
        value = evaluate(tree, self.values)
        if value <= 0 or value > self.largest or 10 % value.denominator:
            raise Rejected
        self._add(name, DERIVED, format_number(value), frames, ways)
        self.trees[name] = tree
        return value

    def distract(self, value: Number, frame: str) -> None:
        """Sometimes a fact that is not needed (at most one)."""
        if self.distracted or not self.chance(P_DISTRACTOR):
            return
        self.distracted = True
        self.fact("extra", value, frame)
        sentence = self.facts.pop()
        self.facts.insert(self.between(1, len(self.facts)), sentence)

    def ask(self, goal: str, query: str) -> None:
        """The question sentence and the quantity that answers it."""
        self.goal, self.query = goal, query

    def length(self) -> int:
        """Steps of the usual solution, with the Answer line."""
        needed, stack = set(), [self.goal]
        while stack:
            name = stack.pop()
            if name in self.trees and name not in needed:
                needed.add(name)
                stack += leaves(self.trees[name])
        return len(needed) + 1

    def question(self) -> str:
        """The text, the order of two neighbouring facts sometimes swapped."""
        if len(self.facts) > 2 and self.chance(0.3):
            i = self.between(1, len(self.facts) - 1)
            self.facts[i - 1], self.facts[i] = self.facts[i], self.facts[i - 1]
        return " ".join((*self.facts, self.query))

    def payload(self, family: str) -> str:
        """The graph as JSON."""
        return encode(family, self.goal, list(self.rows.values()))

    def reference(self) -> str:
        """The answer as text."""
        return self.rows[self.goal][2]

    def _constants(self, tree: Expr) -> None:
        for leaf in leaves(tree):
            if leaf.isdigit() and leaf not in self.rows:
                self._add(leaf, CONST, leaf, (), ())

    def _add(self, name: str, role: str, text: str, frames: tuple[str, ...], ways: tuple) -> None:
        value = parse_number(text)
        if value is None or value in self.seen:
            raise Rejected
        self.seen.add(value)
        self.values[name] = value
        frames = tuple(frame.replace("#", "{}") for frame in frames)
        self.rows[name] = (name, role, text, frames, ways)
