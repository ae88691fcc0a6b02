"""Whether the sides of an equation agree, rounding understood, and when a mismatch proves nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from checkers.arithmetic import NotArithmeticError, evaluate
from checkers.equations import Equation, Side
from checkers.units import UNITS, convertible
from checkers.values import Value, show
from checkers.verdict import Verdict, correct, incorrect, undecided
from checkers.words import words
from checkers.worlds import World

_CLOSE, _NEAR = Fraction(1, 50), Fraction(1, 10)  # relative error that ≈ allows, and leaves open
_ROUGH = Fraction(1, 4)  # relative error left open where constants, roots and powers of ten take part
_MEASURED = Fraction(1, 100)  # where they are quantities of physics and chemistry
_EVERYDAY = words("s m kg L $")
_Pairs = list[tuple[Value, Value]]


def check_equation(equation: Equation) -> Verdict:
    """Whether the two sides are equal in some reading, with rounding understood.

    compared=(the stated value, the right one), ("12", "8") for `4 feet - 40 inches = 12 inches`.
    Undecided where they differ but the step may not be wrong.
    """
    swapped = not _states_on_the_right(equation)
    stated, other = (equation.left, equation.right) if swapped else (equation.right, equation.left)
    pairs = [(one, two) if swapped else (two, one) for one, two in equation.pairs()]
    wanted = show(_in_the_unit_of(stated, other, equation.worlds) or other.value)
    compared = (stated.text if stated.value.percent else show(stated.value), wanted)
    remark = _agreement(pairs, equation.approximate)
    if remark is not None:
        return correct(f"{equation.text}{remark}", compared)
    doubt = _doubt(equation, stated, other, pairs)
    if doubt:
        return undecided(f"{equation.text}: {doubt}", compared)
    return incorrect(f"{equation.text}: {other.text} is {wanted}", compared)


def _in_the_unit_of(stated: Side, other: Side, ways: Sequence[World]) -> Value | None:
    """The right value of `4 feet - 40 inches = 12 inches` in inches, where the units are of one kind."""
    if not convertible(stated.value.units, other.value.units) or stated.value.computed:
        return None
    for world, claim, right in zip(ways, stated.values, other.values):
        if world.reading.si and claim and right and claim.exact and stated.value.exact:
            size = claim.exact / stated.value.exact
            return replace(right, exact=right.exact / size, slack=right.slack / abs(size))
    return None


def _states_on_the_right(equation: Equation) -> bool:
    """Whether the claim is on the right: the side without an operator is the claim."""
    return equation.left.value.computed or not equation.right.value.computed


def _agreement(pairs: _Pairs, approximate: bool) -> str | None:
    """'' for exact equality, a remark for equality after rounding, None for neither."""
    if any(_gap(one, two) <= one.slack + two.slack for one, two in pairs):
        return ""
    if any(_rounds(one, two) for one, two in pairs):
        return " (rounded)"
    if approximate and any(_gap(one, two) <= _CLOSE * abs(two.exact) for one, two in pairs):
        return " (approximately)"
    return None


def _gap(one: Value, other: Value) -> Fraction:
    return abs(one.exact - other.exact)


def _rounds(stated: Value, exact: Value) -> bool:
    """Whether a decimal is what `exact` rounds to, or what is left of it when its last digits are cut."""
    if not stated.decimals or stated.computed:
        return False
    unit = Fraction(1, 10) ** stated.decimals
    gap = _gap(stated, exact)
    return gap * 2 <= unit + exact.slack or (abs(stated.exact) <= abs(exact.exact) and gap < unit)


def _doubt(equation: Equation, stated: Side, other: Side, pairs: _Pairs) -> str:
    """Why a mismatch does not refute ('' when it does)."""
    one_sided = bool(stated.value.kinds) != bool(other.value.kinds)
    if unclear := stated.value.unclear or other.value.unclear:
        return unclear
    if reason := _other_reckoning(stated, other):
        return reason
    if _unit_on_one_side(stated.value, other.value):
        return "perhaps a conversion of units"
    if stated.value.computed and other.value.computed and _other_words(stated.value, other.value):
        return "perhaps a conversion of units"  # `7(5 yaps) = 7(3 baps)`
    if not stated.value.computed and stated is equation.left and stated.value.units:
        return "perhaps a conversion of units"  # `2 hours = 2 * 60 minutes`
    if equation.approximate and any(_gap(one, two) <= _NEAR * abs(two.exact) for one, two in pairs):
        return "only roughly equal"
    if reason := next(filter(None, (_rounding_doubt(one, two) for one, two in pairs)), ""):
        return reason
    if stated.value.units != other.value.units and _LITERAL.fullmatch(other.text):
        return "perhaps the value of something else"  # `the field for m = -1/2 = 333.5 mT`
    if any(_GLUED_LETTER.search(side.text) for side in (stated, other)) and one_sided:
        return "perhaps a variable, not a unit"  # `25L^2 + 9L^2 = 34`
    if _named(equation) and not _substituted(stated, other):
        return "perhaps an equation to solve"  # `6x = 35`, though x was 7 before
    if _lost_exponents(equation):
        return "perhaps exponents that lost their place"
    if _reversed_difference(stated, other):
        return "a difference taken in the other order"
    return ""


_ADDED = re.compile(r"[0-9)][^-+]{0,40}[-+] ?[0-9.]{1,40} ?\\?$")  # bounded: a sum may be long
_TIMES_OF_DAY = words("am pm a.m p.m o'clock")
_COINS = words("cent cents penny pennies nickel nickels dime dimes")
_CUSTOMARY = Fraction(1, 20)  # relative error of `1 mile = 1.6 km`


def _other_reckoning(stated: Side, other: Side) -> str:
    """What people reckon in another way than the numbers alone say, as `$50 + 20% = $60` ('' if nothing)."""
    one, two = stated.value, other.value
    units = one.units | two.units
    before, percent, after = other.text.partition("%")
    if percent and "%" not in after and _ADDED.search(before):
        return "perhaps a percentage of what stands before it"
    if not _TIMES_OF_DAY.isdisjoint(units):
        return "perhaps times of day"
    if one.units != two.units and not _COINS.isdisjoint(units):
        return "perhaps dollars and cents"
    if _rounded_conversion(one, two):
        return "perhaps a rounded conversion"
    if (
        one.computed
        and two.computed
        and bool(one.units) != bool(two.units)
        and UNITS.keys().isdisjoint(units)
    ):
        return "perhaps words that stand for numbers"  # `1/2 bh = 1/2 * 4 * 5`
    return ""


def _rounded_conversion(one: Value, two: Value) -> bool:
    """`1 mile = 1.6 km`: nearly right, between units of which none is so many of the other."""
    if one.computed or two.computed or not convertible(one.units, two.units):
        return False
    named = [UNITS[name].size for name in (*one.units, *two.units) if name in UNITS]
    sizes = [size for size in named if size]
    if len(sizes) != 2 or len(named) != 2 or two.exact == 0:
        return False
    ratio = max(sizes) / min(sizes)
    found = one.exact * sizes[0] / (two.exact * sizes[1])
    return ratio.denominator != 1 and abs(found - 1) <= _CUSTOMARY


_LITERAL = re.compile(r"[-+ ]*[0-9]+(?:/[0-9]+)?")


def _named(equation: Equation) -> bool:
    return any(world.names for world in equation.worlds)


_GLUED_LETTER = re.compile(r"[0-9)][A-Za-z](?![A-Za-z])")
_OPERAND = re.compile(r"[0-9]+(?:[.,][0-9]+)*|\\?[^\W\d]\w*")


def _substituted(stated: Side, other: Side) -> bool:
    """`A - B = 7 - (-3)`: the same expression, with numbers for its names."""
    operands = [len(_OPERAND.findall(side.text)) for side in (stated, other)]
    return stated.value.computed and other.value.computed and operands[0] == operands[1]


def _rounding_doubt(one: Value, two: Value) -> str:
    gap = _gap(one, two)
    if gap < one.error + two.error:
        return "within the rounding of its operands"
    if one.exact.denominator == 1 and two.exact.denominator != 1 and gap < 1:
        return "rounded to a whole number"
    if _rounded_to_digits(one.exact, two.exact):
        return "rounded to fewer digits"
    if _measured(one.units | two.units) and gap <= _MEASURED * abs(two.exact):
        return "within the precision of measured quantities"
    if (one.scientific or two.scientific) and gap <= _ROUGH * abs(two.exact):
        return "perhaps rounded on the way"
    if _prefixed(one.units | two.units) and _power_of_ten_apart(one.exact, two.exact):
        return "perhaps a metric conversion"
    return ""


def _unit_on_one_side(stated: Value, other: Value) -> bool:
    """Whether units of one kind differ of which one has no fixed size, or stands on one side only."""
    named = stated.units | other.units
    if not convertible(stated.units, other.units):
        return False
    return any(UNITS[name].size is None for name in named if name in UNITS) or not (
        stated.units and other.units
    )


def _other_words(stated: Value, other: Value) -> bool:
    """Whether each side has units that we do not know, and none of the other's."""
    known = not UNITS.keys().isdisjoint(stated.units | other.units)
    return bool(stated.units and other.units) and stated.units.isdisjoint(other.units) and not known


def _measured(units: frozenset[str]) -> bool:
    """Whether some unit is one of the laboratory's (joules, moles), not of the kitchen's."""
    return any(UNITS[name].kind not in _EVERYDAY for name in units if name in UNITS)


def _prefixed(units: frozenset[str]) -> bool:
    """Whether some unit may have a metric prefix: not money."""
    return any(UNITS[name].kind != "$" for name in units if name in UNITS)


def _power_of_ten_apart(one: Fraction, two: Fraction) -> bool:
    """`0.5 um / 0.0029 = 0.17 mm`: the digits are right and the prefix is another."""
    if one == 0 or two == 0:
        return False
    ratio = max(abs(one / two), abs(two / one))
    if ratio < 3:
        return False
    while ratio > 3:
        ratio /= 10
    return abs(ratio - 1) < Fraction(1, 20)


def _rounded_to_digits(stated: Fraction, exact: Fraction) -> bool:
    """A whole number with zeros at its end that is `exact` to at least three digits: 192970, 193000."""
    if stated.denominator != 1 or stated == 0:
        return False
    digits = str(abs(stated.numerator))
    significant = digits.rstrip("0")
    unit = 10 ** (len(digits) - len(significant))
    return len(significant) >= 3 and unit > 1 and abs(stated - exact) * 2 <= unit


_TWO_DIGITS = re.compile(r"(?<![0-9.^])([2-9])([0-9])(?![0-9.^])")


def _lost_exponents(equation: Equation) -> bool:
    """`25 = 23 * 22`, where copying lost the exponents of 2^5 = 2^3 * 2^2."""
    texts = [_TWO_DIGITS.sub(r"\1^\2", side.text) for side in (equation.left, equation.right)]
    if texts[0] == equation.left.text and texts[1] == equation.right.text:
        return False
    try:
        return evaluate(texts[0]) == evaluate(texts[1])
    except NotArithmeticError:
        return False


_DIFFERENCE = re.compile(r"[$]?[0-9][0-9.,]*[A-Za-z ]*-[ $]*[0-9][0-9.,]*[A-Za-z ]*")


def _reversed_difference(stated: Side, other: Side) -> bool:
    """`3500 - 4000 = 500`: the size is right, and people read it so."""
    return stated.value.exact == -other.value.exact and bool(_DIFFERENCE.fullmatch(other.text))
