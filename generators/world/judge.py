"""The exact judge: the first wrong step of any chain of text. Truth table: docs/world.md."""

import re
from collections.abc import Sequence

from distill.records import Problem
from generators.judgement import ANSWER, Judgement, judge_lines
from generators.world.graph import Graph, decode
from generators.world.numbers import Expr, Number, evaluate, leaves, parse_expression, parse_number

KINDS = ("arithmetic", "value", "operand", "operation", "invented", "malformed", "answer")
_SLOT = re.compile(r"([^0-9()-]*)(.*[0-9)])([^0-9()-]*)")


def judge(problem: Problem, steps: Sequence[str]) -> Judgement:
    """The first wrong step of `steps` (one text per step, no line ends), and its kind."""
    graph = decode(problem.payload)
    return judge_lines(steps, lambda step: judge_step(graph, step))


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
