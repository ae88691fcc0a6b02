"""The training set: split by problem, cleaned, decontaminated, and written in the field's formats."""

from collections.abc import Sequence
from typing import Any

from distill.artifacts import RunFolder, read_records
from distill.dataset import BuiltDataset, build_dataset, save
from distill.errors import DataError
from distill.records import LabelledChain
from distill.stages.run import Run
from distill.storage import working_copy


def build(run: Run) -> dict[str, Any]:
    """Train and validation rows as shards, and the dataset folder for everybody else."""
    labelled = run.read("labels", LabelledChain)
    _require_labels(run, labelled)
    with run.view.stage("dataset", 1):
        return _build(run, labelled)


def _build(run: Run, labelled: list[LabelledChain]) -> dict[str, Any]:
    built = build_dataset(labelled, run.recipe.dataset, run.recipe.seed)
    fingerprint = run.fingerprints["dataset"]
    run.commit_shards("dataset", [built.train, built.validation])
    card = {"recipe": run.recipe.name, "fingerprint": fingerprint, "report": built.report}
    with working_copy(run.folder.stage_path("dataset") / "hub") as (folder, _):
        save(built, folder, card)
    return {"in": len(labelled), "out": len(built.train) + len(built.validation), "report": built.report}


def read_dataset(folder: RunFolder) -> BuiltDataset:
    """What `build` wrote."""
    train, validation = (
        read_records(folder.shard_path("dataset", index), LabelledChain) for index in range(2)
    )
    return BuiltDataset(train, validation, {})


def _require_labels(run: Run, labelled: Sequence[LabelledChain]) -> None:
    """Raises DataError where not one step has a label: the teacher's answers are the place to look."""
    if any(label.hard is not None for row in labelled for label in row.labels):
        return
    stats = run.stats("chains")
    outcomes = ", ".join(f"{count:,} {name}" for name, count in stats["outcomes"].items())
    raise DataError(
        f"expected step labels to train on, found none: of {stats['out']:,} chains {outcomes or 'none'} "
        f"({stats['empty']:,} empty, {stats['cut_off']:,} cut off by teacher.max_new_tokens). No label "
        "follows from chains whose final answer cannot be judged: see that teacher.model and teacher.prompt "
        "make the teacher end in an answer, and that teacher.max_new_tokens leaves room for it."
    )
