"""Problems, solutions and corrupted solutions of the logic world."""

import hashlib
import pickle
import random
from collections import Counter

import pytest

from generators.logic_world import (
    ANSWERS,
    CORRUPTIONS,
    WORLD_VERSION,
    answer_of,
    corrupt,
    decode,
    judge,
    judge_step,
    sample_problem,
    solve,
    split_of,
)
from generators.logic_world.language import ADJECTIVES, NAMES

COUNT = 400
SAMPLE = [sample_problem(seed, "pretrain") for seed in range(COUNT)]
DEEP = [sample_problem(seed, "test", min_depth=6) for seed in range(40)]


def test_problems_are_what_they_say() -> None:
    for problem in SAMPLE:
        theory = decode(problem)
        assert problem.reference == theory.answer
        assert problem.domain == "logic-world"
        assert problem.source == f"world:{WORLD_VERSION}:pretrain"
        assert 1 <= theory.depth <= 10
        assert 2 <= len(theory.known) <= 3


def test_answers_claims_and_depths_are_balanced() -> None:
    theories = [decode(sample_problem(seed, "pretrain")) for seed in range(2000)]
    answers = Counter(theory.answer for theory in theories)
    assert all(0.3 < answers[answer] / len(theories) < 0.37 for answer in ANSWERS)
    denied = Counter(theory.answer for theory in theories if theory.claim.literals.bit_length() % 2 == 0)
    assert all(0.42 < denied[answer] / answers[answer] < 0.58 for answer in ANSWERS)
    depths = Counter(theory.depth for theory in theories)
    assert set(depths) == set(range(1, 11))
    assert sum(depths[depth] for depth in range(1, 6)) > 0.85 * len(theories)


def test_the_rules_that_are_there_do_not_give_the_answer_away() -> None:
    """The best guess from whether some rule concludes the claim, or its negation, is far from right."""
    seen: dict[tuple[bool, bool], Counter] = {}
    for seed in range(2000):
        theory = decode(sample_problem(seed, "pretrain"))
        claim = theory.claim.literals
        other = claim << 1 if claim.bit_length() % 2 else claim >> 1
        cue = tuple(any(rule.head == wanted for rule in theory.rules) for wanted in (claim, other))
        seen.setdefault(cue, Counter())[theory.answer] += 1
    assert sum(max(answers.values()) for answers in seen.values()) / 2000 < 0.7


def test_depths_can_be_asked_for() -> None:
    for low, high in ((1, 1), (3, 4), (10, 10)):
        drawn = [sample_problem(seed, "distil", min_depth=low, max_depth=high) for seed in range(20)]
        assert all(low <= decode(problem).depth <= high for problem in drawn)
    for arguments in ({"min_depth": 0}, {"max_depth": 11}, {"min_depth": 4, "max_depth": 3}):
        with pytest.raises(ValueError, match="depths from 1 to 10"):
            sample_problem(0, "test", **arguments)
    with pytest.raises(ValueError, match="expected a split"):
        sample_problem(0, "train")  # type: ignore[arg-type]


def test_splits_are_disjoint_and_reproducible() -> None:
    for split in ("pretrain", "distil", "test"):
        first = [sample_problem(seed, split) for seed in range(60)]
        assert first == [sample_problem(seed, split) for seed in range(60)]
        assert pickle.loads(pickle.dumps(first)) == first
        for problem in first:
            sentences = [sentence + "." for sentence in problem.question.split(". ")[:-1]]
            assert split_of(sentences) == split_of(reversed(sentences)) == split


def test_language_is_small_and_terse() -> None:
    rng = random.Random(0)
    chains = [solve(problem, rng).steps for problem in SAMPLE]
    text = " ".join([problem.question for problem in SAMPLE] + [" ".join(steps) for steps in chains])
    words = {word.strip(".,?:").lower() for word in text.split()}
    assert len(words) <= len(NAMES) + len(ADJECTIVES) + 15
    lengths = [len(problem.question.split()) for problem in [*SAMPLE, *DEEP]]
    assert max(lengths) <= 72
    assert sum(lengths) / len(lengths) <= 58


def test_solutions_are_judged_right() -> None:
    rng = random.Random(1)
    different = 0
    for problem in [*SAMPLE, *DEEP]:
        chains = [solve(problem, rng).steps for _ in range(4)]
        different += len(set(chains)) > 1
        for steps in chains:
            verdict = judge(problem, steps)
            assert (verdict.first_error, verdict.kind, verdict.complete) == (-1, "", True), (problem, steps)
            assert answer_of(steps) == problem.reference
            assert len(steps) > decode(problem).depth
    assert different > COUNT / 4


def test_a_solution_takes_no_step_that_its_claim_does_not_need() -> None:
    """Without one of its deductions, what comes after it can no longer be told from the lines before."""
    rng = random.Random(2)
    for problem in SAMPLE[:150]:
        if problem.reference == "Unknown":
            continue
        stated = [line[:-1].split(", so ") for line in solve(problem, rng).steps[:-1] if ", so " in line]
        for number, (_, conclusion) in enumerate(stated[:-1]):
            said = conclusion.partition(" is ")[2]
            used = [ground.partition(" is ")[2].split(" and ") for ground, _ in stated[number + 1 :]]
            assert any(said in grounds for grounds in used), (problem.question, stated)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruption_is_found_where_it_is(kind: str) -> None:
    rng = random.Random(kind)
    made = 0
    for problem in [*SAMPLE, *DEEP]:
        wrong = corrupt(problem, rng, kind)
        if wrong is None:
            continue
        made += 1
        verdict = judge(problem, wrong.steps)
        assert wrong.kind == kind
        assert (verdict.first_error, verdict.kind) == (wrong.first_error, kind), (problem, wrong)
        before = judge(problem, wrong.steps[: wrong.first_error])
        assert (before.first_error, before.complete) == (-1, False)
    assert made > COUNT / 2


def test_slips_are_found_where_they_are_and_carried_on() -> None:
    rng = random.Random(3)
    found, misled = Counter(), 0
    for problem in [*SAMPLE, *DEEP]:
        for _ in range(3):
            solution = solve(problem, rng, slips=0.25)
            verdict = judge(problem, solution.steps)
            assert (verdict.first_error, verdict.kind) == (solution.first_error, solution.kind), solution
            found[solution.kind] += 1
            misled += solution.kind not in ("", "answer") and not verdict.complete
    assert set(found) == {"", *CORRUPTIONS}
    assert misled > 50


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind"):
        corrupt(SAMPLE[0], random.Random(0), "typo")


def test_any_wrong_answer_and_only_that_is_the_answers_error() -> None:
    for problem in SAMPLE:
        kinds = {answer: judge_step(decode(problem), f"Answer: {answer}") for answer in ANSWERS}
        assert kinds.pop(problem.reference) == ""
        assert set(kinds.values()) == {"answer"}


def test_the_version_is_frozen() -> None:
    """A change of what a seed draws needs a new WORLD_VERSION: trained models depend on it."""
    rng = random.Random(7)
    digest = hashlib.sha256()
    for split in ("pretrain", "distil", "test"):
        for seed in range(100):
            problem = sample_problem(seed, split)
            digest.update(repr((problem, solve(problem, rng, slips=0.1), corrupt(problem, rng))).encode())
    assert digest.hexdigest()[:16] == "82d17f43f35cf60c"
