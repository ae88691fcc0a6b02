"""What the exact step checker is shown of a chain, and its verdicts as one a step.

Steps of a fixed number of tokens go through numbers and equations ("13 + 4 = 1", "7"), of which no rule can
judge a piece. So their lines are checked, and a line counts for the step that completes it.
"""

from collections.abc import Sequence

from checkers import Status, Verdict
from checkers.verdict import undecided
from distill.config import ChainSettings
from distill.records import completed_lines


def texts_to_check(steps: Sequence[str], settings: ChainSettings) -> list[str]:
    """The steps, or the lines of steps that are cut anywhere."""
    if settings.segment == "tokens":
        return [line for _, line in completed_lines(steps)]
    return list(steps)


def verdicts_of_steps(
    verdicts: Sequence[Verdict], steps: Sequence[str], settings: ChainSettings
) -> list[Verdict]:
    """One verdict a step from those on `texts_to_check`: of several lines the first refuted one, or else the
    first confirmed one."""
    if settings.segment != "tokens":
        return list(verdicts)
    found = [undecided("no line ends in this step")] * len(steps)
    for (step, _), verdict in zip(completed_lines(steps), verdicts, strict=True):
        if _WEIGHT[verdict.status] > _WEIGHT[found[step].status]:
            found[step] = verdict
    return found


_WEIGHT = {Status.INCORRECT: 2, Status.CORRECT: 1, Status.UNDECIDED: 0}
