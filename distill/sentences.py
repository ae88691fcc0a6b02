r"""Where sentences end, by rules for mathematical English: no model, no word list but a few abbreviations.

A sentence ends at `.`, `!`, `?` or an ellipsis, with the quotes and brackets that close after it, where white
space follows and then something that may begin a sentence; at `。！？` wherever they stand; and at a blank
line. Line ends stay with the sentence before. Space on the same line goes to the sentence after, as most
tokenizers join a space to the word behind it.

No end is the dot of a decimal (3.5), of an abbreviation (e.g., Mr., Fig. 2), of an initial after a name (Mary
J. Blige) or of a list's number ("1. Add"); nor a mark before a lower-case word ("Really?" she asked), unless
that is a variable ("So x = 2. y is 3"); nor a mark before an operator (5! = 120; 1 + 2 + ... + 9).

What rules cannot tell: "etc." and "p.m." end a sentence before a capital, "U.S." never does; a line that was
wrapped before "7." hides that end; an initial with no name before it ("by J. Smith") ends one, as does a
mark within brackets; a line without a mark ("3 + 4 = 7", "Answer: 7") belongs to the sentence that follows.
Any error moves a boundary, never a character.
"""

import re
from collections.abc import Iterator

_NEAR = 24
"""Characters before a mark that are looked at: more than any abbreviation or list number has."""

# Runs are taken whole (possessive quantifiers), so that no text makes the search more than linear.
_MARK = re.compile(
    r"""
    (?<![.!?…]) (?P<mark> [.!?…]++ ) (?: \\[)\]] | ["'”’»)\]}*_`$] )*+ (?= \s )
    | [。！？]++ ["'”’»」』）)]*+
    | \n (?: [^\S\n]*+ \n )++
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*+")
_ABBREVIATION = re.compile(
    r"""(?<!\w) (?:
        e\.g | i\.e | cf | vs | viz | approx | ca | resp | Mrs? | Ms | Dr | Prof | St | Thm | Lem
        | [Ff]igs? | [Ee]qs? | Sec | Ch | (?: [A-Z]\.\s? )+ [A-Z]
        | (?: ^ | (?<= \s ) ) [A-Z][\w'’]* \s [A-Z]
    ) $""",
    re.VERBOSE,
)
_BEFORE_A_NUMBER = re.compile(r"(?<!\w)(?:[Nn]os?|pp?|[Vv]ol)$")
_LIST_NUMBER = re.compile(r"(?:^|\n)[^\S\n]*(?:[*#>_-]+[^\S\n]*)*(?:[Ss]tep[^\S\n]+)?(?:\d{1,4}|[A-Za-z])$")
_LOWER_CASE = re.compile(r"[a-zß-öø-ÿ]{2}|a\b")
_GOES_ON = re.compile(r"[=+/^<>,;:%&|)\]}.!?…]|[-*×·÷](?![\w*])")


def sentence_ends(text: str) -> Iterator[int]:
    """Where sentences of `text` end, strictly ascending; the end of the text may be left out. Linear.

    list(sentence_ends("It is 3.5. So x = 2. y is 3"))  # [10, 20]
    """
    begin = 0
    for match in _MARK.finditer(text):
        space = _SPACE.match(text, match.end())
        after = space.end() if space else match.end()
        if match["mark"] and not _ends(text, begin, match, after):
            continue
        end = max(match.end(), text.rfind("\n", match.end(), after) + 1)
        if end > begin:
            begin = end
            yield end


def _ends(text: str, begin: int, match: re.Match[str], after: int) -> bool:
    """Whether the mark in `match` ends the sentence from `begin`; `after` is past the space behind it."""
    mark, before = match["mark"], text[max(begin, match.start() - _NEAR) : match.start()]
    if mark == "." and (_ABBREVIATION.search(before) or _is_list_number(before, match.start() - begin)):
        return False
    number_follows = text[after : after + 1].isdecimal()
    if number_follows and (mark == "…" or mark.startswith("..") or _BEFORE_A_NUMBER.search(before)):
        return False
    if _LOWER_CASE.match(text, after):
        return False
    return "\n" in text[match.end() : after] or not _GOES_ON.match(text, after)


def _is_list_number(before: str, length: int) -> bool:
    """Whether the line, or the sentence (of `length` characters so far), is but a number: "1" of "1. Add"."""
    found = _LIST_NUMBER.search(before)
    return found is not None and (length <= _NEAR or before[found.start()] == "\n")
