"""What is refused before computer algebra sees it: sizes that it would try, and fail, to compute.

The pool's deadline ends whatever slips through; the guards only spare the seconds until then.
"""

import re

_LONGEST_EXPRESSION = 1_000
_DEEPEST_NESTING = 60

_TOWER = re.compile(r"(?:\^|\*\*) ?\{? ?\(? ?[-+]?[0-9.]+ ?\)? ?\}? ?(?:\^|\*\*)")
_HUGE_POWER = re.compile(r"(?:\^|\*\*) ?[{(]* ?-? ?[0-9]{5,}")
_HUGE_FACTORIAL = re.compile(r"[0-9]{4,} ?[)}]* ?!|! ?!|\) ?!")
_HUGE_BINOMIAL = re.compile(r"\\[dt]?binom ?\{[^{}]*(?:[0-9]{5,}|\^)|C\( ?[0-9]{5,}")
_CODE = re.compile(r"__|(?<!\\)\b(?:import|lambda|eval|exec)\b")
_LONG_DIGITS = re.compile(r"[0-9]{400,}")
_GUARDS = (
    (_TOWER, "has a tower of powers"),
    (_HUGE_POWER, "has a power too large to compute"),
    (_HUGE_FACTORIAL, "has a factorial too large to compute"),
    (_HUGE_BINOMIAL, "has a binomial too large to compute"),
    (_LONG_DIGITS, "has a number of more than 400 digits"),
    (_CODE, "is program text"),
)


def unreadable(text: str) -> str:
    """Why `text` must not reach a computer algebra system ('' when it may)."""
    if len(text) > _LONGEST_EXPRESSION:
        return f"is longer than {_LONGEST_EXPRESSION} characters"
    depth = deepest = 0
    for character in text:
        depth += (character in "{([") - (character in "})]")
        deepest = max(deepest, depth)
    if deepest > _DEEPEST_NESTING:
        return f"is nested more than {_DEEPEST_NESTING} deep"
    return next((fault for pattern, fault in _GUARDS if pattern.search(text)), "")
