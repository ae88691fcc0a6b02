"""Exact arithmetic on tokens: a recursive-descent calculator over fractions. No eval, bounded work.

    evaluate("3/4 * (20 + 4)")   Fraction(18)

    sum     = product (("+" | "-") product)*
    product = power (("*" | "/" | "of") power)*
    power   = primary ["^" integer]
    primary = number | "(" sum ")" | "-" power | \\frac{sum}{sum} | \\sqrt{sum} | half of ..., twice ...

Units after a value (`5 apples`, `10 miles per day`) are read over and remembered.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from checkers.tokens import Kind, Token, clean, tokenise
from checkers.words import words

_MOST_BITS = 4096
_LARGEST_EXPONENT = 512
_DEEPEST = 40
_LONGEST_TEXT = 400
_MOST_UNIT_WORDS = 4


class NotArithmeticError(ValueError):
    """The tokens are not an expression of plain numbers."""


class TooLargeError(NotArithmeticError):
    """The expression is one, but its value has more digits than we are willing to compute."""


@dataclass(frozen=True, slots=True)
class Value:
    """The value of an expression.

    `error`: how far the true value may be off because operands were written as rounded decimals (half
    a unit of their last digit). `computed`: an operator was applied. `decimals`: the digits after the
    point of a lone decimal. `unclear`: why a mismatch would prove nothing ('' if it would).
    """

    exact: Fraction
    error: Fraction = Fraction(0)
    computed: bool = False
    decimals: int | None = None
    percent: bool = False
    units: frozenset[str] = frozenset()
    unclear: str = ""


STOP_WORDS = words(
    """
    a an the and or but so then thus hence therefore is are was were be been being has have had
    having do does did of in on at to for from by with without as that which this these those it its
    he she they we you i his her their our who if when while because since where there here what how
    than gives give get gets got makes make equals equal costs cost spends spent earns earned sells
    sold buys bought means will would can could should must not no remainder more less out also only
    just
    """
)
_GLUED_UNITS = words(
    """
    km kg cm mm ml mg lb lbs hr hrs min mins sec ft mph kmh cents oz pm am kj kcal mol nm
    """
)
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_COLLECTIVES = words(
    """
    dozen dozens pair pairs score gross couple half quarter quarters third thirds
    """
)
_FACTORS = {"half": Fraction(1, 2), "twice": Fraction(2), "double": Fraction(2), "triple": Fraction(3)}
_DETERMINERS = words(
    """
    the a his her their its our my your those these
    """
)


def evaluate(text: str) -> Fraction:
    """The exact value of a text that is one arithmetic expression and nothing else.

    Raises: TooLargeError, NotArithmeticError.
    """
    if len(text) > _LONGEST_TEXT:
        raise NotArithmeticError(f"longer than {_LONGEST_TEXT} characters")
    tokens = tokenise(clean(text))
    value, end = parse(tokens, 0, len(tokens))
    if end != len(tokens) or value.unclear or value.units:
        raise NotArithmeticError("not one expression of plain numbers")
    return value.exact


def parse(
    tokens: Sequence[Token], start: int, stop: int, percent: Fraction = Fraction(1, 100)
) -> tuple[Value, int]:
    """The longest expression in tokens[start:stop], and the index after it. % multiplies by `percent`.

    Raises: NotArithmeticError when there is none, or when it goes on with an unknown (`12 - x`).
    """
    value, end = _sum(_Context(tokens, min(stop, len(tokens)), percent), start, 0)
    return value, end


@dataclass(frozen=True, slots=True)
class _Context:
    tokens: Sequence[Token]
    stop: int
    percent: Fraction

    def kind(self, index: int) -> Kind | None:
        return self.tokens[index].kind if index < self.stop else None

    def operator(self, index: int) -> str:
        return self.tokens[index].text if self.kind(index) is Kind.OP else ""

    def word(self, index: int) -> str:
        return self.tokens[index].text.lower() if self.kind(index) is Kind.WORD else ""


def _sum(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _product(context, index, depth)
    while (sign := context.operator(index)) in ("+", "-") and sign:
        right, index = _product(context, index + 1, depth)
        exact = value.exact + right.exact if sign == "+" else value.exact - right.exact
        value = _combine(value, right, exact, value.error + right.error)
    return value, index


def _product(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _power(context, index, depth)
    while True:
        sign = context.operator(index)
        if sign in ("*", "/") and sign:
            right, index = _power(context, index + 1, depth)
            value = _multiply(value, right) if sign == "*" else _divide(value, right)
        elif context.word(index) == "of" and (part := _part(context, value, index, depth)):
            right, index = part
            value = _multiply(value, right)
        elif context.kind(index) is Kind.OPEN and (implied := _implied(context, index, depth)):
            right, index = implied
            value = _multiply(value, right)
            if not context.tokens[index - 1].glued and not value.unclear:
                value = replace(value, unclear="a product without a sign")
        else:
            return value, index


def _part(context: _Context, value: Value, index: int, depth: int) -> tuple[Value, int] | None:
    """The whole in `20% of 45` and `3/4 of the 20`; None for `5.4 cups of juice`."""
    if value.units or not (value.percent or value.exact.denominator != 1):
        return None
    return _attempt(context, _after_determiner(context, index + 1), depth)


def _attempt(context: _Context, index: int, depth: int) -> tuple[Value, int] | None:
    """The power at `index`, or None where there is none. Raises: TooLargeError."""
    try:
        return _power(context, index, depth)
    except TooLargeError:
        raise
    except NotArithmeticError:
        return None


def _after_determiner(context: _Context, index: int) -> int:
    return index + 1 if context.word(index) in _DETERMINERS else index


def _implied(context: _Context, index: int, depth: int) -> tuple[Value, int] | None:
    """The bracket right after a value, `3(4 + 5)`; None for a remark in brackets, `12 (apples)`."""
    found = _attempt(context, index, depth)
    if found is None and context.tokens[index].glued:
        raise NotArithmeticError("a bracket that holds more than an expression")
    return found


def _power(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    if context.operator(index) in ("-", "+") and context.operator(index):
        value, end = _power(context, index + 1, depth + 1)
        return (replace(value, exact=-value.exact) if context.operator(index) == "-" else value), end
    value, index = _primary(context, index, depth)
    if context.operator(index) == "^":
        exponent, index = _power(context, index + 1, depth + 1)
        value = _raise(value, exponent)
    index = _factorial(context, index)
    return _with_units(context, value, index)


def _factorial(context: _Context, index: int) -> int:
    """Refuses `5!` inside an expression; an exclamation mark at the end of a sentence stays unread."""
    inside = context.kind(index + 1) in (Kind.OP, Kind.EQ, Kind.CLOSE)
    if context.kind(index) is Kind.FACTORIAL and (inside or context.tokens[index].glued):
        raise NotArithmeticError("a factorial")
    return index


def _primary(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    if depth > _DEEPEST:
        raise TooLargeError(f"nested more than {_DEEPEST} deep")
    kind = context.kind(index)
    if kind is Kind.NUM:
        return _number(context, index)
    if kind is Kind.OPEN:
        return _bracket(context, index, depth)
    if kind is Kind.FRAC:
        top, index = _argument(context, index + 1, depth)
        bottom, index = _argument(context, index, depth)
        return _divide(top, bottom), index
    if kind is Kind.SQRT:
        value, index = _argument(context, index + 1, depth)
        return _square_root(value), index
    factor = _FACTORS.get(context.word(index))
    if factor is not None:
        return _spoken_factor(context, index, factor, depth)
    raise NotArithmeticError("no number where one is wanted")


def _bracket(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _sum(context, index + 1, depth + 1)
    if context.kind(index) is not Kind.CLOSE:
        raise NotArithmeticError("a bracket that holds more than an expression")
    index += 1
    if context.kind(index) is Kind.PERCENT:
        return replace(value, exact=value.exact * context.percent, percent=True), index + 1
    return replace(value, decimals=None if value.computed else value.decimals), index


def _argument(context: _Context, index: int, depth: int) -> tuple[Value, int]:
    """The argument of a LaTeX command: a group in braces or a single digit."""
    if context.kind(index) is Kind.OPEN:
        return _bracket(context, index, depth)
    raise NotArithmeticError("a command without braces")


def _spoken_factor(context: _Context, index: int, factor: Fraction, depth: int) -> tuple[Value, int]:
    """`half of 10`, `twice 5`."""
    index += 1
    if context.word(index) == "of":
        index += 1
    right, index = _power(context, _after_determiner(context, index), depth + 1)
    return _multiply(Value(factor), right), index


def _number(context: _Context, index: int) -> tuple[Value, int]:
    token = context.tokens[index]
    value = Value(token.value, _written_error(token), decimals=token.decimals)
    index += 1
    if mixed := _mixed_fraction(context, index, token):
        return Value(token.value + mixed, computed=False), index + 3
    if context.kind(index) is Kind.PERCENT:
        if context.kind(index + 1) in (Kind.NUM, Kind.OPEN):
            raise NotArithmeticError("% as an operator")
        error = value.error * context.percent
        return replace(value, exact=value.exact * context.percent, error=error, percent=True), index + 1
    if (scale := _SCALES.get(context.word(index))) is not None:
        factor = Fraction(10) ** scale
        decimals = None if value.decimals is None else value.decimals - scale
        return replace(
            value, exact=value.exact * factor, error=value.error * factor, decimals=decimals
        ), index + 1
    if context.kind(index) in (Kind.FRAC, Kind.SQRT):
        raise NotArithmeticError("a number before a fraction")
    return value, index


def _written_error(token: Token) -> Fraction:
    """Half a unit of the last digit of a decimal that may have been rounded; money and quarters are exact."""
    if token.money or token.decimals is None or token.decimals < 2 or token.value.denominator <= 8:
        return Fraction(0)
    return Fraction(1, 2 * 10**token.decimals)


def _mixed_fraction(context: _Context, index: int, whole: Token) -> Fraction | None:
    """The fraction of a mixed number, `3 1/2`: two glued integers after a space."""
    if (
        whole.decimals is not None
        or context.kind(index) is not Kind.NUM
        or context.operator(index + 1) != "/"
    ):
        return None
    if context.kind(index + 2) is not Kind.NUM:
        return None
    top, sign, bottom = context.tokens[index : index + 3]
    if top.glued or not sign.glued or not bottom.glued or bottom.value <= top.value:
        return None
    return top.value / bottom.value


def _with_units(context: _Context, value: Value, index: int) -> tuple[Value, int]:
    """Reads over the unit after a value: a few words, perhaps a rate (`miles per hour`, `dollars/day`)."""
    kind = context.kind(index)
    if kind is Kind.VAR or (kind is Kind.WORD and not _may_be_unit(context, index)):
        if kind is Kind.VAR or context.tokens[index].glued:
            raise NotArithmeticError("a variable")
        return value, index
    unit: list[str] = []
    while len(unit) < _MOST_UNIT_WORDS and _may_be_unit(context, index):
        unit.append(context.word(index).strip("-"))
        index += 1
        if context.operator(index) == "/" and _is_rate(context, index):
            index += 2
    if unit and context.kind(index) is Kind.VAR:
        raise NotArithmeticError("a variable")
    if not unit:
        return value, index
    unclear = value.unclear or ("a collective unit" if not _COLLECTIVES.isdisjoint(unit) else "")
    return replace(value, units=value.units | frozenset(unit), unclear=unclear), index


def _may_be_unit(context: _Context, index: int) -> bool:
    word = context.word(index)
    if not word or word in STOP_WORDS:
        return False
    return not context.tokens[index].glued or word.startswith("-") or word in _GLUED_UNITS


def _is_rate(context: _Context, index: int) -> bool:
    """`dollars/hour`: a slash glued to the word on both sides. `12 eggs / total` is a division."""
    return (
        context.kind(index + 1) is Kind.WORD
        and context.tokens[index].glued
        and context.tokens[index + 1].glued
    )


# Operations on values


def _combine(left: Value, right: Value, exact: Fraction, error: Fraction) -> Value:
    if exact.numerator.bit_length() + exact.denominator.bit_length() > _MOST_BITS:
        raise TooLargeError(f"a value of more than {_MOST_BITS} bits")
    return Value(
        exact,
        error,
        computed=True,
        percent=False,
        units=left.units | right.units,
        unclear=left.unclear or right.unclear,
    )


def _multiply(left: Value, right: Value) -> Value:
    error = abs(left.exact) * right.error + abs(right.exact) * left.error + left.error * right.error
    return _combine(left, right, left.exact * right.exact, error)


def _divide(left: Value, right: Value) -> Value:
    if abs(right.exact) <= right.error:
        raise NotArithmeticError("a division by zero")
    quotient = left.exact / right.exact
    error = (left.error + abs(quotient) * right.error) / (abs(right.exact) - right.error)
    return _combine(left, right, quotient, error)


def _raise(base: Value, exponent: Value) -> Value:
    power = exponent.exact
    if power.denominator != 1:
        if power == Fraction(1, 2):
            return _square_root(base)
        raise NotArithmeticError("a power that is no integer")
    bits = max(base.exact.numerator.bit_length(), base.exact.denominator.bit_length())
    if abs(power) > _LARGEST_EXPONENT or bits * abs(power) > _MOST_BITS:
        raise TooLargeError(f"a power of more than {_MOST_BITS} bits")
    if base.exact == 0 and power <= 0:
        raise NotArithmeticError("a power of zero")
    exact = base.exact ** int(power)
    error = Fraction(0)
    if base.error:
        error = abs(exact) * abs(power) * base.error / max(abs(base.exact) - base.error, base.error)
    return _combine(base, exponent, exact, error)


def _square_root(value: Value) -> Value:
    top, bottom = value.exact.numerator, value.exact.denominator
    if top < 0:
        raise NotArithmeticError("the square root of a negative number")
    exact = Fraction(math.isqrt(top), math.isqrt(bottom))
    if exact**2 != value.exact:
        raise NotArithmeticError("a square root that is no fraction")
    return replace(value, exact=exact, error=value.error, computed=True, decimals=None)
