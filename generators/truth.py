"""Exact truth about the steps of a chain, for the domains that have it (generated worlds)."""

from collections.abc import Sequence

from distill.records import Problem, completed_lines


def exact_first_error(problem: Problem, steps: Sequence[str]) -> tuple[int, str] | None:
    """0-based index and kind of the first wrong step, (-1, "") for none; None where nothing exact
    is known of this problem's domain.

    The world judges lines. A step with a wrong line is wrong; a line that several steps share (sentences,
    tokens) is held against the step that completes it.
    """
    if problem.domain != "arith-world":
        return None
    from generators.world import judge

    lines = completed_lines(steps)
    judgement = judge(problem, [line for _, line in lines])
    return (lines[judgement.first_error][0] if judgement.kind else -1), judgement.kind


def states_answer(problem: Problem, text: str) -> bool:
    """Whether `text` states an answer in the way that the problem's world demands (docs/world.md, row 14:
    a chain that breaks off before its Answer line has no wrong step). Other domains demand none."""
    if problem.domain != "arith-world":
        return True
    from generators.world.judge import answer_of

    return answer_of(text.splitlines()) is not None
