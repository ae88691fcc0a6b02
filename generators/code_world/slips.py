"""Chains with the mistakes of a weak programmer: `solve` with random slips, `corrupt` with exactly one."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from distill.records import Problem
from generators.code_world.build import Task, decode
from generators.code_world.judge import judge
from generators.code_world.operations import OPERATIONS, Applied
from generators.code_world.solve import Solution, head_line, plan_lines, program_lines

T = TypeVar("T")
WEIGHTS = {
    "constant": 18,
    "operator": 18,
    "variable": 12,
    "operation": 14,
    "omitted": 12,
    "swapped": 8,
    "early": 8,
    "plan": 8,
    "syntax": 2,
}
CORRUPTIONS = tuple(WEIGHTS)
TRIES = 24
_LINE_SLIPS = ("constant", "operator", "variable", "syntax")
_NUMBER = re.compile(r"\b\d+\b")
_OPERATOR = re.compile(r"(?<= )(?:\+=|\*=|-=|==|!=|>=|<=|>|<|\+|-|\*\*|\*|%)(?= )|\b(?:max|min|sum|len)\b")
_OTHERS = {
    "+=": ("-=", "*="), "*=": ("+=",), "-=": ("+=",), "==": ("!=", ">"), "!=": ("==",), ">": (">=", "<"),
    ">=": (">", "<="), "<": ("<=", ">"), "<=": ("<", ">="), "+": ("-", "*"), "-": ("+",), "**": ("*",),
    "*": ("+", "**"), "%": ("//",), "max": ("min", "sum"), "min": ("max",),
    "sum": ("len", "max"), "len": ("sum",),
}  # fmt: skip
_VARIABLE = re.compile(r"\b(?:xs|ys|zs|out|[snrmtxiab])\b")


@dataclass(frozen=True, slots=True)
class Draft:
    """The operations that the plan names, and those that the code does."""

    plan: tuple[Applied, ...]
    code: tuple[Applied, ...]


def solve(problem: Problem, rng: random.Random, slips: float = 0.0) -> Solution:
    """A varied chain. `slips` is the probability, per line and per operation, of a random mistake."""
    task = decode(problem.payload)
    if slips <= 0:
        return Solution(_write(task, Draft(task.operations, task.operations), rng, None))
    draft, causes = Draft(task.operations, task.operations), []
    for _ in task.operations:
        if rng.random() < slips:
            causes.append(_pick(rng, ("operation", "omitted", "swapped", "early", "plan")))
            draft = _redrafted(draft, causes[-1], rng) or draft

    def slipper(line: str) -> str:
        """The line, or now and then a wrong one in its place."""
        if rng.random() >= slips:
            return line
        cause = _pick(rng, _LINE_SLIPS)
        wrong = _LINES[cause](line, rng)
        if wrong:
            causes.append(cause)
        return wrong or line

    steps = _write(task, draft, rng, slipper)
    found = judge(problem, steps)
    return Solution(
        steps, found.first_error, found.kind, causes[0] if causes and found.first_error >= 0 else ""
    )


def corrupt(problem: Problem, rng: random.Random, kind: str | None = None) -> Solution | None:
    """A chain whose only slip is of `kind` (one of CORRUPTIONS; None: any), written on to the end.

    None if the task offers no such slip that does harm. Raises: ValueError for an unknown kind.
    """
    if kind is not None and kind not in CORRUPTIONS:
        raise ValueError(f"expected a kind of {CORRUPTIONS}, found {kind!r}")
    task = decode(problem.payload)
    for _ in range(TRIES):
        cause = kind or rng.choices(CORRUPTIONS, list(WEIGHTS.values()))[0]
        steps = _slipped(task, cause, rng)
        if steps is None:
            continue
        found = judge(problem, steps)
        if found.first_error >= 0:
            return Solution(steps, found.first_error, found.kind, cause)
    return None


def _slipped(task: Task, cause: str, rng: random.Random) -> tuple[str, ...] | None:
    """A chain with one slip, perhaps a harmless one."""
    right = Draft(task.operations, task.operations)
    if cause not in _LINE_SLIPS:
        draft = _redrafted(right, cause, rng)
        return _write(task, draft, rng, None) if draft else None
    steps = _write(task, right, rng, None)
    begin = len(task.operations) + 1
    place = rng.randrange(begin, len(steps))
    wrong = _LINES[cause](steps[place], rng)
    return (*steps[:place], wrong, *steps[place + 1 :]) if wrong else None


def _write(
    task: Task, draft: Draft, rng: random.Random, slipper: Callable[[str], str] | None
) -> tuple[str, ...]:
    groups = program_lines(task, draft.code, rng)
    body = [line for group in groups for line in group]
    if slipper:
        body = [slipper(line) for line in body]
    return (*plan_lines(draft.plan), head_line(task), *body)


def _redrafted(draft: Draft, cause: str, rng: random.Random) -> Draft | None:
    """Another draft with one wrong operation more; None where there is no place for it."""
    code = list(draft.code)
    if not code:
        return None
    place = rng.randrange(len(code))
    if cause in ("operation", "plan"):
        code[place] = _confused(code[place], rng)
    elif cause == "omitted" and len(code) > 1:
        del code[place]
    elif cause == "swapped" and place:
        code[place - 1 : place + 1] = code[place], code[place - 1]
    elif cause == "early" and len(code) > 1:
        code.pop()
    else:
        return None
    if not _runs(code):
        return None
    return Draft(tuple(code) if cause == "plan" else draft.plan, tuple(code))


def _runs(code: Sequence[Applied]) -> bool:
    """Whether each operation takes what the one before gives: people seldom sum a number."""
    kinds = [(applied.operation.takes, applied.operation.gives) for applied in code]
    return all(before[1] == after[0] for before, after in pairwise(kinds))


def _confused(applied: Applied, rng: random.Random) -> Applied:
    """Another operation of the same kinds, or the same with another number."""
    operation = applied.operation
    if len(operation.numbers) > 1 and rng.random() < 0.4:
        return Applied(applied.name, _pick(rng, [k for k in operation.numbers if k != applied.k]))
    kinds = (operation.takes, operation.gives)
    others = [
        other for other in OPERATIONS.values()
        if (other.takes, other.gives) == kinds and other.name != applied.name
    ]  # fmt: skip
    alike = [other for other in others if other.role == operation.role]
    chosen = _pick(rng, alike or others or [operation])
    return Applied(chosen.name, _pick(rng, chosen.numbers))


def _constant(line: str, rng: random.Random) -> str | None:
    """A number that is off by one, or by a few."""
    found = list(_NUMBER.finditer(line))
    if not found:
        return None
    at = _pick(rng, found)
    number = max(int(at[0]) + _pick(rng, (-1, 1, 1, 2)), 0)
    return f"{line[: at.start()]}{number}{line[at.end() :]}"


def _operator(line: str, rng: random.Random) -> str | None:
    found = list(_OPERATOR.finditer(line))
    if not found:
        return None
    at = _pick(rng, found)
    return f"{line[: at.start()]}{_pick(rng, _OTHERS[at[0]])}{line[at.end() :]}"


def _variable(line: str, rng: random.Random) -> str | None:
    """Another variable's name in the place of one."""
    found = list(_VARIABLE.finditer(line))
    if not found:
        return None
    at = _pick(rng, found)
    other = _pick(rng, [name for name in ("xs", "ys", "s", "n", "x", "out", "i") if name != at[0]])
    return f"{line[: at.start()]}{other}{line[at.end() :]}"


def _syntax(line: str, rng: random.Random) -> str | None:
    """A closing bracket or a colon forgotten."""
    found = [i for i, character in enumerate(line) if character in ")]:"]
    if not found:
        return None
    at = _pick(rng, found)
    return line[:at] + line[at + 1 :]


def _pick(rng: random.Random, options: Sequence[T]) -> T:
    return options[int(rng.random() * len(options))]


_LINES: dict[str, Callable[[str, random.Random], str | None]] = {
    "constant": _constant,
    "operator": _operator,
    "variable": _variable,
    "syntax": _syntax,
}
