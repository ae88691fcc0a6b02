"""The solution graph of a problem: its quantities, what they are worth and how each is derived.

Whether an expression is a valid derivation is decided by algebra, not by a list of spellings. Every
fact is a free symbol, every constant is itself, and every derived quantity is the rational function
of the facts that its derivation spells. A step's expression, with each literal read as the quantity
of that value, is valid iff it is the same function. The test is by evaluation at one fixed random
point modulo 2**61 - 1 (Schwartz, J. ACM 27(4), 1980: a false match has probability below 1e-16).
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

from generators.world.numbers import Expr, Number, leaves, parse_derivation, parse_number

PRIME = (1 << 61) - 1
MOST_RECIPES = 500
FACT, CONST, DERIVED = "fact", "const", "derived"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of the problem. `text` is its true value as it is spelled; a frame has one `{}`."""

    id: str
    role: str
    text: str
    value: Number
    frames: tuple[str, ...]
    derivations: tuple[Expr, ...]


@lru_cache(maxsize=1 << 14)
def symbol(name: str) -> int:
    """The coordinate of the fixed random point that stands for the free symbol `name`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16]) % PRIME


def residue(value: Number) -> int:
    """`value` modulo the prime."""
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME


class Graph:
    """All quantities of one problem. Their values are pairwise distinct."""

    def __init__(self, family: str, goal: str, quantities: list[Quantity]) -> None:
        self.family = family
        self.goal = goal
        self.quantities = {quantity.id: quantity for quantity in quantities}

    @cached_property
    def values(self) -> dict[str, Number]:
        """The true value of each quantity."""
        return {quantity.id: quantity.value for quantity in self.quantities.values()}

    @cached_property
    def by_value(self) -> dict[Number, str]:
        """The quantity of each value."""
        return {quantity.value: quantity.id for quantity in self.quantities.values()}

    @cached_property
    def by_frame(self) -> dict[tuple[str, str], str]:
        """The quantity that owns a frame, by the texts before and after its slot."""
        return {
            tuple(frame.split("{}")): quantity.id  # type: ignore[misc]
            for quantity in self.quantities.values()
            for frame in quantity.frames
        }

    @cached_property
    def points(self) -> dict[str, int]:
        """Each quantity at the fixed random point. Derivations only look backwards."""
        points: dict[str, int] = {}
        for quantity in self.quantities.values():
            if quantity.role == CONST:
                points[quantity.id] = residue(quantity.value)
            else:
                points[quantity.id] = self._define(quantity, points)
        return points

    @cached_property
    def point_of_value(self) -> dict[Number, int]:
        """The same by true value: what a literal of a step stands for."""
        return {value: self.points[name] for value, name in self.by_value.items()}

    def _define(self, quantity: Quantity, points: dict[str, int]) -> int:
        for tree in quantity.derivations:
            try:
                return _at(tree, points)
            except ArithmeticError:  # a whole part: opaque
                continue
        return symbol(quantity.id)

    def derives(self, target: str, expr: Expr) -> bool:
        """Whether `expr`, a tree of true values, is a valid derivation of `target`."""
        try:
            return _at(expr, self.point_of_value) == self.points[target]
        except (KeyError, ArithmeticError):
            return False

    def recipes(self, target: str) -> set[tuple[Number, ...]]:
        """The sorted literals of every derivation of `target`, folded or not."""
        found: set[tuple[Number, ...]] = set()
        for tree in self.quantities[target].derivations:
            found |= self._expand(tree)
        return found

    def _expand(self, tree: Expr) -> set[tuple[Number, ...]]:
        choices = []
        for leaf in leaves(tree):
            quantity = self.quantities[leaf]
            folded = self.recipes(leaf) if quantity.role == DERIVED else set()
            choices.append([(quantity.value,), *folded])
        found: set[tuple[Number, ...]] = set()
        for combination in product(*choices):
            found.add(tuple(sorted(value for part in combination for value in part)))
            if len(found) >= MOST_RECIPES:
                break
        return found


def _at(expr: Expr, points: dict) -> int:
    """`expr` at the point. Raises: KeyError, ArithmeticError (whole part, division by zero)."""
    if type(expr) is not tuple:
        return points[expr]
    operator, left, right = expr[0], _at(expr[1], points), _at(expr[2], points)
    if operator == "+":
        return (left + right) % PRIME
    if operator == "-":
        return (left - right) % PRIME
    if operator == "*":
        return left * right % PRIME
    if operator == "/" and right:
        return left * pow(right, -1, PRIME) % PRIME
    raise ArithmeticError(operator)


def encode(family: str, goal: str, rows: list[tuple]) -> str:
    """The payload: rows are (id, role, text, frames, derivations as text), inputs first."""
    document = {"family": family, "goal": goal, "quantities": rows}
    return json.dumps(document, separators=(",", ":"))


@lru_cache(maxsize=1 << 12)
def decode(payload: str) -> Graph:
    """The graph in a payload."""
    document = json.loads(payload)
    quantities = []
    for name, role, text, frames, derivations in document["quantities"]:
        trees = tuple(parse_derivation(derivation) for derivation in derivations)
        value = parse_number(text)
        assert value is not None, text
        quantities.append(Quantity(name, role, text, value, tuple(frames), trees))
    return Graph(document["family"], document["goal"], quantities)
