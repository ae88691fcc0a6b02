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
from checkers.verdict import Verdict, correct, incorrect, undecided
from checkers.words import words

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
    return _compare_words(stated, wanted, compared) or _compare_arithmetic(stated, wanted, compared)


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
    return answer.text if answer else None


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


_CONVERTIBLE = (
    words(
        """
    second sec minute min hour hr h day week month year s
    """
    ),
    words(
        """
    mm cm m km meter metre kilometer centimeter inche inch in feet foot ft yard mile
    """
    ),
    words(
        """
    g kg mg gram kilogram pound lb ounce oz ton
    """
    ),
    words(
        """
    $ cent £ € ¥ ₹ euro pence
    """
    ),
    words(
        """
    ml l liter litre milliliter cup pint quart gallon
    """
    ),
    words("degree radian"),
)


def _clashing_units(one: str, other: str) -> bool:
    """Two different units of one kind (hours and minutes): numbers alone cannot be compared."""
    return one != other and any(one in kind and other in kind for kind in _CONVERTIBLE)


# Words and choices

_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|operatorname)\b ?\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' .-]*[A-Za-z.]")
_CHOICE = re.compile(r"\(? ?([A-J]) ?\)?(?:[.:)]\s.*)?", re.DOTALL)
_MATH_WORDS = words(
    """
    sqrt pi sin cos tan log ln infinity inf oo
    """
)
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_SMALL_NUMBERS = {word: value for value, word in enumerate(_NUMBER_WORDS.split())}


def _compare_words(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """Answers that are words or a choice letter; None when the reference is neither."""
    choices = [_choice(text) for text in (stated, wanted)]
    if all(choices):
        return _same_or_not(choices[0] == choices[1], "choice", compared)
    spoken = [_words(text) for text in (stated, wanted)]
    if all(spoken):
        return _same_or_not(spoken[0] == spoken[1], "words", compared)
    number = read_number(wanted)
    if spoken[0] in _SMALL_NUMBERS and number:
        return _same_or_not(number.value == _SMALL_NUMBERS[spoken[0]], "number", compared)
    if spoken[1] and read_number(stated):
        return incorrect("a number, where words are wanted", compared)
    if spoken[0] and number:
        return incorrect("words, where a number is wanted", compared)
    return None


def _same_or_not(same: bool, what: str, compared: tuple[str, str]) -> Verdict:
    return correct(f"the same {what}", compared) if same else incorrect(f"another {what}", compared)


def _choice(text: str) -> str:
    match = _CHOICE.fullmatch(tidy(_TEXT_COMMAND.sub(r"\1", text)))
    return match[1] if match else ""


def _words(text: str) -> str:
    """`text` in lower case if it is words of three letters or more and no formula, else ''."""
    text = tidy(_TEXT_COMMAND.sub(r"\1", text))
    if not _WORDS.fullmatch(text):
        return ""
    parts = text.lower().replace(".", "").split()
    plain = max(map(len, parts)) >= 3 and _MATH_WORDS.isdisjoint(parts)
    return " ".join(parts) if plain else ""


def _compare_arithmetic(stated: str, wanted: str, compared: tuple[str, str]) -> Verdict | None:
    """Sums, products and powers of plain numbers, computed exactly; None when there are others."""
    try:
        values = [read_number(text) or Quantity(evaluate(tidy(text))) for text in (stated, wanted)]
    except TooLargeError as error:
        return undecided(str(error), compared)
    except NotArithmeticError:
        return None
    return _compare_numbers(values[0], values[1], compared)
