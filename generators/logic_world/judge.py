"""The exact judge: the first wrong step of any chain of text. Truth table: docs/world_logic.md."""

from collections.abc import Sequence

from distill.records import Problem
from generators.judgement import ANSWER, Judgement, judge_lines
from generators.logic_world.deduce import entails_rule
from generators.logic_world.language import (
    Deduction,
    Literals,
    Statement,
    each,
    negated,
    read_deduction,
    read_rule,
)
from generators.logic_world.theory import Theory, decode

ANSWERS = ("True", "False", "Unknown")
KINDS = ("premise", "negated", "converse", "wrong_person", "unsupported", "malformed", "answer")


def judge(problem: Problem, steps: Sequence[str]) -> Judgement:
    """The first wrong step of `steps` (one text per step, no line ends), and its kind."""
    theory = decode(problem)
    return judge_lines(steps, lambda step: judge_step(theory, step))


def judge_step(theory: Theory, step: str) -> str:
    """The kind of error in a step; "" if it is right."""
    step = step.strip()
    if step.startswith(ANSWER):
        given = step.removeprefix(ANSWER)
        return "malformed" if given not in ANSWERS else "" if given == theory.answer else "answer"
    if deduction := read_deduction(step):
        return verdict(theory, deduction)
    if rule := read_rule(step):
        return "" if entails_rule(theory.rules, rule) else "unsupported"
    return "malformed"


def verdict(theory: Theory, deduction: Deduction) -> str:
    """The kind of error in what a line states; "" if all of it follows."""
    if any(said.literals & ~theory.known.get(said.person, 0) for said in deduction.grounds):
        return "premise"
    for said in deduction.conclusions:
        for literal in each(said.literals & ~theory.known.get(said.person, 0)):
            return _kind(theory, deduction.grounds, said.person, literal)
    return ""


def _kind(theory: Theory, grounds: Sequence[Statement], person: str, literal: Literals) -> str:
    """What is wrong with concluding a literal of a person that does not follow."""
    if theory.known.get(person, 0) & negated(literal):
        return "negated"
    stated = 0
    for ground in grounds:
        stated |= ground.literals if ground.person == person else 0
    if any(rule.head & stated and rule.body & literal for rule in theory.rules):
        return "converse"
    if any(known & literal for other, known in theory.known.items() if other != person):
        return "wrong_person"
    return "unsupported"
