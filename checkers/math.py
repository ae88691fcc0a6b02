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
from checkers.units import UNITS
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
    from checkers import algebra  # late: sympy takes a second to import, and most answers need none

    stated, wanted = _read(answer_text), _reference(reference)
    return algebra.compare(tidy(stated or ""), tidy(wanted))


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
        return quick
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
    if _clashing_units(stated.unit, wanted.unit):
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
    one, other = UNITS.get(stated.unit), UNITS.get(wanted.unit)
    if not one or not other or one.kind != other.kind or stated.unit == wanted.unit:
        return None
    if one.size is None or other.size is None:
        return None
    return stated.value * one.size == wanted.value * other.size


def _clashing_units(one: str, other: str) -> bool:
    """Two different units of one kind (months and years), rates or currencies: numbers alone say nothing."""
    if one == other or not one or not other:
        return False
    if one in UNITS and other in UNITS:
        return UNITS[one].kind == UNITS[other].kind
    if "/" in one and "/" in other:  # `m/s` and `meters/second` are one, `km/h` is another
        return [UNITS.get(part, part) for part in one.split("/")] != [
            UNITS.get(part, part) for part in other.split("/")
        ]
    return one in _CURRENCIES and other in _CURRENCIES


_CURRENCIES = "$€£¥₹"


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
_UNIT_AFTER = re.compile(r" ?\\(?:text|mbox|mathrm) ?\{[a-zA-Z ./]*\}(?:\^\{?[23]\}?)?$")


_MIXED_IN_WORDS = re.compile(r"(?<=[0-9]) and (?=[0-9]+/[0-9]+$)")


def clear_caches() -> None:
    """Forget the verdicts and numbers of earlier answers (a benchmark starts fresh)."""
    for cached in (_easy_cached, _reference, read_number):
        cached.cache_clear()


def _compare_forms(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """Formulas, tuples, intervals, sets, matrices and equations, compared by value; None where in doubt."""
    from checkers import equality, forms  # late: they load mpmath, which plain numbers do without

    one, other = (_UNIT_AFTER.sub("", tidy(text)) or tidy(text) for text in (stated, wanted))
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
    if same is None:
        return None
    if not same and (
        equality.rounds_to(one, other, _rounds_to) or equality.rounds_to(other, one, _rounds_to)
    ):
        return correct("the same number, rounded", compared)
    return correct("equal in value", compared) if same else incorrect("not equal", compared)
