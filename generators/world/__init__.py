"""The exact arithmetic world "arith-v1": word problems whose first wrong step is known exactly.

    problem = sample_problem(seed=0, split="pretrain")
    solution = solve(problem, random.Random(0))
    wrong = corrupt(problem, random.Random(0), kind="operand")
    judge(problem, wrong.steps)  # Judgement(first_error=..., kind="operand", complete=...)

What counts as right is the truth table of docs/world.md.
"""

from generators.judgement import Judgement, answer_of, has_answer
from generators.world.families import FAMILIES, SPLITS, WORLD_VERSION, sample_problem, split_of
from generators.world.graph import Graph, Quantity, decode
from generators.world.judge import KINDS, judge, judge_step
from generators.world.mutate import Attempt, attempts, corrupt, recite
from generators.world.numbers import format_number, parse_number
from generators.world.slips import CORRUPTIONS
from generators.world.solve import solve
from generators.world.write import Solution

__all__ = [
    "CORRUPTIONS",
    "FAMILIES",
    "KINDS",
    "SPLITS",
    "WORLD_VERSION",
    "Attempt",
    "Graph",
    "Judgement",
    "Quantity",
    "Solution",
    "answer_of",
    "attempts",
    "corrupt",
    "decode",
    "format_number",
    "has_answer",
    "judge",
    "judge_step",
    "parse_number",
    "recite",
    "sample_problem",
    "solve",
    "split_of",
]  # fmt: skip
