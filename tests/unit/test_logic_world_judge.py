"""Every row of the truth table in docs/world_logic.md, on a hand-written problem."""

import random

import pytest

from distill.records import Problem
from generators.logic_world import decode, judge, judge_step, sample_problem, solve
from generators.logic_world.deduce import closure, is_settled, model, next_rules, rounds
from generators.logic_world.language import (
    Rule,
    negated,
    read_deduction,
    read_rule,
    rule_text,
)
from generators.logic_world.theory import encode

PREMISES = [
    "Eva is calm.",
    "Tom is not big.",
    "Tom is tall.",
    "Calm people are not rich.",
    "If someone is calm and not rich then they are wise.",
    "Wise people are kind.",
    "Shy, kind people are neat.",
    "Young people are kind.",
    "Tall people are proud.",
]
PROBLEM = Problem("id", "?", "False", payload=encode(PREMISES, "Eva is not kind."))

TABLE = [
    ("Eva is calm.", ""),
    ("  Eva is calm. ", ""),
    ("Eva is kind.", ""),
    ("Eva is calm and not rich.", ""),
    ("Eva is calm and Eva is not rich and Tom is tall.", ""),
    ("Eva is calm, so Eva is not rich.", ""),
    ("Eva is calm and not rich, so Eva is wise.", ""),
    ("Eva is calm, so Eva is kind.", ""),
    ("Eva is calm, so Eva is wise and kind.", ""),
    ("Eva is kind, so Eva is calm.", ""),
    ("Tom is tall, so Eva is kind.", ""),
    ("Tom is tall, so Tom is proud.", ""),
    ("Calm people are not rich.", ""),
    ("If someone is calm then they are not rich.", ""),
    ("Kind, shy people are neat.", ""),
    ("Calm people are kind.", ""),
    ("If someone is not kind then they are not wise.", ""),
    ("Calm people are calm.", ""),
    ("Answer: False", ""),
    ("Eva is shy, so Eva is kind.", "premise"),
    ("Eva is calm and shy, so Eva is neat.", "premise"),
    ("Eva is shy, so Eva is not kind.", "premise"),
    ("Tom is calm, so Tom is not rich.", "premise"),
    ("Zoe is calm, so Zoe is not rich.", "premise"),
    ("Eva is rich, so Eva is wise.", "premise"),
    ("Eva is not kind.", "negated"),
    ("Eva is calm, so Eva is rich.", "negated"),
    ("Eva is calm, so Eva is not rich and not wise.", "negated"),
    ("Tom is tall, so Tom is big.", "negated"),
    ("Eva is kind, so Eva is young.", "converse"),
    ("Eva is calm and kind, so Eva is young.", "converse"),
    ("Eva is calm, so Eva is not big.", "wrong_person"),
    ("Tom is tall, so Eva is proud.", "wrong_person"),
    ("Tom is tall, so Tom is kind.", "wrong_person"),
    ("Tom is proud, so Eva is tall.", "wrong_person"),
    ("Eva is proud.", "wrong_person"),
    ("Tom is tall, so Eva is young.", "unsupported"),
    ("Eva is kind, so Eva is neat.", "unsupported"),
    ("Eva is kind, so Eva is shy.", "unsupported"),
    ("Eva is kind, so Eva is not young.", "unsupported"),
    ("Eva is kind, so Eva is funny.", "unsupported"),
    ("Zoe is funny.", "unsupported"),
    ("Kind people are wise.", "unsupported"),
    ("Kind people are neat.", "unsupported"),
    ("If someone is not calm then they are rich.", "unsupported"),
    ("Answer: True", "answer"),
    ("Answer: Unknown", "answer"),
    ("Answer: false", "malformed"),
    ("Answer: No", "malformed"),
    ("Answer: ", "malformed"),
    ("Answer:False", "malformed"),
    ("", "malformed"),
    ("   ", "malformed"),
    (".", "malformed"),
    ("Eva is calm", "malformed"),
    ("Eva is calm..", "malformed"),
    ("Eva is  calm.", "malformed"),
    ("eva is calm.", "malformed"),
    ("Eva is Calm.", "malformed"),
    ("Eva are calm.", "malformed"),
    ("Max is calm.", "malformed"),
    ("Eva is purple.", "malformed"),
    ("Eva is not rich and calm.", "malformed"),
    ("Eva is not not calm.", "malformed"),
    ("Eva is calm so Eva is not rich.", "malformed"),
    ("Eva is calm, so not rich.", "malformed"),
    ("Eva is calm, so Eva is not rich, so Eva is wise.", "malformed"),
    (", so Eva is calm.", "malformed"),
    ("Eva is calm, so .", "malformed"),
    ("So Eva is calm.", "malformed"),
    ("Eva is calm and.", "malformed"),
    ("Eva is.", "malformed"),
    ("If someone is calm then Eva is not rich.", "malformed"),
    ("Calm people are not rich, so Eva is not rich.", "malformed"),
    ("calm people are not rich.", "malformed"),
    ("Calm people are not rich and wise.", "malformed"),
    ("If someone is not rich and calm then they are wise.", "malformed"),
    ("Eva is calm.\nEva is kind.", "malformed"),
]


@pytest.mark.parametrize(("step", "kind"), TABLE)
def test_step(step: str, kind: str) -> None:
    assert judge_step(decode(PROBLEM), step) == kind


def test_chains() -> None:
    right = ["Eva is calm, so Eva is not rich.", "Eva is not rich, so Eva is kind.", "Answer: False"]
    verdict = judge(PROBLEM, right)
    assert (verdict.first_error, verdict.kind, verdict.complete) == (-1, "", True)
    for cut in range(3):
        verdict = judge(PROBLEM, right[:cut])
        assert (verdict.first_error, verdict.kind, verdict.complete) == (-1, "", False)
    verdict = judge(PROBLEM, [*right, "Answer: False"])
    assert (verdict.first_error, verdict.kind, verdict.complete) == (3, "malformed", False)
    verdict = judge(PROBLEM, [*right, "Eva is calm."])
    assert (verdict.first_error, verdict.kind, verdict.complete) == (3, "malformed", False)
    wrong = judge(PROBLEM, [right[0], "Eva is rich.", "", "Answer: False"])
    assert (wrong.first_error, wrong.kind, wrong.complete) == (1, "negated", True)
    late = judge(PROBLEM, [right[0], "Answer: True", "Answer: False"])
    assert (late.first_error, late.kind, late.complete) == (1, "answer", False)


def test_any_order_of_a_solution_and_any_part_of_it_is_right() -> None:
    rng = random.Random(0)
    for seed in range(150):
        problem = sample_problem(seed, "pretrain")
        *lines, last = solve(problem, rng).steps
        some = rng.sample(lines, rng.randint(0, len(lines)))
        assert judge(problem, [*some, last]).complete
        assert judge(problem, [*some, last]).first_error == -1


def test_an_edit_of_a_deduction_is_judged_by_what_it_then_states() -> None:
    """Rows made here by editing true text, without the package's own mutations."""
    rng = random.Random(0)
    for seed in range(150):
        problem = sample_problem(seed, "pretrain")
        theory = decode(problem)
        for line in solve(problem, rng).steps[:-1]:
            if ", so " not in line:
                continue
            ground, conclusion = line[:-1].split(", so ")
            person, _, said = conclusion.partition(" is ")
            flipped = said.removeprefix("not ") if said.startswith("not ") else f"not {said}"
            assert judge_step(theory, f"{ground}, so {person} is {flipped}.") == "negated"
            assert judge_step(theory, f"{person} is {flipped}, so {conclusion}.") == "premise"
            assert judge_step(theory, f"{person} is {flipped}, so {person} is {flipped}.") == "premise"
            assert judge_step(theory, f"{conclusion}.") == ""
            assert judge_step(theory, f"{conclusion}, so {conclusion}.") == ""
            assert judge_step(theory, line[:-1]) == "malformed"
            for other in theory.known:
                follows = judge_step(theory, f"{other} is {said}.") == ""
                moved = judge_step(theory, f"{ground}, so {other} is {said}.")
                assert moved in ([""] if follows else ["wrong_person", "negated"])


def test_rules_are_read_as_they_are_written() -> None:
    rng = random.Random(0)
    for _ in range(300):
        atoms = rng.sample(range(24), 3)
        first, second, head = (1 << 2 * atom + (rng.random() < 0.4) for atom in atoms)
        rule = Rule(first | (second if rng.random() < 0.5 else 0), head)
        for short in (False, True):
            assert read_rule(rule_text(rule, short)) == rule
            assert read_deduction(rule_text(rule, short)) is None


def test_forward_chaining_by_hand() -> None:
    a, b, c, d = (1 << 2 * i for i in range(4))
    rules = [Rule(b, c), Rule(a, b), Rule(c | d, negated(a))]
    assert list(rounds(rules, a)) == [a, a | b, a | b | c]
    assert closure(rules, d) == d
    assert [rule.head for rule in next_rules(rules, a, c)] == [b]
    assert next_rules(rules, a | b | c, c) == []
    assert next_rules(rules, a | b, d) == [rules[0]]


def test_settled_means_that_classical_logic_gives_no_more() -> None:
    a, b, c = (1 << 2 * i for i in range(3))
    assert is_settled([Rule(a, b)], a | b)
    assert not is_settled([Rule(a, b)], negated(b))  # contraposition: not a
    assert not is_settled([Rule(a, c), Rule(negated(a), c)], b)  # either way c
    assert not is_settled([Rule(a, negated(a))], b)
    assert not is_settled([], a | negated(a))
    assert is_settled([Rule(a | b, c)], a)
    assert not is_settled([Rule(a | b, c)], a | negated(c))


def test_search_agrees_with_trying_all_assignments() -> None:
    rng = random.Random(0)
    size, settled = 5, 0
    literals = [1 << bit for bit in range(2 * size)]
    worlds = [sum(1 << 2 * i + (number >> i & 1) for i in range(size)) for number in range(1 << size)]
    for _ in range(400):
        clauses = [sum(set(rng.choices(literals, k=rng.randint(1, 3)))) for _ in range(rng.randint(0, 12))]
        true = rng.choice([0, rng.choice(literals), sum(rng.sample(literals, 2))])
        models = [one for one in worlds if one & true == true and all(one & clause for clause in clauses)]
        found = model(clauses, true)
        assert (found is None) == (not models)
        if found is not None:
            assert all(found & clause for clause in clauses)
            assert not found & negated(found)
            assert found & true == true
        settled += found is not None
    assert 50 < settled < 350


@pytest.mark.parametrize(
    "payload", ["", "{}", "[]", '{"premises": ["Bob is red."], "conclusion": "Eva is red."}']
)
def test_another_payload_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match="logic world"):
        judge(Problem("id", "?", "True", payload=payload), ["Answer: True"])
