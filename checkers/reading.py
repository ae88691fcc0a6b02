"""Where the calculator stands in the tokens, and which of several meanings it gives to what it reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType

from checkers.tokens import Kind, Token
from checkers.values import Value

NO_NAMES: Mapping[str, Value] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read what people write for one of several things.

    `percent`: what % multiplies by (a hundredth, or one where it is a mere unit). `tight`: a product
    without a sign binds before a division (`1/2(6)` is 1/12). `si`: units count (3 hours = 180 minutes).
    `nested`: a division by a fraction (`24 / 2/3` is 36). `radians`: angles of sin are not in degrees.
    `natural`: `log` is not to base ten.
    """

    percent: Fraction = Fraction(1, 100)
    tight: bool = False
    si: bool = False
    nested: bool = False
    radians: bool = False
    natural: bool = False


ORDINARY = Reading()


@dataclass(frozen=True, slots=True)
class Context:
    """The tokens up to `stop`, how to read them, and the names whose values are known."""

    tokens: Sequence[Token]
    stop: int
    reading: Reading = ORDINARY
    names: Mapping[str, Value] = field(default_factory=lambda: NO_NAMES)

    def kind(self, index: int) -> Kind | None:
        """The kind of the token there, None at the end."""
        return self.tokens[index].kind if index < self.stop else None

    def operator(self, index: int) -> str:
        """The operator there, or ''."""
        return self.tokens[index].text if self.kind(index) is Kind.OP else ""

    def word(self, index: int) -> str:
        """The word there in lower case, or ''."""
        return self.tokens[index].text.lower() if self.kind(index) is Kind.WORD else ""

    def name(self, index: int) -> str:
        """The variable there, or ''."""
        return self.tokens[index].text if self.kind(index) is Kind.VAR else ""

    def glued(self, index: int) -> bool:
        """Whether a token stands there with no space before it."""
        return index < self.stop and self.tokens[index].glued
