"""The final-answer checker, through a killable pool of one worker, against Math-Verify in one process.

Two loads, from real pairs of a reference and a model's answer: every distinct pair once, and their natural
repetition (each as often as it occurred, shuffled). Both sides judge the same pairs in this one run; each
starts warm (grammars loaded), with empty caches of answers. Math-Verify keeps its own limits of 5 seconds.

    python benchmarks/math_checker.py --data FOLDER/answers [--limit N] [--disagreements FILE]
"""

import argparse
import gzip
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from math_verify import parse, verify
from record import record

from checkers import Pool, Status, algebra
from checkers.math import clear_caches

Pair = tuple[str, str]  # (answer, reference)
_WARM = [(r"|x| \le 2", "[-2, 2]"), (r"x^2 \le 4", "[-2, 2]")]  # pairs that reach the worker


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of every file in a folder of answers."""
    rows = []
    for file in sorted(path.glob("*.jsonl.gz")):
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    return rows


def math_verify(pair: Pair) -> bool:
    """The baseline, as its users call it on answers already extracted."""
    answer, reference = pair
    gold, target = (parse(f"${text}$") for text in (reference, answer))
    return bool(verify(gold, target))


def baseline(pairs: Sequence[Pair]) -> tuple[list[bool], float]:
    """Math-Verify's verdicts, and its seconds."""
    for pair in _WARM:
        math_verify(pair)
    return _timed(lambda: [math_verify(pair) for pair in pairs])


def ours(pairs: Sequence[Pair]) -> tuple[list[Status], float]:
    """Our verdicts through a pool of one worker, and its seconds once that worker is up."""
    clear_caches()
    with Pool(workers=1, deadline_seconds=20) as pool:
        pool.map("math", _WARM)
        verdicts, seconds = _timed(lambda: pool.map("math", pairs))
    return [verdict.status for verdict in verdicts], seconds


def _timed(work: Callable[[], list[Any]]) -> tuple[list[Any], float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def compare(pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    """Both rates on `pairs`, and their ratio. Ours comes first: it shares no cache with the baseline."""
    _, own_seconds = ours(pairs)
    _, their_seconds = baseline(pairs)
    figures = {
        "pairs": len(pairs),
        "ours_per_second": len(pairs) / own_seconds,
        "math_verify_per_second": len(pairs) / their_seconds,
        "ratio": their_seconds / own_seconds,
    }
    print(f"{name:<20}" + "".join(f"{key} {value:,.1f}  " for key, value in figures.items()))
    return figures


def disagreements(pairs: Sequence[Pair]) -> list[tuple[str, str, str, bool]]:
    """(answer, reference, our status, Math-Verify's verdict) wherever they differ."""
    statuses, _ = ours(pairs)
    theirs, _ = baseline(pairs)
    return [
        (*pair, status.value, verdict)
        for pair, status, verdict in zip(pairs, statuses, theirs)
        if (status is Status.CORRECT) != verdict or status is Status.UNDECIDED
    ]


def main() -> None:
    """Print the ratios and the disagreements, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--limit", type=int, help="only so many distinct pairs (a trial: nothing is recorded)"
    )
    parser.add_argument("--disagreements", type=Path, help="write them there, one a line")
    arguments = parser.parse_args()
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    algebra.warm_up()
    rows = read(arguments.data)
    rows = random.Random(0).sample(rows, arguments.limit) if arguments.limit else rows
    distinct = [(row["pred"], row["gold"]) for row in rows]
    natural = [pair for row, pair in zip(rows, distinct) for _ in range(row["count"])]
    random.Random(0).shuffle(natural)
    figures: dict[str, Any] = {"distinct": compare(distinct, "distinct pairs")}
    figures["natural"] = compare(natural, "natural repetition")
    differ = disagreements(distinct)
    figures["disagreements"] = dict(
        Counter(f"ours {status}, Math-Verify {theirs}" for *_, status, theirs in differ)
    )
    print(figures["disagreements"])
    if arguments.disagreements:
        arguments.disagreements.write_text(
            "".join(json.dumps(row) + "\n" for row in differ), encoding="utf-8"
        )
    if not arguments.limit:
        record("math_checker", "python benchmarks/math_checker.py --data FOLDER/answers", figures)


if __name__ == "__main__":
    main()
