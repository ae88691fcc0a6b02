"""The exact logic world "logic-v1": deduction problems whose first wrong step is known exactly.

    problem = sample_problem(seed=0, split="pretrain")
    solution = solve(problem, random.Random(0))
    wrong = corrupt(problem, random.Random(0), kind="converse")
    judge(problem, wrong.steps)  # Judgement(first_error=..., kind="converse", complete=...)

What counts as right is the truth table of docs/world_logic.md.
"""

from generators.judgement import Judgement, answer_of, has_answer
from generators.logic_world.judge import ANSWERS, KINDS, judge, judge_step
from generators.logic_world.sample import SPLITS, WORLD_VERSION, sample_problem, split_of
from generators.logic_world.slips import CORRUPTIONS
from generators.logic_world.solve import corrupt, solve
from generators.logic_world.theory import Theory, decode
from generators.logic_world.write import Solution

__all__ = [
    "ANSWERS",
    "CORRUPTIONS",
    "KINDS",
    "SPLITS",
    "WORLD_VERSION",
    "Judgement",
    "Solution",
    "Theory",
    "answer_of",
    "corrupt",
    "decode",
    "has_answer",
    "judge",
    "judge_step",
    "sample_problem",
    "solve",
    "split_of",
]
