"""`distill train`: anyone's labelled chains to a 4-bit verifier folder, in one command.

sources -> imports -> split by problem -> `train_verifier` -> `export` -> `with_checks` -> OUT/verifier

The same command goes on where it was killed. Several processes (`torchrun --nproc-per-node N -m
distill.cli train ...`) share every optimiser step; the first of them exports.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from distill.combining import with_checks
from distill.config import DatasetSettings, Settings, VerifierSettings
from distill.dataset.build import balance, build_dataset
from distill.dataset.imports import SourceReport, SourceSettings, load_source, load_sources, repeated
from distill.dataset.text import same_question
from distill.errors import DataError
from distill.loading import file_digest, load_settings, stage_fingerprint
from distill.records import LabelledChain
from distill.verifier import (
    Example,
    HeldoutChain,
    TrainResult,
    augmented_examples,
    examples,
    export,
    train_verifier,
    training_examples,
)
from distill.verifier.data import IGNORED
from distill.verifier.drift import FormFigures
from distill.verifier.package import write_json

Show = Callable[[str], None]
MEASURED_ON = "validation chains, which thresholds were fitted on too; first errors as the data labels them"


class TrainSettings(Settings):
    """What `distill train` reads: data, and how to train on it."""

    data: list[SourceSettings] = Field(min_length=1)
    """Sources of labelled chains to train on."""
    validation: list[SourceSettings] = Field(default_factory=list)
    """Sources to validate and calibrate on; left out, a share of the problems of `data`."""
    out: Path = Path("verifier")
    """Folder for the checkpoints, the record and the exported verifier."""
    seed: int = 0
    """Of the split, the head and the order of chains."""
    quantise: bool = True
    """Train on an NF4 base (QLoRA); false: on the full-precision base, quantised once afterwards."""
    gpus: int | None = None
    """0 keeps to the CPU; left out, a GPU is used where there is one."""
    dataset: DatasetSettings = DatasetSettings()
    """Cleaning, decontamination, and the share of problems to validate on."""
    verifier: VerifierSettings = VerifierSettings()
    """Base, loss and optimisation."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples to train and validate on, and the record of where they came from."""

    train: list[Example]
    validation: list[LabelledChain]
    known: list[Example]
    record: dict[str, Any]


def read_settings(config: Path | None, overrides: Sequence[str]) -> TrainSettings:
    """Settings from a YAML file with overrides laid over it, or from overrides alone."""
    return load_settings(config, TrainSettings, overrides)


def train(settings: TrainSettings, show: Show = print) -> Path:
    """Train and export; the verifier's folder. `show` is given lines of text: counts, figures, progress.

    Raises:
        DataError: the data cannot be read, or has not both kinds of steps to validate on.
        VerifierError: the base cannot be trained, or no 4-bit form decides as the trained model does.
    """
    show = show if int(os.environ.get("RANK", "0")) == 0 else (lambda line: None)
    prepared = prepare(settings, show)
    verifier = settings.verifier.model_copy(update={"gpus": float(_gpus(settings))})
    fingerprint = stage_fingerprint(
        _decisive(settings),
        json.dumps(prepared.record, default=str),
        content_digest(prepared),
        *file_digest(settings.verifier.base),
    )
    settings.out.mkdir(parents=True, exist_ok=True)
    folder = settings.out / f"training-{fingerprint[:12]}"
    folder.mkdir(exist_ok=True)
    result = train_verifier(
        prepared.train, prepared.known, verifier, settings.quantise, folder, settings.seed, _progress(show)
    )
    show(_trained_line(result))
    if int(os.environ.get("RANK", "0")):
        return settings.out / "verifier"
    return _export(settings, verifier, result, prepared, show)


def prepare(settings: TrainSettings, show: Show = print) -> Prepared:
    """Import, clean, split, repeat by weight and augment; every loss of chains or labels is shown."""
    loaded, reports = zip(*map(load_source, settings.data), strict=True)
    given, more = load_sources(settings.validation) if settings.validation else ([], [])
    for report in [*reports, *more]:
        show(source_line(report))
    built = build_dataset([item for chains in loaded for item in chains], settings.dataset, settings.seed)
    taken = {same_question(item.problem.question) for item in given}
    kept = built.train + built.validation if given else built.train
    distinct = [item for item in kept if same_question(item.problem.question) not in taken]
    training = repeated(distinct, loaded, [source.weight for source in settings.data])
    validation = given or built.validation
    mask = settings.verifier.mask_after_first_error
    shown, known = training_examples(training, settings.verifier), examples(validation, mask)
    _require_both_kinds(known)
    made = augmented_examples(shown, settings.verifier.augmentation, settings.seed)
    record = {
        "sources": [report.to_json() for report in reports],
        "validation_sources": [report.to_json() for report in more],
        "cleaning": built.report["filters"],
        "train": balance(training),
        "validation": balance(validation),
        "augmented": len(made) - len(shown),
        "without_labels": {"train": len(training) - len(shown), "validation": len(validation) - len(known)},
    }
    for step in built.report["filters"]:
        if step["in"] != step["out"]:
            show(f"left out ({step['name']}): {step['in'] - step['out']} chains {step['removed']}")
    if any(lost := tuple(record["without_labels"].values())):
        counts = "{:,} chains to train on, {:,} to validate on".format(*lost)
        show(f"left out (no label to learn from): {counts}")
    show(f"train on {len(made):,} chains, validate on {len(known):,} of other problems")
    return Prepared(made, validation, known, record)


def content_digest(prepared: Prepared) -> str:
    """SHA-256 of every example to train and validate on, in order: what a training is a function of."""
    digest = hashlib.sha256()
    for part in (prepared.train, prepared.known):
        digest.update(b"part\n")
        for item in part:
            digest.update(json.dumps(astuple(item)).encode() + b"\n")
    return digest.hexdigest()


def source_line(report: SourceReport) -> str:
    """One source in one line, with all that was skipped."""
    steps = ", ".join(f"{count:,} {name}" for name, count in report.steps.items())
    lost = "".join(f"; skipped {count} rows ({why})" for why, count in report.skipped.items())
    soft = f", {report.soft:,} of them soft" if report.soft else ""
    return (
        f"{report.path} ({report.format}): {report.rows:,} rows, {report.chains:,} chains, "
        f"{report.taken:,} taken; steps {steps}{soft}{lost}"
    )


def _export(
    settings: TrainSettings, verifier: VerifierSettings, result: TrainResult, prepared: Prepared, show: Show
) -> Path:
    folder = settings.out / "verifier"
    heldout = [
        HeldoutChain(item.problem.question, item.chain.steps, item.first_error, item.problem.id)
        for item in prepared.validation
    ]
    provenance = {
        "command": "distill train",
        "data": prepared.record,
        "training_chains": result.train_chains,
        "truncated_steps": result.truncated_steps,
        "loss": verifier.loss,
        "measured_on": MEASURED_ON,
    }
    record = {
        "training": asdict(result),
        "data": prepared.record,
        "settings": _from_anywhere(settings),
        "content": content_digest(prepared),
    }
    write_json(settings.out / "train.json", record)  # first: what is refused here, `distill export` may try
    shipped = export(result, None, prepared.known, heldout, verifier, folder, provenance, seed=settings.seed)
    with_checks(folder, prepared.known)
    show(f"exported {folder} ({shipped.form}): {_figures_line(shipped.figures[shipped.form])}")
    return folder


def _figures_line(figures: FormFigures) -> str:
    change = figures.f1_change
    points = [100 * value for value in (change.value, change.low, change.high)] if change else []
    moved = "first-error F1 {:+.2f} [{:+.2f}, {:+.2f}], ".format(*points) if points else ""
    return (
        f"decides {100 * figures.agreement:.1f}% of {figures.chains} validation chains alike, {moved}"
        f"mean change of a score {figures.mean_change:.4f}, "
        f"threshold {figures.threshold:.3f}, temperature {figures.temperature:.3f}"
    )


def _decisive(settings: TrainSettings) -> dict[str, Any]:
    """The settings that a training is made with, and not where it is put."""
    return settings.model_dump(mode="json", exclude={"out", "gpus"})


def _from_anywhere(settings: TrainSettings) -> dict[str, Any]:
    """All settings, data on this disk named in full: `distill export` may be given elsewhere."""
    told = settings.model_dump(mode="json")
    for source in [*told["data"], *told["validation"]]:
        if Path(source["path"]).exists():
            source["path"] = str(Path(source["path"]).absolute())
    return told


def _gpus(settings: TrainSettings) -> int:
    return int(torch.cuda.is_available()) if settings.gpus is None else settings.gpus


def _require_both_kinds(validation: Sequence[Example]) -> None:
    kinds = {label for item in validation for label in item.labels if label != IGNORED}
    if kinds != {0, 1}:
        raise DataError(
            f"expected good and bad steps to validate and calibrate on, found labels {sorted(kinds)} in "
            f"{len(validation)} chains; raise dataset.validation_fraction or give `validation` data"
        )


def _trained_line(result: TrainResult) -> str:
    lost = f"; {result.truncated_steps} labelled steps of {result.cut_chains} chains lay past max_length"
    return (
        f"trained {result.steps} steps on {result.labelled_steps:,} labelled steps ({result.train_tokens:,} "
        f"tokens) in {result.seconds:.0f} s, {result.mixed_precision} mixed precision; best validation "
        f"first-error F1 {result.best_f1:.3f} at step {result.best_step}"
        + (f"; validation loss of the head alone {result.head_loss:.3f}" if result.head_loss else "")
        + (lost if result.truncated_steps else "")
        + (f"; {result.windows} more windows for long chains" if result.windows else "")
    )


def _progress(show: Show) -> Callable[[int, int, dict[str, float]], None]:
    def report(step: int, total: int, figures: dict[str, float]) -> None:
        shown = [f"{key} {figures[key]:.4f}" for key in ("loss", "eval_loss", "eval_f1") if key in figures]
        if "head" in figures:
            show(f"head: {step:,} of {total:,} chains read")
        if shown:
            show(f"step {step}/{total}: {', '.join(shown)}")

    return report
