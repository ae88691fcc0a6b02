r"""Formulas, as answers write them, to trees: LaTeX or plain notation, in which every sign has one meaning.

    parse_formula(r"\frac{1}{2}x^2 + 3")
    Node("+", (Node("*", (Node("/", (1, 2)), Node("^", (x, 2)))), 3))

Whatever could be read in two ways is refused, so that what is read can be trusted. One linear pass.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from checkers.words import words


class NotAFormulaError(ValueError):
    """The text is no formula, or one that could mean several things."""


@dataclass(frozen=True, slots=True)
class Node:
    """An operation, `+ - * / ^ neg abs ! root log binom ±` or a function's name, on trees."""

    operation: str
    parts: tuple["Tree", ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or one of the constants `\\pi`, `e`, `i`, `\\infty`."""

    text: str


Tree = Fraction | Name | Node

FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "ln",
        "exp",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
    ]
)
_GREEK = words(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta lambda mu nu xi rho sigma tau phi varphi
    psi omega Gamma Delta Theta Lambda Sigma Phi Psi Omega
    """
)
_DEEPEST = 40
_MOST_TOKENS = 300  # a sum is as deep as it is long
_LONGEST_NUMBER = 60
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
    | \\(?P<command>[A-Za-z]+)\*?
    | (?P<word>[A-Za-z]{2,})
    | (?P<letter>[A-Za-z])
    | (?P<sign>\*\*|[-+*/^_(){}\[\]|!=<>,&%°]|\\[{}\\]|×|⋅|÷|π|√|∞|±|≤|≥)
    )""",
    re.VERBOSE,
)
_ALIASES = {
    "×": "*", "⋅": "*", "÷": "/", "**": "^", "cdot": "*", "times": "*", "div": "/", "ast": "*",
    "π": "\\pi", "∞": "\\infty", "√": "\\sqrt", "±": "\\pm", "dfrac": "\\frac", "tfrac": "\\frac",
    "cfrac": "\\frac", "dbinom": "\\binom", "tbinom": "\\binom", "leq": "\\le", "geq": "\\ge", "≤": "\\le",
    "≥": "\\ge", "lt": "<", "gt": ">", "leqslant": "\\le", "geqslant": "\\ge", "lvert": "|",
    "rvert": "|", "vert": "|", "lbrack": "[", "rbrack": "]", "degree": "°", "infin": "\\infty", "°": "°",
}  # fmt: skip
_CLOSING = {"(": ")", "{": "}", "[": "]"}


def tokenise(text: str) -> list[str]:
    """The tokens of a formula; commands keep their backslash. Raises: NotAFormulaError."""
    tokens: list[str] = []
    end = 0
    text = text.rstrip()
    while end < len(text):
        match = _TOKEN.match(text, end)
        if not match:
            raise NotAFormulaError(f"a sign that is not read: {text[end : end + 10]!r}")
        end = match.end()
        found = match[match.lastgroup or 0]
        if match.lastgroup == "command":
            tokens.append(_ALIASES.get(found, f"\\{found}"))
        elif match.lastgroup == "word":
            tokens += _word(found)
        else:
            tokens.append(_ALIASES.get(found, found))
    if len(tokens) > _MOST_TOKENS:
        raise NotAFormulaError(f"more than {_MOST_TOKENS} signs")
    return tokens


def _word(word: str) -> list[str]:
    """`sin` as `\\sin`; `xy` as two letters. Longer words are words."""
    if word in FUNCTIONS or word in ("sqrt", "log", "pi"):
        return [f"\\{word}"]
    if len(word) > 3:
        raise NotAFormulaError(f"a word: {word[:20]}")
    return list(word)


def parse_formula(text: str) -> Tree:
    """The tree of a formula. Raises: NotAFormulaError."""
    return parse_tokens(tokenise(text))


def parse_tokens(tokens: list[str]) -> Tree:
    """The tree of tokens that are one formula. Raises: NotAFormulaError."""
    parser = _Parser(tokens)
    tree = parser.sum(0)
    if parser.at < len(tokens):
        raise NotAFormulaError(f"what follows is not read: {tokens[parser.at]}")
    return tree


@dataclass(slots=True)
class _Parser:
    tokens: list[str]
    at: int = 0

    @property
    def next(self) -> str:
        """The token to read next, '' at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, token: str) -> None:
        """Read `token`. Raises: NotAFormulaError where another stands."""
        if self.next != token:
            raise NotAFormulaError(f"expected {token}, found {self.next or 'the end'}")
        self.at += 1

    def sum(self, depth: int) -> Tree:
        """Terms with + and - (and ±, which stays one node until it is expanded)."""
        if depth > _DEEPEST:
            raise NotAFormulaError(f"nested more than {_DEEPEST} deep")
        tree = self.product(depth)
        while self.next in ("+", "-", "\\pm"):
            operation, self.at = self.next, self.at + 1
            right = self.product(depth)
            tree = Node("±" if operation == "\\pm" else operation, (tree, right))
        return tree

    def product(self, depth: int) -> Tree:
        """Factors with *, / or no sign between them."""
        tree = self.signed(depth)
        divided = False
        while True:
            if self.next in ("*", "/"):
                operation, self.at = self.next, self.at + 1
                tree = Node(operation, (tree, self.signed(depth)))
                divided = operation == "/"
            elif self.starts_factor():
                if divided:
                    raise NotAFormulaError("a product without a sign after a division")
                if self.next[0].isdigit() or self.next[0] == ".":
                    raise NotAFormulaError("a number after a factor, without a sign")
                if isinstance(tree, Fraction) and self.next == "\\frac":
                    raise NotAFormulaError("a mixed number, or a product")
                tree = Node("*", (tree, self.power(depth)))
            else:
                return tree

    def starts_factor(self) -> bool:
        """Whether what comes next can be a factor without a sign before it."""
        token = self.next
        if token in ("(", "{", "[") or (token and token[0] in "0123456789."):
            return True
        return token.isalpha() or token in _STARTING_COMMANDS

    def signed(self, depth: int) -> Tree:
        """A factor with signs before it."""
        if self.next in ("-", "+", "\\pm"):
            if depth > _DEEPEST:
                raise NotAFormulaError("too many signs")
            sign, self.at = self.next, self.at + 1
            inner = self.signed(depth + 1)
            if sign == "\\pm":
                return Node("±", (Fraction(0), inner))
            return Node("neg", (inner,)) if sign == "-" else inner
        return self.power(depth)

    def power(self, depth: int) -> Tree:
        """A primary, its factorial or degree sign, and its exponent."""
        tree = self.primary(depth)
        while self.next in ("!", "^", "°"):
            operation, self.at = self.next, self.at + 1
            if operation == "°" or (operation == "^" and self.degree_sign()):
                tree = Node("°", (tree,))
            elif operation == "!":
                tree = Node("!", (tree,))
            else:
                tree = Node("^", (tree, self.argument(depth)))
                if self.next == "^":
                    raise NotAFormulaError("two exponents")
        return tree

    def degree_sign(self) -> bool:
        """Whether the exponent is `\\circ`, which is then read."""
        for form in (["\\circ"], ["{", "\\circ", "}"]):
            if self.tokens[self.at : self.at + len(form)] == form:
                self.at += len(form)
                return True
        return False

    def argument(self, depth: int) -> Tree:
        """What an exponent or a command takes: a group in braces, or one sign."""
        if depth > _DEEPEST:
            raise NotAFormulaError("too many signs")
        if self.next in ("{", "("):
            return self.group(depth)
        if self.next == "-":
            self.at += 1
            return Node("neg", (self.argument(depth + 1),))
        if len(self.next) > 1 and self.next.isdigit():
            number = self.next
            self.at += 1
            return Fraction(number)
        return self.primary(depth)

    def group(self, depth: int) -> Tree:
        """A formula in brackets of any kind."""
        opening = self.next
        self.at += 1
        tree = self.sum(depth + 1)
        self.take(_CLOSING[opening])
        return tree

    def primary(self, depth: int) -> Tree:
        """A number, a name, a group, or a command with its arguments."""
        token = self.next
        if not token or depth > _DEEPEST:
            raise NotAFormulaError("something is missing" if not token else "nested too deeply")
        if token in _CLOSING:
            return self.group(depth)
        if token[0].isdigit() or token[0] == ".":
            return self.number()
        if token == "|":
            return self.absolute(depth)
        if token.isalpha() or token in _NAME_COMMANDS:
            return self.name()
        reader = _COMMANDS.get(token) or (_function if token[1:] in FUNCTIONS else None)
        if reader is None:
            raise NotAFormulaError(f"a command that is not read: {token}")
        self.at += 1
        return reader(self, token[1:], depth)

    def number(self) -> Tree:
        """A number. A subscript is its base, which is no part of a formula."""
        text = self.next
        self.at += 1
        if len(text) > _LONGEST_NUMBER or self.next == "_":
            raise NotAFormulaError("a number in a base, or of too many digits")
        return Fraction(text)

    def name(self) -> Tree:
        """A letter, with its subscript."""
        text = self.next
        self.at += 1
        if self.next == "(" and text in "fghFGHPC":
            raise NotAFormulaError("a function that is not known")
        if self.next != "_":
            return Name(text)
        self.at += 1
        if self.next == "{":
            end = self.tokens.index("}", self.at) if "}" in self.tokens[self.at :] else len(self.tokens)
            subscript = "".join(self.tokens[self.at + 1 : end])
            self.at = end + 1
        else:
            subscript = self.next
            self.at += 1
        return Name(f"{text}_{subscript}")

    def absolute(self, depth: int) -> Tree:
        """|x|."""
        self.at += 1
        tree = self.sum(depth + 1)
        self.take("|")
        return Node("abs", (tree,))

    def one_digit(self, depth: int) -> Tree:
        """An argument of \\frac or \\sqrt without braces: `\\frac12`, `\\sqrt2`."""
        token = self.next
        if len(token) > 1 and token.isdigit():
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        if self.next == "(":
            raise NotAFormulaError("a command before a bracket")
        return self.argument(depth)


def _fraction(parser: _Parser, _: str, depth: int) -> Tree:
    return Node("/", (parser.one_digit(depth), parser.one_digit(depth)))


def _binomial(parser: _Parser, _: str, depth: int) -> Tree:
    return Node("binom", (parser.argument(depth), parser.argument(depth)))


def _root(parser: _Parser, _: str, depth: int) -> Tree:
    degree: Tree = Fraction(2)
    if parser.next == "[":
        degree = parser.group(depth)
    inside = parser.group(depth) if parser.next == "(" else parser.one_digit(depth)
    return Node("root", (inside, degree))


def _logarithm(parser: _Parser, _: str, depth: int) -> Tree:
    if parser.next != "_":
        raise NotAFormulaError("a logarithm to no base")
    parser.at += 1
    base = parser.argument(depth)
    return Node("log", (_operand(parser, depth), base))


def _function(parser: _Parser, name: str, depth: int) -> Tree:
    power: Tree | None = None
    if parser.next == "^":
        parser.at += 1
        power = parser.argument(depth)
        if not isinstance(power, Fraction) or power < 1:
            raise NotAFormulaError("an inverse, or a reciprocal")
    tree = Node(name, (_operand(parser, depth),))
    return tree if power is None else Node("^", (tree, power))


def _operand(parser: _Parser, depth: int) -> Tree:
    """What a function is of: a bracket, or factors without a sign up to the next sign or function."""
    if parser.next in ("(", "{", "["):
        return parser.group(depth)
    tree = parser.power(depth + 1)
    while parser.starts_factor() and parser.next not in ("(", "{", "[") and parser.next[1:] not in FUNCTIONS:
        tree = Node("*", (tree, parser.power(depth + 1)))
    return tree


_COMMANDS: dict[str, Callable[[_Parser, str, int], Tree]] = {
    "\\frac": _fraction, "\\binom": _binomial, "\\sqrt": _root, "\\log": _logarithm,
}  # fmt: skip
_NAME_COMMANDS = frozenset(f"\\{name}" for name in _GREEK) | {"\\pi", "\\infty"}
_STARTING_COMMANDS = _NAME_COMMANDS | _COMMANDS.keys() | {f"\\{name}" for name in FUNCTIONS}
