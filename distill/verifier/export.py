"""Export: build every 4-bit form, measure each against the model as trained, ship what drifts least of those
that kept their F1."""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distill.config import VerifierSettings
from distill.errors import VerifierError
from distill.verifier.calibrate import CalibrationFit, calibrate
from distill.verifier.card import write_card
from distill.verifier.data import ChainFormat, Example
from distill.verifier.drift import Estimate, FormFigures, HeldoutChain, Measured, f1_estimate, form_figures
from distill.verifier.forms import build, load_trained
from distill.verifier.hybrid import HybridParams
from distill.verifier.package import Form, Package, read_package, update_package, write_package
from distill.verifier.score import ChainText, Verifier
from distill.verifier.size import size_report
from distill.verifier.train import TrainResult

LARGEST_F1_LOSS = 0.01
LEAST_AGREEMENT = 0.95
LIBRARIES = (
    "torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "compressed-tensors",
)  # fmt: skip
Report = Callable[[int, int, dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was shipped and how it was chosen.

    `shipped` is measured as plain `transformers` runs the shipped folder; `as_trained` and
    `full_precision` are the trained models before export, each with its own calibration.
    """

    folder: Path
    form: Form
    figures: dict[Form, FormFigures]
    shipped: Measured
    as_trained: Measured
    full_precision: Measured | None
    f1_full_precision: Estimate | None
    package: Package


def export(
    trained: TrainResult,
    full_precision: TrainResult | None,
    validation: Sequence[Example],
    heldout: Sequence[HeldoutChain],
    settings: VerifierSettings,
    folder: Path,
    provenance: dict[str, Any],
    resamples: int = 1000,
    seed: int = 0,
    on_progress: Report = lambda done, total, figures: None,
) -> ExportResult:
    """Build the forms of an NF4 training (and of a full-precision one, when given), measure, ship. Of a
    full-precision `trained` there is one form, quantised after training.

    Calibration is fitted on `validation` for each trained model; a form has that of the one that it is made
    from. `folder` is replaced whole. `on_progress(done, total, {"part": name})` is called before each model
    is measured.

    Raises:
        VerifierError: no form keeps the first-error F1 of the trained model within a point; the
            message holds the figures.
    """
    bench = Bench(ChainFormat.of(settings), validation, heldout, on_progress)
    work = folder.with_name(folder.name + ".forms")
    forms = _sources(trained, full_precision)
    bench.total = len(forms) + 1 + (full_precision is not None)
    as_trained = bench.measure_trained(trained)
    full = bench.measure_trained(full_precision) if full_precision else None
    origin = {
        form: (full if source is full_precision else None) or as_trained for form, source in forms.items()
    }
    measured = {f: bench.measure_form(f, source, origin[f].fit, work / f) for f, source in forms.items()}
    resampled = (heldout, resamples, seed)
    figures = {
        form: form_figures(form, found, origin[form], full, *resampled) for form, found in measured.items()
    }
    best = choose(figures)
    f1_full = f1_estimate(full.predicted, *resampled) if full else None
    described = {"base": trained.base, "layers": trained.layers, "libraries": library_versions()} | provenance
    package = packaged(best, figures, measured[best], f1_full, bench.chain_format, work / best, described)
    put_in_place(work / best, folder, package)
    shutil.rmtree(work)
    return ExportResult(folder, best, figures, measured[best], as_trained, full, f1_full, package)


def finish(
    folder: Path, hybrid: HybridParams | None, figures: dict[str, Any], domain: str = "math"
) -> Package:
    """Add the fitted hybrid, the final figures and the domain to a shipped folder; write its card anew."""
    figures = read_package(folder).figures | figures
    package = update_package(folder, hybrid=hybrid, figures=figures, domain=domain)
    write_card(folder, package)
    return package


def choose(figures: dict[Form, FormFigures]) -> Form:
    """Of the forms that kept their F1, the one whose scores are nearest (mean |difference|) to those of the
    full-precision training on the same labels, or, without one, to those of the model that it came from.

    Raises:
        VerifierError: every form lost more than one point of F1 (or, without exact truth, agrees
            on less than 95% of the chains).
    """
    passed = [form for form in figures if kept(figures[form])]
    if not passed:
        raise refusal(list(figures.values()))
    return min(passed, key=lambda form: figures[form].drift)


def kept(item: FormFigures) -> bool:
    """Whether a form lost at most a point of F1 (or, without exact truth, agrees on 95% of the chains); one
    that scores nan did not."""
    if math.isnan(item.mean_change):
        return False
    if item.f1_change is not None:
        return item.f1_change.value >= -LARGEST_F1_LOSS
    return item.agreement >= LEAST_AGREEMENT


def require_kept(measured: Sequence[FormFigures]) -> None:
    """Raises VerifierError, with the figures of all, where one of `measured` is not `kept`."""
    if not all(map(kept, measured)):
        raise refusal(measured)


def refusal(measured: Sequence[FormFigures]) -> VerifierError:
    """Why nothing is shipped: the figures of all that was measured, whether so few chains can tell, and what
    to do."""
    advice = ["train longer, or take a larger base"]
    if not {"adapter", "lora"} & {item.form for item in measured}:
        exact = "`distill export --format adapter`, or the adapter form of a training with `quantise: true`"
        advice.insert(0, f"ship what was trained ({exact})")
    if any(item.f1_change and not kept(item) and _reaches_bound(item.f1_change) for item in measured):
        more = "measure on more: more validation chains, or `distill export --check-data FILE`"
        advice.insert(0, f"{measured[0].chains} chains cannot tell (the interval reaches the bound): {more}")
    return VerifierError(
        f"expected a 4-bit form within {100 * LARGEST_F1_LOSS:.0f} point of the first-error F1 of the "
        f"model as trained, found {'; '.join(map(_line, measured))}; {', or '.join(advice)}"
    )


def _reaches_bound(change: Estimate) -> bool:
    return change.high >= -LARGEST_F1_LOSS


def _sources(trained: TrainResult, full_precision: TrainResult | None) -> dict[Form, TrainResult]:
    """Which training each form is made from."""
    if not trained.quantised:
        return {"full_precision": trained}
    forms: dict[Form, TrainResult] = {"adapter": trained, "merged": trained}
    return forms if full_precision is None else forms | {"full_precision": full_precision}


class Bench:
    """Measures models one after the other on the same chains; holds the count for progress."""

    def __init__(
        self,
        chain_format: ChainFormat,
        validation: Sequence[Example],
        heldout: Sequence[HeldoutChain],
        report: Report,
    ) -> None:
        self.chain_format, self.validation, self.report = chain_format, validation, report
        self.texts: list[ChainText] = [(item.question, item.steps) for item in validation]
        self.texts += [(item.question, item.steps) for item in heldout]
        self.done, self.total = 0, 0

    def measure_trained(self, trained: TrainResult) -> Measured:
        """The model as it was trained."""
        name = "4-bit as trained" if trained.quantised else "full precision as trained"
        return self._measure(name, load_trained(trained, self.chain_format))

    def measure_form(self, form: Form, trained: TrainResult, fit: CalibrationFit, folder: Path) -> Measured:
        """A form, built in `folder` and loaded from there as its user will load it, with the temperature and
        threshold of the model that it is made from."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        chains = self.texts[: len(self.validation)]
        build(form, trained, chains, self.chain_format, folder)
        write_package(folder, Package(form, self.chain_format))
        found = self._measure(form, Verifier.from_pretrained(folder))
        return replace(found, fit=fit)

    def _measure(self, name: str, verifier: Verifier) -> Measured:
        """One pass over validation and held-out chains together; calibrated on the former."""
        self.report(self.done, self.total, {"part": name})
        margins = verifier.margins(self.texts)
        self.done += 1
        first, rest = margins[: len(self.validation)], margins[len(self.validation) :]
        return Measured(calibrate(first, self.validation), rest, first)


def packaged(
    form: Form,
    figures: dict[Form, FormFigures],
    measured: Measured,
    f1_full: Estimate | None,
    chain_format: ChainFormat,
    folder: Path,
    provenance: dict[str, Any],
) -> Package:
    """What `verifier.json` says of the form that is shipped, with the figures of all."""
    size = size_report(folder)
    fractions = {"quantised_fraction": size.quantised_fraction, "folder_fraction": size.folder_fraction}
    return Package(
        form=form,
        chain_format=chain_format,
        calibration=measured.fit.calibration,
        provenance=provenance,
        figures={
            "forms": {name: asdict(item) for name, item in figures.items()},
            "f1_full_precision": f1_full and asdict(f1_full),
            "validation": asdict(measured.fit),
        },
        size=asdict(size) | fractions,
    )


def put_in_place(built: Path, folder: Path, package: Package) -> None:
    """Complete `built`, then put it in the place of `folder`."""
    write_package(built, package)
    write_card(built, package)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(built, folder)


def _line(item: FormFigures) -> str:
    change = item.f1_change
    points = [100 * value for value in (change.value, change.low, change.high)] if change else []
    shown = ", F1 change {:+.2f} [{:.2f}, {:.2f}]".format(*points) if points else ""
    return (
        f"{item.form}: mean |change of score| {item.mean_change:.4f}, largest {item.max_change:.4f}, "
        f"agreement {item.agreement:.3f} on {item.chains} chains{shown}"
    )


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what a verifier computes."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found
