"""Labelled chains from a line of marks, for the dataset tests."""

from collections.abc import Sequence

from distill.records import Chain, LabelledChain, Outcome, Problem, StepLabel, StepStatus, content_id

KINDS = {"+": StepStatus.GOOD, "-": StepStatus.BAD, "?": StepStatus.UNDETERMINED}


def first_error_of(marks: str) -> int | None:
    """What monotone labels imply: "++-" is 2, "++" -1, "+?-" None."""
    rest = marks.lstrip("+")
    return -1 if not rest else None if rest[0] == "?" else len(marks) - len(rest)


def labelled(
    question: str,
    marks: str,
    steps: Sequence[str] | None = None,
    outcome: Outcome = Outcome.INCORRECT,
    problem_id: str = "",
) -> LabelledChain:
    """A chain whose steps carry `marks` ("+", "-", "?"); steps end in newlines, as the segmenter's do."""
    texts = tuple(steps if steps is not None else (f"{question} part {i}\n" for i in range(len(marks))))
    problem = Problem(problem_id or content_id(question), question, "1", source="tests")
    chain = Chain(
        content_id(question, texts, marks), problem.id, texts, outcome, answer="1", generator="scripted"
    )
    labels = tuple(StepLabel(KINDS[mark]) for mark in marks)
    return LabelledChain(problem, chain, labels, first_error_of(marks), "adaptive", rollout_tokens=5)
