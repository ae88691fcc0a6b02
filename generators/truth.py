"""Exact truth about the steps of a chain, for the domains that have it (generated worlds)."""

import importlib
from collections.abc import Sequence
from typing import Any

from distill.records import Problem, completed_lines

WORLDS = {
    "arith-world": "generators.world",
    "logic-world": "generators.logic_world",
    "code-world": "generators.code_world",
}
"""The package of each exact world: `sample_problem`, `solve`, `judge`, `has_answer`."""


def exact_first_error(problem: Problem, steps: Sequence[str]) -> tuple[int, str] | None:
    """0-based index and kind of the first wrong step, (-1, "") for none; None where nothing exact
    is known of this problem's domain.

    The world judges lines. A step with a wrong line is wrong; a line that several steps share (sentences,
    tokens) is held against the step that completes it.
    """
    known = world(problem.domain)
    if known is None:
        return None
    lines = completed_lines(steps)
    judgement = known.judge(problem, [line for _, line in lines])
    return (lines[judgement.first_error][0] if judgement.kind else -1), judgement.kind


def states_answer(problem: Problem, text: str) -> bool:
    """Whether `text` states an answer in the way that the problem's world demands (docs/world.md, row 14:
    a chain that breaks off before its Answer line has no wrong step). Other domains demand none."""
    known = world(problem.domain)
    return known is None or bool(known.has_answer(text.splitlines()))


def world(domain: str) -> Any:
    """The package of an exact world; None for any other domain."""
    name = WORLDS.get(domain)
    return importlib.import_module(name) if name else None
