"""Step equations: is the arithmetic that a step states right? A calculator, exact, with no model.

A step with a wrong equation is refuted, whatever its words say. A step whose equations all hold is
confirmed *as far as its arithmetic goes*: a wrong operand or operation passes. Not covered: equations
with unknowns, values carried over from earlier steps, sums told in words, remainders, factorials,
conversions of units.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice

from checkers.equations import Equation, Side, find_equations
from checkers.tokens import annotations
from checkers.verdict import Status, Verdict, correct, incorrect, undecided
from checkers.words import words

LONGEST_STEP = 20_000
_MOST_EQUATIONS = 200
_CLOSE, _NEAR = Fraction(1, 50), Fraction(1, 10)  # relative error that ≈ allows, and leaves open
_NO_EQUATION = undecided("no equation to check")
_UNITS = (
    words(
    """
    second seconds sec minute minutes min mins hour hours hr hrs day days week weeks month months
    year years decade decades century
    """
),
    words(
    """
    mm cm m km inch inches foot feet ft yard yards mile miles meter meters metre metres kilometer
    kilometers centimeter centimeters
    """
),
    words(
    """
    g kg mg gram grams kilogram kilograms pound pounds lb lbs ounce ounces oz ton tons
    """
),
    words(
    """
    dollar dollars cent cents quarter quarters dime dimes nickel nickels penny pennies
    """
),
    words(
    """
    ml liter liters litre litres milliliter milliliters cup cups pint pints quart quarts gallon
    gallons
    """
),
)  # fmt: skip


def check_steps(problem: str, steps: Sequence[str]) -> list[Verdict]:
    """One verdict for each step: correct, incorrect, or undecided where no equation can be checked.

    An incorrect one has compared=(the stated value, the right one) and a reason that shows the
    equation. `problem` says in which arithmetic: where it speaks of remainders, rings or bases, `8 + 8
    = 6` is no mistake. Work is linear in the text, so this cannot hang.

        check_steps("", ["He has 3 * 4 = 13 eggs."])[0].compared  # ("13", "12")
    """
    other_arithmetic = bool(_OTHER_ARITHMETIC.search(problem[:LONGEST_STEP]))
    return [check_step(step, other_arithmetic) for step in steps]


def check_step(step: str, other_arithmetic: bool = False) -> Verdict:
    """The verdict on one step: its first wrong equation refutes it."""
    if len(step) > LONGEST_STEP:
        return undecided(f"a step of more than {LONGEST_STEP} characters")
    if not any(sign in step for sign in ("=", "≈", "equal", "approx", "sim", "＝")):
        return _NO_EQUATION
    equations = list(islice(_equations(step), _MOST_EQUATIONS))
    open_question = holds = None
    for index, equation in enumerate(equations):
        verdict = check_equation(equation)
        if verdict.status is Status.CORRECT:
            holds = holds or verdict
            continue
        if verdict.status is Status.INCORRECT:
            excuse = _excuse(equations, index, step, other_arithmetic)
            if not excuse:
                return verdict
            verdict = undecided(f"{equation.text}: {excuse}", verdict.compared)
        open_question = open_question or verdict
    return open_question or holds or _NO_EQUATION


def _equations(step: str) -> Iterator[Equation]:
    """Those of the calculator annotations where there are any (they restate the text's), else the text's."""
    notes = annotations(step)
    for text in notes or [step]:
        yield from find_equations(text)


_OTHER_ARITHMETIC = re.compile(
    r"\b(?:mod|modulo|modular|abelian|binary|base (?:[0-9]+|two|eight)|(?-i:group [GHZS]\b|ring [A-Z]\b))|Z_",
    re.I,
)
_SUPPOSITION = re.compile(
    r"\bnot (?:possible|equal|true|correct|satisf|hold|valid|the case|a solution|match)"
    r"|\bcontradict|\bimpossible|n't (?:satisf|hold|work|match|equal)"
    r"|\bfalse\b|\bdoes not\b|≠|\\neq?\b|\bmod(?:ulo)?\b",
    re.I,
)


def _excuse(equations: Sequence[Equation], index: int, step: str, other_arithmetic: bool) -> str:
    """Why a false equation is no mistake of the step's ('' when it is one)."""
    if other_arithmetic:
        return "the problem may mean another arithmetic"
    if _SUPPOSITION.search(step):
        return "perhaps a supposition that the step rejects"
    chain = equations[index].chain
    before = {other.left.value.exact for other in equations[: index + 1] if other.chain == chain}
    after = {other.right.value.exact for other in equations[index:] if other.chain == chain}
    if before & after:
        return "a slip that the same chain of equalities mends"
    if _runs_on(equations[index]):
        return "a calculation that runs on over its equality sign"
    return ""


def _runs_on(equation: Equation) -> bool:
    """`5 * 3 = 15 + 2 = 17`: the right side begins with the value of the left, and goes on."""
    first = _NUMBER.match(equation.right.text)
    return bool(first and equation.right.value.computed and show(equation.left.value.exact) == first[1])


_NUMBER = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*[-+*/×x]")


def check_equation(equation: Equation) -> Verdict:
    """Whether the two sides are equal, with rounding understood."""
    stated, other = _stated_side(equation)
    wanted = show(other.value.exact)
    compared = (stated.text if stated.value.percent else show(stated.value.exact), wanted)
    reason = _agreement(stated, other, equation.approximate)
    if reason is not None:
        return correct(f"{equation.text}{reason}", compared)
    doubt = _doubt(stated, other, equation.approximate)
    if not doubt and stated is equation.left and stated.value.units:
        doubt = "perhaps a conversion of units"  # `2 hours = 2 * 60 minutes`
    if not doubt and _reversed_difference(stated, other):
        doubt = "a difference taken in the other order"
    if doubt:
        return undecided(f"{equation.text}: {doubt}", compared)
    return incorrect(f"{equation.text}: {other.text} is {wanted}", compared)


_DIFFERENCE = re.compile(r"[$]?[0-9][0-9.,]*[A-Za-z ]*-[ $]*[0-9][0-9.,]*[A-Za-z ]*")


def _reversed_difference(stated: Side, other: Side) -> bool:
    """`3500 - 4000 = 500`: the size is right, and people read it so."""
    return stated.value.exact == -other.value.exact and bool(_DIFFERENCE.fullmatch(other.text))


def _stated_side(equation: Equation) -> tuple[Side, Side]:
    """(what is claimed, what it is claimed of): the side without an operator is the claim."""
    if equation.left.value.computed:
        return equation.right, equation.left
    return equation.left, equation.right


def _agreement(stated: Side, other: Side, approximate: bool) -> str | None:
    """'' for exact equality, a remark for equality after rounding, None for neither."""
    pairs = [(one.exact, two.exact) for one in stated.readings for two in other.readings]
    if any(one == two for one, two in pairs):
        return ""
    decimals = stated.value.decimals
    if decimals and decimals > 0:
        unit = Fraction(1, 10**decimals)
        for one, two in pairs:
            if abs(one - two) * 2 <= unit or (abs(one) <= abs(two) and abs(one - two) < unit):
                return " (rounded)"
    if approximate and any(abs(one - two) <= _CLOSE * abs(two) for one, two in pairs):
        return " (approximately)"
    return None


def _doubt(stated: Side, other: Side, approximate: bool) -> str:
    """Why a mismatch does not refute ('' when it does)."""
    if stated.value.unclear or other.value.unclear:
        return stated.value.unclear or other.value.unclear
    if _convertible(stated.value.units, other.value.units):
        return "perhaps a conversion of units"
    pairs = [(one, two) for one in stated.readings for two in other.readings]
    if approximate and any(abs(one.exact - two.exact) <= _NEAR * abs(two.exact) for one, two in pairs):
        return "only roughly equal"
    for one, two in pairs:
        gap = abs(one.exact - two.exact)
        if gap < one.error + two.error:
            return "within the rounding of its operands"
        if one.exact.denominator == 1 and two.exact.denominator != 1 and gap < 1:
            return "rounded to a whole number"
        if _rounded_to_digits(one.exact, two.exact):
            return "rounded to fewer digits"
    return ""


def _rounded_to_digits(stated: Fraction, exact: Fraction) -> bool:
    """A whole number with zeros at its end that is `exact` to at least three digits: 192970, 193000."""
    if stated.denominator != 1 or stated == 0:
        return False
    digits = str(abs(stated.numerator))
    significant = digits.rstrip("0")
    unit = 10 ** (len(digits) - len(significant))
    return len(significant) >= 3 and unit > 1 and abs(stated - exact) * 2 <= unit


def _convertible(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the sides name different units of one kind, so that a conversion may be meant."""
    return any((one | other) & kind and len((one | other) & kind) > 1 and one != other for kind in _UNITS)


def show(value: Fraction) -> str:
    """An integer, a short decimal, else a fraction."""
    if value.denominator == 1:
        return str(value.numerator)
    if 10**6 % value.denominator == 0:
        return f"{float(value):.6f}".rstrip("0") if abs(value) < 10**9 else str(value)
    return f"{value.numerator}/{value.denominator}"
