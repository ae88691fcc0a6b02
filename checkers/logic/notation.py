"""Formulas written with symbols or with and/or/not: `A -> B`, `~(P & Q) | R`, `if p and q then r`.

Connectives, tightest first: ~ ¬ ! not; & && ∧ /\\ and; | || ∨ \\/ or; -> => → ⇒ ⊃ implies (to the right);
<-> <=> ↔ ⇔ ≡ iff. Atoms: `P`, `rain`, `likes(bob, anne)`. One variable may be bound, in front: `∀x: F(x)`.
Names are read without regard to case, except single letters.
"""

import re

from checkers.logic.faults import TooLargeError, UnreadableError
from checkers.logic.formulas import VARIABLE, And, Atom, Formula, Iff, Implies, Not, Or
from checkers.words import words

LONGEST = 4_000  # characters of a formula
_DEEPEST = 40

_SYMBOLS = {
    "~": ("~", "¬", "!", "not"),
    "&": ("&&", "&", "∧", "/\\", "and"),
    "|": ("||", "|", "∨", "\\/", "or"),
    "<->": ("<->", "<=>", "↔", "⇔", "≡", "iff"),
    "->": ("->", "=>", "→", "⇒", "⊃", "implies"),
    "all": ("∀", "forall"),
    "if": ("if",),
    "then": ("then",),
}
_OPERATORS = {written: symbol for symbol, ways in _SYMBOLS.items() for written in ways}
_WRITTEN = sorted(
    (way for way in _OPERATORS if not way.isalpha() or not way.isascii()), key=len, reverse=True
)
_TOKEN = re.compile(r"\s*(?:(" + "|".join(map(re.escape, _WRITTEN)) + r")|([(),:.\[\]])|([^\W\d]\w*))")
_HAS_SYMBOL = re.compile(r"->|=>|<=|[~¬!&∧|∨→⇒⊃↔⇔≡∀]|/\\|\\/|\w\(")
_BRACKETS = {"[": "(", "]": ")"}
_NO_ATOM = words("true false unknown yes no the is are it they someone something all every each")


def looks_symbolic(text: str) -> bool:
    """Whether only this notation can be meant."""
    return bool(_HAS_SYMBOL.search(text))


def parse_notation(text: str) -> Formula:
    """The formula that `text` writes. Raises: UnreadableError, TooLargeError.

    parse_notation("A -> ~B")  # Implies(Atom("A"), Not(Atom("B")))
    """
    if len(text) > LONGEST:
        raise TooLargeError(f"a formula is longer than {LONGEST} characters")
    parser = _Parser(_tokens(text.strip().removesuffix(".")))
    formula = parser.sentence()
    if parser.index < len(parser.tokens):
        raise UnreadableError(f"expected a connective, found {parser.peek()!r}")
    return formula


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text.rstrip()):
        match = _TOKEN.match(text, position)
        if match is None:
            raise UnreadableError(f"expected a formula, found {text[position : position + 20]!r}")
        symbol, mark, word = match.groups()
        tokens.append(_OPERATORS[symbol] if symbol else _BRACKETS.get(mark, mark) if mark else _word(word))
        position = match.end()
    return tokens


def _word(word: str) -> str:
    lower = word.lower()
    if len(word) == 1 or (len(word) > 1 and word[1:].isdigit()):
        return word
    return _OPERATORS.get(lower, lower)


class _Parser:
    """Recursive descent over tokens; `depth` bounds the recursion, `variable` is the bound name."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.index, self.depth, self.variable = tokens, 0, 0, ""

    def peek(self) -> str:
        return self.tokens[self.index] if self.index < len(self.tokens) else ""

    def take(self, token: str) -> bool:
        found = self.peek() == token
        self.index += found
        return found

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise UnreadableError(f"expected {token!r}, found {self.peek() or 'the end'!r}")

    def deeper(self, levels: int) -> None:
        self.depth += levels
        if self.depth > _DEEPEST:
            raise TooLargeError(f"a formula is nested more than {_DEEPEST} deep")

    def sentence(self) -> Formula:
        if self.take("all"):
            self.variable = self.name()
            _ = self.take(":") or self.take(".")
        return self.formula()

    def formula(self) -> Formula:
        """An implication, or two joined by `<->`."""
        self.deeper(1)
        left = self.implication()
        if self.take("<->"):
            left = Iff(left, self.implication())
            if self.peek() == "<->":
                raise UnreadableError("expected brackets around a chain of '<->'")
        self.depth -= 1
        return left

    def implication(self) -> Formula:
        """A disjunction, or `A -> B -> C`, which groups to the right."""
        left = self.chain("|")
        if not self.take("->"):
            return left
        self.deeper(1)
        right = self.implication()
        self.depth -= 1
        return Implies(left, right)

    def chain(self, operator: str) -> Formula:
        """Parts joined by `|` (each of them parts joined by `&`), or by `&`."""
        parts = [self.chain("&") if operator == "|" else self.unary()]
        while self.take(operator):
            parts.append(self.chain("&") if operator == "|" else self.unary())
        if len(parts) == 1:
            return parts[0]
        return Or(tuple(parts)) if operator == "|" else And(tuple(parts))

    def unary(self) -> Formula:
        """Any number of `~`, then a primary."""
        negations = 0
        while self.take("~"):
            negations += 1
        self.deeper(negations)
        body = self.primary()
        self.depth -= negations
        for _ in range(negations):
            body = Not(body)
        return body

    def primary(self) -> Formula:
        """A bracket, `if A then B`, or an atom."""
        if self.take("("):
            inner = self.formula()
            self.expect(")")
            return inner
        if self.take("if"):
            left = self.formula()
            _ = self.take(",")
            self.expect("then")
            return Implies(left, self.formula())
        return self.atom()

    def atom(self) -> Formula:
        """A proposition `P`, or a predicate `p(a, b)`."""
        name = self.name()
        args: list[str] = []
        if self.take("("):
            args.append(self.argument())
            while self.take(","):
                args.append(self.argument())
            self.expect(")")
        return Atom(name.lower() if args else name, tuple(args))

    def argument(self) -> str:
        """An individual, or the bound variable."""
        name = self.name()
        if name == self.variable:
            return VARIABLE
        if re.fullmatch("[u-z]", name):
            raise UnreadableError(f"the variable {name!r} is not bound by a leading '∀{name}:'")
        return name.lower().replace("_", " ")

    def name(self) -> str:
        name = self.peek()
        if not re.match(r"[^\W\d]\w*\Z", name) or name in _OPERATORS.values() or name in _NO_ATOM:
            raise UnreadableError(f"expected a name, found {name or 'the end'!r}")
        self.index += 1
        return name
