"""One plain number in the ways that people write it, read exactly.

    read_number("$1,234.50")        Quantity(Fraction(2469, 2), decimals=2, percent=False, unit="$")
    read_number("-\\frac{3}{4}")    Quantity(Fraction(-3, 4), decimals=None, ...)
    read_number("3 1/2 hours")      Quantity(Fraction(7, 2), ..., unit="hour")

Not a plain number, hence None: expressions, tuples, variables, times, anything longer than
`LONGEST` characters (so that no conversion can take long).
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from checkers.normalise import tidy
from checkers.words import words

LONGEST = 200
_LARGEST_EXPONENT = 300


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number as written. `decimals` is None unless a decimal point was written; `name` is
    the variable that was set to it (`x` in `x = 5`)."""

    value: Fraction
    decimals: int | None = None
    percent: bool = False
    unit: str = ""
    name: str = ""


_DIGITS = (
    r"(?P<grouped>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}|[0-9]{1,3}(?:[ '][0-9]{3})+"
    r"|[0-9]+)?(?:\.(?P<decimals>[0-9]+)|\.)?"
)
_EUROPEAN = re.compile(r"([0-9]{1,3}(?:\.[0-9]{3})+),([0-9]+)|([0-9]{1,3}(?:\.[0-9]{3}){2,})")
_FRACTION = (
    r"(?:(?P<top>[0-9]+) ?/ ?(?P<bottom>[0-9]+)|\\frac ?(?:\{ ?(?P<ftop>-?[0-9]+) ?\}|(?P<dtop>[0-9]))"
    r" ?(?:\{ ?(?P<fbottom>-?[0-9]+) ?\}|(?P<dbottom>[0-9])))"
)
_POWER = (
    r"(?: ?(?:\\times|\\cdot|×|⋅|x|\*) ?10 ?(?:\^|\*\*) ?"
    r"(?:\{ ?(?P<exp>[-+]?[0-9]+) ?\}|(?P<exp1>[-+]?[0-9]+))"
    r"|[eE](?P<exp2>[-+]?[0-9]+))?"
)
_MONEY = r"(?P<money>\\?[$€£¥₹] ?)?"
_SIGN = r"(?P<sign>[-+] ?)?"
_TAIL = (
    r"(?P<tail>(?: ?(?:\\?%|°|\^ ?\{? ?\\circ ?\}?))?(?:[^-0-9{}=+*/^()<>,|]|[-/] ?(?=[A-Za-z])){0,60}"
    r"(?:(?<=[A-Za-z]) ?\^ ?\{?[23]\}?)?)"  # of a unit, not of the number itself
)
_WHOLE = r"(?:(?P<whole>[0-9]+)(?: (?=[0-9])|(?: ?and)? ?(?=\\)))?"
_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|rm)\b ?\{([^{}]*)\}")
_DOLLARS = re.compile(r"^\s*(?:US|USD|AU|CA|NZ|A|C) ?\\?\$ ?(?=[0-9])|^\s*USD ?(?=[0-9])")
_VARIABLE = re.compile(r"([A-Za-z](?:_\{?[A-Za-z0-9]\}?)?) ?= ?")

_REPEATING = re.compile(
    r"(-?)([0-9]*)\.(?:([0-9]*)\\(?:overline|bar) ?\{ ?([0-9]+) ?\}"
    r"|\(([0-9]+)\)|([0-9]{3,40})(?:\.\.\.|…|\\[lc]?dots))"
)
_BLOCKS = re.compile(r"([0-9]*?)(?=[0-9]{3})([0-9]+?)\2+")  # the shortest that repeats to the end; cubic
_SIMPLE = re.compile("-?[0-9]+")
_DECIMAL = re.compile(_SIGN + _MONEY + _DIGITS + _POWER + _TAIL)
_MIXED = re.compile(_SIGN + _MONEY + _WHOLE + _FRACTION + _TAIL)


@lru_cache(maxsize=1 << 15)
def read_number(text: str) -> Quantity | None:
    """The number that `text` spells, with its unit, or None. `x = 5` reads as 5."""
    if len(text) > LONGEST:
        return None
    if _SIMPLE.fullmatch(text):
        return Quantity(Fraction(int(text)))
    if repeating := _REPEATING.fullmatch(text.strip("$ ")):
        return _repeating(repeating)
    text = tidy(_DOLLARS.sub("$", _TEXT_COMMAND.sub(r" \1 ", text)))
    if variable := _VARIABLE.match(text):
        quantity = read_number(text[variable.end() :])
        return replace(quantity, name=variable[1]) if quantity else None
    if european := _EUROPEAN.fullmatch(text):
        return _european(*european.groups())
    if match := _MIXED.fullmatch(text):
        return _fraction(match)
    match = _DECIMAL.fullmatch(text)
    return _decimal(match) if match else None


def _repeating(match: re.Match[str]) -> Quantity | None:
    """`0.1\\overline{6}` and `0.1666...` as 1/6, `0.(3)` as 1/3; None for `3.14159...`.

    Not `0.1(6)`, which may be a product.
    """
    sign, whole, first, marked, bracketed, seen = match.groups()
    first, again = first or "", marked or bracketed
    if seen:
        block = _BLOCKS.fullmatch(seen)
        if not block:
            return None
        first, again = block.groups()
    period = Fraction(int(again), (10 ** len(again) - 1) * 10 ** len(first))
    value = Fraction(f"{whole or 0}.{first or 0}") + period
    return Quantity(-value if sign else value)


def _european(whole: str | None, decimals: str | None, plain: str | None) -> Quantity:
    """`1.234,56` and `1.234.567`: full stops as separators (one group alone, `1.234`, is a decimal)."""
    if plain:
        return Quantity(Fraction(plain.replace(".", "")))
    return Quantity(Fraction(f"{(whole or '').replace('.', '')}.{decimals}"), len(decimals or ""))


def _fraction(match: re.Match[str]) -> Quantity | None:
    top = int(match["top"] or match["ftop"] or match["dtop"])
    bottom = int(match["bottom"] or match["fbottom"] or match["dbottom"])
    if bottom == 0:
        return None
    value = Fraction(top, bottom)
    if match["whole"]:
        if not 0 < value < 1:
            return None  # "3 7/2" is a product or a slip, not a mixed number
        value += int(match["whole"])
    return _with_tail(match, -value if (match["sign"] or "").startswith("-") else value, None)


def _decimal(match: re.Match[str]) -> Quantity | None:
    whole = re.sub("[, ']", "", match["grouped"] or "")
    if not whole and not match["decimals"]:
        return None
    value = Fraction(f"{whole or 0}.{match['decimals'] or 0}")
    exponent = int(match["exp"] or match["exp1"] or match["exp2"] or 0)
    if abs(exponent) > _LARGEST_EXPONENT:
        return None
    if exponent:
        value *= Fraction(10) ** exponent
    decimals = len(match["decimals"]) - exponent if match["decimals"] else None
    return _with_tail(match, -value if (match["sign"] or "").startswith("-") else value, decimals)


_NOT_UNITS = words(
    """
    and or to of x y z i e n k pi sqrt sin cos tan cot log ln exp mod times plus minus over divided
    by base remainder if is not choose factorial squared cubed infinity am pm a.m p.m o'clock dozen
    half per more less than
    """
)
_UNIT_LETTERS = "mgsLNJVWK"
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_UNIT_WORDS = re.compile(r"[^A-Za-z'.]+")
_PERCENT = re.compile(r" ?(?:\\?%|percent\b|per cent\b)(?: of| \()?")


def _with_tail(match: re.Match[str], value: Fraction, decimals: int | None) -> Quantity | None:
    """The quantity, once what follows the number is understood as percent, degrees, scale or unit."""
    tail = match["tail"].replace("\\circ", "").replace("\\$", " dollars")
    percent = bool(_PERCENT.match(tail))
    tail = _PERCENT.sub("", tail, count=1)
    spoken = [word.strip(".'").lower() for word in _UNIT_WORDS.split(tail)]
    spoken = [word for word in spoken if word]
    if "\\" in tail or "!" in tail or not _NOT_UNITS.isdisjoint(spoken):
        return None
    if spoken and len(spoken[0]) == 1 and not (tail[:1] == " " and tail.strip()[0] in _UNIT_LETTERS):
        return None  # `5x`: a variable, not a unit
    if spoken and spoken[0] in _SCALES:
        value *= 10 ** _SCALES[spoken.pop(0)]
        decimals = None
    unit = match["money"].strip(" \\") if match["money"] else _unit(spoken, tail) if spoken else ""
    return Quantity(value, decimals, percent, unit)


def _unit(spoken: list[str], tail: str) -> str:
    """The last word of the unit; that of a rate (`m/s`) is none that converts."""
    if "/" in tail:
        return "/".join(spoken)
    return tail.strip() if len(tail.strip()) < 3 and tail.strip().isalpha() else _singular(spoken[-1])


_IRREGULAR = {"feet": "foot", "inches": "inch", "pence": "penny", "pennies": "penny", "centuries": "century"}


def _singular(word: str) -> str:
    if word == "dollar" or word == "dollars":
        return "$"
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
