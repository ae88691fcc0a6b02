r"""Where the final answer stands in a text.

In this order: the last `\boxed{...}`, the last `#### ...`, the last of "Answer: ..." and "the answer
is ...", the whole text where it is nothing but an answer, its last formula, its last number.
Every search is linear in the length of the text.
"""

import re
from dataclasses import dataclass

from checkers.clock import read_date, read_time
from checkers.numbers import read_number

LONGEST_TEXT = 300_000
_LONGEST_ANSWER = 2_000
_LONGEST_PHRASE = 80

_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_HASHES = re.compile(r"####[ \t]*([^\n#]+)")
_ANSWER = re.compile("answer", re.IGNORECASE)
_LABELLED = re.compile(
    r"(?:^|(?<=[\n.!?*#>]))[ \t*_#>]{0,12}(?:the[ \t]{1,3})?(?:(?:final|correct)[ \t]{1,3})?"
    r"answer[ \t*_]{0,12}[:=][ \t*_]{0,12}",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\banswers?(?:[ \t]+to[ \t][^\n.:]{1,80}?|[ \t]+choice)?[ \t]+(?:is|are|was|equals|would be)\b"
    r"[ \t]*:?[ \t*_]*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<!\b[ap]\.m)(?<!\b[ap])[.!?](?:[*_\"')$]*)(?=\s|$)|(?:,| )[ ]?(?:because|since|so that|which|but)\b"
    r"|(?<=[0-9}%]) of (?:the|a|an|his|her|their|its)\b"
)
_FORMULA = re.compile(r"\\\[(.{1,2000}?)\\\]|\\\((.{1,2000}?)\\\)|(?<!\\)\$([^$\n]{1,2000})\$", re.DOTALL)
_NUMBER = re.compile(
    r"(?<![0-9A-Za-z_.^])(?<!\^\{)(?<!\^-)(?<!\^\{-)"  # no exponent
    r"[-−]?[$€£]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?%?"
    r"(?: (?:dozen|hundred|thousand|million|billion|trillion)\b)?"
)
_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|mathrm)\{[^{}]*\}")
_QUALIFIED = re.compile(  # numbers that mean less without the words around them
    r"(?:(?:(?:less|more|greater|fewer) than|at (?:least|most)|between|not) \$?[0-9][^ ]*(?: and [^ ]+)?"
    r"|[0-9][0-9.,/]*(?: and a half| dozen| score| (?:tenth|hundredth|thousandth|third|fourth|fifth)s?))"
    r"(?: [a-z]+)?$",
    re.IGNORECASE,
)
_LISTED = re.compile(", and |, | and ")
_TWO_WORDS = re.compile(r"[A-Za-z]{2,}[ ,;:]+[A-Za-z]{2,}")


@dataclass(frozen=True, slots=True)
class Answer:
    """The text of an answer and where it stood: boxed, hashes, stated, whole, formula or number."""

    text: str
    place: str


def extract_answer(text: str) -> Answer | None:
    """The final answer that `text` states, or None where it states none."""
    boxed = last_boxed(text) if "box" in text else None
    if boxed is not None:
        return Answer(boxed.strip(), "boxed") if boxed.strip() else None
    if "####" in text and (match := _last(_HASHES, text)):
        return Answer(match[1].strip(), "hashes")
    patterns = (_LABELLED, _SAID) if _ANSWER.search(text) else ()
    stated = [match for pattern in patterns if (match := _last(pattern, text))]
    for match in sorted(stated, key=lambda match: match.end(), reverse=True):
        line = text[match.end() : match.end() + _LONGEST_ANSWER].split("\n", 1)[0]
        if answer := _first_sentence(line):
            return Answer(answer, "stated")
    return _unmarked(text.strip())


def last_boxed(text: str) -> str | None:
    """The content of the last box, braces balanced; None without one. `\\boxed 5` reads as `5`."""
    match = _last(_BOX, text)
    if not match:
        return None
    start = match.end()
    while text[start : start + 1] in (" ", "\t"):
        start += 1
    if text[start : start + 1] != "{":
        return re.split(r"[\s$]", text[start : start + 80], maxsplit=1)[0]
    end = _closing_brace(text, start)
    return text[start + 1 : end]


def _closing_brace(text: str, start: int) -> int:
    """Index of the brace that closes the one at `start`; the end of the text when none does."""
    depth = 0
    for match in re.finditer(r"\\.|[{}]", text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return start + match.start()
    return len(text)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for last in pattern.finditer(text):  # noqa: B007
        pass
    return last


def _first_sentence(text: str) -> str:
    """What is stated, up to the end of its sentence: `18. Thanks` gives `18`, `3.5 m` stays."""
    text = text[:_LONGEST_ANSWER].strip()
    if text[:1] == "$" and (formula := _FORMULA.match(text)):
        rest = text[formula.end() :].strip(" .*")
        return formula.group() if not rest or _TWO_WORDS.search(rest) else text
    match = _SENTENCE_END.search(text)
    return (text[: match.start()] if match else text).strip(" *_")


def _is_answer(text: str) -> bool:
    """Whether a line is nothing but an answer: no words in a row, nor words beside a formula."""
    if len(text) < _LONGEST_PHRASE and (
        read_date(text) or read_time(text) or all(map(read_number, _LISTED.split(text)))
    ):
        return True
    if len(text) < _LONGEST_PHRASE and _QUALIFIED.match(text):
        return True
    outside = _TEXT_COMMAND.sub("", _FORMULA.sub(" ", text)) if "$" in text or "\\" in text else text
    if outside != text and re.search(r"\b(?!and\b|or\b)[A-Za-z]{2,}", re.sub(r"\\[A-Za-z]+", "", outside)):
        return not _FORMULA.search(text)
    return not _TWO_WORDS.search(re.sub(r"\\[A-Za-z]+", " ", _TEXT_COMMAND.sub("", text)))


def _unmarked(text: str) -> Answer | None:
    """The answer of a text that does not mark it."""
    if not text:
        return None
    if len(text) <= _LONGEST_ANSWER and "\n" not in text and _is_answer(text):
        return Answer(text, "whole")
    tail = text[-_LONGEST_ANSWER:]
    last_line = tail.rsplit("\n", 1)[-1]
    if formula := _last(_FORMULA, last_line):
        content = next(group for group in formula.groups() if group)
        return Answer(content.rsplit("=", 1)[-1].strip(), "formula")
    if number := _last(_NUMBER, tail):
        return Answer(number.group(), "number")
    return Answer(text, "whole") if len(text) <= _LONGEST_PHRASE and "\n" not in text else None
