"""Chains of many lengths scored in batches, four ways: positions computed, attention and time.

    padded       64 chains of like length a batch, as long as the longest
    cut          batches cut where that saves most padding: what `Verifier.score` does
    packed       64 chains of like length a batch, sharing rows as in training
    packed_short all chains share rows of at most --row tokens (a longer one has its own), 64 rows a batch

python benchmarks/scoring.py --verifier FOLDER --data LABELLED --split dev [--chains 64] [--repeats 3]
python benchmarks/scoring.py --base MODEL --data ...         # an untrained head, to measure time alone
python benchmarks/scoring.py --base MODEL --data ... --count # only count, no pass
`attention` is the sum over rows of the squared length. Ways take turns, so that load meets all alike;
`cpu` is the time of this process alone, which other work disturbs less (on a CPU).
"""

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from record import record

from distill.dataset.imports import SourceSettings, load_source
from distill.verifier import ChainFormat, Verifier
from distill.verifier.batching import cuts
from distill.verifier.collate import Collator, pack
from distill.verifier.data import Encoded
from distill.verifier.model import load_classifier, load_tokenizer, pick_device
from distill.verifier.score import encode_chains

Rows = list[list[int]]
"""Chains (by number) of every row of a batch."""
BATCH = 64


def ways(lengths: Sequence[int], room: int) -> dict[str, list[Rows]]:
    """The batches of every way; `lengths` ascend."""
    count = len(lengths)
    even = [range(i, min(i + BATCH, count)) for i in range(0, count, BATCH)]
    short = [i for i in range(count) if lengths[i] <= room]
    shared = pack_to(room, [lengths[i] for i in short]) + [[i] for i in range(len(short), count)]
    shared.sort(key=lambda row: sum(lengths[i] for i in row))
    widths = [sum(lengths[i] for i in row) for row in shared]
    return {
        "padded": [[[i] for i in batch] for batch in even],
        "cut": [[[i] for i in range(*ends)] for ends in cuts(lengths, BATCH)],
        "packed": [[[batch[i] for i in row] for row in pack([lengths[i] for i in batch])] for batch in even],
        "packed_short": [shared[slice(*ends)] for ends in cuts(widths, BATCH)],
    }


def pack_to(room: int, lengths: Sequence[int]) -> Rows:
    """`pack` with rows of `room`: a chain of that length, left out again, makes the room."""
    rows = pack([*lengths, room])
    return [row for row in rows if row != [len(lengths)]]


def figures(lengths: Sequence[int], batches: list[Rows]) -> dict[str, float]:
    """Passes, positions and squared row lengths."""
    shapes = [(len(rows), max(sum(lengths[i] for i in row) for row in rows)) for rows in batches]
    positions, squares = sum(n * w for n, w in shapes), sum(n * w * w for n, w in shapes)
    return {"passes": len(batches), "positions": positions, "attention": squares}


def scored(verifier: Verifier, chains: Sequence[Encoded], batches: list[Rows]) -> list[list[float]]:
    """Margins at the ends of every chain's steps."""
    found: list[list[float]] = [[] for _ in chains]
    device = next(verifier.model.parameters()).device
    for rows in batches:
        together = any(len(row) > 1 for row in rows)
        batch = packed_batch(chains, rows) if together else padded_batch(chains, rows)
        with torch.inference_mode():
            logits = verifier.model(**{k: v.to(device) for k, v in batch.items()}).logits.float().cpu()
        for line, row in enumerate(rows):
            offset = 0
            for index in row:
                at = logits[line, [offset + end for end in chains[index].ends]]
                found[index] = (at[:, 1] - at[:, 0]).tolist()
                offset += len(chains[index].ids)
    return found


def padded_batch(chains: Sequence[Encoded], rows: Rows) -> dict[str, torch.Tensor]:
    """One chain a row, by the collator of training."""
    return Collator(0)([{"input_ids": list(chains[i].ids)} for [i] in rows])


def packed_batch(chains: Sequence[Encoded], rows: Rows) -> dict[str, torch.Tensor]:
    """Rows joined; position ids begin anew with every chain, and with the padding."""
    ids = [[t for i in row for t in chains[i].ids] for row in rows]
    width = max(map(len, ids))
    parts = [[len(chains[i].ids) for i in row] + [width - len(line)] for row, line in zip(rows, ids)]
    positions = [torch.cat([torch.arange(n) for n in lengths]) for lengths in parts]
    padded = torch.tensor([line + [0] * (width - len(line)) for line in ids])
    return {"input_ids": padded, "position_ids": torch.stack(positions)}


def timed(
    verifier: Verifier, chains: Sequence[Encoded], plans: dict[str, list[Rows]], repeats: int
) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Median (wall, CPU) seconds of every way, and the largest difference of a margin to `padded`."""
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in plans}
    margins: dict[str, list[list[float]]] = {}
    for _ in range(repeats):
        for name, batches in plans.items():
            began = time.perf_counter(), time.process_time()
            margins[name] = scored(verifier, chains, batches)
            clocks[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    flat = {name: torch.tensor([x for row in rows for x in row]) for name, rows in margins.items()}
    worst = {name: float((own - flat["padded"]).abs().max()) for name, own in flat.items()}
    medians = {n: (statistics.median(w for w, _ in own), statistics.median(c for _, c in own))
               for n, own in clocks.items()}  # fmt: skip
    return medians, worst


def opened(given: argparse.Namespace) -> Verifier:
    """The verifier that was given, or a base under a head that is drawn."""
    if given.verifier:
        return Verifier.from_pretrained(given.verifier)
    torch.manual_seed(0)
    model = load_classifier(given.base, given.nf4, pick_device())
    return Verifier(model, load_tokenizer(given.base), ChainFormat())


def main() -> None:
    """Print the table and write benchmarks/results/scoring.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--verifier", type=Path)
    parser.add_argument("--base", default="builtin:arith-base")
    parser.add_argument("--nf4", action="store_true")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--chains", type=int, default=64)
    parser.add_argument("--row", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--name", default="scoring")
    given = parser.parse_args()
    data, _ = load_source(SourceSettings(path=given.data, split=given.split))
    data = data[:: max(1, len(data) // given.chains)][: given.chains]
    verifier = opened(given)
    texts = [(item.problem.question, item.chain.steps) for item in data]
    parts = encode_chains(texts, verifier.tokenizer, verifier.chain_format, verifier.limit)
    distinct = {window.encoded.ids: window.encoded for chain in parts for window in chain}
    chains = sorted(distinct.values(), key=lambda item: len(item.ids))
    lengths = [len(item.ids) for item in chains]
    plans = ways(lengths, given.row)
    found = {name: figures(lengths, batches) for name, batches in plans.items()}
    tokens, squares = sum(lengths), sum(n * n for n in lengths)
    print(f"{len(data)} chains, {len(chains)} rows of their own, {tokens} tokens, longest {lengths[-1]}")
    if not given.count:
        seconds, worst = timed(verifier, chains, plans, given.repeats)
        for name, own in found.items():
            wall, cpu = seconds[name]
            own |= {"time_to_padded": round(wall / seconds["padded"][0], 3),
                    "cpu_to_padded": round(cpu / seconds["padded"][1], 3),
                    "tokens_per_second": round(tokens / wall), "largest_difference": worst[name]}  # fmt: skip
    for own in found.values():
        own |= {"positions_to_tokens": round(own["positions"] / tokens, 3),
                "attention_to_alone": round(own["attention"] / squares, 3)}  # fmt: skip
    for name, own in found.items():
        print(f"{name:13}" + "  ".join(f"{key} {value:g}" for key, value in own.items()))
    print(record(given.name, " ".join(["python", *(a for a in sys.argv if not a.startswith("/"))]),
                 {"chains": len(data), "tokens": tokens, "longest": lengths[-1], "ways": found}))  # fmt: skip


if __name__ == "__main__":
    main()
