"""Writing a task's chain: plan lines, then a program in one of several spellings."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from generators.code_world.build import ENTRY_POINT, Task
from generators.code_world.operations import Applied, filled

P_FIRST = 0.6  # the usual spelling of an operation
P_LOOP = 0.2
P_FRESH = 0.15  # a new variable rather than the same one again
P_DIRECT = 0.6  # `return sum(xs)` rather than `s = sum(xs)`, `return s`
_LISTS, _NUMBERS = ("xs", "ys", "zs", "out", "ws", "vs"), ("s", "r", "m", "v", "w", "u")


@dataclass(frozen=True, slots=True)
class Solution:
    """Steps with the 0-based first error (-1 none), its kind, and the slip that caused it."""

    steps: tuple[str, ...]
    first_error: int = -1
    kind: str = ""
    cause: str = ""


@dataclass(slots=True)
class Writer:
    """Writes the lines of one program; `holder` is the variable that holds the value."""

    rng: random.Random
    holder: str
    varied: bool = True

    def lines(self, operations: Sequence[Applied]) -> list[list[str]]:
        """The lines of each operation, and of the return, without the function's indentation."""
        found: list[list[str]] = []
        used = {self.holder}
        for place, applied in enumerate(operations):
            form = self._form(applied)
            direct = place == len(operations) - 1 and form.startswith("=") and self._chance(P_DIRECT)
            if direct:
                return [*found, ["return " + form[1:].replace("V", self.holder)]]
            found.append(self._written(applied, form, used))
        return [*found, [f"return {self.holder}"]]

    def _written(self, applied: Applied, form: str, used: set[str]) -> list[str]:
        taken = self._target(applied, form, used)
        text = f"W = {form[1:]}" if form.startswith("=") else form
        text = text.replace("V", self.holder).replace("W", taken)
        if "W" in form or form.startswith("="):
            self.holder = taken
        used.add(taken)
        return text.split("\n")

    def _target(self, applied: Applied, form: str, used: set[str]) -> str:
        """The variable for the result: the same one where that can be, sometimes a new one."""
        operation = applied.operation
        names = _LISTS if operation.gives == "list" else _NUMBERS
        fresh = next(name for name in names if name not in used)
        loop = "\n" in form
        if loop or operation.takes != operation.gives:
            return "out" if loop and operation.gives == "list" and "out" not in used else fresh
        return fresh if self._chance(P_FRESH) else self.holder

    def _form(self, applied: Applied) -> str:
        """One of the programs of an operation, its number filled in."""
        operation = applied.operation
        if operation.role == "other":
            return filled(self._pick(operation.forms), applied.k)
        element = filled(self._pick(operation.element), applied.k)
        loop = self._chance(P_LOOP)
        if operation.role == "filter":
            if loop:
                return f"W = []\nfor x in V:\n    if {element}:\n        W.append(x)"
            return f"=[x for x in V if {element}]"
        return f"W = []\nfor x in V:\n    W.append({element})" if loop else f"=[{element} for x in V]"

    def _pick(self, options: Sequence[str]) -> str:
        if len(options) == 1 or not self.varied or self.rng.random() < P_FIRST:
            return options[0]
        return options[self.rng.randrange(1, len(options))]

    def _chance(self, p: float) -> bool:
        return self.varied and self.rng.random() < p


def plan_lines(operations: Sequence[Applied]) -> list[str]:
    """`# keep the even numbers`, one an operation."""
    return [f"# {applied.phrase}" for applied in operations]


def head_line(task: Task) -> str:
    """`def f(xs):`."""
    return f"def {ENTRY_POINT}({task.parameter}):"


def program_lines(task: Task, operations: Sequence[Applied], rng: random.Random) -> list[list[str]]:
    """A varied program: the lines of each operation (indented), and of the return."""
    groups = Writer(rng, task.parameter).lines(operations)
    return [[f"    {line}" for line in group] for group in groups]


def usual_program(task: Task) -> str:
    """The plainest program, for the payload."""
    groups = Writer(random.Random(0), task.parameter, varied=False).lines(task.operations)
    return "\n".join([head_line(task), *(f"    {line}" for group in groups for line in group)]) + "\n"
