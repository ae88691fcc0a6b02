"""Problems, solutions and corrupted solutions of every family."""

import hashlib
import pickle
import random
from collections import Counter

import pytest

from generators.world import (
    CORRUPTIONS,
    FAMILIES,
    WORLD_VERSION,
    answer_of,
    attempts,
    corrupt,
    decode,
    judge,
    recite,
    sample_problem,
    solve,
    split_of,
)
from generators.world.graph import _at as at_point
from generators.world.numbers import evaluate, has_floor, parse_number

COUNT = 150


def problems(family: str, count: int = COUNT):
    return [sample_problem(seed, "pretrain", families=(family,)) for seed in range(count)]


@pytest.mark.parametrize("family", FAMILIES)
def test_problem_is_sound(family: str) -> None:
    for problem in problems(family):
        graph = decode(problem.payload)
        quantities = list(graph.quantities.values())
        assert graph.family == family
        assert len(graph.by_value) == len(quantities)
        frames = [frame for quantity in quantities for frame in quantity.frames]
        assert len(frames) == len(set(frames)) == len(graph.by_frame)
        for frame in frames:
            assert frame.count("{}") == 1
            assert not set("0123456789()-=*/+") & set(frame.replace("{}", ""))
        assert parse_number(problem.reference) == graph.values[graph.goal]
        for quantity in quantities:
            if quantity.role == "fact":
                assert quantity.frames[0].replace("{}", quantity.text) in problem.question
            assert quantity.role != "derived" or quantity.derivations
            assert 0 < quantity.value <= 1000
            for tree in quantity.derivations:
                assert evaluate(tree, graph.values) == quantity.value
                if not has_floor(tree) and quantity.role == "derived":
                    assert at_point(tree, graph.points) == graph.points[quantity.id]


@pytest.mark.parametrize("family", FAMILIES)
def test_solutions_are_judged_right(family: str) -> None:
    rng = random.Random(family)
    for problem in problems(family):
        for _ in range(4):
            solution = solve(problem, rng)
            verdict = judge(problem, solution.steps)
            assert (verdict.first_error, verdict.complete) == (-1, True), (problem, solution, verdict)
            assert answer_of(solution.steps) == problem.reference
            assert 2 <= len(solution.steps) <= 12


@pytest.mark.parametrize("kind", CORRUPTIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_corruption_is_found_where_it_is(family: str, kind: str) -> None:
    rng = random.Random(family + kind)
    made = 0
    for problem in problems(family):
        solution = corrupt(problem, rng, kind)
        if solution is None:
            continue
        made += 1
        verdict = judge(problem, solution.steps)
        assert (verdict.first_error, verdict.kind) == (solution.first_error, solution.kind), (
            problem,
            solution,
        )
        assert solution.kind == kind or (kind == "omitted" and solution.kind in ("operand", "value"))
        assert judge(problem, solution.steps[: solution.first_error]).first_error == -1
    assert made > COUNT / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_attempts_are_first_errors_and_right_ones_are_right(family: str) -> None:
    rng = random.Random(5)
    wrong = 0
    for problem in problems(family):
        before: list[str] = []
        for attempt in attempts(problem, rng, p_wrong=0.4, p_equation=0.8):
            found = judge(problem, [*before, attempt.step]).first_error
            assert found == (-1 if attempt.right else len(before)), (problem.question, before, attempt)
            before += [attempt.step] * attempt.right
            wrong += not attempt.right
        assert judge(problem, before).complete
    assert wrong > COUNT / 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_recital_states_every_fact(family: str) -> None:
    rng = random.Random(6)
    for problem in problems(family):
        tried = recite(problem, rng, p_wrong=0.3)
        right = [attempt.step for attempt in tried if attempt.right]
        facts = [q for q in decode(problem.payload).quantities.values() if q.role == "fact"]
        assert len(right) == len(facts)
        assert judge(problem, right).first_error == -1
        assert all(judge(problem, [a.step]).first_error == 0 for a in tried if not a.right)


@pytest.mark.parametrize("family", FAMILIES)
def test_slips_are_found_where_they_are(family: str) -> None:
    rng = random.Random(family)
    found = Counter()
    for problem in problems(family):
        solution = solve(problem, rng, slips=0.25)
        verdict = judge(problem, solution.steps)
        assert (verdict.first_error, verdict.kind) == (solution.first_error, solution.kind), (
            problem,
            solution,
        )
        found[solution.kind] += 1
    assert len(found) >= 5


def test_splits_are_disjoint_and_reproducible() -> None:
    for split in ("pretrain", "distil", "test"):
        first = [sample_problem(seed, split) for seed in range(80)]
        assert first == [sample_problem(seed, split) for seed in range(80)]
        assert {split_of(problem.question) for problem in first} == {split}
        assert {problem.source for problem in first} == {f"world:{WORLD_VERSION}:{split}"}


def test_lengths_can_be_asked_for() -> None:
    rng = random.Random(0)
    for low, high in ((2, 3), (5, 6), (8, 10), (10, 10)):
        for seed in range(15):
            problem = sample_problem(seed, "test", min_steps=low, max_steps=high)
            assert len(solve(problem, rng).steps) <= high + 3
    with pytest.raises(ValueError, match="split"):
        sample_problem(0, "train")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="kind"):
        corrupt(sample_problem(0, "test"), rng, "typo")


def test_language_is_small_and_terse() -> None:
    rng = random.Random(0)
    drawn = [sample_problem(seed, "pretrain") for seed in range(1500)]
    chains = [solve(problem, rng).steps for problem in drawn]
    text = " ".join([problem.question for problem in drawn] + [" ".join(steps) for steps in chains])
    words = {word.strip(".,?:") for word in text.split()}
    assert len([word for word in words if word.isalpha()]) <= 400
    assert sum(len(problem.question.split()) for problem in drawn) / len(drawn) <= 45
    assert 3.8 <= sum(map(len, chains)) / len(chains) <= 5
    assert 0.3 <= sum('"extra"' in problem.payload for problem in drawn) / len(drawn) <= 0.5
    assert pickle.loads(pickle.dumps(drawn)) == drawn


def test_the_version_is_frozen() -> None:
    """A change of what a seed draws needs a new WORLD_VERSION: trained models depend on it."""
    rng = random.Random(7)
    digest = hashlib.sha256()
    for split in ("pretrain", "distil", "test"):
        for seed in range(100):
            problem = sample_problem(seed, split)
            digest.update(repr((problem, solve(problem, rng, slips=0.1), corrupt(problem, rng))).encode())
    assert digest.hexdigest()[:16] == "2f27080c8a10d0bd"
