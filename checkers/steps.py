"""Step equations: is the arithmetic that a step states right? A calculator, exact, with no model.

A step with a wrong equation is refuted, whatever its words say. A step whose equations all hold is
confirmed *as far as its arithmetic goes*: a wrong operand or operation passes. Names keep the values
that earlier steps gave them. Not covered: sums told in words, remainders, factorials.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from checkers.agreement import check_equation
from checkers.equations import Definition, Equation
from checkers.statements import Statement, find_equations, read_statements
from checkers.tokens import annotations
from checkers.unknowns import Constraint, check_constraint, check_solution
from checkers.values import Value, show
from checkers.verdict import Status, Verdict, undecided
from checkers.words import words
from checkers.worlds import learn

__all__ = ["StepReport", "check_steps", "inspect_steps"]

LONGEST_STEP = 20_000
_MOST_EQUATIONS = 200
_MOST_CORRECTIONS = 3
_NO_EQUATION = undecided("no equation to check")
_ANY_DIGIT = re.compile("[0-9]")


@dataclass(frozen=True, slots=True)
class StepReport:
    """A step's verdict, and that on each equation of it, in order."""

    verdict: Verdict
    equations: tuple[Verdict, ...] = ()


def check_steps(problem: str, steps: Sequence[str]) -> list[Verdict]:
    """One verdict for each step: correct, incorrect, or undecided where no equation can be checked.

    An incorrect one has compared=(the stated value, the right one) and a reason that shows the
    equation. `problem` says in which arithmetic: where it speaks of remainders, rings or bases, `8 + 8
    = 6` is no mistake. Work is linear in the text, so this cannot hang.

        check_steps("", ["He has 3 * 4 = 13 eggs."])[0].compared  # ("13", "12")
    """
    return [report.verdict for report in inspect_steps(problem, steps)]


def inspect_steps(problem: str, steps: Sequence[str]) -> list[StepReport]:
    """As `check_steps`, with the verdict on every single equation.

    inspect_steps("", ["1 + 1 = 2 and 2 + 2 = 5"])[0].equations[1].compared  # ("5", "4")
    """
    other_arithmetic = bool(_OTHER_ARITHMETIC.search(problem[:LONGEST_STEP]))
    memory = _Memory()
    return [_inspect(step, memory, other_arithmetic) for step in steps]


@dataclass(slots=True)
class _Memory:
    """What the steps so far have stated: the values of names, the solutions of equations in an unknown."""

    names: dict[str, tuple[Value, ...]] = field(default_factory=dict)
    solutions: dict[str, list[Fraction]] = field(default_factory=dict)
    stated: dict[str, list[Fraction]] = field(default_factory=dict)

    def before(self, name: str) -> list[Fraction]:
        """Every value that `name` had; the last solution of an equation in it last."""
        return [*self.stated.get(name, []), *self.solutions.get(name, [])]

    def learn(self, statements: Sequence[Statement], supposed: bool) -> None:
        """Remember `statements`. A name that a step only supposes to have a value cannot be known."""
        for found in statements:
            if isinstance(found, Definition):
                learn(self.names, found.name, found.values)
                self.stated.setdefault(found.name, []).append(found.values[0].exact)
                if supposed:
                    self.names[found.name] = ()
            elif isinstance(found, Constraint):
                self._learn_solution(found)

    def doubt(self, found: Equation) -> None:
        """`3x = 12` where x was 5 is perhaps to be solved: solutions of earlier ones do not bind its x."""
        for name in {name for world in found.worlds for name in world.names}:
            self.stated.setdefault(name, []).extend(self.solutions.pop(name, []))

    def _learn_solution(self, found: Constraint) -> None:
        """Remember its solution; one with several makes earlier solutions those of another equation."""
        if not found.linear:
            self.stated.setdefault(found.name, []).extend(self.solutions.pop(found.name, []))
        elif (solution := found.solution()) is not None:
            kept = self.stated if found.bare else self.solutions
            kept.setdefault(found.name, []).append(solution)


def _inspect(step: str, memory: _Memory, other_arithmetic: bool) -> StepReport:
    """The report on one step; what it states goes into `memory`."""
    if len(step) > LONGEST_STEP:
        return StepReport(undecided(f"a step of more than {LONGEST_STEP} characters"))
    if not _ANY_DIGIT.search(step):
        return StepReport(_NO_EQUATION)
    statements = list(islice(read_statements(step, memory.names), _MOST_EQUATIONS))
    supposed = bool(_HYPOTHESIS.search(step))
    if notes := annotations(step):  # the calculator's, which restate the text's
        judged: list[Statement] = [found for note in notes for found in find_equations(note, memory.names)]
    else:
        judged = statements
    verdicts = [verdict for verdict in _judge(judged[:_MOST_EQUATIONS], step, memory, supposed) if verdict]
    if notes:
        memory.learn(statements, supposed)
    return _report([_excused(verdict, step, other_arithmetic) for verdict in verdicts])


def _judge(
    statements: Sequence[Statement], step: str, memory: _Memory, supposed: bool
) -> Iterator[Verdict | None]:
    """The verdict on each statement, which then goes into `memory`; None on one that only gives a value."""
    derived = bool(_DERIVED.search(step)) and not supposed and not _NEW_CASE.search(step)
    equations = [found for found in statements if isinstance(found, Equation)]
    for found in statements:
        solved = not isinstance(found, Equation) and found.name in memory.solutions
        if isinstance(found, Equation):
            verdict = _judge_equation(found, equations, step, supposed)
            if verdict.status is Status.UNDECIDED:
                memory.doubt(found)
            yield verdict
        elif isinstance(found, Constraint):
            yield check_constraint(found, memory.before(found.name), derived, solved)
        elif earlier := memory.before(found.name):
            text = f"{found.name} = {show(found.values[0])}"
            yield check_solution(found.name, found.values[0].exact, text, earlier, derived and solved)
        memory.learn([found], supposed)


def _judge_equation(equation: Equation, equations: Sequence[Equation], step: str, supposed: bool) -> Verdict:
    verdict = check_equation(equation)
    if verdict.status is not Status.INCORRECT:
        return verdict
    if supposed and any(world.names for world in equation.worlds):
        doubt = "perhaps under a supposition"
    else:
        doubt = _posited(equation, step) or _slip(equation, equations) or _corrected(equation, equations)
    return undecided(f"{equation.text}: {doubt}", verdict.compared) if doubt else verdict


def _posited(equation: Equation, step: str) -> str:
    """Why a false equation is no claim that its sides are equal ('' when it is one)."""
    both = equation.left.value.computed and equation.right.value.computed
    if equation.word_before in _NOT_CLAIMED:
        return "perhaps supposed, or somebody's claim"
    if both and _SET_EQUAL.search(step):
        return "perhaps set equal, to be solved"
    if not both and _TRIED.search(step) and not _HOLDS.search(step):
        return "perhaps a value tried in an equation"
    return ""


def _report(verdicts: Sequence[Verdict]) -> StepReport:
    """The first wrong equation refutes a step, the first open one leaves it open."""
    for status in (Status.INCORRECT, Status.UNDECIDED, Status.CORRECT):
        if found := next((verdict for verdict in verdicts if verdict.status is status), None):
            return StepReport(found, tuple(verdicts))
    return StepReport(_NO_EQUATION)


_OTHER_ARITHMETIC = re.compile(
    r"\b(?:mod|modulo|modular|abelian|binary|base (?:[0-9]+|two|eight)|(?-i:group [GHZS]\b|ring [A-Z]\b))|Z_",
    re.I,
)
_SUPPOSITION = re.compile(
    r"\bnot (?:possible|equal|true|correct|right|satisf|hold|valid|the case|a solution|match)"
    r"|\bcontradict|\bimpossible|n't (?:satisf|hold|work|match|equal)"
    r"|\bwait[,.!?:]|\boops\b|\babsurd\b"
    r"|\b(?:is|was|were|are|'s|be|seems?|looks?) (?:wrong|incorrect|a mistake|an error)\b"
    r"|\bmade an? (?:\w+ )?(?:mistake|error)\b|\bfalse\b|\bdoes not\b|≠|\\neq?\b|\bmod(?:ulo)?\b",
    re.I,
)
_HYPOTHESIS = re.compile(
    r"\b(?:if|suppose|assum|when|case|choices?|option|try|test|either|for example|at)\b|Choice_"
    r"|(?<!solve )(?<!solved )(?<!solving )(?<!value )\bfor [xn]\b",
    re.I,
)
_NOT_CLAIMED = words(
    """
    suppose supposing assume assuming imagine if whether say says said claim claims claimed think thinks
    thought believe believes believed guess guesses guessed
    """
)
_SET_EQUAL = re.compile(r"\b(?:set|setting|sets)\b[^.]{0,60}\bequal|\bequat(?:e|es|ing)\b", re.I)
_TRIED = re.compile(
    r"(?:\b(?:choice|option|candidate|test|try|check)\b|Choice_)[^.]{0,200}\b(?:equation|inequality)\b", re.I
)
_HOLDS = re.compile(
    r"satisf|\btrue\b|\bholds?\b|\bworks?\b|\blies\b|solution|\bwe (?:get|find|have)\b|\bgives?\b", re.I
)  # said of a tried value, which makes the equation a claim
_DERIVED = re.compile(
    r"simplif|combin|divid|subtract|\badd|multipl|solv|rearrang|isolat|expand|distribut|both sides", re.I
)
_NEW_CASE = re.compile(
    r"correct(?:ed|ion)|mistake|wrong|instead|again|\berror\b|substitut|set(?:ting)? up|plug(?:s|ging)? ",
    re.I,
)


def _excused(verdict: Verdict, step: str, other_arithmetic: bool) -> Verdict:
    """`verdict`, undecided where a false equation is no mistake of the step's."""
    if verdict.status is not Status.INCORRECT:
        return verdict
    if other_arithmetic:
        return undecided(f"{verdict.reason}: the problem may mean another arithmetic", verdict.compared)
    if _SUPPOSITION.search(step):
        return undecided(f"{verdict.reason}: perhaps a supposition that the step rejects", verdict.compared)
    return verdict


def _slip(equation: Equation, equations: Sequence[Equation]) -> str:
    """Why a false equation of a chain is no mistake of it ('' when it is one)."""
    index = equations.index(equation)
    before = {other.left.value.exact for other in equations[: index + 1] if other.chain == equation.chain}
    after = {other.right.value.exact for other in equations[index:] if other.chain == equation.chain}
    if before & after:
        return "a slip that the same chain of equalities mends"
    if _runs_on(equation):
        return "a calculation that runs on over its equality sign"
    return ""


def _corrected(equation: Equation, equations: Sequence[Equation]) -> str:
    """`15 + 8 = 22. No, 15 + 8 = 23.`: why the first is no mistake of the step's ('' when it is one)."""
    index = equations.index(equation)
    again = [other for other in equations[index + 1 :] if other.left.text == equation.left.text]
    right = any(check_equation(other).status is Status.CORRECT for other in again[:_MOST_CORRECTIONS])
    return "corrected in the same step" if right else ""


_NUMBER = re.compile(r"\$?(-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*[-+*/×x]")


def _runs_on(equation: Equation) -> bool:
    """`5 * 3 = 15 + 2 = 17`: the right side begins with the value of the left, and goes on."""
    first = _NUMBER.match(equation.right.text)
    if not first or not equation.right.value.computed:
        return False
    return equation.left.value.exact == Fraction(first[1].replace(",", ""))
