"""What a text states with equality signs, read from left to right.

`A = 3 * 4 = 12 eggs` states an equation, `3 * 4 = 12`, and gives A a value, so that a later `A + 2 = 15`
is one too; `2x + 3 = 11` is a constraint on x. A side counts only whole: in `2x + 3 * 4 = 12` the left
side is not `3 * 4`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from checkers.arithmetic import NotArithmeticError, parse
from checkers.boundaries import (
    SPOKEN_SIGNS,
    bare_name,
    ends_cleanly,
    hedged,
    is_part,
    part_of_something,
    stands_alone,
    with_spoken_equalities,
    word_before,
)
from checkers.equations import Definition, Equation, Side
from checkers.measures import STOP_WORDS
from checkers.reading import ORDINARY
from checkers.tokens import Kind, Token, clean, tokenise
from checkers.units import convertible
from checkers.unknowns import Constraint, probes
from checkers.values import Value
from checkers.words import words
from checkers.worlds import NOTHING_KNOWN, Names, World, learn, same, worlds

Statement = Equation | Definition | Constraint

_LONGEST_SIDE = 48  # tokens
_STARTS = (Kind.NUM, Kind.OPEN, Kind.FRAC, Kind.SQRT)
_STARTING_WORDS = words("half twice double triple sin cos tan ln log exp π \\pi")
_MOST_UNKNOWNS = 4
_UNKNOWN = re.compile(
    r"[a-df-hj-zA-DF-Zα-ρσ-ω](?:_?[0-9]|_\{[0-9]\})?|\\(?:alpha|beta|theta|lambda)"
)  # not e, i


def find_equations(text: str, names: Names = NOTHING_KNOWN) -> Iterator[Equation]:
    """The equations of `text`, from left to right. Work is linear in its length."""
    return (found for found in read_statements(text, names) if isinstance(found, Equation))


def read_statements(text: str, names: Names = NOTHING_KNOWN) -> Iterator[Statement]:
    """The equations and definitions of `text`, from left to right; `names` as set by an earlier text."""
    text = clean(text)
    reader = _Reader(text, with_spoken_equalities(tokenise(text)), dict(names))
    for index, token in enumerate(reader.tokens):
        if token.kind is Kind.STOP:
            yield from reader.end_definition()
            reader.floor = reader.chain = index + 1
        elif token.kind is Kind.EQ:
            yield from reader.equality(index)
    yield from reader.end_definition()


@dataclass(slots=True)
class _Reader:
    """Where the reading of one text stands."""

    text: str
    tokens: Sequence[Token]
    known: dict[str, tuple[Value, ...]]
    floor: int = 0
    chain: int = 0
    defining: str = ""
    given: list[Value] = field(default_factory=list)
    given_end: int | None = None  # where the value last given ends, None if that could not be read

    def equality(self, index: int) -> Iterator[Statement]:
        """What the equality sign at `index` states."""
        name = bare_name(self.tokens, self.floor, index)
        if name or not self.chained(index):
            yield from self.end_definition()
            self.defining = name
        names = self.ordinary_names()
        start = None if name else self.left_start(index, names)
        end = self.right_end(index + 1, names) if self.defining or start is not None else None
        letters = [] if name or (start is not None and end is not None) else self.unknowns(index)
        self.floor, floor = index + 1, self.floor
        self.given_end = end if self.defining else None
        if end is not None and self.defining:
            self.given.append(self.value(index + 1 + hedged(self.tokens, index + 1), end))
        if start is not None and end is not None and (equation := self.between(start, index, end)):
            yield equation
        if letters and (constraint := self.constraint(index, floor, letters)):
            yield constraint

    def chained(self, index: int) -> bool:
        """Whether the sign there goes on with the definition: not in `p = 1 into p + q = 12`."""
        if self.given_end is not None:
            return self.given_end == index
        return all(token.text.lower() not in STOP_WORDS for token in self.tokens[self.floor : index])

    def end_definition(self) -> Iterator[Definition]:
        """The definition that ends here, if one does."""
        if self.defining and self.given:
            last = self.given[-1]
            values = [value for value in self.given[:-1] if not same(value, last)]
            definition = Definition(self.defining, (last, *values))
            learn(self.known, definition.name, reversed(definition.values))
            yield definition
        self.defining, self.given, self.given_end = "", [], None

    def left_start(self, end: int, names: Mapping[str, Value]) -> int | None:
        """Where the longest expression that ends right before `end` starts, if it stands alone."""
        for start in range(max(self.floor, end - _LONGEST_SIDE), end):
            token = self.tokens[start]
            starts = token.kind in _STARTS or token.text in "+-" or token.text.lower() in _STARTING_WORDS
            if not starts and token.text not in names:
                continue
            try:
                _, stop = parse(self.tokens, start, end, names=names)
            except NotArithmeticError:
                continue
            if stop == end:
                return start if stands_alone(self.tokens, self.floor, start, end) else None
        return None

    def right_end(self, start: int, names: Mapping[str, Value]) -> int | None:
        """Where the longest expression that begins at `start` ends, if nothing unknown follows it."""
        start += hedged(self.tokens, start)
        try:
            value, end = parse(self.tokens, start, start + _LONGEST_SIDE, names=names)
        except NotArithmeticError:
            return None
        return end if ends_cleanly(self.tokens, end, value) else None

    def between(self, start: int, sign: int, end: int) -> Equation | None:
        """The equation of tokens[start:sign] and what follows the sign, if it states more than a number."""
        token = self.tokens[sign]
        skip = hedged(self.tokens, sign + 1)
        found = worlds(self.tokens[start:end], self.known)
        left, right = self.side(start, sign, found), self.side(sign + 1 + skip, end, found)
        if left is None or right is None:
            return None
        if is_part(self.tokens, end, right.value):
            right = replace(right, values=tuple(map(part_of_something, right.values)))
        one, other = left.value, right.value
        worth = one.computed or other.computed or convertible(one.units, other.units)
        worth = worth or (one.scientific != other.scientific and one.units == other.units)
        if token.text in SPOKEN_SIGNS and not (one.computed and not other.computed):
            return None
        approximate = token.text == "≈" or bool(skip)
        introduced = word_before(self.tokens, start)
        return Equation(left, right, approximate, self.chain, found, introduced) if worth else None

    def side(self, start: int, end: int, found: Sequence[World]) -> Side | None:
        """The side at tokens[start:end] with its values; None when it has none."""
        values = tuple(_value(self.tokens, start, end, world) for world in found)
        excerpt = self.text[self.tokens[start].start : self.tokens[end - 1].end]
        return Side(" ".join(excerpt.split()), values) if any(values) else None

    def unknowns(self, sign: int) -> list[str]:
        """The letters without a value around the equality sign there, [] where they are too many to try."""
        end = sign + 1
        while end < len(self.tokens) and self.tokens[end].kind not in (Kind.EQ, Kind.STOP):
            end += 1
        first = max(self.floor, sign - _LONGEST_SIDE)
        around = self.tokens[first : min(end, sign + _LONGEST_SIDE)]
        letters = {token.text for token in around if token.kind is Kind.VAR} - self.ordinary_names().keys()
        few = len(letters) <= _MOST_UNKNOWNS and all(map(_UNKNOWN.fullmatch, letters))
        return sorted(letters) if few else []

    def constraint(self, sign: int, floor: int, letters: Sequence[str]) -> Constraint | None:
        """The equation around the sign, in one unknown or a few."""
        probing = [{**self.ordinary_names(), **probe} for probe in probes(letters)]
        self.floor, after = floor, self.floor
        start, end = self.left_start(sign, probing[0]), self.right_end(sign + 1, probing[0])
        self.floor = after
        if start is None or end is None or self.tokens[sign].text != "=":
            return None
        left = [_value(self.tokens, start, sign, World(ORDINARY, names)) for names in probing]
        right = [_value(self.tokens, sign + 1, end, World(ORDINARY, names)) for names in probing]
        if None in left or None in right or (right[0] and is_part(self.tokens, end, right[0])):
            return None
        text = " ".join(self.text[self.tokens[start].start : self.tokens[end - 1].end].split())
        sides = [tuple(value for value in side if value) for side in (left, right)]
        return Constraint(", ".join(letters), text, sides[0], sides[1])

    def ordinary_names(self) -> Mapping[str, Value]:
        """The last value that each name was given."""
        return {name: values[0] for name, values in self.known.items() if values}

    def value(self, start: int, end: int) -> Value:
        """The ordinary value of tokens[start:end], as that of a name: where it came from is forgotten."""
        value, _ = parse(self.tokens, start, end, names=self.ordinary_names())
        return replace(value, computed=False, units=frozenset(), kinds=frozenset(), decimals=None)


def _value(tokens: Sequence[Token], start: int, end: int, world: World) -> Value | None:
    try:
        value, stop = parse(tokens, start, end, world.reading, world.names)
    except NotArithmeticError:
        return None
    return value if stop == end else None
