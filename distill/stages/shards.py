"""How the shards of a stage ended: whole, or put together from problems that were tried one by one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from distill.artifacts import RunFolder, read_records
from distill.cluster import Fault
from distill.records import Problem
from distill.stages.worker import ShardTask


class ShardOutcomes:
    """Statistics of the shards that are finished; `units` and `tokens` are their totals.

    A shard that failed too often is split into its problems. Their records wait here until the last of
    them has ended; then the shard is written as if it had come in one piece, without those set aside.
    """

    def __init__(self, folder: RunFolder, problems: str, finished: list[dict[str, Any]]) -> None:
        """`problems` is the stage that holds the problems of the shards."""
        self._folder, self._problems, self.stats = folder, problems, finished
        self._pieces: dict[int, list[dict[str, Any] | None]] = {}
        self.units, self.tokens = float(sum(entry["in"] for entry in finished)), 0

    def done(self, task: ShardTask, result: dict[str, Any]) -> None:
        """A shard is written, or a problem of a split one has come through."""
        self.units += result["in"]
        self.tokens += result["generated_tokens"]
        if task.only < 0:
            self.stats.append(result)
        else:
            self._put(task, result)

    def set_aside(self, task: ShardTask, fault: Fault, tries: int) -> None:
        """A problem of a split shard is given up."""
        problem: Problem = read_records(task.inputs[0], Problem)[task.only]
        told = {"problem": problem.id, "question": problem.question, "stage": task.stage, "tries": tries}
        self._put(task, {"set_aside": [told | {"kind": str(fault.kind), "reason": fault.reason}]})

    def split(self, task: ShardTask) -> Sequence[ShardTask]:
        """One task a problem; nothing where it is one already."""
        if task.only >= 0:
            return ()
        count = self._folder.rows(self._problems, task.index)
        self._pieces[task.index] = [None] * count
        share = max(1, task.budget // count) if task.budget else 0
        return [replace(task, only=position, budget=share) for position in range(count)]

    def _put(self, task: ShardTask, result: dict[str, Any]) -> None:
        pieces = self._pieces[task.index]
        pieces[task.only] = result
        if all(piece is not None for piece in pieces):
            self._write(task, [piece for piece in pieces if piece is not None])

    def _write(self, task: ShardTask, pieces: list[dict[str, Any]]) -> None:
        """The shard of a split task, its records and statistics in the order of its problems."""
        records = [record for piece in pieces for record in piece.get("records", ())]
        stats = merged(pieces)
        self._folder.commit_shard(task.stage, task.index, records, stats, task.fingerprint)
        self.stats.append(stats)
        del self._pieces[task.index]


def merged(pieces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Statistics of a whole shard from those of its problems: the very same, and `set_aside` if there is any.

    Numbers and counts by outcome are added up; keys keep their order.
    """
    total: dict[str, Any] = {}
    for piece in pieces:
        for key, value in piece.items():
            if key == "set_aside":
                total[key] = total.get(key, []) + value
            elif isinstance(value, dict):
                counts = total.setdefault(key, {})
                counts.update({name: counts.get(name, 0) + n for name, n in value.items()})
            elif key != "records":
                total[key] = total.get(key, 0) + value
    zeros = {"in": 0, "out": 0, "generated_tokens": 0}
    return total if "in" in total else zeros | total
