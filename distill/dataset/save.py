"""Write a built dataset so that others can load it: Arrow, Parquet, the field's formats and a card.

folder/dataset_dict.json, train/, validation/   datasets.load_from_disk(folder)
folder/data/SPLIT.parquet                       datasets.load_dataset(folder)
folder/formats/FORMAT-SPLIT.jsonl               datasets.load_dataset(folder, FORMAT)
folder/README.md                                the dataset card
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distill.dataset.build import BuiltDataset
from distill.dataset.card import render_card
from distill.dataset.formats import FORMATS, Export, export
from distill.errors import ArtifactError
from distill.records import LabelledChain
from distill.steps import strip_step

UNDETERMINED = -100


def save(built: BuiltDataset, folder: Path, card: Mapping[str, Any]) -> None:
    """Write `built` to `folder`, which then appears whole or not at all; an older one is replaced.

    `card` holds what the card shall say of the dataset's origin: its single values are shown as a table,
    `name` (or `recipe`) as the title, `license` in the front matter. The figures come from
    `built.report` and from what the formats could not express.

    Raises:
        ArtifactError: the folder cannot be written (a full disk, no permission).
    """
    partial = folder.with_name(f"{folder.name}.partial")
    splits = {"train": built.train, "validation": built.validation}
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        exported = _write_formats(splits, partial / "formats")
        _write_arrow(splits, partial)
        (partial / "README.md").write_text(render_card(built.report, exported, card), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ArtifactError(
            f"{folder}: expected to write the dataset there, found: {error}; "
            "free space or choose another folder"
        ) from error


def row_of(item: LabelledChain) -> dict[str, Any]:
    """The dataset's own row: `labels` are 1 good, 0 bad, -100 undetermined (ignored by a loss); `soft`,
    `low`, `high` the posterior of each step's own trials; `first_error` 0-based, -1 none, null open."""
    labels = item.labels
    return {
        "problem_id": item.problem.id,
        "chain_id": item.chain.id,
        "question": item.problem.question,
        "reference": item.problem.reference,
        "domain": item.problem.domain,
        "steps": [strip_step(step) for step in item.chain.steps],
        "labels": [UNDETERMINED if label.hard is None else label.hard for label in labels],
        "first_error": item.first_error,
        "soft": [label.soft for label in labels],
        "low": [label.low for label in labels],
        "high": [label.high for label in labels],
        "successes": [label.successes for label in labels],
        "failures": [label.failures for label in labels],
        "undecided": [label.undecided for label in labels],
        "refutations": [label.refutation for label in labels],
        "reviews": [label.review for label in labels],
        "answer": item.chain.answer,
        "outcome": str(item.chain.outcome),
        "generator": item.chain.generator,
        "method": item.method,
        "rollout_tokens": item.rollout_tokens,
    }


def _write_formats(
    splits: Mapping[str, Sequence[LabelledChain]], folder: Path
) -> dict[str, dict[str, Export]]:
    """One JSONL file a format and split; what was exported, by format and split."""
    folder.mkdir()
    exported = {name: {split: export(items, name) for split, items in splits.items()} for name in FORMATS}
    for name, by_split in exported.items():
        for split, found in by_split.items():
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found.rows]
            (folder / f"{name}-{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    return exported


def _write_arrow(splits: Mapping[str, Sequence[LabelledChain]], folder: Path) -> None:
    import datasets

    features = _features()
    tables = datasets.DatasetDict()
    for split, items in splits.items():
        rows = [row_of(item) for item in items]
        columns = {name: [row[name] for row in rows] for name in features}
        tables[split] = datasets.Dataset.from_dict(columns, features=features)
    (folder / "data").mkdir()
    with _quiet():
        # Left to itself `datasets` writes an empty split as no file at all, which it cannot load.
        shards = {split: None if table.num_rows else 1 for split, table in tables.items()}
        tables.save_to_disk(str(folder), num_shards=shards)
        for split, table in tables.items():
            table.to_parquet(str(folder / "data" / f"{split}.parquet"))


def _features() -> Any:
    """Column types, stated so that an empty split has them too."""
    from datasets import Features, List, Value

    text, whole, real = Value("string"), Value("int32"), Value("float64")
    lists = {"steps": text, "labels": whole, "refutations": text, "reviews": text}
    lists |= dict.fromkeys(("soft", "low", "high"), real)
    lists |= dict.fromkeys(("successes", "failures", "undecided"), whole)
    plain = dict.fromkeys(("problem_id", "chain_id", "question", "reference", "domain"), text)
    plain |= dict.fromkeys(("answer", "outcome", "generator", "method"), text)
    numbers = {"first_error": whole, "rollout_tokens": Value("int64")}
    return Features({**plain, **numbers, **{name: List(value) for name, value in lists.items()}})


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars of `datasets` among our own lines."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()
