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
from checkers.units import UNITS
from checkers.words import words

LONGEST = 200
_LARGEST_EXPONENT = 300


@dataclass(frozen=True, slots=True)
class Quantity:
    """An exact number as written. `decimals` is None unless a decimal point was written; `name` is
    the variable that was set to it (`x` in `x = 5`); `larger` is the other unit of `3 hours 30 minutes`."""

    value: Fraction
    decimals: int | None = None
    percent: bool = False
    unit: str = ""
    name: str = ""
    larger: str = ""


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
    r"|([0-9]*)\(([0-9]+)\)|([0-9]{3,40})(?:\.\.\.|…|\\[lc]?dots))"
)
_TWO_MEASURES = re.compile(
    r"(?P<much>[0-9]+) ?(?P<large>[A-Za-z]{1,10})(?: ?, ?and | ?, ?| and | )"
    r"(?P<little>[0-9]+(?:\.[0-9]+)?) ?(?P<small>[A-Za-z]{1,10})"
)
_FEET = re.compile(
    r"(?P<much>[0-9]+) ?(?:'|\^ ?\{? ?\\prime ?\}?) ?(?P<little>[0-9]+) ?"
    r"(?:\"|''|\^ ?\{? ?\\prime ?\\prime ?\}?)"
)
_IN_MEASURES = {"h": "hour", "in": "inch"}  # elsewhere they may be a variable and a word
_GLUED_POWER = re.compile(r"(?<=[0-9 ])([cmk]?m|ft|in)([23])$")  # `25 m2`
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
    text = _GLUED_POWER.sub(r"\1^\2", text)
    if variable := _VARIABLE.match(text):
        quantity = read_number(text[variable.end() :])
        return replace(quantity, name=variable[1]) if quantity else None
    if european := _EUROPEAN.fullmatch(text):
        return _european(*european.groups())
    if (measures := _TWO_MEASURES.fullmatch(text)) and (quantity := _sum_of_measures(**measures.groupdict())):
        return quantity
    if feet := _FEET.fullmatch(text):
        return _sum_of_measures(feet["much"], "foot", feet["little"], "inch")
    if match := _MIXED.fullmatch(text):
        return _fraction(match)
    match = _DECIMAL.fullmatch(text)
    return _decimal(match) if match else None


def _sum_of_measures(much: str, large: str, little: str, small: str) -> Quantity | None:
    """`3 hours 30 minutes` as 210 minutes; None where the units are none of one kind, large before small."""
    large, small = (_IN_MEASURES.get(unit, unit) for unit in (large, small))
    high, low = UNITS.get(large), UNITS.get(small)
    if not high or not low or high.kind != low.kind or not high.size or not low.size or high.size <= low.size:
        return None
    value = int(much) * high.size / low.size + Fraction(little)
    return Quantity(value, unit=_singular(small), larger=_singular(large))


def _repeating(match: re.Match[str]) -> Quantity | None:
    """`0.1\\overline{6}`, `0.1666...` and `0.1(6)` as 1/6; None for `3.14159...`."""
    sign, whole, before, marked, first, bracketed, seen = match.groups()
    first, again = before or first or "", marked or bracketed
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
    half per more less than tenths hundredths thousandths halves thirds fourths fifths sixths sevenths
    eighths ninths score gross lakh crore bn mn tn
    """
)
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_TAIL_POWER = re.compile(r"\^ ?\{?([23])\}?$")
_UNIT_LETTERS = "mgsLNJVWK"
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
_MONEY_SCALES = {"k": 3, "K": 3, "M": 6, "m": 6, "B": 9}  # `$5k`
_UNIT_WORDS = re.compile(r"[^A-Za-z'.]+")
_TEMPERATURE = re.compile(r"(?:°|\^ ?\{? ?\}?) ?([CF])$")
_PERCENT = re.compile(r" ?(?:\\?%|percent\b|per cent\b)(?: of| \()?")


def _with_tail(match: re.Match[str], value: Fraction, decimals: int | None) -> Quantity | None:
    """The quantity, once what follows the number is understood as percent, degrees, scale or unit."""
    tail = match["tail"].replace("\\circ", "").replace("\\$", " dollars")
    percent = bool(_PERCENT.match(tail))
    tail = _PERCENT.sub("", tail, count=1)
    if temperature := _TEMPERATURE.match(tail.strip()):
        return Quantity(value, decimals, percent, f"°{temperature[1]}")
    if match["money"] and (scale := _MONEY_SCALES.get(tail)):
        return Quantity(value * 10**scale, None, percent, match["money"].strip(" \\"))
    tail = _PER.sub("/", tail)
    spoken = [word for word in (word.strip(".'") for word in _UNIT_WORDS.split(tail)) if word]
    if _NO_UNIT.search(tail) or not _NOT_UNITS.isdisjoint(map(str.lower, _bare(spoken))):
        return None
    if spoken and len(spoken[0]) == 1 and not (tail[:1] == " " and tail.strip()[0] in _UNIT_LETTERS):
        return None  # `5x`: a variable, not a unit
    if spoken and spoken[0].lower() in _SCALES:
        value *= 10 ** _SCALES[spoken.pop(0).lower()]
        decimals = None
    unit = match["money"].strip(" \\") if match["money"] else _unit(spoken, tail) if spoken else ""
    return Quantity(value, decimals, percent, unit)


_PER = re.compile(r"(?<=[A-Za-z]) per (?=[A-Za-z])")
_NO_UNIT = re.compile(r"[\\!\u0370-\u03bb\u03bd-\u03ff\u2200-\u22ff]")  # Greek letters but μ, and signs: √, ∞


def _bare(spoken: list[str]) -> list[str]:
    """The words of a unit without the `squared` of `cm squared`, which multiplies nothing but the unit."""
    return spoken[:-1] if spoken[-1:] in (["squared"], ["cubed"]) and spoken[-2:-1] else spoken


def _unit(spoken: list[str], tail: str) -> str:
    """The last word of the unit, with its power (`cm^2`); that of a rate (`m/s`) is none that converts."""
    written = _TAIL_POWER.search(tail)
    power = f"^{written[1]}" if written else ""
    if "/" in tail:
        return "/".join(map(_symbol, spoken)) + power
    if (bare := _bare(spoken)) != spoken:
        power = f"^{_POWERS[spoken[-1]]}"
    elif len(spoken) > 1 and spoken[-2].lower() in _POWERS:
        power = f"^{_POWERS[spoken[-2].lower()]}"
    return _symbol(bare[-1]) + power


def _symbol(word: str) -> str:
    """A unit in the singular; a symbol keeps its capitals (`MHz`, `kPa`)."""
    return word if len(word) < 3 or (word in UNITS and not word.islower()) else _singular(word.lower())


_IRREGULAR = {
    "feet": "foot", "inches": "inch", "pence": "penny", "pennies": "penny", "centuries": "century",
    "celsius": "°C", "fahrenheit": "°F", "mph": "mile/hour", "kmh": "km/hour", "kph": "km/hour",
}  # fmt: skip


def _singular(word: str) -> str:
    if word == "dollar" or word == "dollars":
        return "$"
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return word[:-1] if word.endswith("s") and len(word) > 3 else word
