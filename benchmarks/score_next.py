"""Steps scored one by one on a key-value cache against one pass over the whole chain: tokens and seconds.

python benchmarks/score_next.py --verifier FOLDER [--steps 64] [--repeats 3]
python benchmarks/score_next.py --base MODEL            # an untrained head, to measure time alone
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from record import record

from distill.verifier import ChainFormat, Verifier
from distill.verifier.model import load_classifier, load_tokenizer, pick_device

QUESTION = "A shop sells pens at 3 dollars and books at 7 dollars. How much do all of them cost?"


def counted(verifier: Verifier, work: Callable[[], object], repeats: int) -> tuple[int, float]:
    """(tokens computed, median seconds) of one run of `work`."""
    seconds = []
    for _ in range(repeats):
        verifier.computed_tokens = 0
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return verifier.computed_tokens, statistics.median(seconds)


def main() -> None:
    """Print the table and write benchmarks/results/score_next.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--verifier", type=Path)
    parser.add_argument("--base", default="builtin:arith-base")
    parser.add_argument("--full-precision", action="store_true")
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    if given.verifier:
        verifier = Verifier.from_pretrained(given.verifier)
    else:
        torch.manual_seed(0)
        model = load_classifier(given.base, not given.full_precision, pick_device())
        verifier = Verifier(model, load_tokenizer(given.base), ChainFormat())
    steps = [f"{i} + {i + 1} = {2 * i + 1}" for i in range(given.steps)]

    def one_by_one() -> list[float]:
        prefix = verifier.begin(QUESTION)
        return [verifier.score_next(prefix, step) for step in steps]

    def again_each_time() -> list[float]:
        return [verifier.score([(QUESTION, steps[: n + 1])])[0][-1] for n in range(len(steps))]

    def one_pass() -> list[float]:
        return verifier.score([(QUESTION, steps)])[0]

    worst = max(abs(a - b) for a, b in zip(one_by_one(), one_pass()))
    found = {}
    for name, work in (
        ("one pass", one_pass),
        ("score_next", one_by_one),
        ("whole prefix again", again_each_time),
    ):
        tokens, seconds = counted(verifier, work, given.repeats)
        found[name] = {"tokens": tokens, "seconds": round(seconds, 4)}
    base = found["one pass"]
    for name, own in found.items():
        own |= {"tokens_ratio": round(own["tokens"] / base["tokens"], 3),
                "seconds_ratio": round(own["seconds"] / base["seconds"], 3)}  # fmt: skip
        ratios = f"({own['tokens_ratio']:.2f}x)  {own['seconds_ratio']:7.2f}x time"
        print(f"{name:20} {own['tokens']:7d} tokens {ratios}")
    print(f"largest difference of a score: {worst:.2e}")
    print(record("score_next", " ".join(["python", *sys.argv]), {
        "steps": given.steps, "largest_difference": worst, "ways": found}))  # fmt: skip


if __name__ == "__main__":
    main()
