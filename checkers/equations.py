"""What a text states with its equality signs: equations, and names set to values."""

from dataclasses import dataclass

from checkers.values import Value
from checkers.worlds import World


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its text, and its value in each world of the equation (None where it has none)."""

    text: str
    values: tuple[Value | None, ...]

    @property
    def value(self) -> Value:
        """The value in the first world that gives it one, the ordinary one if it does."""
        return next(value for value in self.values if value is not None)


@dataclass(frozen=True, slots=True)
class Equation:
    """`left = right`, at least one of them more than a plain number.

    `approximate`: the sign was one of ≈. Equations of one chain `a = b = c` share `chain`. `worlds`: the
    ways of reading it, in each of which the sides have a value. `word_before`: what introduces
    it (`suppose`).
    """

    left: Side
    right: Side
    approximate: bool
    chain: int
    worlds: tuple[World, ...]
    word_before: str = ""

    @property
    def text(self) -> str:
        """The equation as the text has it."""
        return f"{self.left.text} {'≈' if self.approximate else '='} {self.right.text}"

    def pairs(self) -> list[tuple[Value, Value]]:
        """(left, right) in every way of reading both sides."""
        return [
            (one, other)
            for here, one in zip(self.worlds, self.left.values)
            for there, other in zip(self.worlds, self.right.values)
            if one and other and here.but_for_percent() == there.but_for_percent()
        ]


@dataclass(frozen=True, slots=True)
class Definition:
    """What a text sets a name to: the last value of a chain, and those before it that differ."""

    name: str
    values: tuple[Value, ...]
