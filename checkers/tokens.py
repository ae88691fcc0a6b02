"""Text to tokens of arithmetic: numbers, operators, brackets, equality signs, and the words between.

LaTeX and plain notation give the same tokens; what carries no value (`$`, `\\left`, `\\,`) gives none.
One linear pass.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from checkers.normalise import plain_characters
from checkers.units import UNITS
from checkers.words import words

LONGEST_NUMBER = 60  # digits


class Kind(StrEnum):
    """What a token is. STOP ends a statement; VAR is anything whose value is not known."""

    NUM = "number"
    OP = "operator"
    OPEN = "("
    CLOSE = ")"
    PERCENT = "%"
    FACTORIAL = "!"
    FRAC = "frac"
    SQRT = "sqrt"
    EQ = "="
    WORD = "word"
    VAR = "variable"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `start` and `end` index the cleaned text. `glued`: no space before it.

    A number carries its value, the digits after its point (None without one) and whether it is money.
    """

    kind: Kind
    text: str
    start: int
    end: int
    glued: bool
    value: Fraction = Fraction(0)
    decimals: int | None = None
    money: bool = False


_BOLD = re.compile(r"(?<![0-9A-Za-z)])(?<![0-9)] )\*\*|(?<![0-9)] )\*\*(?![-0-9A-Za-z(])|__+")
_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_TEXT_COMMAND = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|textit)\s*\{([^{}]*)\}")
_BARE_FRACTION = re.compile(r"(\\[dtc]?frac)\s*([0-9])\s*([0-9])")
_BULLET = re.compile(r"^[ \t]*(?:[-*•⋅+][ \t]+|[0-9]{1,2}[.)][ \t]+|#+[ \t]*)", re.MULTILINE)
_LABEL = re.compile(
    r"\b((?:step|part|case|method|option|choice|example|question|day|week) [0-9]+)[ ]*[-.):]", re.I
)


def clean(text: str) -> str:
    """`text` without bold marks, bullets, numbering and calculator annotations (`<<3*4=12>>`)."""
    text = plain_characters(text).replace("\\*", "*").replace("\\_", "_")
    if "<<" in text:
        text = _ANNOTATION.sub("", text)
    if "**" in text or "__" in text:
        text = _BOLD.sub(" ", text)
    if "\\" in text:
        text = _BARE_FRACTION.sub(r"\1{\2}{\3}", _TEXT_COMMAND.sub(r" \1 ", text))
    return _LABEL.sub(r"\1: ", _BULLET.sub(" ; ", text))


def annotations(text: str) -> list[str]:
    """The calculator annotations of GSM8K's solutions: `<<3*4=12>>` gives `3*4=12`."""
    return _ANNOTATION.findall(text) if "<<" in text else []


_PATTERN = re.compile(
    r"""
      (?P<space>\s*\n\s*\n?|[ \t\r]+)
    | (?P<time>[0-9]+:[0-9][0-9:]*)
    | (?P<num>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)
    | (?P<cross>(?<=[0-9])[xX](?=\.?[0-9]))
    | (?P<compound>(?<=[0-9])-[A-Za-z]{2,}[A-Za-z-]*)
    | (?P<name>[A-Za-z]+[_0-9][A-Za-z0-9_{}]*)
    | (?P<word>(?:[A-Za-zμ]+|k?Ω)(?:['-][A-Za-z]+)*(?:(?<=[a-z][a-z]s)'(?=\s))?)
    | \\(?P<command>[A-Za-z]+)
    | (?P<linebreak>\\\\)
    | (?P<noise>\\[,;:!\ ()\[\]]|[&°]|\^\ ?\{?\ ?\\circ(?![a-z])\ ?\}?)
    | (?P<money>\\?\$|[€£¥₹])
    | (?P<percent>\\?%)
    | (?P<approx>≈|≅|~=)
    | (?P<relation><=|>=|=>|!=|[-=]+>|≠|≤|≥|<|>|→|⇒|[-+*/]=)
    | (?P<eq>==?=?)
    | (?P<power>\*\*|\^)
    | (?P<op>[-+*/×⋅÷])
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<factorial>!)
    | (?P<root>√)
    | (?P<stop>[.,;:?"])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_NOISE_COMMANDS = words(
    """
    left right displaystyle quad qquad boxed fbox big Big bigg Bigg limits nonumber hline
    """
)
_COMMANDS: dict[str, tuple[Kind, str]] = {
    "times": (Kind.OP, "*"), "cdot": (Kind.OP, "*"), "ast": (Kind.OP, "*"), "div": (Kind.OP, "/"),
    "frac": (Kind.FRAC, ""), "dfrac": (Kind.FRAC, ""), "tfrac": (Kind.FRAC, ""), "cfrac": (Kind.FRAC, ""),
    "sqrt": (Kind.SQRT, ""), "ln": (Kind.WORD, "ln"), "log": (Kind.WORD, "log"), "exp": (Kind.WORD, "exp"),
    "sin": (Kind.WORD, "sin"), "cos": (Kind.WORD, "cos"), "tan": (Kind.WORD, "tan"),
    "approx": (Kind.EQ, "≈"), "sim": (Kind.EQ, "≈"), "simeq": (Kind.EQ, "≈"),
    "lt": (Kind.STOP, ""), "gt": (Kind.STOP, ""), "le": (Kind.STOP, ""), "ge": (Kind.STOP, ""),
    "leq": (Kind.STOP, ""), "geq": (Kind.STOP, ""), "neq": (Kind.STOP, ""), "ne": (Kind.STOP, ""),
    "Rightarrow": (Kind.STOP, ""), "implies": (Kind.STOP, ""), "rightarrow": (Kind.STOP, ""),
    "to": (Kind.STOP, ""), "begin": (Kind.STOP, ""), "end": (Kind.STOP, ""), "item": (Kind.STOP, ""),
}  # fmt: skip
_OPERATORS = {"x": "*", "X": "*", "×": "*", "⋅": "*", "÷": "/"}
_COUNTED = re.compile(r"\s*(?:$|[.,;:)?!](?![0-9])|(?:per|a|an|in|each|every|for|and)\b)")  # `15 times a day`
_SPOKEN = {"plus": "+", "minus": "-", "times": "*", "equals": "="}
_SPOKEN_PAIRS = {("multiplied", "by"): "*", ("divided", "by"): "/", ("equal", "to"): "="}
_SIMPLE = {
    "percent": Kind.PERCENT, "open": Kind.OPEN, "close": Kind.CLOSE, "factorial": Kind.FACTORIAL,
    "stop": Kind.STOP, "linebreak": Kind.STOP, "relation": Kind.STOP, "time": Kind.VAR, "name": Kind.VAR,
    "root": Kind.SQRT, "other": Kind.VAR, "compound": Kind.WORD,
}  # fmt: skip


def tokenise(text: str) -> list[Token]:
    """The tokens of a cleaned text: of `3 x 4`, the number 3, the operator `*` and the number 4."""
    tokens: list[Token] = []
    glued, money = False, False
    for match in _PATTERN.finditer(text):
        group = match.lastgroup or "other"
        if group == "space":
            glued = False
            if "\n" in match.group():
                tokens.append(Token(Kind.STOP, "\n", match.start(), match.end(), False))
            continue
        if group in ("noise", "money") or (group == "command" and match["command"] in _NOISE_COMMANDS):
            money = group == "money"
            continue
        tokens.append(_token(match, group, glued, money, text, tokens))
        glued, money = True, False
    return tokens


def _token(
    match: re.Match[str], group: str, glued: bool, money: bool, text: str, before: list[Token]
) -> Token:
    start, end, found = match.start(), match.end(), match.group()
    if group == "num":
        return _number(found, start, end, glued, money)
    if group in ("op", "power", "cross"):
        return Token(Kind.OP, "^" if group == "power" else _OPERATORS.get(found, found), start, end, glued)
    if group in ("eq", "approx"):
        return Token(Kind.EQ, "=" if group == "eq" else "≈", start, end, glued)
    if group == "command":
        kind, name = _COMMANDS.get(match["command"], (Kind.VAR, found))
        return Token(kind, name, start, end, glued)
    if group == "word":
        return _word(found, start, end, glued, text, before)
    return Token(_SIMPLE[group], found, start, end, glued)


def _number(found: str, start: int, end: int, glued: bool, money: bool) -> Token:
    if len(found) > LONGEST_NUMBER:
        return Token(Kind.VAR, found, start, end, glued)
    _, point, decimals = found.partition(".")
    value = Fraction(found.replace(",", ""))
    return Token(Kind.NUM, found, start, end, glued, value, len(decimals) if point else None, money)


def _word(found: str, start: int, end: int, glued: bool, text: str, before: list[Token]) -> Token:
    """A word, which may be an operator that is spelled out, the sign x, or a variable."""
    lower = found.lower()
    if lower in _SPOKEN and not (lower == "times" and _COUNTED.match(text, end)):
        sign = _SPOKEN[lower]
        return Token(Kind.EQ if sign == "=" else Kind.OP, sign, start, end, glued)
    if before and (sign := _SPOKEN_PAIRS.get((before[-1].text.lower(), lower), "")):
        first = before.pop()
        if sign == "=" and before and before[-1].text.lower() in ("is", "are"):
            first = before.pop()
        return Token(Kind.EQ if sign == "=" else Kind.OP, sign, first.start, end, first.glued)
    if lower == "sqrt" and text[end : end + 1] == "(":
        return Token(Kind.SQRT, found, start, end, glued)
    if lower == "percent":
        return Token(Kind.PERCENT, found, start, end, glued)
    if len(found) == 1:
        times = lower == "x" and _is_times_sign(end, glued, text, before)
        return Token(Kind.OP, "*", start, end, glued) if times else Token(Kind.VAR, found, start, end, glued)
    return Token(Kind.WORD, found, start, end, glued)


def _is_times_sign(end: int, glued: bool, text: str, before: list[Token]) -> bool:
    """Whether an x stands between two values, as in `12 x 4`, `3x4`, `5 days x $7`, not in `2x (3)`."""
    values = (Kind.NUM, Kind.CLOSE, Kind.PERCENT, Kind.WORD)
    if not before or not (before[-1].kind in values or before[-1].text in UNITS):
        return False
    rest = text[end : end + 3]
    following = rest.lstrip(" ")[:1]
    glued_right = following == rest[:1]
    starts_value = following != "" and following in "0123456789($\\"
    starts_value = starts_value or (following == "." and rest.lstrip(" ")[1:2].isdigit())
    return starts_value and (not glued or glued_right)
