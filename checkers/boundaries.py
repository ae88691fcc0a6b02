"""Where an expression in a text ends, and whether what stands around it leaves it its value.

`the average of 3 + 5 = 4`: not the value of 3 + 5. `2x + 3 * 4 = 12`: nor that of 3 * 4.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from checkers.tokens import Kind, Token
from checkers.units import UNITS
from checkers.values import Value
from checkers.words import words

# Words before an expression that make something else of it: `the average of 3 + 5`.
_FUNCTION_WORDS = words(
    """
    average mean median ratio root remainder modulo mod choose log ln sin cos tan squared cubed
    product difference quotient lcm gcd gcf max min maximum minimum power less more every half twice
    double triple thrice percent percentage third quarter fourth over absolute permutations
    combinations base
    """
)
_OPERATION_STEMS = ("multipl", "divid", "increas", "decreas", "reduc")
_LINKS = words("of the a an these")
_UNARY_AFTER = words(
    """
    is are was equals equal get gets getting gives give giving have has having of and or to so by be becomes
    yields yield yielding leaves leaving obtain obtains find finds that then thus hence therefore as
    substitute substituting solve solving
    """
)
_HEDGES = words("about approximately roughly nearly around almost")
_REMAINDERS = words("remainder r mod modulo rem")
_NAME = re.compile(r"\\?[A-Za-zα-ωΑ-Ω][A-Za-z0-9_{}]*")


def hedged(tokens: Sequence[Token], index: int) -> int:
    """1 if an `about` stands there, as in `= about 12`, else 0."""
    return int(index < len(tokens) and tokens[index].text.lower() in _HEDGES)


def word_before(tokens: Sequence[Token], start: int) -> str:
    """The word before an expression, but for `that` and marks: the `suppose` of `Suppose that 1 + 1 = 3`."""
    before = start - 1
    while before >= 0 and tokens[before].text.lower() in ("that", ":", ",", '"'):
        before -= 1
    return tokens[before].text.lower() if before >= 0 and tokens[before].kind is Kind.WORD else ""


def bare_name(tokens: Sequence[Token], floor: int, end: int) -> str:
    """The name alone on the left of an equality sign: `so x = 5`, `x` ('' for `2x = 5`, `f(x) = 5`)."""
    name = tokens[end - 1] if end > floor else None
    if name is None or name.kind is not Kind.VAR or not _NAME.fullmatch(name.text):
        return ""
    if end - 1 == floor:
        return name.text
    alone = tokens[end - 2].kind is Kind.WORD and not name.glued and _keeps_value(tokens, floor, end - 1)
    return name.text if alone else ""


def is_part(tokens: Sequence[Token], end: int, value: Value) -> bool:
    """`= 50% of the group`, `= 1/2 of x`: the number is not the value. `= 12 cups of juice` is one."""
    if end >= len(tokens) or tokens[end].text.lower() != "of" or value.units:
        return False
    return value.percent or (value.exact.denominator != 1 and value.decimals is None)


def part_of_something(value: Value | None) -> Value | None:
    """`value`, with which a mismatch proves nothing: the 1/2 of `= 1/2 of the group`."""
    return value and replace(value, unclear="a part of something")


def stands_alone(tokens: Sequence[Token], floor: int, start: int, end: int) -> bool:
    """Whether what stands before `start` leaves the expression there its value."""
    before = tokens[start - 1] if start else None
    if before is None:
        return True
    if before.kind is Kind.STOP and _goes_on(tokens, start):
        return False
    if tokens[end].text in SPOKEN_SIGNS:
        return before.kind is Kind.STOP or before.text.lower() in _SPOKEN_BEFORE[tokens[end].text]
    if start == floor:
        return before.kind in (Kind.EQ, Kind.STOP)
    if tokens[start].text in "+-":  # a sign, or a subtraction from something unknown?
        return before.kind is Kind.WORD and before.text.lower() in _UNARY_AFTER
    if before.kind is Kind.OPEN:
        return True
    if before.kind is not Kind.WORD or tokens[start].glued or _is_compound(tokens, floor, start):
        return False
    if end == start + 1 and tokens[start].kind is Kind.NUM and before.text.lower() not in _UNARY_AFTER:
        return False  # `sales in 2014 = 20 * 3`, `item 2 = 5 * 4`: a label
    return _keeps_value(tokens, floor, start)


def _goes_on(tokens: Sequence[Token], start: int) -> bool:
    """`1 + 2 + ... + 9`: what stands after the ellipsis is the end of something longer."""
    return start > 1 and all(token.text == "." for token in tokens[start - 2 : start])


def _is_compound(tokens: Sequence[Token], floor: int, start: int) -> bool:
    """`1 hour and 30 minutes`: the second half of a measure."""
    before = [token.text.lower() for token in tokens[max(floor, start - 2) : start]]
    return before[1:] == ["and"] and before[0] in UNITS


def _keeps_value(tokens: Sequence[Token], floor: int, start: int) -> bool:
    """Whether the words before `start` take its value as it is: not `the average of`, nor `20% of`."""
    nearest = start - 1
    while nearest > floor and tokens[nearest].text.lower() in _LINKS:
        nearest -= 1
    if tokens[nearest].text.lower() == "by":  # `divide 12 by 3 + 1`, not `ahead by 3 + 1`
        return not any(token.text.lower().startswith(_OPERATION_STEMS) for token in tokens[floor:nearest])
    part = nearest < start - 1 and tokens[nearest].kind in (Kind.PERCENT, Kind.NUM, Kind.CLOSE)
    return not part and tokens[nearest].text.lower() not in _FUNCTION_WORDS


def ends_cleanly(tokens: Sequence[Token], end: int, value: Value) -> bool:
    """Whether what follows the right side leaves it its value: not in `= 3 remainder 2`, nor in `= 1, 2`."""
    if end == len(tokens):
        return True
    after = tokens[end]
    following = {token.text.lower() for token in tokens[end : end + 3] if token.kind is not Kind.STOP}
    if not _REMAINDERS.isdisjoint(following | value.units) or _is_list(tokens, end):
        return False
    if after.text in (".", "\\overline") and end + 1 < len(tokens) and tokens[end + 1].glued:
        return False  # `0.777...`, `0.\\overline{7}`
    if after.text in ("and", ",") and not value.computed and _has_unit(tokens, end + 1, value):
        return False  # `= 2 hours and 15 minutes`
    if after.text == "?":
        return False  # asked, not stated
    if after.kind in (Kind.EQ, Kind.STOP, Kind.CLOSE):
        return True
    if after.kind is Kind.WORD or _is_article(tokens, end):
        return not after.glued
    return (after.kind is Kind.OPEN and not after.glued) or after.kind is Kind.FACTORIAL


def _has_unit(tokens: Sequence[Token], index: int, value: Value) -> bool:
    """Whether another measure follows one, as `15 minutes` does in `2 hours and 15 minutes`."""
    number, unit = tokens[index : index + 1], tokens[index + 1 : index + 2]
    measures = bool(number and unit) and number[0].kind is Kind.NUM and unit[0].text in UNITS
    return measures and not value.units.isdisjoint(UNITS)


def _is_article(tokens: Sequence[Token], index: int) -> bool:
    """The `a` of `= 15 times a day`."""
    following = tokens[index + 1 : index + 2]
    return tokens[index].text == "a" and bool(following) and following[0].kind is Kind.WORD


def _is_list(tokens: Sequence[Token], end: int) -> bool:
    """`= 1, -2, 0`: several values, of which the first proves nothing."""
    following = tokens[end + 1 : end + 2]
    if tokens[end].text != "," or not following:
        return False
    return following[0].kind in (Kind.NUM, Kind.OPEN, Kind.FRAC) or following[0].text == "-"


SPOKEN_SIGNS = words("is, or,")
_SPOKEN_BEFORE = {
    "is,": words("so then thus hence therefore since and that because"),
    "or,": words("is are was were"),
}


def with_spoken_equalities(tokens: list[Token]) -> list[Token]:
    """`tokens`, the `is` of `20% of 45 is 9` and the `, or` of `which is 3 * 4, or 12` as equality signs."""
    found: list[Token] = []
    for index, token in enumerate(tokens):
        spoken = _spoken_sign(tokens, index)
        if spoken == "or,":
            found.pop()
        found.append(replace(token, kind=Kind.EQ, text=spoken) if spoken else token)
    return found


def _spoken_sign(tokens: Sequence[Token], index: int) -> str:
    word = tokens[index].text.lower()
    if word not in ("is", "or") or not 0 < index < len(tokens) - 1 or tokens[index + 1].kind is not Kind.NUM:
        return ""
    before = index - 1
    if word == "or":
        if tokens[before].text != "," or index < 2:
            return ""
        before -= 1
    return f"{word}," if tokens[before].kind in (Kind.NUM, Kind.CLOSE, Kind.PERCENT) else ""
