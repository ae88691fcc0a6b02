"""The exact judge: the first wrong line of any chain of text. Truth table: docs/world_code.md."""

from collections.abc import Sequence

from distill.records import Problem
from generators.code_world.build import ENTRY_POINT
from generators.code_world.operations import BY_PHRASE
from generators.code_world.program import Program, ProgramError
from generators.code_world.states import Goal, applied_to, goal_of
from generators.judgement import Judgement

KINDS = ("syntax", "malformed", "name", "runtime", "value", "early", "plan")
MOST_LINES = 200


def judge(problem: Problem, steps: Sequence[str]) -> Judgement:
    """The first wrong step of `steps`, and its kind. A step is a line, or several with line ends."""
    reader = _Reader(goal_of(problem.payload))
    first, kind = -1, ""
    lines = ((i, line) for i, step in enumerate(steps) for line in step.removesuffix("\n").split("\n"))
    for count, (index, line) in enumerate(lines):
        found = reader.read(line.rstrip()) if count < MOST_LINES else "malformed"
        if found and first < 0:
            first, kind = index, found
        if found and found != "plan":
            return Judgement(first, kind, False)
    return Judgement(first, kind, reader.finished)


def has_answer(lines: Sequence[str]) -> bool:
    """Whether a chain ends in a finished function: its last line is a return, after a def."""
    text = [line for part in lines for line in part.split("\n") if line.strip()]
    begun = any(line.startswith("def ") for line in text)
    return begun and text[-1].strip().split(" ")[0].split("(")[0] == "return"


class _Reader:
    """Reads the lines of one chain: the plan, then the program."""

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.named = 0  # operations that the plan has named, a bit each
        self.planned = goal.inputs  # the values after them
        self.program: Program | None = None

    @property
    def finished(self) -> bool:
        """Whether the right result was returned."""
        return self.program is not None and self.program.returned

    def read(self, line: str) -> str:
        """The kind of error in the next line, "" if it is right."""
        if not line:
            return ""
        if self.finished:
            return "malformed"
        if line.lstrip(" ").startswith("#") and line.isprintable():
            return self._read_comment(line)
        try:
            if self.program is None:
                self.program = Program(self.goal, line, ENTRY_POINT)
            else:
                self.program.read(line)
        except ProgramError as error:
            return error.kind
        return ""

    def _read_comment(self, line: str) -> str:
        applied = BY_PHRASE.get(line.strip().lstrip("#").strip().rstrip(".").lower())
        if applied is None:
            return "plan"
        bits = [1 << i for i, other in enumerate(self.goal.task.operations) if other == applied]
        if self.program is not None:
            return "" if bits else "plan"
        for bit in bits:
            after = () if bit & self.named else applied_to(applied, self.planned)
            if after and self.goal.left(after, self.named | bit):
                self.named, self.planned = self.named | bit, after
                return ""
        return "" if any(bit & self.named for bit in bits) else "plan"
