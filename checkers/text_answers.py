"""Answers that are text: choices (A) to (J), words, times and dates, and prose around an answer."""

import re

from checkers.clock import read_date, read_time, same_date, same_time
from checkers.normalise import tidy
from checkers.numbers import read_number
from checkers.verdict import Verdict, correct, incorrect, undecided
from checkers.words import words

Compared = tuple[str, str]

_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|operatorname)\b ?\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' .,;-]*[A-Za-z.]")
_MATH_WORDS = words("sqrt pi sin cos tan log ln infinity inf oo")
_SHORT_WORDS = (["no"], ["up"])  # else two letters may be two variables
_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
_COUNTS = words(_NUMBER_WORDS) | words(
    "thirty forty fifty sixty seventy eighty ninety hundred thousand million billion dozen half third quarter"
)
_SMALL_NUMBERS = {word: value for value, word in enumerate(_NUMBER_WORDS.split())}


def compare_text(whole: str, stated: str, wanted: str, compared: Compared) -> Verdict | None:
    """The verdict where the reference or the answer is text; None where neither is.

    `whole`: all that was answered, of which `stated` is the answer as extracted.
    """
    if wanted_choices := _choices(wanted):
        found = _choices(stated) or _phrased_choice(stated) or _phrased_choice(whole)
        if found:
            return _same_or_not(found == wanted_choices, "choice", compared)
    return _compare_moments(stated, wanted, compared) or _compare_words(stated, wanted, compared)


def plain_words(text: str) -> str:
    """`text` in lower case if it is words, one of three letters or more, and no formula; else ''."""
    text = tidy(_TEXT_COMMAND.sub(r"\1", text))
    if not _WORDS.fullmatch(text):
        return ""
    parts = re.sub("[.,;]", "", text.lower()).split()
    plain = (max(map(len, parts)) >= 3 or parts in _SHORT_WORDS) and _MATH_WORDS.isdisjoint(parts)
    return " ".join(parts) if plain else ""


def _same_or_not(same: bool, what: str, compared: Compared) -> Verdict:
    return correct(f"the same {what}", compared) if same else incorrect(f"another {what}", compared)


# Choices

_CHOICE = re.compile(r"\(? ?([A-J]) ?\)?(?:[*]*[.:)][*]*\s.*|\)[*]* .*)?", re.DOTALL)
_LOWER_CHOICE = re.compile(r"\(([a-j])\)")  # in brackets: a bare letter may be a variable
_SEVERAL = re.compile(r"\(?[A-J]\)?(?:(?: ?, ?and |, ?| and | ?& ?)\(?[A-J]\)?)+")
_LETTER = r"[\s*:$({\\]{0,6}(?:text|textbf|mathbf|mathrm)?[({]{0,3}([A-J])(?![A-Za-z0-9'])"
_NAMED = re.compile(r"(?i:\b(?:options?|choices?|answers?)\b(?: is| are| would be| must be)?)" + _LETTER)
_CHOSEN = re.compile(r"\b(?:choose|pick|select|go with|is|be)\b[\s*:$]{0,4}\(([A-J])\)")
_JUDGED = re.compile(r"(?<![A-Za-z])\(?([A-J])\)?[*]{0,2} is (?:the )?(?:correct|right|best|answer)")


def _choices(text: str) -> frozenset[str]:
    """The letters of a text that is nothing but choices, with or without what they stand for."""
    text = tidy(_TEXT_COMMAND.sub(r"\1", text)).replace("\\ ", " ")
    if lower := _LOWER_CHOICE.fullmatch(text):
        return frozenset(lower[1].upper())
    if match := _CHOICE.fullmatch(text):
        return frozenset(match[1])
    return frozenset(re.findall(r"\b[A-J]\b", text)) if _SEVERAL.fullmatch(text) else frozenset()


def _phrased_choice(text: str) -> frozenset[str]:
    """The choice that the last phrase of a kind names: `option B`, `I choose (B)`, `B is correct`."""
    found = [match for pattern in (_NAMED, _CHOSEN, _JUDGED) for match in pattern.finditer(text)]
    last = max(found, key=lambda match: match.start(1), default=None)
    return frozenset(last[1]) if last else frozenset()


# Times, dates and words


def _compare_moments(stated: str, wanted: str, compared: Compared) -> Verdict | None:
    """Times of day and dates; None when the two are not both one of these."""
    one, other = (tidy(_TEXT_COMMAND.sub(r"\1", text)) for text in (stated, wanted))
    if (first := read_time(one)) and (second := read_time(other)):
        same = same_time(first, second)
        if same is None:
            return undecided("before noon, or after it?", compared)
        return _same_or_not(same, "time", compared)
    if (day := read_date(one)) and (wanted_day := read_date(other)):
        return _same_or_not(same_date(day, wanted_day), "date", compared)
    return None


def _compare_words(stated: str, wanted: str, compared: Compared) -> Verdict | None:
    """Answers that are words or number words; None when neither is."""
    spoken, asked = plain_words(stated), plain_words(wanted)
    if spoken and asked:
        return _same_words(spoken, asked, compared)
    for said, formula in ((spoken, tidy(wanted)), (asked, tidy(stated))):
        if any(said in group and formula in formulas for group, formulas in _SAID_AND_WRITTEN):
            return correct("the same in words", compared)
    for word, text in ((spoken, wanted), (asked, stated)):
        if word in _SMALL_NUMBERS and (number := read_number(text)):
            return _same_or_not(number.value == _SMALL_NUMBERS[word], "number", compared)
    if asked and read_number(stated):
        return incorrect("a number, where words are wanted", compared)
    if spoken and read_number(wanted):
        if not _COUNTS.isdisjoint(re.split("[ -]", spoken)):
            return undecided("perhaps a number in words", compared)
        return incorrect("words, where a number is wanted", compared)
    return None


_NO_SOLUTION = (
    "no solution", "no solutions", "no real solution", "no real solutions", "none", "empty set",
    "the empty set", "there is no solution", "there are no solutions", "there are no real solutions",
)  # fmt: skip
_ALL_REALS = ("all real numbers", "all reals", "the real numbers", "the set of all real numbers")
_SAID_AND_WRITTEN = (
    (_NO_SOLUTION, ("\\emptyset",)),
    (_ALL_REALS, ("\\mathbb{R}", "\\mathbb R", "(-\\infty,\\infty)", "(-\\infty, \\infty)", "ℝ")),
)
_NO_VALUE = ("does not exist", "dne", "it does not exist", "undefined", "not defined")


def _same_words(spoken: str, asked: str, compared: Compared) -> Verdict:
    """Words against words; undecided where one holds the other (`due east`, `east`)."""
    if spoken == asked or any({spoken, asked} <= set(group) for group in (_NO_SOLUTION, _NO_VALUE)):
        return correct("the same words", compared)
    one, other = set(spoken.split()) - {"and"}, set(asked.split()) - {"and"}
    if one <= other or other <= one or {spoken, asked} <= {*_NO_SOLUTION, *_NO_VALUE}:
        return undecided("other words, which may say the same", compared)
    return incorrect("other words", compared)


# Prose

_PROSE = re.compile(r"[A-Za-z]{2,}[ ,;:]+[A-Za-z]{2,}")
_RELATION = re.compile(r"[<>≤≥]|\\(?:le|ge|leq|geq|lt|gt)(?![a-z])")
_NUMBERS = re.compile(r"-?[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:/[0-9]+)?%?")


def is_prose(text: str) -> bool:
    """Whether a text has words in a row, outside of formulas, so that it is no formula itself."""
    return bool(_PROSE.search(re.sub(r"\\[A-Za-z]+", " ", _TEXT_COMMAND.sub(r"\1", text))))


def compare_prose(stated: str, wanted: str, compared: Compared) -> Verdict:
    """The verdict on an answer in prose: incorrect if no number in it is the one wanted, else undecided."""
    number = read_number(wanted)
    if number:
        values = (read_number(text) for text in _NUMBERS.findall(stated))
        named = {_SMALL_NUMBERS.get(word.lower()) for word in re.findall("[A-Za-z]+", stated)}
        if not _COUNTS.isdisjoint(re.findall("[a-z]+", stated.lower())) and not named - {None}:
            return undecided("prose that may hold a number in words", compared)
        if number.value in named or any(value and abs(value.value) == abs(number.value) for value in values):
            return undecided("prose that may hold the answer", compared)
    elif wanted.strip("$ ") in stated or _RELATION.search(wanted):
        return undecided("prose that may hold the answer", compared)
    return incorrect("prose without the answer", compared)
