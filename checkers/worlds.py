"""The worlds in which an equation may have been meant: readings of its signs, values of its names.

An equation is refuted only where it is false in every world. The first world is the ordinary one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, product
from types import MappingProxyType

from checkers.reading import NO_NAMES, ORDINARY, Reading
from checkers.tokens import Kind, Token
from checkers.units import UNITS
from checkers.values import Value

Names = Mapping[str, tuple[Value, ...]]  # every value that a text gave a name; () when it cannot be known
NOTHING_KNOWN: Names = MappingProxyType({})
_MOST_WORLDS = 32
_MOST_VALUES = 3


@dataclass(frozen=True, slots=True)
class World:
    """One way to read the signs, and one value for each name."""

    reading: Reading
    names: Mapping[str, Value]

    def but_for_percent(self) -> tuple[Reading, tuple[Value, ...]]:
        """What two sides must share; only % may mean one thing on the left and another on the right."""
        return replace(self.reading, percent=Fraction(1)), tuple(self.names.values())


ONLY_ORDINARY = (World(ORDINARY, NO_NAMES),)


def worlds(tokens: Sequence[Token], names: Names) -> tuple[World, ...]:
    """The worlds of an equation of these tokens; () when they are too many to try.

    `20% of 45 = 9` has two, for % may be a hundredth or a mere unit; `3 * 4 = 12` has the ordinary one.
    """
    used = {token.text for token in tokens if token.kind is Kind.VAR and names.get(token.text)}
    readings = list(_readings(tokens))
    if len(readings) == 1 and not used:
        return ONLY_ORDINARY
    choices = product(readings, product(*(names[name] for name in sorted(used))))
    found = tuple(
        World(reading, dict(zip(sorted(used), given))) for reading, given in islice(choices, _MOST_WORLDS + 1)
    )
    return found if len(found) <= _MOST_WORLDS else ()


def _readings(tokens: Sequence[Token]) -> Iterator[Reading]:
    kinds = {token.kind for token in tokens}
    texts = [token.text.lower() for token in tokens]
    units = {token.text for token in tokens if token.text in UNITS}
    divided = "/" in texts and ("10" in texts or not kinds.isdisjoint((Kind.OPEN, Kind.VAR, Kind.SQRT)))
    percents = (Fraction(1, 100), Fraction(1)) if Kind.PERCENT in kinds else (Fraction(1, 100),)
    angles = not {"sin", "cos", "tan"}.isdisjoint(texts)
    doubtful = (divided, len(units) > 1, texts.count("/") > 1, angles, "log" in texts)
    for flags in product(*((False, True) if doubt else (False,) for doubt in doubtful)):
        yield from (Reading(percent, *flags) for percent in percents)


def learn(known: dict[str, tuple[Value, ...]], name: str, values: Iterable[Value]) -> None:
    """Add what a text set `name` to. A name with more than a few values is one that cannot be known."""
    have = known.get(name, ())
    if name in known and not have:
        return
    for value in values:
        if not any(same(value, other) for other in have):
            have = (value, *have)
    known[name] = have if len(have) <= _MOST_VALUES else ()


def same(one: Value, other: Value) -> bool:
    """Whether two values may be one, rounded differently, as 3.33 and 3.334."""
    return abs(one.exact - other.exact) <= one.error + other.error + one.slack + other.slack
