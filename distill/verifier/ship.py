"""Exports for use: a format built, loaded again by a fresh process, measured, and shipped or refused.

`nf4` is the best of the three NF4 forms (`export`), `w4a16` the merged model in 4-bit integers, `adapter`
what peft saved. Of a run that trained in both precisions, the last two come from the full-precision training.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from distill.config import VerifierSettings
from distill.errors import VerifierError
from distill.verifier.card import write_card
from distill.verifier.data import ChainFormat, Example
from distill.verifier.drift import (
    FormFigures,
    HeldoutChain,
    Measured,
    f1_estimate,
    form_figures,
    score_changes,
)
from distill.verifier.export import Bench, Report, export, library_versions, require_kept
from distill.verifier.forms import copy_adapter
from distill.verifier.package import AdapterBase, Form, Package, read_package, write_package
from distill.verifier.reload import Engine, has_vllm, margins_afresh
from distill.verifier.score import ChainText
from distill.verifier.size import size_report
from distill.verifier.train import TrainResult

Format = Literal["nf4", "w4a16", "adapter"]
CALIBRATION_CHAINS = 256
"""Training chains that GPTQ sees; their order is the training set's."""
SAME = 1e-4
"""How far a score may lie from that of the process that made the folder: threads and batches differ."""
Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """What there is to export: trainings, at least one, and the chains to calibrate and measure on."""

    quantised: TrainResult | None
    full_precision: TrainResult | None
    train: Sequence[Example]
    validation: Sequence[Example]
    heldout: Sequence[HeldoutChain]
    settings: VerifierSettings
    provenance: dict[str, Any]
    resamples: int = 1000
    seed: int = 0

    @property
    def source(self) -> TrainResult:
        """The training that everything but NF4 is made from."""
        found = self.full_precision or self.quantised
        assert found is not None
        return found

    @property
    def texts(self) -> list[ChainText]:
        """Validation chains, then held-out ones."""
        known: list[ChainText] = [(item.question, item.steps) for item in self.validation]
        return known + [(item.question, item.steps) for item in self.heldout]


def ship(trained: Trained, made_as: Format, folder: Path, show: Show = lambda line: None) -> Package:
    """Build an export in `folder`, which must not exist, and return its package.

    Raises:
        VerifierError: `folder` is there already; or the export does not load in a fresh process, scores
            otherwise there, or lost more than a point of F1. Nothing is left behind then.
    """
    if folder.exists():
        raise VerifierError(f"expected no folder at {folder}, found one; delete it or give another")
    with _scratch(folder) as work:
        _ship_nf4(trained, work, show) if made_as == "nf4" else _ship_measured(trained, made_as, work, show)
        package = read_package(work)
        write_card(work, package)
        os.replace(work, folder)
    return package


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to build in, gone afterwards with all that lies beside it."""
    work = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _ship_nf4(trained: Trained, folder: Path, show: Show) -> None:
    """The least drifting NF4 form, whose scores a fresh process must give again."""
    first = trained.quantised or trained.source
    second = trained.full_precision if trained.quantised else None
    made = export(
        first, second, trained.validation, trained.heldout, trained.settings, folder / "verifier",
        trained.provenance, trained.resamples, trained.seed,
        _shown(show),
    )  # fmt: skip
    show("load and score in a fresh process: transformers")
    again = margins_afresh(made.folder, trained.texts, "transformers")
    require_same([*made.shipped.validation_margins, *made.shipped.margins], again)
    for path in made.folder.iterdir():
        os.replace(path, folder / path.name)
    made.folder.rmdir()


def _shown(show: Show) -> Report:
    return lambda done, total, part: show(f"measure {part['part']}")


def require_same(here: Sequence[Sequence[float]], afresh: Sequence[Sequence[float]]) -> None:
    """Raises VerifierError where a fresh process scores otherwise than the one that made the folder."""
    found = float(score_changes(afresh, here).max())
    if not found <= SAME:
        raise VerifierError(
            f"expected a fresh process to score within {SAME} of the one that exported, found {found:.4f}"
        )


def _ship_measured(trained: Trained, made_as: Format, folder: Path, show: Show) -> None:
    """W4A16 or the adapter, measured as every engine at hand runs it, against the model as trained."""
    source, chain_format = trained.source, ChainFormat.of(trained.settings)
    bench = Bench(chain_format, trained.validation, trained.heldout, _shown(show))
    reference = bench.measure_trained(source)
    show(f"build {made_as}")
    form = _build(trained, made_as, folder, chain_format)
    package = Package(form, chain_format, reference.fit.calibration, base=_base(form, source))
    write_package(folder, package)
    figures = dict(_measure(trained, form, folder, reference, show))
    require_kept(list(figures.values()))
    write_package(folder, _described(package, trained, folder, figures, reference))


def _build(trained: Trained, made_as: Format, folder: Path, chain_format: ChainFormat) -> Form:
    if made_as == "adapter":
        copy_adapter(trained.source, folder)
        return "lora"
    from distill.verifier.w4a16 import build_w4a16

    shown = [(item.question, item.steps) for item in trained.train[:CALIBRATION_CHAINS]]
    build_w4a16(trained.source, shown, chain_format, folder)
    return "w4a16"


def _base(form: Form, source: TrainResult) -> AdapterBase | None:
    return AdapterBase(source.base, source.quantised, source.layers) if form == "lora" else None


def _measure(
    trained: Trained, form: Form, folder: Path, reference: Measured, show: Show
) -> Iterator[tuple[str, FormFigures]]:
    """(name, figures) of the folder in each engine it is for and that is installed, each in a fresh process.

    Temperature and threshold stay those of the trained model: fitted anew on few validation chains they would
    move F1 more than the quantisation does.
    """
    full = reference if trained.full_precision else None
    engines: list[Engine] = ["transformers"]
    if form == "w4a16" and has_vllm():
        engines.append("vllm")
    count = len(trained.validation)
    for engine in engines:
        show(f"load and score in a fresh process: {engine}")
        margins = margins_afresh(folder, trained.texts, engine)
        found = Measured(reference.fit, margins[count:], margins[:count])
        name = f"{form}_vllm" if engine == "vllm" else form
        resampled = (trained.heldout, trained.resamples, trained.seed)
        yield name, form_figures(name, found, reference, full, *resampled)


def _described(
    package: Package, trained: Trained, folder: Path, figures: dict[str, FormFigures], reference: Measured
) -> Package:
    """The package with provenance, figures and sizes."""
    size = size_report(folder)
    fractions = {"quantised_fraction": size.quantised_fraction, "folder_fraction": size.folder_fraction}
    f1 = f1_estimate(reference.predicted, trained.heldout, trained.resamples, trained.seed)
    provenance = {
        "base": trained.source.base,
        "layers": trained.source.layers,
        "training": "NF4" if trained.source.quantised else "full precision",
        "libraries": library_versions(),
    }
    return replace(
        package,
        provenance=provenance | trained.provenance,
        figures={
            "forms": {name: asdict(item) for name, item in figures.items()},
            "f1_full_precision": f1 and trained.full_precision and asdict(f1),
            "validation": asdict(reference.fit),
        },
        size=asdict(size) | fractions,
    )
