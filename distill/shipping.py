"""`distill export`: what a run or `distill train` trained, as a folder in the format that you serve.

trainings, validation chains, chains to measure on -> `ship` -> FOLDER
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from distill.artifacts import RunFolder
from distill.combining import with_checks
from distill.config import Recipe
from distill.dataset.imports import SourceSettings, load_source
from distill.dataset.text import same_question
from distill.errors import DataError, VerifierError
from distill.remote import url_trouble
from distill.stages.dataset import read_dataset
from distill.stages.scorers import measured_on, whose_labels
from distill.stages.verifier import provenance, read_heldout
from distill.storage import MANIFEST, Place, local_copy, locate
from distill.training import TrainSettings, content_digest, prepare
from distill.verifier import HeldoutChain, Package, examples, read_result, training_examples
from distill.verifier.ship import Format, Trained, ship

Show = Callable[[str], None]
VERIFIER, TRAINING = f"verifier/{MANIFEST}", "train.json"
ENOUGH = 2000
"""Chains below which an interval is too wide to tell a drift of a point."""


def export_verifier(
    source: str,
    folder: Path,
    made_as: Format,
    check_data: str | None = None,
    show: Show = print,
    split: str | None = None,
) -> Package:
    """Export what `source` trained to `folder`, measured on `check_data` (on its `split`, where it has
    several) or on the run's held-out chains.

    `source` is a run, the folder of a `distill train`, or the verifier folder in either.

    Raises:
        VerifierError: nothing is trained there; `folder` is taken; or the export fails its own check, and
            then nothing is left of it.
        DataError: there is nothing to measure on.
    """
    checks = check_data and SourceSettings(path=check_data, split=split)
    with open_trained(source, checks or None, show) as trained:
        if not trained.heldout:
            raise DataError(
                f"expected chains that {source} was not trained on, found none; give --check-data FILE"
            )
        known = sum(item.truth is not None for item in trained.heldout)
        if known < ENOUGH:
            show(f"only {known:,} chains of known first error to measure on: the intervals will be wide")
        ship(trained, made_as, folder, show)
        package = with_checks(folder, trained.validation)
    for line in _figure_lines(package):
        show(line)
    return package


@contextmanager
def open_trained(source: str, checks: SourceSettings | None, show: Show) -> Iterator[Trained]:
    """What there is to export, its files at hand while the context lasts."""
    with local_copy(root_of(source)) as root:
        found = _of_run(root) if (root / VERIFIER).exists() else _of_training(root)
        yield _checked_on(checks, found, show) if checks else found


def root_of(source: str) -> Place:
    """The folder of the run or training that `source` is, or lies in; nothing is copied from a store for it.

    Raises:
        VerifierError: there is none.
    """
    place = locate(source)
    for at in (place, place.parent, place.parent.parent):
        above_the_bucket = not isinstance(at, Path) and url_trouble(at.url)
        if not above_the_bucket and any((at / name).exists() for name in (VERIFIER, TRAINING)):
            return at
    raise VerifierError(
        f"expected a run with a finished verifier, or the folder of a `distill train`, at {source}, found "
        f"neither {VERIFIER} nor {TRAINING}; an exported folder alone cannot be exported anew"
    )


def _of_run(root: Path) -> Trained:
    """A run with a finished verifier stage, measured on its held-out chains. Files that its recipe names are
    not looked for: they may be on another machine."""
    folder = RunFolder.reader(root)
    manifest = folder.manifest("verifier")
    if manifest is None or "recipe" not in manifest.stats:
        raise VerifierError(
            f"expected a verifier with its recipe in {root}, found that of an older prm-distill; give "
            "`distill run` first"
        )
    recipe = Recipe.model_validate(manifest.stats["recipe"])
    built, heldout = read_dataset(folder), read_heldout(folder)
    told = provenance(recipe, manifest.fingerprint, built.train) | {"measured_on": whose_labels(heldout)}
    mask = recipe.verifier.mask_after_first_error
    return Trained(
        read_result(root / "verifier" / "nf4"),
        read_result(root / "verifier" / "full"),
        training_examples(built.train, recipe.verifier),
        examples(built.validation, mask),
        measured_on(heldout, []),
        recipe.verifier,
        told,
        recipe.evaluation.bootstrap,
        recipe.seed,
    )


def _of_training(root: Path) -> Trained:
    """What `distill train` left: its data is read again, as it was split then.

    Raises:
        VerifierError: the training is gone, or its data are others now, so that what it saw is not known.
    """
    record = json.loads((root / TRAINING).read_text(encoding="utf-8"))
    settings = TrainSettings.model_validate(record["settings"])
    result = read_result(root / Path(record["training"]["folder"]).name)
    if result is None:
        raise VerifierError(
            f"expected the training that {root / TRAINING} tells of, found it gone; train again"
        )
    prepared = prepare(settings, lambda line: None)
    found = content_digest(prepared)
    if record.get("content", found) != found:  # absent in folders of old
        raise VerifierError(
            f"expected the data that {root / TRAINING} tells of, found other chains in "
            f"{[source.path for source in settings.data]}; put the old data back, or train again"
        )
    told = {"command": "distill train", "data": prepared.record, "loss": settings.verifier.loss}
    return Trained(
        result if result.quantised else None,
        None if result.quantised else result,
        prepared.train,
        prepared.known,
        [],
        settings.verifier,
        told,
        seed=settings.seed,
    )


def _checked_on(source: SourceSettings, trained: Trained, show: Show) -> Trained:
    """Measured on labelled chains of any format, without those whose question was trained or validated on."""
    chains, report = load_source(source)
    seen = {same_question(item.question) for item in [*trained.train, *trained.validation]}
    fresh = [item for item in chains if same_question(item.problem.question) not in seen]
    known = report.chains - len(fresh)
    show(
        f"measure on {len(fresh):,} chains of {source.path}"
        + (f"; {known:,} trained on left out" if known else "")
    )
    heldout = [
        HeldoutChain(item.problem.question, item.chain.steps, item.first_error, item.problem.id)
        for item in fresh
    ]
    told = {"measured_on": f"first errors as labelled in {source.path}"}
    return replace(trained, heldout=heldout, provenance=trained.provenance | told)


def _figure_lines(package: Package) -> Iterator[str]:
    """What was measured, a line each."""
    for name, item in package.figures["forms"].items():
        change = item["f1_change"]
        points = [100 * change[key] for key in ("value", "low", "high")] if change else []
        shown = (
            "first-error F1 {:+.2f} [{:+.2f}, {:+.2f}]".format(*points)
            if points
            else "no first-error F1 (it takes known chains with and without an error)"
        )
        yield (
            f"{name}: {shown} on {item['chains']:,} chains; score change mean {item['mean_change']:.5f}, "
            f"largest {item['max_change']:.4f}; same decision {100 * item['agreement']:.2f}%"
        )
