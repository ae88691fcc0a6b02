"""Clauses of controlled English: a subject, then what it is (or is not), or what it does to somebody."""

from dataclasses import dataclass, field
from itertools import pairwise

from checkers.logic import lexicon
from checkers.logic.faults import UnreadableError
from checkers.logic.formulas import VARIABLE, Atom, Formula, Not, conjunction, disjunction

Words = list[str]
_COPULAS = frozenset(("is", "are"))
_AUXILIARIES = frozenset(("does", "do"))
_ARTICLES = frozenset(("a", "an"))
_PLURAL_VERBS = frozenset(("are", "do"))
_PERSONAL = frozenset(("someone", "somebody", "anyone", "anybody"))


@dataclass(slots=True)
class Reader:
    """What is known while one sentence is read from left to right.

    `subject` is that of the last clause, for `Bob is red and likes Anne`; `introduced` is the word that
    brought in the variable; `may_introduce`: one may come in here; `may_change`: another subject may.
    """

    known: frozenset[str]
    may_introduce: bool = False
    may_change: bool = True
    introduced: str = ""
    named: set[str] = field(default_factory=set)
    subject: str = ""
    plural: bool = False
    copular: bool = False
    denied: bool = False


def coordinate(words: Words, reader: Reader) -> Formula:
    """Clauses joined by `and`, or by `or`; commas stand for either. Raises: UnreadableError."""
    chunks: list[Words] = [[]]
    joints = set()
    for word in words:
        if word in ("and", "or", ","):
            joints.add(word)
            chunks.append([])
        else:
            chunks[-1].append(word)
    chunks = _without_gaps(chunks)
    if joints == {","} or {"and", "or"} <= joints:
        raise UnreadableError("expected clauses joined by 'and' alone or by 'or' alone")
    parts = [clause(chunk, reader) for chunk in chunks]
    return disjunction(parts) if "or" in joints else conjunction(parts)


def _without_gaps(chunks: list[Words]) -> list[Words]:
    """Drop the empty chunk between the comma and the word of `, and`; any other is a fault."""
    kept = [chunk for chunk in chunks if chunk]
    if not chunks[0] or not chunks[-1] or any(not a and not b for a, b in pairwise(chunks)):
        raise UnreadableError("expected a clause on each side of a comma, 'and' or 'or'")
    return kept


def clause(words: Words, reader: Reader) -> Formula:
    """One clause, whole or short for the one before it (`likes Anne`, `not red`)."""
    if reader.subject and reader.copular and _is_complement(words):
        return _complement(words, reader, follows=True)
    at = verb_index(words)
    restriction = _take_subject(words[:at], reader) if at else []
    if not reader.subject:
        raise UnreadableError("expected a subject before the verb")
    said = predicate(words[at:], reader)
    return conjunction([*restriction, said])


def verb_index(words: Words) -> int:
    """Where the predicate begins: at `is`, `are`, `does`, `do`, or at the word before the object."""
    for index, word in enumerate(words):
        if word in _COPULAS or word in _AUXILIARIES:
            return index
    last_the = max((index for index, word in enumerate(words) if word == "the"), default=0)
    index = (last_the or len(words) - 1) - 1
    if index < 0:
        raise UnreadableError(f"expected a verb in {' '.join(words)!r}")
    return index


def predicate(words: Words, reader: Reader) -> Formula:
    """What is said of `reader.subject`, from the verb on."""
    verb, rest = words[0], words[1:]
    if verb in _COPULAS or verb in _AUXILIARIES:
        if (verb in _PLURAL_VERBS) != reader.plural:
            raise UnreadableError(f"the verb {verb!r} does not agree with its subject")
        if verb in _COPULAS:
            return _complement(rest, reader)
        if rest[:1] != ["not"] or len(rest) < 3:
            raise UnreadableError(f"expected 'not', a verb and an object after {verb!r}")
        return Not(_relation(rest[1], rest[2:], reader))
    if (verb.endswith("s") and not verb.endswith("ss")) == reader.plural:
        raise UnreadableError(f"expected a verb that agrees with its subject, found {verb!r}")
    plain = _content(verb) if reader.plural else lexicon.infinitive(_content(verb), reader.known)
    return _relation(plain, rest, reader)


def _relation(verb: str, rest: Words, reader: Reader) -> Atom:
    reader.copular = False
    return Atom(_content(verb), (reader.subject, _object(rest, reader)))


def _is_complement(words: Words) -> bool:
    rest = words[1:] if words[:1] == ["not"] else words
    return len(rest) == 1 or rest[:1] in (["a"], ["an"])


def _complement(words: Words, reader: Reader, follows: bool = False) -> Formula:
    denied = words[:1] == ["not"]
    if follows and reader.denied and not denied:
        raise UnreadableError("it is not clear how far 'not' reaches")
    reader.copular, reader.denied = True, denied
    names = _properties(words[denied:], reader)
    said = conjunction(Atom(name, (reader.subject,)) for name in names)
    return Not(said) if denied else said


def _properties(words: Words, reader: Reader) -> list[str]:
    """The predicates of `red`, `a large tumpus`, and after a plural subject also of `large tumpuses`."""
    if words[:1] and words[0] in _ARTICLES:
        if reader.plural and reader.subject == VARIABLE and reader.introduced not in _PERSONAL:
            raise UnreadableError(f"expected no {words[0]!r} after a plural")
        return described(words[1:], reader.known, plural=False)
    if len(words) == 1:
        return [_content(lexicon.singular(words[0], reader.known) if reader.plural else words[0])]
    if reader.plural and words and lexicon.is_plural(words[-1]):
        return described(words, reader.known, plural=True)
    raise UnreadableError(f"expected one property or a kind, found {' '.join(words)!r}")


def described(words: Words, known: frozenset[str], plural: bool) -> list[str]:
    """The predicates of adjectives and a noun; a noun such as `people` adds none. Raises: UnreadableError."""
    if not words:
        raise UnreadableError("expected a noun")
    *adjectives, noun = words
    names = [_content(word) for word in adjectives]
    if noun not in lexicon.GENERIC:
        names.append(_content(lexicon.singular(noun, known) if plural else noun))
    if not names:
        raise UnreadableError(f"{noun!r} says nothing here")
    return names


def _take_subject(words: Words, reader: Reader) -> list[Formula]:
    """Set the reader's subject; what its noun says of it, for `if a cold wumpus ...`."""
    first = words[0]
    if len(words) == 1 and first in lexicon.PRONOUNS:
        reader.subject, reader.plural = _referent(first, reader), first == "they"
        return []
    if not reader.may_change:
        raise UnreadableError("expected no second subject")
    reader.plural = False
    if len(words) == 1 and first in lexicon.VARIABLES:
        reader.subject = _introduce(first, reader)
    elif first in _ARTICLES:
        noun = words[-1]
        reader.subject = _introduce("someone" if noun in ("person", "individual") else noun, reader)
        if words[1:] and (len(words) > 2 or noun not in lexicon.GENERIC):
            return [Atom(name, (VARIABLE,)) for name in described(words[1:], reader.known, plural=False)]
    else:
        reader.subject = _individual(words, reader)
    return []


def _introduce(word: str, reader: Reader) -> str:
    if not reader.may_introduce or reader.introduced:
        raise UnreadableError(f"it is not clear whether {word!r} means all or one of them")
    reader.introduced = word
    return VARIABLE


def _referent(pronoun: str, reader: Reader) -> str:
    """The variable, or else the only individual named so far."""
    if reader.introduced:
        if pronoun == "it" and reader.introduced in _PERSONAL:
            raise UnreadableError(f"'it' cannot mean {reader.introduced!r}")
        return VARIABLE
    if len(reader.named) != 1:
        raise UnreadableError(f"it is not clear what {pronoun!r} means")
    return next(iter(reader.named))


def _object(words: Words, reader: Reader) -> str:
    if len(words) == 1 and words[0] in lexicon.OBJECT_PRONOUNS:
        meant = _referent(words[0], reader)
        if meant == reader.subject:
            raise UnreadableError(f"it is not clear what {words[0]!r} means")
        return meant
    return _individual(words, reader)


def _individual(words: Words, reader: Reader) -> str:
    """The key of `Bob` or `the bald eagle`: its words in lower case."""
    body = words[1:] if words[:1] == ["the"] else words[:1]
    if not body or (words[0] != "the" and len(words) > 1):
        raise UnreadableError(f"expected a name or 'the' and a noun, found {' '.join(words)!r}")
    name = " ".join(_content(word) for word in body)
    if lexicon.is_plural(name) and lexicon.singular(name, reader.known) in reader.known:
        raise UnreadableError(f"it is not clear whether {name!r} is a name or a plural")
    reader.named.add(name)
    return name


def _content(word: str) -> str:
    if not lexicon.is_content(word):
        raise UnreadableError(f"{word!r} is outside the grammar here")
    return word
