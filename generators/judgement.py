"""What the judges of all exact worlds give, and how chains that end in an `Answer:` line are judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ANSWER = "Answer: "


@dataclass(frozen=True, slots=True)
class Judgement:
    """`first_error` is 0-based, -1 for none. `complete`: the chain ends in its right answer."""

    first_error: int
    kind: str
    complete: bool


def judge_lines(steps: Sequence[str], kind_of: Callable[[str], str]) -> Judgement:
    """The first wrong step and its kind, where `kind_of` names the error of a step ("" if it is right). What
    follows the first answer is `malformed`."""
    answers = [i for i, step in enumerate(steps) if step.strip().startswith(ANSWER)]
    complete = answers == [len(steps) - 1] and not kind_of(steps[-1])
    end = answers[0] if answers else len(steps)
    for index, step in enumerate(steps):
        kind = "malformed" if index > end else kind_of(step)
        if kind:
            return Judgement(index, kind, complete)
    return Judgement(-1, "", complete)


def has_answer(lines: Sequence[str]) -> bool:
    """Whether a chain of these lines states an answer, right or wrong."""
    return answer_of(lines) is not None


def answer_of(steps: Sequence[str]) -> str | None:
    """The text after `Answer: ` in the first line that has it; None without one."""
    for step in steps:
        if step.strip().startswith(ANSWER):
            return step.strip().removeprefix(ANSWER)
    return None
