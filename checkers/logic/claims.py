"""What a step of a deduction claims, and which statements it claims to have it from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from checkers.logic.sentences import split_sentences, tidy, unlabelled

LONGEST_STEP = 5_000  # characters

# The text is tidied first, and each space has one place to go: else these would take exponential time.
_KIND = r"(?:facts?|rules?|premises?|statements?|sentences?|sent|triples?|lines?|steps?)"
_REFERENCE = rf"[(\[]?(?:{_KIND} ?)?#?\d{{1,4}}\b[)\]]?"
_REFERENCES = rf"{_REFERENCE}(?:(?: ?, ?and | ?, ?| and | ?[&+] ?){_REFERENCE}){{0,20}}"
_SOURCE = r"(?:from|by|using|given|combining|applying|with|see|because of|due to|according to)"
_IN_FRONT = re.compile(rf"(?i)\s*{_SOURCE}\s+({_REFERENCES})\s*[,:]?\s+")
_ARROW = re.compile(rf"(?i)\s*({_REFERENCES})\s*(?:->|=>|→|⇒|⊢|:)\s*(?=\D)")
_BEHIND = re.compile(rf"(?i)[(\[]?\s*\b{_SOURCE}\s+({_REFERENCES})\s*[)\]]?\s*\.?\s*$")
_BRACKETED = re.compile(rf"(?i)[(\[]({_REFERENCES})[)\]]\s*\.?\s*$")
_NUMBER = re.compile(rf"(?i)((?:{_KIND} ?)?#?\d{{1,4}})")

_CONNECTIVE = re.compile(
    r"(?i)\s*(?:so|therefore|thus|hence|then|consequently|accordingly|finally|next|now|also|and|moreover"
    r"|furthermore|additionally|in addition|in conclusion|first|second|third|again|similarly|likewise"
    r"|as a result|for this reason|from this|from these|this (?:means|implies|shows)|which (?:means|implies)"
    r"|it follows|we (?:also )?(?:know|have|get|see|conclude|infer|deduce|obtain|are (?:given|told))"
    r"|we can (?:conclude|infer|deduce|say|see)|(?:it is|we are) (?:given|known|told|stated)"
    r"|the (?:premises|text|context|rules) (?:say|state)s?)\b(?:\s*,|\s*:|\s+that\b)*\s*"
)
_REASON_FIRST = re.compile(r"(?is)\s*(?:since|because|as|given that)\s+(.+),\s*(.+)")
_REASON_LAST = re.compile(r"(?is)(.+?),?\s+(?:because|since|as)\s+(.+)")
_INFERENCE = re.compile(
    r"(?i),?\s+(?:and\s+)?(?:so|therefore|thus|hence|which (?:means|implies)|this means|meaning)\b"
    r"(?:\s+that\b)?,?\s+"
)
HYPOTHETICAL = re.compile(
    r"(?i)\b(?:assum\w+|suppos\w+|hypothe\w+|imagine|were|would|let['’]?s?\b|case \d|contradict\w+|consider)"
)


@dataclass(frozen=True, slots=True)
class Claims:
    """The sentences that a step states, without what leads them in, and the labels that it cites."""

    sentences: tuple[str, ...]
    cited: tuple[str, ...] = ()
    label: str = ""


def read_claims(step: str) -> Claims:
    """The claims of a step.

    read_claims("8. From 3 and rule 7: so Bob is cold.")  # Claims(("Bob is cold.",), ("3", "rule 7"), "8")
    """
    label, body = unlabelled(tidy(step))
    cited: list[str] = []
    sentences = []
    for sentence in split_sentences(body):
        number, rest = unlabelled(sentence)
        if number and not rest:  # `So Bob is cold. [4]`
            cited.append(number)
        plain = _without_references(rest, cited)
        sentences += [part for piece in _pieces(plain) if (part := piece.strip(" ,:"))]
    return Claims(tuple(sentences), tuple(cited), label)


def _without_references(sentence: str, cited: list[str]) -> str:
    """The sentence without what it cites, which is added to `cited`."""
    sentence = _without_connectives(sentence)
    for pattern in (_IN_FRONT, _ARROW, _BEHIND, _BRACKETED):
        if found := pattern.search(sentence) if pattern in (_BEHIND, _BRACKETED) else pattern.match(sentence):
            cited += [" ".join(number.split()) for number in _NUMBER.findall(found.group(1))]
            sentence = sentence[: found.start()] + " " + sentence[found.end() :]
    return _without_connectives(sentence)


def _without_connectives(sentence: str) -> str:
    while (found := _CONNECTIVE.match(sentence)) and found.end():
        sentence = sentence[found.end() :]
    return sentence


def _pieces(sentence: str) -> Iterator[str]:
    """`since A, B`, `B because A` and `A, so B` as A and B."""
    for part in _INFERENCE.split(sentence):
        found = _REASON_FIRST.fullmatch(part) or _REASON_LAST.fullmatch(part)
        yield from map(_without_connectives, found.groups() if found else [part])
