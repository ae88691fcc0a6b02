"""Exact arithmetic on tokens: a recursive-descent calculator over fractions. No eval, bounded work.

evaluate("3/4 * (20 + 4)")   Fraction(18)

sum     = product (("+" | "-") product)*
product = power (("*" | "/" | "of") power | implied)*
power   = primary ["^" power] [unit]
primary = number | name | "(" sum ")" | "-" power | \\frac{sum}{sum} | \\sqrt{sum} | ln(sum) | half of ...
implied = bracket | name | root, after a value: a product without a sign
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from checkers.measures import after_remark, with_unit
from checkers.reading import NO_NAMES, ORDINARY, Context, Reading
from checkers.tokens import Kind, Token, clean, tokenise
from checkers.units import UNITS
from checkers.values import (
    NotArithmeticError,
    TooLargeError,
    Value,
    add,
    apply,
    divide,
    multiply,
    negate,
    raise_to,
    square_root,
    subtract,
)
from checkers.words import words

__all__ = ["NotArithmeticError", "TooLargeError", "evaluate", "parse"]

_DEEPEST = 40
_LONGEST_TEXT = 400
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_FACTORS = {"half": Fraction(1, 2), "twice": Fraction(2), "double": Fraction(2), "triple": Fraction(3)}
_DETERMINERS = words("the a his her their its our my your those these")
_PI = Fraction(math.pi)
_CONSTANTS = {"π": _PI, "\\pi": _PI}
_FUNCTIONS: dict[str, Callable[[float], float]] = {"ln": math.log, "exp": math.exp, "log": math.log10}
_ANGLES: dict[str, Callable[[float], float]] = {"sin": math.sin, "cos": math.cos, "tan": math.tan}


def evaluate(text: str) -> Fraction:
    """The exact value of a text that is one arithmetic expression and nothing else.

    Raises: TooLargeError, NotArithmeticError.
    """
    if len(text) > _LONGEST_TEXT:
        raise NotArithmeticError(f"longer than {_LONGEST_TEXT} characters")
    tokens = tokenise(clean(text))
    value, end = parse(tokens, 0, len(tokens))
    if end != len(tokens) or value.unclear or value.units or value.slack:
        raise NotArithmeticError("not one expression of plain numbers")
    return value.exact


def parse(
    tokens: Sequence[Token],
    start: int,
    stop: int,
    reading: Reading = ORDINARY,
    names: Mapping[str, Value] = NO_NAMES,
) -> tuple[Value, int]:
    """The longest expression in tokens[start:stop], and the index after it; `names` have known values.

    Raises: NotArithmeticError when there is none, or when it goes on with an unknown (`12 - x`).
    """
    return _sum(Context(tokens, min(stop, len(tokens)), reading, names), start, 0)


def _sum(context: Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _product(context, index, depth)
    while (sign := context.operator(index)) in ("+", "-"):
        right, index = _product(context, index + 1, depth)
        value = add(value, right) if sign == "+" else subtract(value, right)
    return value, index


def _product(context: Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _factor(context, index, depth)
    while True:
        sign = context.operator(index)
        if sign in ("*", "/"):
            right, index = _factor(context, index + 1, depth)
            if sign == "/" and context.reading.nested and context.operator(index) == "/":
                bottom, index = _factor(context, index + 1, depth)
                right = divide(right, bottom)
            value = multiply(value, right) if sign == "*" else divide(value, right)
        elif context.word(index) == "of" and (part := _part(context, value, index, depth)):
            right, index = part
            value = multiply(value, right)
        elif not context.reading.tight and (implied := _implied(context, value, index, depth)):
            value, index = implied  # under `tight` the factor has tried it: twice a level is exponential
        else:
            return value, index


def _factor(context: Context, index: int, depth: int) -> tuple[Value, int]:
    """A power; under the reading `tight`, with the products without a sign that follow it."""
    value, index = _power(context, index, depth)
    while context.reading.tight and (implied := _implied(context, value, index, depth)):
        value, index = implied
    return value, index


def _part(context: Context, value: Value, index: int, depth: int) -> tuple[Value, int] | None:
    """The whole in `20% of 45` and `3/4 of the 20`; None for `5.4 cups of juice`."""
    if value.units or not (value.percent or value.exact.denominator != 1):
        return None
    return _attempt(context, _after_determiner(context, index + 1), depth)


def _attempt(context: Context, index: int, depth: int) -> tuple[Value, int] | None:
    """The power at `index`, or None where there is none. Raises: TooLargeError."""
    try:
        return _power(context, index, depth)
    except TooLargeError:
        raise
    except NotArithmeticError:
        return None


def _after_determiner(context: Context, index: int) -> int:
    return index + 1 if context.word(index) in _DETERMINERS else index


def _implied(context: Context, value: Value, index: int, depth: int) -> tuple[Value, int] | None:
    """`value` times what follows it without a sign: `3(4 + 5)`, `2x`, `2\\sqrt{3}`, `(2 m)(3 m)`.

    None for a remark in brackets, `12 (apples)`. A space before a bracket leaves doubt.
    """
    kind = context.kind(index)
    name = context.name(index)
    if kind is Kind.SQRT or name in _CONSTANTS or (name in context.names and not value.units):
        right, end = _power(context, index, depth)
        return multiply(value, right), end
    if kind is not Kind.OPEN or (found := _bracketed(context, index, depth)) is None:
        return None
    right, end = found
    product = multiply(value, right)
    if not context.glued(index) and context.kind(index - 1) is not Kind.CLOSE and not product.unclear:
        product = replace(product, unclear="a product without a sign")
    return product, end


def _bracketed(context: Context, index: int, depth: int) -> tuple[Value, int] | None:
    found = _attempt(context, index, depth)
    if found is None and context.glued(index):
        raise NotArithmeticError("a bracket that holds more than an expression")
    return found


def _power(context: Context, index: int, depth: int) -> tuple[Value, int]:
    if context.operator(index) in ("-", "+"):
        value, end = _power(context, index + 1, depth + 1)
        return _signed(context, value, index), end
    value, index = _primary(context, index, depth)
    if context.operator(index) == "^":
        exponent, index = _power(context, index + 1, depth + 1)
        value = raise_to(value, exponent)
    _refuse_factorial(context, index)
    value, index = with_unit(context, value, index)
    return value, after_remark(context, index)


def _signed(context: Context, value: Value, index: int) -> Value:
    if context.operator(index) == "+":
        return value
    if context.operator(index + 2) == "^" and not value.unclear:
        return replace(negate(value), unclear="a sign before a power")  # `-3^2`, where some mean (-3)^2
    return negate(value)


def _refuse_factorial(context: Context, index: int) -> None:
    """Refuses `5!` inside an expression; an exclamation mark at the end of a sentence stays unread."""
    inside = context.kind(index + 1) in (Kind.OP, Kind.EQ, Kind.CLOSE)
    if context.kind(index) is Kind.FACTORIAL and (inside or context.glued(index)):
        raise NotArithmeticError("a factorial")


def _primary(context: Context, index: int, depth: int) -> tuple[Value, int]:
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
        return divide(top, bottom), index
    if kind is Kind.SQRT:
        return _root(context, index + 1, depth)
    return _named(context, index, depth)


def _named(context: Context, index: int, depth: int) -> tuple[Value, int]:
    """A constant, a variable whose value is known, a function, or `half of ...`."""
    name, word = context.name(index), context.word(index)
    if name in _CONSTANTS:
        return Value(_CONSTANTS[name], slack=Fraction(1, 10**15), computed=True, scientific=True), index + 1
    if name in context.names and not (context.kind(index + 1) is Kind.OPEN and context.glued(index + 1)):
        return context.names[name], index + 1
    if word in _FACTORS:
        return _spoken_factor(context, index, _FACTORS[word], depth)
    if word in _FUNCTIONS or word in _ANGLES:
        return _function(context, word, index + 1, depth)
    raise NotArithmeticError("no number where one is wanted")


def _function(context: Context, word: str, index: int, depth: int) -> tuple[Value, int]:
    """`ln(2)`, `cos 60°`: the argument is a bracket, or a number that stands alone."""
    if context.kind(index) is Kind.OPEN:
        argument, end = _bracket(context, index, depth)
    elif context.kind(index) is Kind.NUM and context.operator(index + 1) in ("+", "-", "", "=", "/"):
        argument, end = _number(context, index)
    else:
        raise NotArithmeticError("a function of something unclear")
    if context.operator(index) == "/" or context.operator(end) == "^":
        raise NotArithmeticError("a function of something unclear")
    if word in _ANGLES and not context.reading.radians:
        argument = multiply(argument, Value(_PI / 180, slack=Fraction(1, 10**15)))
    function = math.log if word == "log" and context.reading.natural else {**_FUNCTIONS, **_ANGLES}[word]
    return apply(function, argument), end


def _bracket(context: Context, index: int, depth: int) -> tuple[Value, int]:
    value, index = _sum(context, index + 1, depth + 1)
    if context.kind(index) is not Kind.CLOSE:
        raise NotArithmeticError("a bracket that holds more than an expression")
    index += 1
    if context.kind(index) is Kind.PERCENT:
        return replace(value, exact=value.exact * context.reading.percent, percent=True), index + 1
    return replace(value, decimals=None if value.computed else value.decimals), index


def _argument(context: Context, index: int, depth: int) -> tuple[Value, int]:
    """The argument of a LaTeX command: a group in braces."""
    if context.kind(index) is Kind.OPEN:
        return _bracket(context, index, depth)
    raise NotArithmeticError("a command without braces")


def _root(context: Context, index: int, depth: int) -> tuple[Value, int]:
    """The argument of a root sign: `{16}`, `(16)`, `16`, or `[3]{8}` for a cube root."""
    if context.kind(index) is Kind.NUM:
        value, index = _number(context, index)
        return square_root(value), index
    degree = None
    if context.kind(index) is Kind.OPEN and context.tokens[index].text == "[":
        degree, index = _bracket(context, index, depth)
    value, index = _argument(context, index, depth)
    if degree is None:
        return square_root(value), index
    if degree.exact.denominator != 1 or not 2 <= degree.exact <= 20:
        raise NotArithmeticError("a root of an unusual degree")
    return _whole_root(value, int(degree.exact)), index


def _whole_root(value: Value, degree: int) -> Value:
    if value.exact < 0:
        raise NotArithmeticError("the root of a negative number")
    near = Fraction(round(float(value.exact) ** (1 / degree)))
    if near**degree == value.exact:
        return replace(value, exact=near, computed=True, decimals=None)
    return apply(lambda number: number ** (1 / degree), value)


def _spoken_factor(context: Context, index: int, factor: Fraction, depth: int) -> tuple[Value, int]:
    """`half of 10`, `twice 5`."""
    index += 1
    if context.word(index) == "of":
        index += 1
    right, index = _power(context, _after_determiner(context, index), depth + 1)
    return multiply(Value(factor), right), index


def _number(context: Context, index: int) -> tuple[Value, int]:
    token = context.tokens[index]
    value = Value(token.value, _written_error(token), decimals=token.decimals)
    index += 1
    if mixed := _mixed_fraction(context, index, token):
        return Value(token.value + mixed), index + 3
    if context.reading.si and (part := _part_of_unit(context, index - 1)):
        return Value(part, computed=True), index + 2
    if context.kind(index) is Kind.PERCENT:
        if context.kind(index + 1) in (Kind.NUM, Kind.OPEN):
            raise NotArithmeticError("% as an operator")
        return _percentage(value, context.reading.percent), index + 1
    if (scale := _SCALES.get(context.word(index))) is not None:
        return _scaled(value, scale), index + 1
    divides = index > 1 and context.operator(index - 2) == "/"  # (1.6/27) × 10^-39, or 1.6/(27 × 10^-39)?
    if (power := _power_of_ten(context, index)) is not None and (context.reading.tight or not divides):
        exponent, index = power
        decimals = (value.decimals or 0) - exponent
        return replace(_scaled(value, exponent), decimals=decimals, scientific=True), index
    if context.kind(index) is Kind.FRAC:
        raise NotArithmeticError("a number before a fraction")
    return value, index


def _percentage(value: Value, percent: Fraction) -> Value:
    """`33%`, which has two places where % is a hundredth: 1/3 rounds to it."""
    places = value.decimals if percent == 1 else (value.decimals or 0) + 2
    return replace(
        value, exact=value.exact * percent, error=value.error * percent, decimals=places, percent=True
    )


def _scaled(value: Value, scale: int) -> Value:
    factor = Fraction(10) ** scale
    decimals = None if value.decimals is None else value.decimals - scale
    return replace(value, exact=value.exact * factor, error=value.error * factor, decimals=decimals)


def _power_of_ten(context: Context, index: int) -> tuple[int, int] | None:
    """The exponent of `× 10^8` and the index after it. Raises: NotArithmeticError for `× 10-8`."""
    if context.operator(index) != "*" or context.kind(index + 1) is not Kind.NUM:
        return None
    if context.tokens[index + 1].text != "10":
        return None
    at = index + 2
    if context.operator(at) == "-" and context.glued(at) and context.glued(at + 1):
        raise NotArithmeticError("a power of ten that lost its sign")
    if context.operator(at) != "^":
        return None
    braced = context.kind(at + 1) is Kind.OPEN
    at += 1 + braced
    sign = context.operator(at)
    at += sign in ("-", "+")
    if context.kind(at) is not Kind.NUM or (braced and context.kind(at + 1) is not Kind.CLOSE):
        return None
    exponent = context.tokens[at].value
    if exponent.denominator != 1 or exponent > 300:
        return None
    return -int(exponent) if sign == "-" else int(exponent), at + 1 + braced


def _written_error(token: Token) -> Fraction:
    """Half a unit of the last digit of a decimal that may have been rounded; money and quarters are exact."""
    if token.money or token.decimals is None or token.decimals < 2 or token.value.denominator <= 8:
        return Fraction(0)
    return Fraction(1, 2 * 10**token.decimals)


def _mixed_fraction(context: Context, index: int, whole: Token) -> Fraction | None:
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


def _part_of_unit(context: Context, index: int) -> Fraction | None:
    """The 1/2 of `1/2 hour`, two glued integers before a unit: half an hour, not 1 / (2 hours)."""
    kinds = [context.kind(place) for place in range(index, index + 3)]
    glued = context.glued(index + 1) and context.glued(index + 2) and not context.glued(index + 3)
    if kinds != [Kind.NUM, Kind.OP, Kind.NUM] or context.operator(index + 1) != "/" or not glued:
        return None
    unit = context.word(index + 3) or context.name(index + 3)
    if unit not in UNITS or context.operator(index - 1) in ("/", "^"):
        return None
    top, bottom = context.tokens[index].value, context.tokens[index + 2].value
    return top / bottom if bottom else None
