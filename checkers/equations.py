"""The equations that a text states: both sides of every equality sign, where both can be computed.

`A = 3 * 4 = 12 eggs` states one: `3 * 4 = 12`. A side counts only whole: in `2x + 3 * 4 = 12` the left
side is unknown, not `3 * 4`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from checkers.arithmetic import NotArithmeticError, Value, parse
from checkers.tokens import Kind, Token, clean, tokenise
from checkers.words import words

_LONGEST_SIDE = 48  # tokens
_PERCENT_READINGS = (Fraction(1, 100), Fraction(1))
_STARTS = (Kind.NUM, Kind.OPEN, Kind.FRAC, Kind.SQRT)
_SPOKEN_STARTS = words("half twice double triple")
# Words before an expression that make something else of it: `the average of 3 + 5`.
_FUNCTION_WORDS = words(
    """
    average mean median ratio root remainder modulo mod choose log ln sin cos tan squared cubed
    product difference quotient lcm gcd gcf max min maximum minimum power less more every half twice
    double triple thrice percent percentage third quarter fourth over absolute permutations
    combinations base
    """
)
_OPERATION_STEMS = ("multipl", "divid", "increas", "decreas", "reduc")
_LINKS = words("of the a an these")
_UNARY_AFTER = words(
    """
    is are was equals equal get gets gives give have has of and or to so by be
    """
)


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its text, and its value with % read as hundredths and as a mere unit."""

    text: str
    readings: tuple[Value, ...]

    @property
    def value(self) -> Value:
        """The ordinary reading."""
        return self.readings[0]


@dataclass(frozen=True, slots=True)
class Equation:
    """`left = right`, at least one of them computed.

    `approximate`: the sign was one of ≈. Equations of one chain `a = b = c` share `chain`.
    """

    left: Side
    right: Side
    approximate: bool
    chain: int

    @property
    def text(self) -> str:
        """The equation as the text has it."""
        return f"{self.left.text} {'≈' if self.approximate else '='} {self.right.text}"


def find_equations(text: str) -> Iterator[Equation]:
    """The equations of `text`, from left to right. Work is linear in its length."""
    text = clean(text)
    tokens = tokenise(text)
    floor = chain = 0
    for index, token in enumerate(tokens):
        if token.kind is Kind.STOP:
            floor = chain = index + 1
        if token.kind is not Kind.EQ:
            continue
        left = _left_side(text, tokens, max(floor, index - _LONGEST_SIDE), index)
        floor = index + 1
        right = _right_side(text, tokens, index + 1) if left else None
        if left and right and (left.value.computed or right.value.computed):
            yield Equation(left, right, token.text == "≈" or _hedged(tokens, index + 1), chain)


def _hedged(tokens: Sequence[Token], index: int) -> bool:
    """`= about 12`."""
    return index < len(tokens) and tokens[index].text.lower() in _HEDGES


_HEDGES = words(
    """
    about approximately roughly nearly around almost
    """
)


def _left_side(text: str, tokens: Sequence[Token], floor: int, end: int) -> Side | None:
    """The longest expression that ends right before `end`, if nothing unknown stands before it."""
    for start in range(floor, end):
        token = tokens[start]
        if token.kind not in _STARTS and token.text not in "+-" and token.text.lower() not in _SPOKEN_STARTS:
            continue
        readings = _readings(tokens, start, end)
        if readings:
            clear = _stands_alone(tokens, floor, start)
            return Side(_excerpt(text, tokens, start, end), readings) if clear else None
    return None


def _right_side(text: str, tokens: Sequence[Token], start: int) -> Side | None:
    """The longest expression that begins at `start`, if nothing unknown follows it."""
    if _hedged(tokens, start):
        start += 1
    try:
        value, end = parse(tokens, start, start + _LONGEST_SIDE)
    except NotArithmeticError:
        return None
    if not _ends_cleanly(tokens, end, value):
        return None
    readings = _readings(tokens, start, end)
    if _is_part(tokens, end, value):
        readings = tuple(replace(reading, unclear="a part of something") for reading in readings)
    return Side(_excerpt(text, tokens, start, end), readings) if readings else None


def _is_part(tokens: Sequence[Token], end: int, value: Value) -> bool:
    """`= 50% of the group`, `= 1/2 of x`: the number is not the value. `= 12 cups of juice` is one."""
    if end >= len(tokens) or tokens[end].text.lower() != "of" or value.units:
        return False
    return value.percent or (value.exact.denominator != 1 and value.decimals is None)


def _readings(tokens: Sequence[Token], start: int, end: int) -> tuple[Value, ...]:
    """The values of `tokens[start:end]`, one for each reading of %; () if it is no expression."""
    percents = any(token.kind is Kind.PERCENT for token in tokens[start:end])
    values = []
    try:
        for percent in _PERCENT_READINGS if percents else _PERCENT_READINGS[:1]:
            value, stop = parse(tokens, start, end, percent)
            if stop != end:
                return ()
            values.append(value)
    except NotArithmeticError:
        return ()
    return tuple(values)


def _stands_alone(tokens: Sequence[Token], floor: int, start: int) -> bool:
    """Whether what stands before `start` leaves the expression there its value."""
    if start == floor:
        return floor == 0 or tokens[floor - 1].kind in (Kind.EQ, Kind.STOP)
    before = tokens[start - 1]
    if tokens[start].text in "+-":  # a sign, or a subtraction from something unknown?
        return before.kind is Kind.WORD and before.text.lower() in _UNARY_AFTER
    if before.kind is Kind.OPEN:
        return True
    if before.kind is not Kind.WORD or tokens[start].glued:
        return False
    nearest = start - 1
    while nearest > floor and tokens[nearest].text.lower() in _LINKS:
        nearest -= 1
    if tokens[nearest].text.lower() == "by":  # `divide 12 by 3 + 1`, not `ahead by 3 + 1`
        return not any(token.text.lower().startswith(_OPERATION_STEMS) for token in tokens[floor:nearest])
    return tokens[nearest].text.lower() not in _FUNCTION_WORDS


def _ends_cleanly(tokens: Sequence[Token], end: int, value: Value) -> bool:
    """Whether what follows the right side leaves it its value."""
    if end == len(tokens):
        return True
    after = tokens[end]
    following = {token.text.lower() for token in tokens[end : end + 3] if token.kind is not Kind.STOP}
    if not _REMAINDERS.isdisjoint(following | value.units) or _is_list(tokens, end):
        return False
    if after.kind in (Kind.EQ, Kind.STOP, Kind.CLOSE):
        return True
    if after.kind is Kind.WORD:
        return not after.glued
    return (after.kind is Kind.OPEN and not after.glued) or after.kind is Kind.FACTORIAL


_REMAINDERS = words(
    """
    remainder remaining r mod modulo rem
    """
)


def _is_list(tokens: Sequence[Token], end: int) -> bool:
    """`= 1, -2, 0`: several values, of which the first proves nothing."""
    following = tokens[end + 1 : end + 2]
    if tokens[end].text != "," or not following:
        return False
    return following[0].kind in (Kind.NUM, Kind.OPEN, Kind.FRAC) or following[0].text == "-"


def _excerpt(text: str, tokens: Sequence[Token], start: int, end: int) -> str:
    return " ".join(text[tokens[start].start : tokens[end - 1].end].split())
