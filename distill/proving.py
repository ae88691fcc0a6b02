"""`distill eval`: a verifier folder measured on a benchmark. Nothing is ever fitted on the benchmark itself:
temperature and threshold are the folder's own, or fitted on other labelled chains (`fit`)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import checkers
from distill.config import EvaluationSettings
from distill.dataset.benchmarks import Candidate, read_candidates, read_prmbench, read_processbench
from distill.dataset.imports import SourceSettings, load_source
from distill.dataset.text import same_question
from distill.errors import DataError
from distill.evaluation.evaluate import evaluate
from distill.evaluation.metrics import FirstErrors
from distill.evaluation.prmbench import JudgedChain, prmbench_figures
from distill.evaluation.processbench import processbench_figures
from distill.evaluation.robustness import Moved, robustness_figures
from distill.first_error import predict_first_error
from distill.perturb import PERTURBATIONS, original, perturb
from distill.records import LabelledChain, Outcome, ScoredChain, content_id
from distill.report.charts import reliability
from distill.verifier import Example, Verifier, calibrate, examples
from distill.verifier.package import write_json

RESAMPLES = 1000
NAME = "verifier"
READ_ONLY = "0"
"""What an answer is held against when it is only to be read."""
Figures = dict[str, Any]
Show = Callable[[str], None]


def prove(
    folder: Path,
    benchmark: str,
    data: str,
    json_file: Path | None = None,
    fit: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    show: Show = print,
    split: str | None = None,
    fit_split: str | None = None,
) -> Figures:
    """The figures of `benchmark` (a key of BENCHMARKS, or with hyphens), printed as a table and written as
    JSON; a reliability plot lies beside the JSON as SVG where there is one. `split` and `fit_split` are
    those of `data` and `fit`, where these hold several.

    Raises:
        DataError: no such benchmark, no data, several splits and none named, or rows of another format.
        VerifierError: the folder holds no verifier.
    """
    benchmark = benchmark.replace("-", "_")
    if benchmark not in BENCHMARKS:
        raise DataError(f"expected a benchmark out of {', '.join(BENCHMARKS)}, found '{benchmark}'")
    if not data:
        raise DataError("expected --data: a file, a folder, or a dataset on the hub; found none")
    verifier = Verifier.from_pretrained(folder)
    if fit is not None:
        measured_on = questions(benchmark, SourceSettings(path=data, split=split))
        verifier = fitted(verifier, SourceSettings(path=fit, split=fit_split), measured_on, show)
    figures = BENCHMARKS[benchmark](verifier, SourceSettings(path=data, split=split, limit=limit), seed)
    found: Figures = {"benchmark": benchmark, "data": data, "split": split, "limit": limit, **figures}
    found |= {"threshold": verifier.threshold, "temperature": verifier.calibration.temperature}
    found |= {"fitted_on": fit or "the verifier's own validation data"}
    found["cost"] = _cost(verifier)
    for line in table(figures):
        show(line)
    show(f"cost: {found['cost']}")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        write_json(json_file, found)
        if bins := figures.get("scorers", {}).get(NAME, {}).get("reliability"):
            drawn = str(reliability(f"Reliability of {folder.name}", bins))
            json_file.with_suffix(".reliability.svg").write_text(drawn, encoding="utf-8")
    return found


def fitted(verifier: Verifier, source: SourceSettings, measured_on: set[str], show: Show) -> Verifier:
    """The verifier with temperature and threshold fitted on the labelled chains of `source`, without those
    whose question is in `measured_on` (`same_question`).

    Raises:
        DataError: none is left, or only chains with, or only chains without an error.
    """
    chains, _ = load_source(source)
    fresh = [item for item in chains if same_question(item.problem.question) not in measured_on]
    if not fresh:
        raise DataError(
            f"expected chains to fit on in {source.path}, found {len(chains):,}, all of questions that are "
            "measured on; give others to --fit"
        )
    if len(fresh) < len(chains):
        show(
            f"fit on {len(fresh):,} chains of {source.path}; "
            f"{len(chains) - len(fresh):,} measured on left out"
        )
    known = examples(fresh, True)
    _require_both_kinds(source.path, known)
    return verifier.calibrated(
        calibrate(verifier.margins([(e.question, e.steps) for e in known]), known).calibration
    )


def _require_both_kinds(path: str, known: Sequence[Example]) -> None:
    """Raises DataError where a threshold that calls all steps right, or all wrong, would be the best."""
    firsts = [item.first_error for item in known if item.first_error is not None]
    wrong = sum(first >= 0 for first in firsts)
    if not wrong or wrong == len(firsts):
        raise DataError(
            f"expected chains with and chains without an error to fit on in {path}, found {wrong} with and "
            f"{len(firsts) - wrong} without (first error known); give --fit data that hold both"
        )


def questions(benchmark: str, source: SourceSettings) -> set[str]:
    """The questions of a benchmark's data (`same_question`)."""
    if benchmark == "best_of_n":
        found = [item.question for item in read_candidates(source.path, source.limit, source.split)]
    elif benchmark == "prmbench":
        found = [chain.question for chain in read_prmbench(source.path, source.limit, source.split)]
    elif benchmark == "processbench":
        subsets = read_processbench(source.path, source.limit, source.split)
        found = [item.problem.question for chains in subsets.values() for item in chains]
    else:
        found = [item.problem.question for item in load_source(source)[0]]
    return set(map(same_question, found))


def processbench(verifier: Verifier, source: SourceSettings, seed: int) -> Figures:
    """F1 of each subset and their mean, as published, and the step figures over all chains."""
    subsets = read_processbench(source.path, source.limit, source.split)
    scored = {name: _scored(verifier, chains) for name, chains in subsets.items()}
    judged = {name: _first_errors(found, verifier.threshold) for name, found in scored.items()}
    together = [chain for found in scored.values() for chain in found]
    steps = _step_figures(verifier, together, seed)
    return processbench_figures(judged, RESAMPLES, seed) | steps


def prmbench(verifier: Verifier, source: SourceSettings, seed: int) -> Figures:
    """PRM-Score and its parts, by kind of error; a step is valid at or above the threshold."""
    chains = read_prmbench(source.path, source.limit, source.split)
    beyond = sum(any(step >= len(chain.steps) for step in chain.errors) for chain in chains)
    scores = verifier.score([(chain.question, chain.steps) for chain in chains])
    judged = [
        JudgedChain(chain.classification, tuple(score >= verifier.threshold for score in row), chain.errors)
        for chain, row in zip(chains, scores)
    ]
    return prmbench_figures(judged, RESAMPLES, seed) | {"n_chains_with_errors_beyond_steps": beyond}


def best_of_n(verifier: Verifier, source: SourceSettings, seed: int) -> Figures:
    """Best-of-n, majority and weighted majority over candidates; those without `scores` are scored here,
    those without `correct` are judged against their `reference` by the exact checker. Where there is no
    `answer`, the checker reads it from the steps; where it cannot, the chain casts no vote."""
    candidates = read_candidates(source.path, source.limit, source.split)
    missing = [i for i, item in enumerate(candidates) if item.scores is None]
    found = verifier.score([(candidates[i].question, candidates[i].steps) for i in missing])
    scores = dict(zip(missing, map(tuple, found)))
    judged = _judged(candidates)
    chains = [
        ScoredChain(
            problem_id=content_id("problem", item.question),
            chain_id=str(index),
            steps=item.steps,
            answer=judged[index][1],
            outcome=judged[index][0],
            truth=None,
            scores={NAME: item.scores if item.scores is not None else scores[index]},
        )
        for index, item in enumerate(candidates)
    ]
    most = max(np.unique([chain.problem_id for chain in chains], return_counts=True)[1])
    ns = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256) if n < most] + [int(most)]
    settings = EvaluationSettings(best_of=ns, bootstrap=RESAMPLES)
    return evaluate(chains, {NAME: verifier.threshold}, settings, seed, NAME)


def steps(verifier: Verifier, source: SourceSettings, seed: int) -> Figures:
    """First-error F1, AUROC, Brier, ECE and reliability on labelled chains of any format, over all, by
    domain (a chain's `source`) and by length."""
    chains, report = load_source(source)
    return _step_figures(verifier, _scored(verifier, chains), seed) | {"source": report.to_json()}


def adversarial(verifier: Verifier, source: SourceSettings, seed: int) -> Figures:
    """How far each perturbation moves the scores of labelled chains' steps."""
    chains, _ = load_source(source)
    known = [item for item in examples(chains, False) if item.first_error is not None]
    return {"perturbations": perturbation_figures(verifier, known, seed), "n_chains": len(known)}


def perturbation_figures(verifier: Verifier, known: Sequence[Example], seed: int) -> Figures:
    """For each perturbation that changes any chain of `known`: see `robustness_figures`."""
    found = {name: [item for item in row if item] for name, row in moves(verifier, known, seed).items()}
    threshold = verifier.threshold
    return {name: robustness_figures(row, threshold, RESAMPLES, seed) for name, row in found.items() if row}


def moves(verifier: Verifier, known: Sequence[Example], seed: int) -> dict[str, list[Moved | None]]:
    """Scores before and after each perturbation, one a chain of `known`; None where it changes
    nothing."""
    plain = [original(item.question, item.steps, item.labels) for item in known]
    before = verifier.score([(chain.question, chain.steps) for chain in plain])
    found = {}
    for name in PERTURBATIONS:
        changed = [perturb(name, chain, seed) for chain in plain]
        after = verifier.score([(chain.question, chain.steps) for chain in changed])
        found[name] = [
            Moved(old, new, chain.origin) if chain.steps != was.steps else None
            for old, new, chain, was in zip(before, after, changed, plain)
        ]
    return found


BENCHMARKS: dict[str, Callable[[Verifier, SourceSettings, int], Figures]] = {
    "processbench": processbench,
    "prmbench": prmbench,
    "best_of_n": best_of_n,
    "steps": steps,
    "adversarial": adversarial,
}


def table(figures: Figures, depth: int = 0) -> list[str]:
    """Figures with intervals as indented lines; lists and counts without one are left to the JSON."""
    lines = []
    for name, value in figures.items():
        if isinstance(value, dict) and "value" in value:
            bounds = f" [{value['low']:.4f}, {value['high']:.4f}]" if "low" in value else ""
            lines.append(f"{'  ' * depth}{name}: {value['value']:.4f}{bounds}")
        elif isinstance(value, dict) and (below := table(value, depth + 1)):
            lines += [f"{'  ' * depth}{name}", *below]
    return lines


def _scored(verifier: Verifier, chains: Sequence[LabelledChain]) -> list[ScoredChain]:
    scores = verifier.score([(item.problem.question, item.chain.steps) for item in chains])
    return [
        ScoredChain(
            problem_id=item.problem.id,
            chain_id=item.chain.id,
            steps=item.chain.steps,
            answer=item.chain.answer,
            outcome=Outcome.UNDECIDED,
            truth=item.first_error,
            truth_kind=item.problem.source,
            question=item.problem.question,
            scores={NAME: tuple(row)},
        )
        for item, row in zip(chains, scores)
    ]


def _step_figures(verifier: Verifier, scored: Sequence[ScoredChain], seed: int) -> Figures:
    """Over all chains, and by domain: the source of an import."""
    settings = EvaluationSettings(best_of=[1], bootstrap=RESAMPLES)
    domains: dict[str, list[ScoredChain]] = {}
    for chain in scored:
        domains.setdefault(chain.truth_kind, []).append(chain)

    def figures(part: Sequence[ScoredChain]) -> Figures:
        return evaluate(part, {NAME: verifier.threshold}, settings, seed, NAME)

    whole = figures(scored)
    shown = ("f1", "accuracy_erroneous", "accuracy_correct", "auroc", "brier", "ece")
    by_domain = {}
    for name, part in sorted(domains.items()) if len(domains) > 1 else []:
        own = figures(part)["scorers"][NAME]
        by_domain[name or "unnamed"] = {k: own[k] for k in shown if k in own} | {"n_chains": len(part)}
    kept = ("scorers", "n_problems", "n_chains", "n_judged", "n_erroneous", "n_correct")
    return {key: whole[key] for key in kept} | {"by_domain": by_domain}


def _first_errors(scored: Sequence[ScoredChain], threshold: float) -> FirstErrors:
    number = {name: i for i, name in enumerate(dict.fromkeys(chain.problem_id for chain in scored))}
    predicted = [predict_first_error(chain.scores[NAME], threshold) for chain in scored]
    truth = [-1 if chain.truth is None else chain.truth for chain in scored]
    problems = [number[chain.problem_id] for chain in scored]
    return FirstErrors(*(np.array(column, dtype=np.int64) for column in (predicted, truth, problems)))


def _judged(candidates: Sequence[Candidate]) -> list[tuple[Outcome, str]]:
    """What is known of each answer, `correct` as given or else the exact checker's verdict, and the answer:
    as given, or else as the checker read it."""
    asked = [i for i, item in enumerate(candidates) if item.correct is None or not item.answer]
    found = [(Outcome.CORRECT if item.correct else Outcome.INCORRECT, item.answer) for item in candidates]
    with checkers.Pool(workers=1) as pool:
        texts = [candidates[i].answer or "\n".join(candidates[i].steps) for i in asked]
        against = [candidates[i].reference or READ_ONLY for i in asked]
        verdicts = pool.map("math", list(zip(texts, against)))
    for i, verdict in zip(asked, verdicts):
        read = verdict.compared[0] if verdict.compared else ""
        judged = found[i][0] if candidates[i].correct is not None else Outcome(verdict.status.value)
        found[i] = judged, candidates[i].answer or read
    return found


def _cost(verifier: Verifier) -> Figures:
    """What scoring took, tokenisation included; reading the data and the intervals are not."""
    chains = max(1, verifier.scored_chains)
    return {
        "chains": verifier.scored_chains,
        "tokens_per_chain": round(verifier.computed_tokens / chains, 1),
        "milliseconds_per_chain": round(1000 * verifier.seconds / chains, 2),
        "truncated_steps": verifier.truncated_steps,
        "device": str(next(verifier.model.parameters()).device),
    }
