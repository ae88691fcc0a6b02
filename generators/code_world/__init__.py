"""The exact code world "code-v1": small functions whose first wrong line is known exactly.

    problem = sample_problem(seed=0, split="pretrain")
    solution = solve(problem, random.Random(0))
    wrong = corrupt(problem, random.Random(0), kind="operator")
    judge(problem, wrong.steps)  # Judgement(first_error=..., kind="value", complete=False)

What counts as right is the truth table of docs/world_code.md.
"""

from generators.code_world.build import SPLITS, WORLD_VERSION, Task, decode, sample_problem, split_of
from generators.code_world.judge import KINDS, has_answer, judge
from generators.code_world.operations import OPERATIONS
from generators.code_world.slips import CORRUPTIONS, corrupt, solve
from generators.code_world.solve import Solution
from generators.judgement import Judgement

__all__ = [
    "CORRUPTIONS",
    "KINDS",
    "OPERATIONS",
    "SPLITS",
    "WORLD_VERSION",
    "Judgement",
    "Solution",
    "Task",
    "corrupt",
    "decode",
    "has_answer",
    "judge",
    "sample_problem",
    "solve",
    "split_of",
]
