"""The exact judge: the first wrong step of any chain of text. Truth table: docs/world.md."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from distill.records import Problem
from generators.world.graph import Graph, decode
from generators.world.numbers import Expr, Number, evaluate, leaves, parse_expression, parse_number

ANSWER = "Answer: "
KINDS = ("arithmetic", "value", "operand", "operation", "invented", "malformed", "answer")
_SLOT = re.compile(r"([^0-9()-]*)(.*[0-9)])([^0-9()-]*)")


@dataclass(frozen=True, slots=True)
class Judgement:
    """`first_error` is 0-based, -1 for none. `complete`: the chain ends in its right answer."""

    first_error: int
    kind: str
    complete: bool


def judge(problem: Problem, steps: Sequence[str]) -> Judgement:
    """The first wrong step of `steps` (one text per step, no line ends), and its kind."""
    graph = decode(problem.payload)
    answers = [i for i, step in enumerate(steps) if step.strip().startswith(ANSWER)]
    complete = answers == [len(steps) - 1] and not judge_step(graph, steps[-1])
    end = answers[0] if answers else len(steps)
    for index, step in enumerate(steps):
        kind = "malformed" if index > end else judge_step(graph, step)
        if kind:
            return Judgement(index, kind, complete)
    return Judgement(-1, "", complete)


def judge_step(graph: Graph, step: str) -> str:
    """The kind of error in a step whose predecessors are right; "" if it is right too."""
    step = step.strip()
    if step.startswith(ANSWER):
        return _judge_answer(graph, step.removeprefix(ANSWER))
    match = _SLOT.fullmatch(step)
    target = graph.by_frame.get((match[1], match[3])) if match else None
    if match is None or target is None:
        return "malformed"
    left, equals, right = match[2].rpartition(" = ")
    value = parse_number(right)
    expr = parse_expression(left) if equals else None
    if value is None or (equals and expr is None):
        return "malformed"
    return verdict(graph, target, expr, value)


def verdict(graph: Graph, target: str, expr: Expr | None, value: Number) -> str:
    """The kind of error in stating that `target` is `expr` = `value` (expr None: no equation)."""
    if expr is None:
        return "" if value == graph.quantities[target].value else "value"
    if type(expr) is not tuple:
        return "malformed"
    if not _computes(expr, value):
        return "arithmetic"
    literals = leaves(expr)
    if any(literal not in graph.by_value for literal in literals):
        return "invented"
    if graph.derives(target, expr):
        return ""
    return "operation" if tuple(sorted(literals)) in graph.recipes(target) else "operand"


def has_answer(lines: Sequence[str]) -> bool:
    """Whether a chain of these lines states an answer, right or wrong."""
    return answer_of(lines) is not None


def answer_of(steps: Sequence[str]) -> str | None:
    """The text after `Answer: ` in the first line that has it; None without one."""
    for step in steps:
        if step.strip().startswith(ANSWER):
            return step.strip().removeprefix(ANSWER)
    return None


def _judge_answer(graph: Graph, text: str) -> str:
    value = parse_number(text)
    if value is None:
        return "malformed"
    return "" if value == graph.quantities[graph.goal].value else "answer"


def _computes(expr: Expr, value: Number) -> bool:
    try:
        return evaluate(expr) == value
    except ZeroDivisionError:
        return False
