"""From labelled chains to train and validation: filters, each of which counts what it removes, and the
split by problem."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.config import DatasetSettings
from distill.dataset.decontaminate import contamination, read_evaluation
from distill.dataset.dedupe import without_near_duplicates
from distill.dataset.text import normalise, same_question
from distill.errors import DataError
from distill.records import SURPRISAL, LabelledChain, StepStatus, content_id


@dataclass(frozen=True, slots=True)
class BuiltDataset:
    """Chains to train on, chains to validate on (of other problems), and the report of `build_dataset`."""

    train: list[LabelledChain]
    validation: list[LabelledChain]
    report: dict[str, Any] = field(default_factory=dict)


def build_dataset(labelled: Sequence[LabelledChain], settings: DatasetSettings, seed: int) -> BuiltDataset:
    """Clean, decontaminate and split.

    A chain whose first error is undetermined is kept with the labels that are determined; one without a
    single determined label is removed, unless surprisal was weighed (the soft loss learns from its doubts).
    The report is JSON: `in`, `out` (chains), `filters` (for each, in order: `name`, `in`, `out`, `removed` by
    reason), `decontamination` (one entry a file, in problems), and for `train` and `validation` the class
    balance (see `balance`).

    Raises:
        DataError: a decontamination file cannot be used, or nothing is left to train on.
    """
    filters: list[dict[str, Any]] = []
    chains = _filter(filters, "unlabelled", labelled, _unlabelled_reason)
    reasons, files = _contaminated(chains, settings)
    chains = _filter(filters, "contaminated", chains, lambda item: reasons[item.problem.question])
    distinct = without_near_duplicates(chains, settings.near_duplicate_similarity)
    filters.append(_counted("near_duplicate", len(chains), len(distinct), Counter()))
    train, validation = split_by_problem(distinct, settings.validation_fraction, seed)
    if not train:
        raise DataError(
            f"expected chains to train on, found none left of {len(labelled)}: "
            f"{', '.join(str(entry) for entry in filters)}; label more problems or loosen `dataset`"
        )
    report = {
        "in": len(labelled),
        "out": len(distinct),
        "filters": filters,
        "decontamination": files,
        "train": balance(train),
        "validation": balance(validation),
    }
    return BuiltDataset(train, validation, report)


def split_by_problem(
    labelled: Sequence[LabelledChain], fraction: float, seed: int
) -> tuple[list[LabelledChain], list[LabelledChain]]:
    """(train, validation). A problem's side is a hash of `seed` and its question, so that it does not move
    when problems are added, and a question under two ids or in two spellings (`same_question`) stays on one
    side. `fraction` is therefore met on average only. With two problems or more no side is left empty: the
    problem nearest to the border is moved across."""
    questions = [same_question(item.problem.question) for item in labelled]
    spelt: dict[str, str] = {}
    for question, item in zip(questions, labelled):
        text = normalise(item.problem.question)
        spelt[question] = min(spelt.get(question, text), text)
    places = {question: _place(text, seed) for question, text in spelt.items()}
    chosen = {question for question, place in places.items() if place < fraction}
    if len(places) > 1 and not chosen:
        chosen = {min(places, key=lambda question: places[question])}
    elif len(places) > 1 and len(chosen) == len(places):
        chosen.remove(max(places, key=lambda question: places[question]))
    train = [item for item, question in zip(labelled, questions) if question not in chosen]
    validation = [item for item, question in zip(labelled, questions) if question in chosen]
    return train, validation


def balance(labelled: Sequence[LabelledChain]) -> dict[str, Any]:
    """Problems; chains without error, with one, undetermined; steps good, bad, undetermined; and how
    many chains have their first error at each 0-based position."""
    chains = Counter(_chain_class(item) for item in labelled)
    steps = Counter(str(label.status) for item in labelled for label in item.labels)
    positions = Counter(
        item.first_error for item in labelled if item.first_error is not None and item.first_error >= 0
    )
    return {
        "problems": len({item.problem.id for item in labelled}),
        "chains": {name: chains[name] for name in ("correct", "with_error", "undetermined")},
        "steps": {str(status): steps[str(status)] for status in StepStatus},
        "first_error_positions": {str(place): positions[place] for place in sorted(positions)},
    }


def _chain_class(item: LabelledChain) -> str:
    if item.first_error is None:
        return "undetermined"
    return "correct" if item.first_error < 0 else "with_error"


def _place(question: str, seed: int) -> float:
    """Where a question lies in [0, 1), the same on every machine."""
    return int(content_id("split", seed, question), 16) / 2**64


def _unlabelled_reason(item: LabelledChain) -> str:
    if not item.chain.steps:
        return "no_steps"
    told = item.method == SURPRISAL or any(label.hard is not None for label in item.labels)
    return "" if told else "no_determined_step"


def _contaminated(
    chains: Sequence[LabelledChain], settings: DatasetSettings
) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Reason by question ("" clean), and one report a file."""
    questions = list(dict.fromkeys(item.problem.question for item in chains))
    files = [read_evaluation(path, settings.ngram) for path in settings.decontaminate]
    reasons, reports = contamination(questions, files)
    return dict(zip(questions, reasons, strict=True)), reports


def _filter(
    filters: list[dict[str, Any]],
    name: str,
    chains: Sequence[LabelledChain],
    reason: Callable[[LabelledChain], str],
) -> list[LabelledChain]:
    """The chains without a reason to remove them; appends the filter's counts to `filters`."""
    reasons = [reason(item) for item in chains]
    kept = [item for item, why in zip(chains, reasons) if not why]
    filters.append(_counted(name, len(chains), len(kept), Counter(filter(None, reasons))))
    return kept


def _counted(name: str, n_in: int, n_out: int, removed: Counter[str]) -> dict[str, Any]:
    by_reason = dict(sorted(removed.items())) or ({name: n_in - n_out} if n_in > n_out else {})
    return {"name": name, "in": n_in, "out": n_out, "removed": by_reason}
