"""The logic world and the entailment checker, written apart, are held against each other."""

import json
import random
from collections import Counter

from checkers.logic import answer_of, check_deduction, check_logic
from checkers.verdict import Status
from generators.logic_world import ANSWERS, CORRUPTIONS, corrupt, decode, judge_step, sample_problem, solve
from generators.logic_world.language import ADJECTIVES, NAMES

SAMPLE = [sample_problem(seed, "pretrain") for seed in range(250)]
MEASURED = 0.95
WORDS = (*NAMES, *ADJECTIVES, "not", "and", "so", "is", "people", "are", "If", "someone", "then", "they")


def sentences(problem) -> tuple[list[str], str]:
    payload = json.loads(problem.payload)
    return payload["premises"], payload["conclusion"]


def test_answers_agree_in_every_reading() -> None:
    for problem in SAMPLE:
        premises, conclusion = sentences(problem)
        for reasoning in ("rules", "classical"):
            assert answer_of(premises, conclusion, reasoning=reasoning) == problem.reference, problem
        assert " ".join((*premises, conclusion)) in problem.question


def test_a_final_line_is_judged_alike() -> None:
    for problem in SAMPLE[:60]:
        for answer in ANSWERS:
            verdict = check_logic(*sentences(problem), answer=f"Answer: {answer}")
            assert verdict.status is (Status.CORRECT if answer == problem.reference else Status.INCORRECT)


def compare(problem, lines, counts: Counter) -> None:
    """No right line is refuted, no wrong one confirmed; but one may mean something out of the language."""
    premises, _ = sentences(problem)
    for line, verdict in zip(lines, check_deduction(premises, lines)):
        kind = judge_step(decode(problem), line)
        counts[bool(kind), verdict.status] += 1
        if kind != "malformed":
            opposite = Status.CORRECT if kind else Status.INCORRECT
            assert verdict.status is not opposite, (problem.question, line, kind, verdict)


def test_steps_are_judged_alike() -> None:
    rng = random.Random(0)
    counts: Counter = Counter()
    for problem in SAMPLE[:120]:
        chains = [solve(problem, rng), *(corrupt(problem, rng, kind) for kind in CORRUPTIONS)]
        for chain in filter(None, chains):
            compare(problem, [step for step in chain.steps if not step.startswith("Answer")], counts)
    total = sum(counts.values())
    decided = total - counts[True, Status.UNDECIDED] - counts[False, Status.UNDECIDED]
    assert decided / total >= MEASURED
    assert counts[True, Status.INCORRECT] > 300
    assert counts[False, Status.CORRECT] > 1000


def test_damaged_lines_are_right_only_if_they_mean_the_same() -> None:
    """One word or character dropped, put in, or changed: what is still right, the checker confirms."""
    rng = random.Random(1)
    still_right = 0
    for problem in SAMPLE[:80]:
        theory = decode(problem)
        lines = [line for line in solve(problem, rng).steps[:-1] for _ in range(6)]
        damaged = [damage(line, rng) for line in lines] + [premise_edit(problem, rng) for _ in range(4)]
        right = [line for line in damaged if judge_step(theory, line) == ""]
        still_right += len(set(right) - set(lines))
        verdicts = check_deduction(sentences(problem)[0], right)
        assert {verdict.status for verdict in verdicts} <= {Status.CORRECT}, (problem, right, verdicts)
        compare(problem, damaged, Counter())
    assert still_right > 10


def damage(line: str, rng: random.Random) -> str:
    if rng.random() < 0.3:
        at = rng.randrange(len(line))
        return line[:at] + rng.choice(("", rng.choice("abcdeE ., "))) + line[at + 1 :]
    words = line.split(" ")
    at = rng.randrange(len(words))
    end = "." if words[at].endswith(".") else "," if words[at].endswith(",") else ""
    new = rng.choice(([], [rng.choice(WORDS) + end], [words[at], rng.choice(WORDS)]))
    return " ".join(words[:at] + new + words[at + 1 :])


def premise_edit(problem, rng: random.Random) -> str:
    """A rule or fact of the problem with a word of another."""
    premises, _ = sentences(problem)
    return damage(rng.choice(premises), rng)
