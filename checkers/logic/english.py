"""Controlled English, as in ProofWriter and ProntoQA, to formulas. What is not surely understood is refused.

    Bob is cold.  Bob is not cold and the bald eagle likes Bob.  Wren is a large tumpus.
    If someone is cold and they like the cow then they are not red.  Bob is red if Anne is blue.
    All kind, cold people are rough.  Young, furry things are blue.  Everyone is nice.
    Every wumpus is a dumpus.  Tumpuses are not rainy.  No dumpus is a rompus.

Adjectives are read as applying beside their noun (a large tumpus is large and is a tumpus), `or` as allowing
both. `it` and `they` mean the someone or something of their sentence, else its only named individual.
"""

import re

from checkers.logic import lexicon
from checkers.logic.clauses import Reader, Words, coordinate, described, verb_index
from checkers.logic.faults import TooLargeError, UnreadableError
from checkers.logic.formulas import (
    VARIABLE,
    Atom,
    Formula,
    Iff,
    Implies,
    conjunction,
    is_universal,
    negate,
)

LONGEST = 1_000  # characters of a sentence

_TOKEN = re.compile(r"[^\W\d_][\w'-]*|\S")
_CONTRACTIONS = (
    (re.compile(r"(?i)\b(is|are|does|do)n['’]t\b"), r"\1 not"),
    (re.compile(r"(?i)\b(it|he|she)['’]s\b"), r"\1 is"),
    (re.compile(r"(?i)\bthey['’]re\b"), "they are"),
)
_DENIAL = re.compile(r"(?i)\s*it is (?:not (?:true|the case)|false) that ")
_NOUN_DETERMINERS = lexicon.DETERMINERS | {"a", "an"}


def parse_english(text: str, known: frozenset[str] = frozenset()) -> Formula:
    """The formula that a sentence means. Raises: UnreadableError, TooLargeError.

    `known`: the words of all the texts that belong together (`lexicon.vocabulary`), for word endings.

        parse_english("Red things are not cold.")  # ∀x: red(x) -> ~cold(x)
    """
    if len(text) > LONGEST:
        raise TooLargeError(f"a sentence is longer than {LONGEST} characters")
    if denial := _DENIAL.match(text):
        return negate(_denied(parse_english(text[denial.end() :], known)))
    for pattern, plain in _CONTRACTIONS:
        text = pattern.sub(plain, text)
    words = _TOKEN.findall(text.lower().strip().removesuffix("."))
    if not words:
        raise UnreadableError("expected a sentence, found nothing")
    reader = Reader(known or lexicon.vocabulary([text]))
    if "if" in words:
        return _conditional(words, reader)
    universal = _universal(words, reader)
    return coordinate(words, reader) if universal is None else universal


def _denied(formula: Formula) -> Formula:
    if is_universal(formula):  # the negation would be that there is one that does not
        raise UnreadableError("'it is not true that all ...' is outside the grammar")
    return formula


def _conditional(words: Words, reader: Reader) -> Formula:
    """`if C then D`, `if C, D`, `D if C`, `D if and only if C`."""
    if words[0] == "if":
        at, skip = _end_of_condition(words)
        condition, conclusion = words[1:at], words[at + skip :]
        return Implies(_part(condition, reader, introduce=True), _part(conclusion, reader))
    at = words.index("if")
    both = words[at : at + 4] == ["if", "and", "only", "if"]
    said = _part(words[:at], reader, introduce=True)
    given = _part(words[at + 4 if both else at + 1 :], reader, introduce=not reader.introduced)
    of_all = is_universal(said), is_universal(given)
    if of_all == (True, False) or (both and of_all == (False, True)):
        raise UnreadableError(f"it is not clear whether {reader.introduced!r} means all or one of them")
    return Iff(said, given) if both else Implies(given, said)


def _end_of_condition(words: Words) -> tuple[int, int]:
    """Where the condition of `if ...` ends, and how many words part it from the conclusion."""
    if words.count("then") == 1:
        at = words.index("then")
        return (at - 1, 2) if words[at - 1] == "," else (at, 1)
    if words.count(",") != 1 or "then" in words:
        raise UnreadableError("expected 'if ... then ...'")
    return words.index(","), 1


def _part(words: Words, reader: Reader, introduce: bool = False) -> Formula:
    """One side of a conditional."""
    reader.may_introduce, reader.copular = introduce, False
    reader.subject = ""
    if not words:
        raise UnreadableError("expected a clause on both sides of 'if'")
    return coordinate(words, reader)


def _universal(words: Words, reader: Reader) -> Formula | None:
    """What is said of all, every, each, no or plain plural things; None for a statement about individuals."""
    if words[0] in lexicon.PRONOUNS or words[0] == "the":
        return None
    at = _verb_of_all(words)
    if words[0] in lexicon.UNIVERSALS and at == 1:
        return _of_all([], words[at:], reader, plural=False)
    determiner = words[0] if words[0] in _NOUN_DETERMINERS else ""
    noun = words[at - 1] if at else ""
    if not determiner and not (lexicon.is_plural(noun) and not words[at].endswith("s")):
        return None
    plural = lexicon.is_plural(noun) and determiner not in ("every", "each", "a", "an")
    conditions = _noun_phrase(words[bool(determiner) : at], reader.known, plural)
    if determiner in ("a", "an") and words[at] != "is":
        raise UnreadableError(f"it is not clear whether {determiner!r} means all or one of them")
    return _of_all(conditions, words[at:], reader, plural, none=determiner == "no")


def _verb_of_all(words: Words) -> int:
    """Where the noun phrase ends, in `kind and cold cats are red` and in `cats like the cow and are red`."""
    joint = next((at for at, word in enumerate(words) if word in ("and", "or")), len(words))
    return verb_index(words[:joint] if "the" in words[:joint] else words)


def _noun_phrase(words: Words, known: frozenset[str], plural: bool) -> list[str]:
    """The properties of `kind, cold people` or `kind and cold people`; those of `people` are none."""
    if len(words) == 1 and words[0] in lexicon.GENERIC:
        return []
    plain = [word for word in words if word not in (",", "and")]
    if words and (words[0] in (",", "and") or ("and" in words and words[-1] not in lexicon.GENERIC)):
        raise UnreadableError("it is not clear what 'and' joins")
    return described(plain, known, plural)


def _of_all(conditions: list[str], said: Words, reader: Reader, plural: bool, none: bool = False) -> Formula:
    """For all that meet the conditions, what `said` says (or, with `none`, its negation)."""
    reader.subject, reader.introduced, reader.plural = VARIABLE, "all", plural
    reader.may_change = False
    conclusion = coordinate(said, reader)
    if none:
        conclusion = negate(conclusion)
    if not conditions:
        return conclusion
    return Implies(conjunction(Atom(name, (VARIABLE,)) for name in conditions), conclusion)
