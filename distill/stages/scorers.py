"""Every scorer of the held-out chains, each with a threshold fitted on validation labels only.

- `verifier_4bit`: the exported folder as plain `transformers` runs it; `verifier_full`: the verifier
  trained in full precision on the same labels.
- `hybrid`: verifier and exact step checks as one calibrated score, the default of `distill score`.
- baselines: `step_logprob` (mean token log-probability of the step under the verifier's own untrained
  base), `checker` (exact step checks alone), `checker_logprob` (both).
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

import checkers
from distill.cluster import Reporter
from distill.config import Recipe
from distill.domains import common_domain, judged, step_check
from distill.errors import VerifierError
from distill.evaluation import evaluate
from distill.records import LabelledChain, ScoredChain
from distill.stages.step_checks import texts_to_check, verdicts_of_steps
from distill.verifier import (
    ChainFormat,
    HeldoutChain,
    checker_scores,
    examples,
    export,
    finish,
    fit_hybrid,
    hybrid_scores,
    read_result,
    step_logprobs,
)
from distill.verifier.data import IGNORED

Scores = list[list[float]]
EXACT = "held-out problems, exact first errors"
HELDOUT = "held-out problems, whose first errors are not known"
LABELLED = "validation chains, whose first errors are not known exactly"
"""Whose labels an export's figures rest on, for its card."""
CARD_FIGURES = ("f1", "auroc", "ece")


def export_and_score(
    recipe: Recipe,
    validation: list[LabelledChain],
    heldout: list[ScoredChain],
    trained: Path,
    folder: Path,
    provenance: dict[str, Any],
    report: Reporter,
) -> tuple[list[ScoredChain], dict[str, float], dict[str, Any]]:
    """Export the verifier, then score `heldout` with everything that there is to compare.

    Returns:
        the held-out chains with their scores, the threshold of each scorer, and the export's figures.
    """
    known = examples(validation, recipe.verifier.mask_after_first_error)
    quantised, full = (read_result(trained / name) for name in ("nf4", "full"))
    if quantised is None:
        raise VerifierError(f"expected a finished training in {trained / 'nf4'}, found none. Train it again.")
    shipped = export(
        quantised,
        full,
        known,
        measured_on(heldout, validation),
        recipe.verifier,
        folder,
        provenance | {"measured_on": whose_labels(heldout)},
        recipe.evaluation.bootstrap,
        recipe.seed,
        lambda done, total, part: report("export", done, total + 2, note=str(part.get("part", ""))),
    )
    report("export", 8, 10, note="baselines")
    chains = [(c.domain, c.question, c.steps) for c in known]
    chains += [(c.domain, c.question, c.steps) for c in heldout]
    texts = [(question, steps) for _, question, steps in chains]
    labels = [_labels(example.labels) for example in known]
    scorers = _Scorers(labels, _check(chains, recipe))
    scorers.add_probability("verifier_4bit", shipped.shipped)
    if shipped.full_precision:
        scorers.add_probability("verifier_full", shipped.full_precision)
    hybrid = scorers.add_fitted("hybrid", scorers.all["verifier_4bit"], "probability", checks=True)
    logprobs = step_logprobs(recipe.verifier.base, texts, ChainFormat.of(recipe.verifier))
    scorers.add_fitted("step_logprob", logprobs.mean, "logprob", checks=False)
    scorers.add_fitted("checker_logprob", logprobs.mean, "logprob", checks=True)
    scorers.add_checker()
    scored = scorers.attach(heldout)
    finish(folder, hybrid, heldout_figures(scored, scorers.thresholds, recipe), common_domain(known))
    report("export", 10, 10)
    return scored, scorers.thresholds, _figures(shipped)


def heldout_figures(
    scored: Sequence[ScoredChain], thresholds: dict[str, float], recipe: Recipe
) -> dict[str, Any]:
    """F1, AUROC and ECE of the shipped verifier and of the hybrid on held-out chains, for the card; the
    evaluation stage, which comes later, finds the same. Empty without chains of known truth."""
    if not any(chain.truth is not None for chain in scored):
        return {}
    settings = recipe.evaluation.model_copy(update={"best_of": [1]})
    found = evaluate(scored, thresholds, settings, recipe.seed, "hybrid")
    shown = {name: found["scorers"][name] for name in ("verifier_4bit", "hybrid")}
    figures = {name: {k: own[k] for k in CARD_FIGURES if k in own} for name, own in shown.items()}
    return {"heldout": figures | {"chains": found["n_judged"]}}


def measured_on(heldout: list[ScoredChain], validation: list[LabelledChain]) -> list[HeldoutChain]:
    """Chains to measure the export's drift on: validation chains where no problem is held out."""
    if heldout:
        return [HeldoutChain(c.question, c.steps, c.truth, c.problem_id) for c in heldout]
    return [HeldoutChain(r.problem.question, r.chain.steps, None, r.problem.id) for r in validation]


def whose_labels(heldout: Sequence[ScoredChain]) -> str:
    """What `measured_on` takes, and what is known of it, for the card."""
    if not heldout:
        return LABELLED
    return EXACT if any(chain.truth is not None for chain in heldout) else HELDOUT


class _Scorers:
    """Scores of all chains, validation first, held-out after; thresholds come from the former."""

    def __init__(self, labels: list[list[int]], statuses: list[list[str]]) -> None:
        self.labels, self.statuses = labels, statuses
        self.all: dict[str, Scores] = {}
        self.thresholds: dict[str, float] = {}

    def add_probability(self, name: str, measured: Any) -> None:
        """A verifier's own calibrated scores and threshold."""
        heldout = len(self.statuses) - len(self.labels)
        self.all[name] = measured.validation_scores + measured.scores[:heldout]
        self.thresholds[name] = measured.fit.calibration.threshold

    def add_fitted(self, name: str, scores: Scores, signal: Any, checks: bool) -> Any:
        """A scorer made of `scores` and, with `checks`, of the exact checks; fitted on validation."""
        count = len(self.labels)
        statuses = self.statuses if checks else None
        params = fit_hybrid(scores[:count], statuses and statuses[:count], self.labels, signal)
        self.all[name] = hybrid_scores(params, scores, statuses)
        self.thresholds[name] = params.threshold
        return params

    def add_checker(self) -> None:
        """Exact checks alone: no fit, a refuted step is wrong."""
        self.all["checker"] = checker_scores(self.statuses)
        self.thresholds["checker"] = 0.5

    def attach(self, heldout: Sequence[ScoredChain]) -> list[ScoredChain]:
        """The held-out chains with the scores of every scorer."""
        skip = len(self.labels)
        return [
            replace(chain, scores={name: tuple(s[skip + i]) for name, s in self.all.items()})
            for i, chain in enumerate(heldout)
        ]


def _labels(labels: Sequence[int]) -> list[int]:
    return [IGNORED if label not in (0, 1) else label for label in labels]


def _check(chains: Sequence[tuple[str, str, Sequence[str]]], recipe: Recipe) -> list[list[str]]:
    """Status of the exact check of every step of every chain (domain, question, steps)."""
    deadline = recipe.labelling.checker_deadline_seconds
    with checkers.Pool(workers=1, deadline_seconds=deadline) as pool:
        asked = [step_check(d, q, texts_to_check(steps, recipe.chains)) for d, q, steps in chains]
        found = judged(pool, asked)
    pairs = zip(found, (steps for _, _, steps in chains), strict=True)
    return [[v.status.value for v in verdicts_of_steps(own, steps, recipe.chains)] for own, steps in pairs]


def _figures(shipped: Any) -> dict[str, Any]:
    """What the report shows of the export."""
    return {
        "form": shipped.form,
        "forms": {name: asdict(figures) for name, figures in shipped.figures.items()},
        "truncated_steps": sum(chain.count(-inf) for chain in shipped.shipped.margins),
        "sizes": shipped.package.size,
        "temperature": shipped.package.calibration.temperature,
        "threshold": shipped.package.calibration.threshold,
        "f1_full_estimate": shipped.f1_full_precision and asdict(shipped.f1_full_precision),
    }
