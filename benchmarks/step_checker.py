"""The step checker against chains whose first error people marked.

A refutation is one refuted step; it is right if it stands at or after the marked first error (so one in a
chain marked entirely correct is wrong). False alarms are counted by equation, in the chains marked
entirely correct; "strict" takes the marks as they are, "consistent" leaves out the chains that are marked
correct though their final answer is wrong.

    python benchmarks/step_checker.py --data FOLDER/step_labels [--split train|dev|both] [--list]
"""

import argparse
import gzip
import json
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from record import record

from checkers import Status
from checkers.steps import StepReport, inspect_steps

_GSM8K = "mr_gsm8k"


@dataclass
class Tally:
    """What is counted over a set of chains."""

    chains: int = 0
    errors: int = 0
    refutations: int = 0
    at_or_after: int = 0
    in_chains_with_an_error: int = 0
    first_errors_refuted: int = 0
    equations_in_correct_chains: int = 0
    false_alarms: int = 0
    gsm8k_steps: int = 0
    gsm8k_steps_checked: int = 0
    equations: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        """Check one chain and count."""
        started = time.perf_counter()
        reports = inspect_steps(row["problem"], row["steps"])
        self.seconds += time.perf_counter() - started
        first = row["label"] if row["label"] >= 0 else math.inf
        refuted = [i for i, report in enumerate(reports) if report.verdict.status is Status.INCORRECT]
        self.chains += 1
        self.errors += first < math.inf
        self.refutations += len(refuted)
        self.at_or_after += sum(i >= first for i in refuted)
        self.in_chains_with_an_error += len(refuted) if first < math.inf else 0
        self.first_errors_refuted += first in refuted
        self.wrong += [f"{row['source']} {row['id']} step {i}, marked {row['label']}: "
                       f"{reports[i].verdict.reason}" for i in refuted if i < first]  # fmt: skip
        self._count_equations(row, reports)

    def _count_equations(self, row: dict[str, Any], reports: list[StepReport]) -> None:
        decided = [[verdict for verdict in report.equations if verdict.status is not Status.UNDECIDED]
                   for report in reports]  # fmt: skip
        self.equations += sum(map(len, decided))
        if row["label"] < 0:
            self.equations_in_correct_chains += sum(map(len, decided))
            self.false_alarms += sum(
                verdict.status is Status.INCORRECT for verdicts in decided for verdict in verdicts
            )
        if row["source"].startswith(_GSM8K):
            self.gsm8k_steps += len(reports)
            self.gsm8k_steps_checked += sum(map(bool, decided))

    def figures(self) -> dict[str, Any]:
        """The shares, with 95% Wilson intervals."""
        return {
            "chains": self.chains,
            "equations_checked": self.equations,
            "refutations": self.refutations,
            "refutations_at_or_after_first_error": share(self.at_or_after, self.refutations),
            "the_same_in_chains_with_an_error": share(self.at_or_after, self.in_chains_with_an_error),
            "false_alarms_of_equations_in_correct_chains": share(
                self.false_alarms, self.equations_in_correct_chains
            ),
            "recall_of_first_errors": share(self.first_errors_refuted, self.errors),
            "gsm8k_like_steps_with_a_checked_equation": share(self.gsm8k_steps_checked, self.gsm8k_steps),
            "seconds": round(self.seconds, 2),
        }


def share(count: int, of: int) -> dict[str, Any]:
    """A proportion with its 95% Wilson interval."""
    if not of:
        return {"count": count, "of": of}
    z, p = 1.96, count / of
    middle, spread = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    low, high = ((middle + sign * spread) / (1 + z * z / of) for sign in (-1, 1))
    return {"count": count, "of": of, "share": round(p, 5), "wilson95": [round(low, 5), round(high, 5)]}


def read(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split that people labelled."""
    with gzip.open(folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        yield from (row for row in map(json.loads, lines) if row["labels_by"] == "people")


def tally(rows: Iterable[dict[str, Any]]) -> Tally:
    """Everything counted over `rows`."""
    result = Tally()
    for row in rows:
        result.add(row)
    return result


def consistent(row: dict[str, Any]) -> bool:
    """Whether the marks do not contradict each other: no error, and yet a wrong final answer."""
    return row["label"] >= 0 or row.get("final_answer_correct") is not False


def main() -> None:
    """Print the figures and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "dev", "both"), default="both")
    parser.add_argument("--list", action="store_true", help="print the refutations before the mark")
    arguments = parser.parse_args()
    splits = ("train", "dev") if arguments.split == "both" else (arguments.split,)
    rows = {split: list(read(arguments.data, split)) for split in splits}
    if len(splits) > 1:
        rows["both"] = [row for split in splits for row in rows[split]]
    figures = {}
    for split, chosen in rows.items():
        strict = tally(chosen)
        figures[split] = {
            "strict": strict.figures(), "consistent": tally(filter(consistent, chosen)).figures()
        }  # fmt: skip
        print(split, json.dumps(figures[split], indent=1))
        if arguments.list and split != "both":
            print("\n".join(strict.wrong))
    if len(splits) > 1:
        record("step_checker", "python benchmarks/step_checker.py --data FOLDER/step_labels", figures)


if __name__ == "__main__":
    main()
