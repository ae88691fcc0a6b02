"""The whole system on one screen: the stages, in order, and the loop that runs them.

    problems -> chains -> evidence -> labels -> dataset -> verifier -> export -> evaluation -> report
    heldout_problems -> heldout_chains ------------------------------------^

A stage is redone when its own settings changed, or anything it is made from; a finished shard under
the same settings is never redone. Nothing here knows what a stage does.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distill.artifacts import RunFolder
from distill.config import Recipe
from distill.loading import checker_digest, file_digest, stage_fingerprint
from distill.memory import MemoryWatch
from distill.progress import ProgressView
from distill.stages import dataset, evaluation, labels, problems, teacher, verifier
from distill.stages.clock import StageClock
from distill.stages.run import Run
from distill.storage import locate


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the pipeline: what it is made from, and which settings it depends on."""

    name: str
    run: Callable[[Run], dict[str, Any]]
    after: tuple[str, ...]
    settings: tuple[str, ...]
    always: bool = False
    """Run it each time: it writes beside the stages' folders, where the files of other settings may lie."""


ROLLOUTS = "labelling -good_at -surprisal -confidence -review -reviews"
DEADLINE = "labelling.checker_deadline_seconds"
GIVEN = "chains -per_problem -heldout_per_problem -segment"

STAGES = (
    Stage("problems", problems.load_labelled_problems, (), ("seed", "problems -heldout", GIVEN)),
    Stage(
        "chains",
        teacher.write_chains,
        ("problems",),
        ("teacher", "chains -heldout_per_problem", DEADLINE),
    ),
    Stage("heldout_problems", problems.load_heldout_problems, (), ("seed", "problems -count")),
    Stage(
        "heldout_chains",
        teacher.write_heldout_chains,
        ("heldout_problems",),
        ("teacher", "chains -per_problem -path", DEADLINE),
    ),
    Stage("evidence", teacher.gather_evidence, ("chains",), ("completer", ROLLOUTS)),
    Stage("labels", labels.derive, ("evidence",), ("labelling",)),
    Stage("dataset", dataset.build, ("labels",), ("dataset",)),
    Stage("verifier", verifier.train, ("dataset",), ("verifier",)),
    Stage("export", verifier.export, ("verifier", "heldout_chains"), ()),
    Stage("evaluation", evaluation.evaluate, ("export", "labels"), ("evaluation",)),
    Stage("report", evaluation.report, ("evaluation",), (), always=True),
)

SECONDS = "seconds.json"
"""How long stages took that no command has finished yet. Absent where none was cut short."""
MEASURED = ("seconds", "peak_rss_gib")
CHANCE = (*MEASURED, "retries", "faults", "shards_before")
"""Statistics that differ between runs that make the same."""
MADE_FROM = "made_from"
PLACEMENT = ("replicas", "gpus", "cpus", "threads", "server", "report_to")
FILES = ("path", "decontaminate", "model", "tokenizer", "lora", "base", "reviews")


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do at one stage."""

    stage: Stage
    fingerprint: str
    done: bool
    finished_shards: int
    stale: bool
    kept: bool

    @property
    def state(self) -> str:
        """In words, for people."""
        if self.done:
            return "done"
        if self.kept:
            return "kept, will be put back"
        return "to be redone (settings changed)" if self.stale else "to do"


def plan(recipe: Recipe, folder: RunFolder | None) -> list[Planned]:
    """Every stage with its fingerprint and what is already there."""
    fingerprints = stage_fingerprints(recipe)
    return [_planned(stage, fingerprints[stage.name], folder) for stage in STAGES]


def _planned(stage: Stage, fingerprint: str, folder: RunFolder | None) -> Planned:
    if folder is None:
        return Planned(stage, fingerprint, False, 0, False, False)
    asked = stage.name, fingerprint
    done, shards = _is_done(folder, stage, fingerprint), len(folder.finished_shards(*asked))
    return Planned(stage, fingerprint, done, shards, folder.is_stale(*asked), folder.is_kept(*asked))


def _is_done(folder: RunFolder, stage: Stage, fingerprint: str) -> bool:
    """Whether the stage is finished, and of what its sources hold now: one whose folder was deleted is made
    anew under the same fingerprint, and a training or a teacher need not come out the same."""
    manifest = folder.manifest(stage.name)
    if manifest is None or not folder.is_done(stage.name, fingerprint):
        return False
    return manifest.stats.get(MADE_FROM) in (None, _made_from(folder, stage))


def _made_from(folder: RunFolder, stage: Stage) -> dict[str, str]:
    """Digest of what each stage that `stage` is made from tells of itself, but for `CHANCE`."""
    found = {}
    for name in stage.after:
        manifest = folder.manifest(name)
        kept = {k: v for k, v in manifest.stats.items() if k not in CHANCE} if manifest else {}
        found[name] = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
    return found


def execute(recipe: Recipe, view: ProgressView, last: str = STAGES[-1].name) -> RunFolder:
    """Run every stage up to `last` that is not finished. Safe to kill at any moment and to start again."""
    with RunFolder.driver(locate(recipe.runs) / recipe.name) as folder, view, MemoryWatch() as memory:
        run = Run(recipe, folder, view, stage_fingerprints(recipe), memory)
        try:
            for stage in STAGES:
                run_stage(run, stage)
                if stage.name == last:
                    break
        finally:
            run.close()
    return folder


def run_stage(run: Run, stage: Stage) -> None:
    """Run one stage unless it is finished; its statistics and seconds go into its manifest, last."""
    fingerprint = run.fingerprints[stage.name]
    run.folder.discard_stale(stage.name, fingerprint)
    if _is_done(run.folder, stage, fingerprint) and not stage.always:
        run.view.line(f"{stage.name}: finished already")
        return
    run.stage = stage.name
    with StageClock(run.folder.path / SECONDS, f"{stage.name} {fingerprint}") as clock:
        stats = stage.run(run) | run.faults(stage.name)
        measured = dict(zip(MEASURED, (clock.seconds, run.memory.peak_gib), strict=True))
        made_from = {MADE_FROM: _made_from(run.folder, stage)} if stage.after else {}
        run.folder.commit_stage(stage.name, fingerprint, stats | made_from | measured)


def stage_fingerprints(recipe: Recipe) -> dict[str, str]:
    """Fingerprint of every stage: its settings, and the fingerprints of what it is made from."""
    found: dict[str, str] = {}
    for stage in STAGES:
        part = {entry: _settings(recipe, entry) for entry in stage.settings}
        found[stage.name] = stage_fingerprint({"stage": stage.name, **part}, *(found[s] for s in stage.after))
    return found


def _settings(recipe: Recipe, entry: str) -> Any:
    """The recipe's part named by `entry`, without the fields after a minus ("problems -heldout") and
    without those that say where work runs and who is told, not what comes out. A field left out takes along
    what is named after it: `segment_tokens` goes with `segment`."""
    name, *without = entry.split(" -")
    if recipe.problems.source != "world" or recipe.chains.path:  # what is held out is not left to label
        without = [field for field in without if field != "heldout"]
    value: Any = recipe.model_dump(mode="json")
    for part in name.split("."):
        value = value[part]
    if not isinstance(value, dict):
        return value
    named_after = tuple(f"{name}_" for name in without)
    kept = {
        k: v for k, v in value.items() if k not in (*without, *PLACEMENT) and not k.startswith(named_after)
    }
    named = {k: v for k, v in kept.items() if k in FILES and v and isinstance(v, str | list)}
    files = {k: file_digest(v) for k, v in named.items()}  # the verifier's `lora` names no files
    if ":" in kept.get("domain", ""):
        files["domain"] = checker_digest(kept["domain"])
    return kept | {"files": files} if files else kept
