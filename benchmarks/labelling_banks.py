"""Rollout banks: many rollouts of every prefix, sampled once, replayed by every method.

A bank is the evidence of a run with `labelling.method: record`, packed into one compressed file of JSON
lines, one a problem. Any engine and any problems will do; recording resumes where it was stopped.

    python benchmarks/labelling_banks.py record settings            # 150 problems of the exact world x 4
    python benchmarks/labelling_banks.py record figures             # another 300 x 4
    python benchmarks/labelling_banks.py surprisal settings         # of a bank from before it was recorded

With a real completer, on chains whose first error people marked (rows with `answer` in step_labels):

    python benchmarks/labelling_banks.py people DATA/step_labels/train.jsonl.gz people.jsonl 60
    python benchmarks/labelling_banks.py record people chains.path=people.jsonl problems.count=60 \\
        labelling.rollouts=8 teacher.model=MODEL completer.model=MODEL completer.temperature=0.7 ...
    python benchmarks/labelling.py --bank people
"""

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from distill.artifacts import RunFolder, read_records
from distill.config import GeneratorSettings
from distill.labelling.evidence import prefix_nodes
from distill.labelling.protocol import Prefix, RolloutRequest, RolloutResult
from distill.loading import load_recipe
from distill.pipeline import execute
from distill.progress import ProgressView
from distill.records import Chain, Event, EventKind, Outcome, Problem, content_id
from distill.stages.given_chains import encode_steps
from distill.steps import step_logprobs
from generators.base import Generator
from generators.model_files import load_model
from generators.prompts import Prompts
from generators.sampling import chosen_logprobs
from generators.truth import exact_first_error

HERE = Path(__file__).parent
DATA = HERE / "data"
SETS = {"settings": (150, 11), "figures": (300, 12)}
MARKS = {Outcome.CORRECT: "+", Outcome.INCORRECT: "-", Outcome.UNDECIDED: "?"}
OUTCOMES = {mark: outcome for outcome, mark in MARKS.items()}


class BankSpentError(Exception):
    """A method asked a prefix for more rollouts than the bank holds of it."""


@dataclass(frozen=True)
class Item:
    """One problem of a bank. `truth[c]` and `checks[c][i]` are those of chain c; `rollouts[node]` holds the
    outcome and tokens of each rollout in the order in which they were drawn."""

    problem: Problem
    chains: tuple[Chain, ...]
    truth: tuple[int | None, ...]
    checks: tuple[tuple[Outcome, ...], ...]
    rollouts: dict[Prefix, tuple[tuple[Outcome, int], ...]]

    def answer(self, request: RolloutRequest) -> RolloutResult:
        """The recorded rollouts that the request asks for.

        Raises:
            BankSpentError: more are asked for than were recorded; none is given twice as if it were new.
        """
        there, end = self.rollouts[request.prefix], request.first + request.n
        if end > len(there):
            raise BankSpentError(
                f"problem {self.problem.id}: rollouts {request.first + 1} to {end} of one prefix were asked "
                f"for, {len(there)} were recorded; record more, or ask less (labelling.rollouts, "
                "labelling.adaptive.most)"
            )
        drawn = there[request.first : end]
        return RolloutResult(tuple(o for o, _ in drawn), tuple(t for _, t in drawn))


def record(name: str, overrides: Sequence[str]) -> Path:
    """Sample what is missing of bank `name`, and pack it."""
    count, seed = SETS.get(name, (150, 11))
    given = [f"name=bank-{name}", f"problems.count={count}", f"seed={seed}", *overrides]
    recipe = load_recipe(HERE / "labelling_bank.yaml", given)
    folder = execute(recipe, ProgressView(), last="evidence")
    return pack(folder.path, DATA / f"bank-{name}.jsonl.gz", _people_said(recipe.chains.path))


def people(source: Path, target: Path, count: int) -> None:
    """The first `count` chains of a step-label file that carry a reference answer, as a chains file; `label`
    is the first error that people marked."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        rows = [row for line in file if (row := json.loads(line)).get("answer")]
    kept = [
        {"question": r["problem"], "steps": r["steps"], "reference": str(r["answer"]), "label": r["label"]}
        for r in rows[:count]
    ]
    target.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    print(f"{target}: {len(kept)} of {len(rows)} chains with an answer")


def _people_said(path: str | None) -> dict[str, int]:
    """First errors that a chains file states, by question and steps."""
    if path is None:
        return {}
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return {_key(row["question"], row["steps"]): row["label"] for row in rows if "label" in row}


def _key(question: str, steps: Sequence[str]) -> str:
    return content_id(question.strip(), [step.strip() for step in steps])


def pack(run: Path, target: Path, said: Mapping[str, int]) -> Path:
    """Write the bank that lies in a run folder, as far as it got, to one file. The truth is that of the
    exact judge where there is one, else what people `said`."""
    folder = RunFolder.reader(run)
    lines = []
    for index in range(len(folder.shards("evidence"))):
        problems = read_records(folder.shard_path("problems", index), Problem)
        chains: dict[str, list[Chain]] = defaultdict(list)
        for chain in read_records(folder.shard_path("chains", index), Chain):
            if chain.steps:
                chains[chain.problem_id].append(chain)
        owner = {chain.id: chain.problem_id for found in chains.values() for chain in found}
        events: dict[str, list[Event]] = defaultdict(list)
        for event in read_records(folder.shard_path("evidence", index), Event):
            events[owner[event.chain_id]].append(event)
        lines += [_line(p, chains[p.id], events[p.id], said) for p in problems if chains[p.id]]
    target.parent.mkdir(exist_ok=True)
    _write(target, lines)
    return target


def _line(
    problem: Problem, chains: Sequence[Chain], events: Sequence[Event], said: Mapping[str, int]
) -> dict[str, Any]:
    paths = dict(zip((chain.id for chain in chains), prefix_nodes(chains), strict=True))
    nodes: dict[int, list[tuple[str, int]]] = defaultdict(list)
    checks = {chain.id: ["?"] * len(chain.steps) for chain in chains}
    for event in events:
        if event.kind == EventKind.ROLLOUT:
            node = paths[event.chain_id][event.step + 1]
            nodes[node].append((MARKS[event.outcome], event.generated_tokens))
        elif event.kind == EventKind.STEP_CHECK:
            checks[event.chain_id][event.step] = MARKS[event.outcome]
    return {
        "id": problem.id,
        "question": problem.question,
        "reference": problem.reference,
        "chains": [
            {
                "id": chain.id,
                "steps": chain.steps,
                "outcome": MARKS[chain.outcome],
                "tokens": chain.generated_tokens,
                "checks": "".join(checks[chain.id]),
                "truth": _truth(problem, chain, said),
                "logprobs": [round(logprob, 4) for logprob in chain.step_logprobs],
            }
            for chain in chains
        ],
        "rollouts": [
            {"outcomes": "".join(o for o, _ in nodes[n]), "tokens": [t for _, t in nodes[n]]}
            for n in range(len(nodes))
        ],
    }


def _truth(problem: Problem, chain: Chain, said: Mapping[str, int]) -> int | None:
    found = exact_first_error(problem, chain.steps)
    return found[0] if found else said.get(_key(problem.question, chain.steps))


@torch.inference_mode()
def add_surprisal(path: Path, teacher: GeneratorSettings) -> None:
    """Write into a bank that was recorded before engines told them how probable `teacher` finds each step of
    its chains: one forward pass a chain."""
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    loaded = load_model(teacher)
    prompts = Prompts(loaded.tokenizer, teacher)
    for row in rows:
        before = prompts.prompt(row["question"])
        for chain in row["chains"]:
            ids, ends = encode_steps(cast(Generator, prompts), chain["steps"])
            logits = loaded.model(torch.tensor([[*before, *ids]])).logits[0, len(before) - 1 : -1]
            found = step_logprobs(chosen_logprobs(logits, torch.tensor(ids)).tolist(), ends)
            chain["logprobs"] = [round(logprob, 4) for logprob in found]
    _write(path, rows)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{path}: {len(rows)} problems, {path.stat().st_size / 1e6:.2f} MB")


def read(path: Path) -> list[Item]:
    """The problems of a packed bank."""
    return [_item(json.loads(line)) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def least(items: Sequence[Item]) -> int:
    """The smallest number of rollouts that any prefix has."""
    return min(len(drawn) for item in items for drawn in item.rollouts.values())


def _item(row: dict[str, Any]) -> Item:
    chains = tuple(
        Chain(
            c["id"],
            row["id"],
            tuple(c["steps"]),
            OUTCOMES[c["outcome"]],
            generated_tokens=c["tokens"],
            step_logprobs=tuple(c.get("logprobs", ())),
        )
        for c in row["chains"]
    )
    rollouts: dict[Prefix, tuple[tuple[Outcome, int], ...]] = {}
    for chain, path in zip(chains, prefix_nodes(chains), strict=True):
        for length, node in enumerate(path):
            there = row["rollouts"][node]
            pairs = zip(there["outcomes"], there["tokens"], strict=True)
            rollouts[chain.steps[:length]] = tuple((OUTCOMES[o], t) for o, t in pairs)
    return Item(
        Problem(row["id"], row["question"], row["reference"]),
        chains,
        tuple(c["truth"] for c in row["chains"]),
        tuple(tuple(OUTCOMES[mark] for mark in c["checks"]) for c in row["chains"]),
        rollouts,
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", name, *overrides]:
            record(name, overrides)
        case ["surprisal", name]:
            recipe = load_recipe(HERE / "labelling_bank.yaml", [])
            add_surprisal(DATA / f"bank-{name}.jsonl.gz", recipe.teacher)
        case ["people", source, target, count]:
            people(Path(source), Path(target), int(count))
        case _:
            sys.exit(__doc__)
