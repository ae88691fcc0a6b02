"""`distill relabel` and `distill review import`: other labels from the evidence that a run folder holds.

Neither asks the teacher for anything, and neither touches the stages of the run.
"""

import datetime
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.artifacts import RunFolder, read_records, write_records
from distill.errors import ArtifactError
from distill.labelling.review import read_answers
from distill.loading import lay_over_labelling
from distill.records import Chain, Event, LabelledChain, Problem, content_id
from distill.stages.labels import SOURCES, label_all, label_stats, stored_answers
from distill.storage import Place, write_bytes

KEPT = ("chain_id", "answer", "reviewer", "first_error")


def relabel(path: str | Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Derive the labels of a finished labels stage under other settings (`labelling.KEY=VALUE`).

    Writes `RUN/relabelled/ID.parquet` (records as of the labels stage; the settings in its footer) and
    returns its path, how many first errors changed, and the statistics before and after.

    Raises:
        ArtifactError: the run has no finished labels, or no longer what they were made from.
        RecipeError: an override is no labelling setting.
    """
    folder = RunFolder.reader(path)
    before = labels_stats(folder)
    _require_sources(folder, before)
    settings = lay_over_labelling(before["labelling"], overrides)
    parts = (_read(folder, "problems", Problem), _read(folder, "chains", Chain))
    answers = stored_answers(settings.reviews, parts[1])
    labelled = label_all(*parts, _read(folder, "evidence", Event), settings, answers)
    old = {row.chain.id: row.first_error for row in _read(folder, "labels", LabelledChain)}
    changed = sum(row.first_error != old.get(row.chain.id) for row in labelled)
    stored = settings.model_dump(mode="json")
    target = folder.path / "relabelled" / f"{content_id(stored)}.parquet"
    write_records(target, labelled, {"labelling": stored})
    counts = {"chains": len(labelled), "changed": changed}
    return {"path": str(target), **counts, "before": before, "after": label_stats(labelled, answers)}


def import_reviews(path: str | Path, file: Path) -> tuple[Place, int]:
    """Merge the answered rows of `file` into `RUN/reviews.jsonl`, a later answer of the same chain in place
    of the earlier; each keeps who, when and from which file, and answers about chains of before stay.
    Returns that path and how many are new.

    Raises:
        ArtifactError: the run has no finished labels.
        DataError: a row of the file is faulty; nothing is imported then.
    """
    folder = RunFolder.reader(path)
    labels_stats(folder)
    chains = {chain.id: chain for chain in _read(folder, "chains", Chain) if chain.steps}
    target = folder.path / "reviews.jsonl"
    merged = {row["chain_id"]: row for row in (read_answers(target, chains, True) if target.exists() else [])}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""
    source = {"imported": datetime.date.today().isoformat(), "file": f"{file.name} (sha256 {digest})"}
    new = [{key: row.get(key) for key in KEPT} | source for row in read_answers(file, chains)]
    merged |= {row["chain_id"]: row for row in new}
    text = "".join(json.dumps(merged[key], ensure_ascii=False) + "\n" for key in sorted(merged))
    write_bytes(target, text.encode())
    return target, len(new)


def labels_stats(folder: RunFolder) -> dict[str, Any]:
    """Statistics of the finished labels stage."""
    manifest = folder.manifest("labels")
    if manifest is None:
        raise ArtifactError(
            f"expected finished labels in {folder.path}, found none. Give `distill run` first."
        )
    return manifest.stats


def _require_sources(folder: RunFolder, stats: dict[str, Any]) -> None:
    """Raises ArtifactError unless the folder holds, whole, what its labels were made from."""
    made_from = stats.get("made_from", {})
    other = [name for name in SOURCES if not folder.is_done(name, made_from.get(name, ""))]
    if other:
        raise ArtifactError(
            f"expected in {folder.path} the {', '.join(SOURCES)} that its labels were made from, found other "
            f"or unfinished {', '.join(other)} (settings were changed, or a run was stopped). Let "
            "`distill run` finish first."
        )


def _read(folder: RunFolder, stage: str, record: type[Any]) -> list[Any]:
    return [row for path in folder.shards(stage) for row in read_records(path, record)]
