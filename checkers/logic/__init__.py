"""Deduction in a small controlled English and in propositional formulas: final answers and single steps.

    from checkers.logic import answer_of, check_deduction, check_logic

    rules = "Wren is a tumpus. Tumpuses are not rainy."
    check_logic(rules, "Wren is rainy", answer="False").status              # correct
    answer_of(rules, "Wren is cold")                                        # "Unknown"
    check_deduction(rules, ["From 1 and 2: Wren is not rainy."])[0].status  # correct

The grammar of the English is in `english`, that of the formulas in `notation`, the readings of "follows" in
`answers.answer_of`. One variable a sentence (someone, everything, all ...), ranging over the individuals that
the texts name. Not covered: "some", numbers and comparisons, time, relative clauses, intransitive verbs,
either/or, nested quantifiers. What is not understood is undecided, with the sentence in the reason.
"""

from checkers.logic.answers import answer_of, check_logic, read_answer
from checkers.logic.deduction import check_deduction
from checkers.logic.prover import Answer

__all__ = ["Answer", "answer_of", "check_deduction", "check_logic", "read_answer"]
