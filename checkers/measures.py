"""What follows a value: `5 apples`, `10 miles per hour`, `9.8 m/s^2`, `30 kg·m/s`.

Words and symbols of units are read over. Under the reading `si` they multiply, so that 3 hours and
180 minutes are equal.
"""

from dataclasses import replace
from fractions import Fraction

from checkers.reading import Context
from checkers.tokens import Kind
from checkers.units import GLUED, UNITS, Unit
from checkers.values import NotArithmeticError, Value
from checkers.words import words

STOP_WORDS = words(
    """
    a an the and or but so then thus hence therefore is are was were be been being has have had
    having do does did of in into on at to for from by with without as that which this these those it its
    he she they we you i his her their our who if when while because since where there here what how
    than gives give get gets got makes make equals equal costs cost spends spent earns earned sells
    sold buys bought means will would can could should must not no remainder more less out also only
    just
    """
)
_COLLECTIVES = words("dozen dozens pair pairs score gross couple half quarter quarters third thirds")
_MOST_UNITS = 6
_MOST_EXPONENT = 4
_LONGEST_REMARK = 6
_DIMENSIONS = {"square": 2, "sq": 2, "cubic": 3}


def with_unit(context: Context, value: Value, index: int) -> tuple[Value, int]:
    """`value` with the unit that stands at `index`, and the index after it.

    Raises: NotArithmeticError where a variable stands there.
    """
    names: list[str] = []
    symbols: list[str] = []
    factor, sign, power = Fraction(1), 1, 1
    joined = _per_unit(context, index)
    if joined:
        sign, index = -1, index + 1
    while len(names) < _MOST_UNITS and (name := _unit_name(context, index, joined or bool(symbols))):
        unit = UNITS.get(name) or UNITS.get(name[:-1] if _squared(name) else "")
        names.append(name)
        symbols += [name] if context.name(index) else []
        index, exponent = _exponent(context, index + 1)
        exponent = int(name[-1]) if _squared(name) else exponent
        power = _DIMENSIONS.get(name, power)
        if unit:
            factor *= _size(unit) ** (sign * exponent * power)
        sign = -1 if name == "per" else sign
        power = power if name in _DIMENSIONS else 1
        if joined := _joins(context, index):
            sign = -1 if context.operator(index) == "/" else sign
            index += 1
        elif _substance(context, index):
            index += 2
    if not names:
        return _without_unit(context, value, index)
    return _measured(context, value, names, symbols, factor), index


def _measured(
    context: Context, value: Value, names: list[str], symbols: list[str], factor: Fraction
) -> Value:
    unclear = value.unclear or ("a collective unit" if not _COLLECTIVES.isdisjoint(names) else "")
    kinds = frozenset(UNITS[name.rstrip("23")].kind for name in symbols)
    if not unclear and not context.names.keys().isdisjoint(symbols):
        unclear = "perhaps a variable, not a unit"
    if not unclear and any(name in UNITS and len(name) == 2 and name.isupper() for name in names):
        unclear = "perhaps the line between two points, not a unit"  # `3 MN + 2 = 11`
    value = replace(value, units=value.units | set(names), kinds=value.kinds | kinds, unclear=unclear)
    if context.reading.si and factor != 1:
        error, slack = value.error * factor, value.slack * factor
        return replace(value, exact=value.exact * factor, error=error, slack=slack, decimals=None)
    return value


def _without_unit(context: Context, value: Value, index: int) -> tuple[Value, int]:
    known = context.name(index) in context.names
    if (context.kind(index) is Kind.VAR and not known) or (context.word(index) and context.glued(index)):
        raise NotArithmeticError("a variable")
    return value, index


def _size(unit: Unit) -> Fraction:
    return unit.size or Fraction(1)


def _per_unit(context: Context, index: int) -> bool:
    """Whether a price or a rate stands there, as in `$5/ticket` and `60/minute`, and no division."""
    if context.operator(index) != "/" or not (context.glued(index) and context.glued(index + 1)):
        return False
    word = context.word(index + 1)
    one_of_it = word in UNITS or context.tokens[index - 1].money
    return bool(word) and one_of_it and not word.endswith("s")


def _substance(context: Context, index: int) -> bool:
    """Whether `of juice` follows a unit, as in `3 cups of juice + 2`."""
    what = context.word(index + 1)
    return context.word(index) == "of" and bool(what) and what not in STOP_WORDS | _COLLECTIVES


def after_remark(context: Context, index: int) -> int:
    """The index after a remark in the middle of a sum, as in `10 (meals) + 5 (wine)`."""
    if context.kind(index) is not Kind.OPEN or context.glued(index):
        return index
    end = index + 1
    while context.kind(end) is Kind.WORD and end < index + _LONGEST_REMARK:
        end += 1
    closed = context.kind(end) is Kind.CLOSE and end > index + 1
    goes_on = context.operator(end + 1) or context.kind(end + 1) in (Kind.EQ, None)
    return end + 1 if closed and goes_on else index


def _unit_name(context: Context, index: int, compound: bool) -> str:
    """The unit word or symbol at `index`, or ''."""
    if symbol := context.name(index):
        after_bracket = context.kind(index - 1) is Kind.CLOSE
        known = symbol in UNITS and not (context.glued(index) and (symbol in context.names or after_bracket))
        return symbol if known or _squared(symbol) else ""
    word = context.word(index).strip("-")
    if word == "more" and context.word(index + 1) and context.word(index + 1) not in STOP_WORDS:
        return word  # `12 friends + 7 more friends`
    if not word or word in STOP_WORDS:
        return ""
    text = context.tokens[index].text
    if context.glued(index) and not (text.startswith("-") or text in GLUED or word in GLUED or compound):
        return ""
    return text if text in UNITS else word


def _squared(symbol: str) -> bool:
    """`s2`, `m3`: a unit whose exponent lost its place."""
    return symbol in ("s2", "m2", "m3", "cm2", "cm3")


def _exponent(context: Context, index: int) -> tuple[int, int]:
    """The index after a whole exponent such as `^2`, `^{-1}`, `^(-1)`, and the exponent (1 without one)."""
    if context.operator(index) != "^":
        return index, 1
    at = index + 1
    braced = context.kind(at) is Kind.OPEN
    at += braced
    negative = context.operator(at) == "-"
    at += negative
    if context.kind(at) is not Kind.NUM or (braced and context.kind(at + 1) is not Kind.CLOSE):
        return index, 1
    power = context.tokens[at].value
    if power.denominator != 1 or power > _MOST_EXPONENT:
        raise NotArithmeticError("a variable with an exponent")
    return at + 1 + braced, -int(power) if negative else int(power)


def _joins(context: Context, index: int) -> bool:
    """Whether an operator there belongs to the unit: `m/s`, `kg*m`. `12 eggs / total` is a division."""
    sign, after = context.operator(index), index + 1
    if sign not in ("/", "*"):
        return False
    if symbol := context.name(after):
        return (symbol in UNITS and symbol not in context.names) or _squared(symbol)
    if context.kind(after) is not Kind.WORD:
        return False
    glued = context.glued(index) and context.glued(after)
    return context.tokens[after].text in UNITS or (sign == "/" and glued)
