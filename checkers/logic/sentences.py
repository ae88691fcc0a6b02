"""Text to numbered statements, each with its formula or with the reason why it has none."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from checkers.logic.english import parse_english
from checkers.logic.faults import LogicFault, TooLargeError, UnreadableError
from checkers.logic.formulas import Formula, atoms
from checkers.logic.notation import looks_symbolic, parse_notation

LONGEST_TEXT = 100_000  # characters of all the texts of one call
MOST_SENTENCES = 2_000

_END = re.compile(r"(?<=[.!?])\s+(?=\S)|\s*;\s+|\s*\n\s*")
_KIND = r"(?:facts?|rules?|premises?|statements?|sentences?|sent|triples?|lines?|steps?|hypothes[ie]s)"
LABEL = re.compile(rf"\s*[(\[]?\s*({_KIND}?\s*#?\s*\d{{1,4}})\s*[)\].:]+(?:\s+|$)", re.IGNORECASE)
_QUANTIFIED = re.compile(r"\s*(?:∀|forall\b)", re.IGNORECASE)
_QUESTION = re.compile(r"(?is).*\b(?:true|false|unknown|uncertain)\s*\?\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence. `numbers` are the names it may be cited by; `fault` says why there is no formula."""

    text: str
    formula: Formula | None
    fault: str = ""
    numbers: tuple[str, ...] = ()


def split_sentences(text: str) -> list[str]:
    """Its sentences; a number in front (`3. Bob is cold.`) stays with its sentence."""
    if _QUANTIFIED.match(text):
        return [text.strip()]
    sentences: list[str] = []
    label = ""
    for piece in filter(None, map(str.strip, _END.split(tidy(text)))):
        found = LABEL.match(piece)
        if found and found.end() == len(piece):
            label = f"{label}{piece} "
        else:
            sentences.append(label + piece)
            label = ""
    return [*sentences, label.strip()] if label else sentences


def tidy(text: str) -> str:
    """One space between words and one end between lines, so that the patterns above take linear time."""
    lines = (" ".join(line.split()) for line in unicodedata.normalize("NFC", text).split("\n"))
    return "\n".join(filter(None, lines))


def parse_statement(text: str, known: frozenset[str]) -> Formula:
    """The formula of one sentence, in symbols or in words. Raises: UnreadableError, TooLargeError."""
    text = re.sub(r"[\s.!]+$", "", text)
    if looks_symbolic(text):
        return parse_notation(text)
    try:
        return parse_english(text, known)
    except UnreadableError as error:
        try:  # `p and not q`, a lone proposition
            return parse_notation(text)
        except UnreadableError:
            raise error from None


def read_statement(text: str, known: frozenset[str], numbers: tuple[str, ...] = ()) -> Statement:
    """As `parse_statement`, with the fault as text."""
    try:
        return Statement(text, parse_statement(text, known), "", numbers)
    except LogicFault as fault:
        return Statement(text, None, str(fault), numbers)


def read_premises(texts: Sequence[str], known: frozenset[str]) -> list[Statement]:
    """The statements of `texts`, numbered by their own labels, or else from 1: by text, or inside one."""
    sentences = [
        (index, sentence) for index, text in enumerate(texts, 1) for sentence in split_sentences(text)
    ]
    if len(sentences) > MOST_SENTENCES:
        raise TooLargeError(f"there are more than {MOST_SENTENCES} sentences")
    labelled = any(LABEL.match(sentence) for _, sentence in sentences)
    statements = []
    for position, (index, sentence) in enumerate(sentences, 1):
        label, body = unlabelled(sentence)
        number = label if labelled else str(position if len(texts) == 1 else index)
        statements.append(read_statement(body, known, tuple(label_keys(number)) if number else ()))
    return statements


def unlabelled(sentence: str) -> tuple[str, str]:
    """The label in front of a sentence ('' if none), and the rest."""
    found = LABEL.match(sentence)
    return (found.group(1), sentence[found.end() :].strip()) if found else ("", sentence.strip())


def label_keys(label: str) -> list[str]:
    """The names under which a label is cited: `Rule 3` as `rule3` and as `3`."""
    kind = re.sub(r"[\s#\d]", "", label.lower()).rstrip("s")
    number = "".join(filter(str.isdigit, label)).lstrip("0") or "0"
    return [number, kind + number] if kind else [number]


def as_texts(texts: str | Iterable[str]) -> list[str]:
    """One text or several, as a list."""
    return [texts] if isinstance(texts, str) else list(texts)


def check_size(texts: Iterable[str]) -> None:
    """Raises: TooLargeError for more text than is read."""
    if sum(map(len, texts)) > LONGEST_TEXT:
        raise TooLargeError(f"there are more than {LONGEST_TEXT} characters")


def without_question(text: str) -> str:
    """The statement after `Is the following statement true, false, or unknown?`."""
    return _QUESTION.sub("", text, count=1).strip()


def strangers(formula: Formula, premises: Iterable[Statement]) -> set[str]:
    """The propositions of `formula` that no premise has: rather a stray word than something unknown."""
    known = {atom for premise in premises if premise.formula for atom in atoms(premise.formula)}
    return {atom.name for atom in atoms(formula) if not atom.args and atom not in known}
