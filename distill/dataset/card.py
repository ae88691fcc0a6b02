"""The dataset card: YAML front matter that `datasets` reads, then origin and figures."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from distill.dataset.formats import Export

SPLITS = ("train", "validation")
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_INTRODUCTION = """\
Step-by-step solutions with a label on every step, made with prm-distill: `labels` are 1 (good), 0 (bad)
or -100 (undetermined: leave it out of the loss); `first_error` is the 0-based first bad step, -1 for
none, null where the evidence left it open. Steps at and after the first error are bad. `soft`, `low` and
`high` are the posterior mean and 95% interval of the success rate of each step's own trials.

```python
from datasets import load_dataset, load_from_disk
dataset = load_from_disk("FOLDER")  # or load_dataset("FOLDER")
stepwise = load_dataset("json", data_files="FOLDER/formats/trl_stepwise-train.jsonl")
```
"""

_LIMITS = """\
Labels come from rollouts and exact checks, not from people: a rollout measures whether the right answer
can still be reached, so an error that the completer repairs may be labelled good, and a hard problem's
good step bad. Contamination is sought by equal text and shared word runs; paraphrases are not found.
"""


def render_card(
    report: Mapping[str, Any], exported: Mapping[str, Mapping[str, Export]], card: Mapping[str, Any]
) -> str:
    """README.md as text.

    Args: `report` as `build_dataset` makes it (empty: no figures); `exported` by format, then split;
    `card` as `save` describes it.
    """
    title = str(card.get("name") or card.get("recipe") or "step labels")
    parts = [
        _front_matter(title, int(report.get("out", 0)), card),
        f"# {title}\n",
        _INTRODUCTION,
        "## Origin\n",
        _table(("", ""), [(key, value) for key, value in card.items() if _is_plain(value)]),
        *(_figures(report) if report else []),
        "## Formats\n",
        _table(("format", "split", "rows", "chains left out", "steps cut"), _format_rows(exported)),
        "## Limits\n",
        _LIMITS,
    ]
    return "\n".join(parts)


def _front_matter(title: str, rows: int, card: Mapping[str, Any]) -> str:
    """YAML between dashes; every value is written as JSON, which is YAML."""
    files = [{"split": split, "path": f"data/{split}.parquet"} for split in SPLITS]
    fields = {
        "pretty_name": title,
        "task_categories": ["token-classification"],
        "tags": ["process-reward-model", "step-labels", "reasoning"],
        "size_categories": [_size(rows)],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    if "license" in card:
        fields["license"] = str(card["license"])
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", ""])


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), "n>1M")


def _figures(report: Mapping[str, Any]) -> list[str]:
    filters = [(f["name"], f["in"], f["out"], _counts(f["removed"])) for f in report["filters"]]
    files = [(f["path"], f["rows"], f["exact"], f["ngram"]) for f in report["decontamination"]]
    header = ("evaluation file", "rows", "problems equal", "problems sharing a word run")
    return [
        "## Splits\n",
        _table(("", *SPLITS), _balance_rows([report[split] for split in SPLITS])),
        "## Filters\n",
        _table(("filter", "chains in", "chains out", "removed"), filters),
        "## Decontamination\n",
        _table(header, files) if files else "Not asked for.\n",
    ]


def _balance_rows(splits: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [("problems", *(split["problems"] for split in splits))]
    for group in ("chains", "steps"):
        rows += [(f"{group}: {key}", *(split[group][key] for split in splits)) for key in splits[0][group]]
    positions = [_counts(split["first_error_positions"]) for split in splits]
    return [*rows, ("first error at step (0-based): chains", *positions)]


def _format_rows(exported: Mapping[str, Mapping[str, Export]]) -> list[tuple[Any, ...]]:
    return [
        (name, split, len(found.rows), _counts(found.skipped_chains), found.cut_steps)
        for name, by_split in exported.items()
        for split, found in by_split.items()
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in counts.items()) or "none"


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    def line(cells: Sequence[Any]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *map(line, rows), ""])
