"""Final answers of mathematics: is what the text answers equal to the reference?

Two parts. `easy_math` decides what needs no computer algebra (plain numbers, arithmetic on them,
equal strings, words) exactly, with bounded work, so it is safe in any thread. `check_math` asks
Math-Verify and sympy (`checkers.algebra`) about the rest, which may take any time: give text that a
model wrote to `checkers.Pool`, whose workers can be killed.
"""

import re
from fractions import Fraction
from functools import lru_cache

from checkers.arithmetic import NotArithmeticError, TooLargeError, evaluate
from checkers.extract import LONGEST_TEXT, extract_answer
from checkers.guards import unreadable
from checkers.normalise import canonical, plain_characters, tidy
from checkers.numbers import Quantity, read_number
from checkers.text_answers import compare_prose, compare_text, is_prose, plain_words
from checkers.units import Unit, unit_named
from checkers.verdict import Status, Verdict, correct, incorrect, undecided

_SHOWN = 80
_SIGNIFICANT_DIGITS, _DECIMAL_PLACES = 6, 6  # how finely a rounded answer must be given


def check_math(answer_text: str, reference: str) -> Verdict:
    r"""Whether the final answer stated in `answer_text` equals `reference`.

    `reference` is an answer (`18`, `\\frac{1}{2}`, `(3, 4]`, `east`) or a solution that ends in
    `\\boxed{...}` or `#### ...`. Incorrect: another answer, or none. Undecided: the reference cannot
    be read, or the answer is a formula that cannot be read.

        check_math("So we have 3 * 6 = 18 eggs. The answer is 18.", "18").status  # correct
    """
    verdict = easy_math(answer_text, reference)
    if verdict is not None:
        return verdict
    from checkers import algebra, equality  # late: sympy takes a second to import, and most answers need none

    stated, wanted = tidy(_read(answer_text) or ""), tidy(_reference(reference))
    verdict = algebra.compare(stated, wanted)
    if verdict.status is Status.INCORRECT and equality.may_be_equal(stated, wanted):
        return undecided("equal for some values of the variables, or but for a letter", verdict.compared)
    return verdict


def easy_math(answer_text: str, reference: str) -> Verdict | None:
    """The verdict where no algebra is needed, else None. Bounded work: it cannot hang."""
    if len(answer_text) + len(reference) > LONGEST_TEXT:
        return undecided(f"more than {LONGEST_TEXT} characters")
    if len(answer_text) + len(reference) <= 400:
        return _easy_cached(answer_text, reference)
    return _easy(answer_text, reference)


def _easy(answer_text: str, reference: str) -> Verdict | None:
    wanted = _reference(reference)
    if not wanted or wanted.isspace():
        return undecided("the reference is empty")
    stated = _read(answer_text)
    if stated is None:
        return incorrect("no answer in the text", ("", _shown(wanted)))
    compared = (_shown(stated), _shown(wanted))
    quick = _compare_numbers(read_number(stated), read_number(wanted), compared)
    if quick is not None:
        return _unless_product(quick, stated, wanted, compared)
    for name, text in (("answer", stated), ("reference", wanted)):
        if fault := unreadable(tidy(text)):
            return undecided(f"the {name} {fault}", compared)
    if canonical(stated) == canonical(wanted) or canonical(answer_text) == canonical(wanted):
        return correct("the same text", compared)
    return (
        compare_text(answer_text, stated, wanted, compared)
        or _compare_ratios(stated, wanted, compared)
        or _compare_arithmetic(stated, wanted, compared)
        or _compare_forms(stated, wanted, compared)
        or (compare_prose(stated, wanted, compared) if is_prose(stated) and not is_prose(wanted) else None)
    )


_easy_cached = lru_cache(maxsize=1 << 14)(_easy)


@lru_cache(maxsize=1 << 12)
def _reference(reference: str) -> str:
    """The answer within a reference, which may be a whole solution with a marked answer."""
    if "\\boxed" in reference or "####" in reference:
        answer = extract_answer(reference)
        return answer.text if answer else ""
    return reference


def _read(answer_text: str) -> str | None:
    answer = extract_answer(plain_characters(answer_text))
    return _HEDGE.sub("", answer.text, count=1) if answer else None


_HEDGE = re.compile(
    r"^\$?(?:≈|\\approx(?![a-z])|(?:approximately|about|roughly|nearly|around|exactly|just|only)\b)"
    r" ?(?=[^ ])",
    re.IGNORECASE,
)


def _shown(text: str) -> str:
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


# Numbers


def _compare_numbers(
    stated: Quantity | None, wanted: Quantity | None, compared: tuple[str, str]
) -> Verdict | None:
    """Exact comparison of two plain numbers; None when one of them is not plain."""
    if stated is None or wanted is None or (stated.name and wanted.name and stated.name != wanted.name):
        return None
    if (converted := _converted(stated, wanted)) is not None:
        return correct("the same measure", compared) if converted else incorrect("another measure", compared)
    equal, reason = same_number(stated, wanted)
    if not equal and _equals_in_larger_unit(stated, wanted):
        return correct("the same measure", compared)
    if clashing_units(stated.unit, wanted.unit):
        return undecided(f"the units differ: {stated.unit} and {wanted.unit}", compared)
    return correct(reason, compared) if equal else incorrect("another number", compared)


def same_number(stated: Quantity, wanted: Quantity) -> tuple[bool, str]:
    """Whether two numbers are the same, and in what sense.

    A percentage equals its fraction and its bare number (50% is 0.5 and 50), as in Math-Verify. A
    decimal equals what rounds to it, if given to 6 significant digits or 6 places.
    """
    if stated.value == wanted.value and stated.percent == wanted.percent:
        return True, "the same number"
    if stated.percent != wanted.percent:
        percentage, plain = (stated, wanted) if stated.percent else (wanted, stated)
        if plain.value in (percentage.value, percentage.value / 100):
            return True, "the same percentage"
        return False, "another number"
    if _rounds_to(stated.value, wanted) or _rounds_to(wanted.value, stated):
        return True, "the same number, rounded"
    return False, "another number"


def _rounds_to(value: Fraction, decimal: Quantity) -> bool:
    """Whether `value`, rounded to the places of `decimal`, is `decimal`, and that is close enough."""
    places = decimal.decimals
    if not places or places <= 0 or abs(value - decimal.value) * 2 * 10**places > 1:
        return False
    digits = len(str(abs(decimal.value.numerator * 10**places // decimal.value.denominator)))
    return digits >= _SIGNIFICANT_DIGITS or (places >= _DECIMAL_PLACES and digits >= 4)


def _converted(stated: Quantity, wanted: Quantity) -> bool | None:
    """Whether two measures in different units of one kind are equal (3 hours, 180 minutes).

    None where the units are the same, or of other kinds, or have no fixed size (months).
    """
    one, other = unit_named(stated.unit), unit_named(wanted.unit)
    if not one or not other or one.kind != other.kind or stated.unit == wanted.unit:
        return None
    if one.size is None or other.size is None:
        return None
    here, there = stated.value * one.size, wanted.value * other.size
    return here == there or _rounds_to(here / other.size, wanted) or _rounds_to(there / one.size, stated)


_PRODUCT = re.compile(r"(-?[0-9]*\.[0-9]+)\(([0-9]+)\)")


def _unless_product(verdict: Verdict, stated: str, wanted: str, compared: tuple[str, str]) -> Verdict:
    """`verdict`, undecided where `0.5(4)` was read as a repeating decimal and is right as a product."""
    products = [_PRODUCT.fullmatch(tidy(text)) for text in (stated, wanted)]
    if verdict.status is not Status.INCORRECT or not any(products):
        return verdict
    values = [
        Quantity(Fraction(product[1]) * int(product[2])) if product else read_number(text)
        for product, text in zip(products, (stated, wanted))
    ]
    as_product = _compare_numbers(values[0], values[1], compared)
    if as_product and as_product.status is Status.INCORRECT:
        return verdict
    return undecided("a repeating decimal, or a product", compared)


def _equals_in_larger_unit(stated: Quantity, wanted: Quantity) -> bool:
    """Whether one is `1 hour 30 minutes` and the other a bare 1.5."""
    both, bare = (stated, wanted) if stated.larger else (wanted, stated)
    large, small = unit_named(both.larger), unit_named(both.unit)
    if bare.unit or not large or not small or not large.size or not small.size:
        return False
    return both.value * small.size / large.size == bare.value


def clashing_units(one: str, other: str) -> bool:
    """Whether numbers alone say nothing: months and years, metres and square metres, rates, currencies."""
    if one == other or not one or not other:
        return False
    if unit_named(one) and unit_named(other):
        return _known(one) != _known(other)
    if "/" in one and "/" in other:  # `m/s` and `meters/second` are one, `km/h` is another
        return [_known(part) for part in one.split("/")] != [_known(part) for part in other.split("/")]
    return any(one in group and other in group for group in (_CURRENCIES, _TEMPERATURES, _FIELDS))


def _known(name: str) -> Unit | str:
    """Its size, which all names of a unit share; the name of one that has none."""
    unit = unit_named(_SHORT_UNITS.get(name, name))
    return unit if unit and unit.size is not None else name


_SHORT_UNITS = {"h": "hour"}
_CURRENCIES, _TEMPERATURES = frozenset("$€£¥₹"), frozenset(("°C", "°F", "K"))
_FIELDS = frozenset(("acre", "hectare", "ha"))


def _compare_ratios(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """`6:8` and `3:4` or `3/4`; None where neither is a ratio of plain numbers (nor a time of day)."""
    if ":" not in stated + wanted:
        return None
    one, other = (_ratio(text) for text in (stated, wanted))
    if one is None or other is None:
        return None
    same = len(one) == len(other) and all(a * other[-1] == b * one[-1] for a, b in zip(one, other))
    return correct("the same ratio", compared) if same else incorrect("another ratio", compared)


def _ratio(text: str) -> list[Fraction] | None:
    """The terms of `3:4`, those of 3/4 as [3/4, 1]; None where one is no positive number."""
    numbers = [read_number(part.strip()) for part in tidy(text).split(":")]
    terms = [number.value for number in numbers if number and number.value > 0 and not number.unit]
    if len(terms) != len(numbers):
        return None
    return terms if len(terms) > 1 else [*terms, Fraction(1)]


# Formulas


def _compare_arithmetic(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """Sums, products and powers of plain numbers, computed exactly; None when there are others."""
    if any(_COMMA_IN_BRACKETS.search(text) for text in (stated, wanted)):
        return None  # `(0,100)` is a pair
    try:
        values = [read_number(text) or Quantity(evaluate(tidy(text))) for text in (stated, wanted)]
    except TooLargeError as error:
        return _compare_forms(stated, wanted, compared) or undecided(str(error), compared)
    except NotArithmeticError:
        return None
    return _compare_numbers(values[0], values[1], compared)


_COMMA_IN_BRACKETS = re.compile(r"[(\[][^()\[\]]{0,200},")
_SEPARATOR = re.compile(r", and |, | and ")
_UNIT_AFTER = re.compile(
    r" ?\\(?:text|mbox|mathrm) ?\{(?P<unit>[a-zA-Z ./]*)\}(?P<power>\^\{?[23]\}?)?$"
    r"|(?:(?<=[0-9})])|(?<=\\pi)) (?P<bare>(?:(?:square|sq|cubic) )?(?:mm|cm|km|ft|inch(?:es)?|feet|yards?"
    r"|(?:centi|kilo|milli)?met(?:er|re)s?|miles|units)(?:\^\{?[23]\}?)?)$"
)


_MIXED_IN_WORDS = re.compile(r"(?<=[0-9]) and (?=[0-9]+/[0-9]+$)")


def clear_caches() -> None:
    """Forget the verdicts and numbers of earlier answers (a benchmark starts fresh)."""
    for cached in (_easy_cached, _reference, read_number):
        cached.cache_clear()


_SCALE_LETTER = re.compile(r"([0-9.,]+) ?([kKMB])")


def _may_be_thousands(text: str, other: str) -> bool:
    """`5k` beside 5000 or 5; elsewhere `5k` is five times k."""
    scaled, number = _SCALE_LETTER.fullmatch(text), read_number(other)
    plain = read_number(scaled[1]) if scaled else None
    if scaled is None or plain is None or number is None:
        return False
    return number.value in (plain.value, plain.value * 10 ** _SCALE[scaled[2]])


_SCALE = {"k": 3, "K": 3, "M": 6, "B": 9}


def _without_unit(text: str) -> tuple[str, str]:
    """A formula, or a list of numbers, and its unit, as `read_number` names units; '' without one."""
    parts = _SEPARATOR.split(text)
    if 1 < len(parts) <= 10:
        measures = [read_number(part) for part in parts]
        units = {measure.unit for measure in measures if measure}
        if all(measures) and len(units) == 1 and units != {""}:
            return ", ".join(str(measure.value) for measure in measures if measure), units.pop()
    found = _UNIT_AFTER.search(text)
    if not found or not found.start():
        return text, ""
    quantity = read_number(f"1 {found['bare'] or found['unit'] + (found['power'] or '')}")
    return text[: found.start()], quantity.unit if quantity else ""


def _compare_forms(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """Formulas, tuples, intervals, sets, matrices and equations, compared by value; None where in doubt."""
    from checkers import equality, forms  # late: they load mpmath, which plain numbers do without

    (one, unit), (other, wanted_unit) = (_without_unit(tidy(text)) for text in (stated, wanted))
    units = (unit, wanted_unit)
    if clashing_units(*units):
        return undecided(f"the units differ: {units[0]} and {units[1]}", compared)
    if _may_be_thousands(one, other) or _may_be_thousands(other, one):
        return undecided("thousands, or a unit", compared)
    if plain_words(stated) and forms.is_form(other):
        return incorrect("words, where a formula is wanted", compared)
    mixed = read_number(_MIXED_IN_WORDS.sub(" ", one)) if _MIXED_IN_WORDS.search(one) else None
    verdict = _compare_numbers(mixed, read_number(other), compared)
    if verdict and verdict.status is Status.CORRECT:
        return verdict  # else `2 and 3/4` is two answers
    try:
        same = equality.same_form(one, other)
    except RecursionError:  # the caller's stack was deep already
        return None
    if not same and one.replace("_", "").lower() == other.replace("_", "").lower():
        return undecided("equal but for capitals and subscripts", compared)
    if same is None:
        return None
    if not same and (
        equality.rounds_to(one, other, _rounds_to) or equality.rounds_to(other, one, _rounds_to)
    ):
        return correct("the same number, rounded", compared)
    return correct("equal in value", compared) if same else incorrect("not equal", compared)
