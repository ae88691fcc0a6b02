"""The logic world: problems a second, what the errors do to the answer, and the checker against the judge.

    python benchmarks/logic_world.py [--count 2000]

Speed is in seconds of CPU time of one process, so that a busy machine changes it little. "Misleads" is the
share of chains with one error of a kind whose final answer is wrong: the rest is what rollouts cannot see.
"""

import argparse
import json
import random
import time
from collections import Counter
from typing import Any

from record import record

from checkers.logic import answer_of, check_deduction
from checkers.verdict import Status
from generators.logic_world import CORRUPTIONS, corrupt, decode, judge, judge_step, sample_problem, solve


def speed(count: int) -> dict[str, float]:
    """Problems with solutions, chains judged, a CPU second."""
    rng = random.Random(0)
    start = time.process_time()
    drawn = [sample_problem(seed, "pretrain") for seed in range(count)]
    chains = [solve(problem, rng).steps for problem in drawn]
    made = time.process_time()
    right = sum(judge(problem, steps).first_error == -1 for problem, steps in zip(drawn, chains))
    judged = time.process_time()
    words = [len(problem.question.split()) for problem in drawn]
    return {
        "problems with solutions a CPU second": round(count / (made - start)),
        "chains judged a CPU second": round(count / (judged - made)),
        "solutions judged right, share": right / count,
        "words of a question, mean": round(sum(words) / count, 1),
        "words of a question, most": max(words),
        "lines of a solution, mean": round(sum(map(len, chains)) / count, 2),
    }


def errors(count: int) -> dict[str, dict[str, float]]:
    """By kind: the share of problems that offer such an error, and of chains whose answer is then wrong."""
    rng = random.Random(1)
    table = {}
    for kind in CORRUPTIONS:
        drawn = [sample_problem(seed, "pretrain") for seed in range(count)]
        made = [(problem, wrong) for problem in drawn if (wrong := corrupt(problem, rng, kind))]
        misled = sum(not judge(problem, wrong.steps).complete for problem, wrong in made)
        table[kind] = {"offered": round(len(made) / count, 3), "misleads": round(misled / len(made), 3)}
    return table


def agreement(count: int) -> dict[str, int]:
    """Answers and lines that the entailment checker decides as the judge does, otherwise, or not at all."""
    rng = random.Random(2)
    counts: Counter[str] = Counter()
    for seed in range(count):
        problem = sample_problem(seed, "pretrain")
        payload = json.loads(problem.payload)
        found = answer_of(payload["premises"], payload["conclusion"])
        counts[f"answers {_word(found and found == problem.reference)}"] += 1
        chains = [solve(problem, rng), *(corrupt(problem, rng, kind) for kind in CORRUPTIONS)]
        lines = [line for chain in chains if chain for line in chain.steps if not line.startswith("Answer")]
        for line, verdict in zip(lines, check_deduction(payload["premises"], lines)):
            right = judge_step(decode(problem), line) == ""
            decided = None if verdict.status is Status.UNDECIDED else verdict.status is Status.CORRECT
            counts[f"lines {_word(None if decided is None else decided == right)}"] += 1
    return dict(sorted(counts.items()))


def _word(agree: Any) -> str:
    return "undecided" if agree is None else "agree" if agree else "differ"


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="problems (a tenth of them for the checker)")
    count = parser.parse_args().count
    figures = {"speed": speed(count), "errors": errors(count), "agreement": agreement(count // 10)}
    for name, value in figures["speed"].items():
        print(f"{name:42} {value:>8}")
    print(f"\n{'error':14} {'offered':>8} {'misleads':>9}")
    for kind, row in figures["errors"].items():
        print(f"{kind:14} {row['offered']:8.1%} {row['misleads']:9.1%}")
    print(f"\nchecker and judge: {figures['agreement']}")
    print(record("logic_world", f"python benchmarks/logic_world.py --count {count}", figures))


if __name__ == "__main__":
    main()
