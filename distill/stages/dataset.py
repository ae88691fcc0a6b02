"""The training set: split by problem, cleaned, decontaminated, and written in the field's formats."""

from typing import Any

from distill.artifacts import read_records
from distill.dataset import BuiltDataset, build_dataset, save
from distill.records import LabelledChain
from distill.stages.run import Run


def build(run: Run) -> dict[str, Any]:
    """Train and validation rows as shards, and the dataset folder for everybody else."""
    labelled = run.read("labels", LabelledChain)
    built = build_dataset(labelled, run.recipe.dataset, run.recipe.seed)
    fingerprint = run.fingerprints["dataset"]
    for index, rows in enumerate((built.train, built.validation)):
        run.folder.commit_shard("dataset", index, rows, {"out": len(rows)}, fingerprint)
    card = {"recipe": run.recipe.name, "fingerprint": fingerprint, "report": built.report}
    save(built, run.folder.path / "dataset" / "hub", card)
    return {"in": len(labelled), "out": len(built.train) + len(built.validation), "report": built.report}


def read_dataset(run: Run) -> BuiltDataset:
    """What `build` wrote."""
    train, validation = (
        read_records(run.folder.shard_path("dataset", index), LabelledChain) for index in range(2)
    )
    return BuiltDataset(train, validation, {})
