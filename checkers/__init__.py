"""Rule-based judges of final answers, steps, programs and deductions, usable on their own.

    from checkers import Pool, check_code, check_logic, check_math, check_steps

    check_math("The answer is 18.", "18").status                                     # correct
    check_steps("", ["3 * 4 = 13"])[0].compared                                      # ("13", "12")
    check_code("def f(x): return 2 * x", ["assert f(2) == 4"]).status                # correct
    check_logic("Bob is red. Red people are cold.", "Bob is cold").status            # correct
    with Pool(workers=2) as pool:  # for text that a model wrote: it may take any time or memory
        verdicts = pool.map("math", [("The answer is 18.", "18"), ("9**9**9**9", "18")])

Three verdicts: correct, incorrect, undecided (a deadline, a reference that cannot be read, a crash).
Undecided is never to be counted as wrong. A checker of your own: `checkers.plugins`.
"""

from checkers.code import CallCase, CodeVerdict, Limits, SandboxError, StdinCase, active_layers, check_code
from checkers.code_steps import check_code_steps
from checkers.logic import answer_of, check_deduction, check_logic
from checkers.math import check_math
from checkers.pool import Pool, PoolError
from checkers.programs import program_of
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
    "check_code_steps",
    "check_deduction",
    "check_logic",
    "check_math",
    "check_steps",
    "program_of",
]
