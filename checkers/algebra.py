"""Equality of two answers by computer algebra: Math-Verify over sympy, with no time limit of its own.

Math-Verify's own limits rest on SIGALRM, which fails outside the main thread, so they are off; the
pool's deadline takes their place. Its silent failures are made visible here: an answer that it
cannot parse is undecided, not wrong.
"""

import logging
import re
from typing import Any

from math_verify import parse, verify

from checkers.verdict import Verdict, correct, incorrect, undecided

logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns that its time limits are off

_LETTERS_ONLY = re.compile(r"[A-Za-z ]*")
_TRAILING_UNIT = re.compile(r" ?\\(?:text|mbox|mathrm) ?\{[a-zA-Z ./]*\}(?:\^\{?[23]\}?)?$")
_NOT_READ = re.compile(r"\\(?:overline|bar|[lc]?dots|emptyset)(?![a-z])|\.\.\.|…|[0-9] ?: ?[0-9]")
_RELATION = re.compile(r"[<>≤≥]|\\(?:le|ge|leq|geq|lt|gt|ne|neq)(?![a-z])")
_NO_LEFT_SIDE = re.compile(r" ?(?:[<>≤≥]|\\(?:le|ge|leq|geq|lt|gt|ne|neq|approx)(?![a-z]))")
_MATRIX = re.compile(r"\\begin ?\{")
# What sympy reads otherwise than people may mean it: units and words as letters, \sqrt12, 1/2x, 5'6".
_MISREAD = re.compile(
    r"(?<![\\A-Za-z])(?!(?:sinh|cosh|tanh|sqrt|infty|arc[a-z]+)(?![a-z]))[A-Za-z]{4,}"
    r"|\\sqrt ?[0-9]{2}|\(-[0-9.]+\) ?\^ ?[{(]+[0-9]+ ?/"
    r"|/ ?[0-9]+ ?(?:[A-Za-z(]|\\(?!cdot|times|right))|['\"]|(?:[cmk]?m|ft|in)[23](?![0-9])|[^\x00-\x7f]"
)
_INSIDE_COMMAND = re.compile(r"\\(?:begin|end|operatorname|mathbb|mathcal) ?\{[A-Za-z]*\}")
_DOUBLE_STAR_POWER = re.compile(r"\*\*\s*(-?[0-9.]+|\w)")


def compare(stated: str, wanted: str) -> Verdict:
    """Whether two formulas, tidied, are equal. May take any time and memory: run it in a pool.

    Undecided where sympy cannot read one of them, or fails on them.
    """
    compared = (stated, wanted)
    if _NOT_READ.search(stated) or _NOT_READ.search(wanted):
        return undecided("signs that sympy drops", compared)
    reference = _parsed(wanted)
    if reference is None:
        return undecided("the reference cannot be read as mathematics", compared)
    answer = _parsed(stated)
    if answer is None:
        if _LETTERS_ONLY.fullmatch(stated):
            return incorrect("words, where a formula is wanted", compared)
        return undecided("the answer cannot be read as mathematics", compared)
    try:
        equal = verify(reference, answer, timeout_seconds=None, raise_on_error=True)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # sympy raises whatever it likes; it is a verdict, not our failure
        return undecided(f"sympy could not compare: {type(error).__name__}", compared)
    if equal and any(_NO_LEFT_SIDE.match(text) for text in compared):
        return undecided("an inequality without a left side", compared)
    if equal:
        return correct("equal by algebra", compared)
    if _RELATION.search(stated) or _RELATION.search(wanted):  # one set of solutions has many descriptions
        return undecided("inequalities that sympy does not find equal", compared)
    if any(_MISREAD.search(_INSIDE_COMMAND.sub("", text)) for text in compared):
        return undecided("notation that sympy may misread", compared)
    if bool(_MATRIX.search(stated)) != bool(_MATRIX.search(wanted)):  # a column may be written as a tuple
        return undecided("a matrix and something else", compared)
    return incorrect("not equal", compared)


def _parsed(text: str) -> Any | None:
    """The sympy object that `text` spells in LaTeX or plain notation, or None."""
    text = _TRAILING_UNIT.sub("", text) or text
    latex = _DOUBLE_STAR_POWER.sub(r"^{\1}", text).replace("*", r" \cdot ")
    if latex.count("{") != latex.count("}") or latex.rstrip().endswith(("+", "-", "/", "^", "=", "cdot")):
        return None
    found = parse(f"${latex}$", parsing_timeout=None)
    objects = [item for item in found if not isinstance(item, str)]
    return objects[0] if objects else None


def warm_up() -> None:
    """Load the grammars and sympy's lazy modules, so that the first real item is not the slowest."""
    for stated, wanted in (
        (r"\frac{x}{2}+1", r"\frac{x+2}{2}"),
        ("(1,2]", "(1,3)"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
    ):
        compare(stated, wanted)
