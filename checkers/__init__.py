"""Rule-based judges of final answers and of single steps, usable on their own.

    from checkers import Pool, check_math, check_steps

    check_math("The answer is 18.", "18").status        # correct
    check_steps("", ["3 * 4 = 13"])[0].compared         # ("13", "12")
    check_code("def f(x): return 2 * x", ["assert f(2) == 4"]).status   # in a sandbox
    with Pool(workers=2) as pool:                       # for text that a model wrote
        verdicts = pool.map("math", [(answer, reference), ...])

Three verdicts: correct, incorrect, undecided (a deadline, a reference that cannot be read, a crash).
Undecided is never to be counted as wrong.
"""

from checkers.code import CallCase, CodeVerdict, Limits, SandboxError, StdinCase, active_layers, check_code
from checkers.logic import answer_of, check_deduction, check_logic
from checkers.math import check_math
from checkers.pool import Pool, PoolError
from checkers.steps import check_steps
from checkers.verdict import Status, Verdict

__all__ = [
    "CallCase",
    "CodeVerdict",
    "Limits",
    "Pool",
    "PoolError",
    "SandboxError",
    "Status",
    "StdinCase",
    "Verdict",
    "active_layers",
    "answer_of",
    "check_code",
    "check_deduction",
    "check_logic",
    "check_math",
    "check_steps",
]
