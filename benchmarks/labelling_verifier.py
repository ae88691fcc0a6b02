"""A verifier on each method's labels, and on exact truth: does a cheaper label make a worse verifier?

    python benchmarks/labelling.py --verifier                                 # every method, one seed (long)
    python benchmarks/labelling.py --verifier --seeds 3 --only "exact truth,adaptive"
    python benchmarks/labelling.py --verifier --seeds 2 --only "exact truth,adaptive" --set 1   # other chains
        --problems 3300: so many to label and train on (the quickstart has 1,100)

One run folder a set: problems and chains are written once, and the methods differ from the evidence on. A
training is the quickstart's, in NF4 and measured as it was trained (no export), on the set's held-out chains;
temperature, threshold and hybrid are fitted on the method's own validation labels. `--seeds` counts
trainings (first weights of the adapter, order of the chains); `--set` is the recipe's own seed (problems,
chains, rollouts, held-out chains). What was measured once is kept in `RUN/verifiers.json` and not measured
again under the same labels, dataset and training settings. The gap to exact truth is that of the mean of a
set's trainings.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import checkers
from distill.artifacts import RunFolder, read_records
from distill.config import Recipe
from distill.domains import judged, step_check
from distill.evaluation import evaluate
from distill.loading import load_recipe
from distill.pipeline import execute, stage_fingerprints
from distill.progress import ProgressView
from distill.records import LabelledChain, ScoredChain
from distill.stages.dataset import read_dataset
from distill.stages.step_checks import texts_to_check, verdicts_of_steps
from distill.stages.verifier import read_heldout
from distill.verifier import (
    ChainFormat,
    Example,
    calibrate,
    examples,
    fit_hybrid,
    hybrid_scores,
    train_verifier,
    training_examples,
)
from distill.verifier.forms import load_trained
from generators.truth import exact_first_error

TRUTH = "exact truth"
RUN = "bench-labels"
Figures = dict[str, Any]


class ChainSet(NamedTuple):
    """Chains to label and train on: the seed that makes them, how many problems (None: the quickstart's)."""

    seed: int
    problems: int | None = None

    @property
    def run(self) -> str:
        """Name of the run folder."""
        return self._named(RUN, "-")

    @property
    def result(self) -> str:
        """Under which name the figures are kept."""
        return self._named("labelling_verifier", "_")

    def _named(self, begin: str, sign: str) -> str:
        size = f"{self.problems}problems" if self.problems else ""
        return sign.join(filter(None, [begin, str(self.seed or ""), size]))


def compare(methods: Mapping[str, Mapping[str, Any]], seeds: int, chains: ChainSet) -> dict[str, Figures]:
    """For each method (settings of `labelling`) the labels and the verifiers trained on them; `TRUTH` stands
    for the exact first errors of the same chains."""
    found = {}
    for name, given in methods.items():
        recipe = _recipe(name, given, chains)
        folder = execute(recipe, ProgressView(), last="dataset")
        labels = folder.manifest("labels")
        assert labels is not None
        stats = labels.stats
        trained = [_kept(folder, recipe, seed) for seed in range(seeds)]
        found[name] = {
            "labels_right": stats["accuracy"]["first_error"],
            "coverage": stats["accuracy"]["coverage"],
            "rollout_tokens": 0 if name == TRUTH else stats["rollout_tokens"],
            "trained": trained,
        }
        print(row(name, found[name]), flush=True)
    return found


def _recipe(name: str, given: Mapping[str, Any], chains: ChainSet) -> Recipe:
    overrides = [f"name={chains.run}", f"seed={chains.seed}", "verifier.compare_full_precision=false"]
    overrides += [f"problems.count={chains.problems}"] if chains.problems else []
    overrides += [f"labelling.{key}={json.dumps(value)}" for key, value in given.items()]
    if name == TRUTH:
        execute(load_recipe("quickstart", overrides), ProgressView(), last="labels")
        overrides.append(f"labelling.reviews={_truth_file(Path('runs') / chains.run)}")
    return load_recipe("quickstart", overrides)


def _kept(folder: RunFolder, recipe: Recipe, seed: int) -> Figures:
    """`_trained`, measured once for each verifier fingerprint and seed."""
    path = Path("runs") / recipe.name / "verifiers.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    key = f"{stage_fingerprints(recipe)['verifier']} {seed}"
    if key not in known:
        known[key] = _trained(folder, recipe, seed)
        path.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    return dict(known[key])


def _trained(folder: RunFolder, recipe: Recipe, seed: int) -> Figures:
    """First-error F1 of one training on a run's labels."""
    built = read_dataset(folder)
    known = examples(built.validation, recipe.verifier.mask_after_first_error)
    shown = training_examples(built.train, recipe.verifier)
    return measured(shown, known, read_heldout(folder), recipe, seed)


def measured(
    shown: list[Example], known: list[Example], heldout: list[ScoredChain], recipe: Recipe, seed: int
) -> Figures:
    """First-error F1 of one training on `shown`, alone and with exact checks, on held-out chains of known
    truth; what is fitted is fitted on `known`."""
    with tempfile.TemporaryDirectory() as work:
        trained = train_verifier(shown, known, recipe.verifier, True, Path(work), seed)
        verifier = load_trained(trained, ChainFormat.of(recipe.verifier))
        margins = verifier.margins([(e.question, e.steps) for e in known])
        verifier = verifier.calibrated(calibrate(margins, known).calibration)
        texts = [(e.question, e.steps) for e in known] + [(c.question, c.steps) for c in heldout]
        scores = verifier.score(texts)
    statuses, n = _checks([(c.domain, c.question, c.steps) for c in [*known, *heldout]], recipe), len(known)
    hybrid = fit_hybrid(scores[:n], statuses[:n], [e.labels for e in known])
    both = zip(heldout, scores[n:], hybrid_scores(hybrid, scores[n:], statuses[n:]), strict=True)
    scored = [replace(c, scores={"verifier": tuple(a), "hybrid": tuple(b)}) for c, a, b in both]
    thresholds = {"verifier": verifier.threshold, "hybrid": hybrid.threshold}
    settings = recipe.evaluation.model_copy(update={"best_of": [1]})
    found = evaluate(scored, thresholds, settings, recipe.seed, "hybrid")["scorers"]
    return {
        "seed": seed,
        "training_chains": len(shown),
        "seconds": round(trained.seconds, 1),
        **{name: {k: found[name][k] for k in ("f1", "auroc", "ece")} for name in ("verifier", "hybrid")},
    }


def _checks(chains: Sequence[tuple[str, str, Sequence[str]]], recipe: Recipe) -> list[list[str]]:
    """Status of the exact check of every step of every chain (domain, question, steps)."""
    with checkers.Pool(workers=1, deadline_seconds=recipe.labelling.checker_deadline_seconds) as pool:
        asked = [step_check(d, q, texts_to_check(steps, recipe.chains)) for d, q, steps in chains]
        found = zip(judged(pool, asked), (steps for _, _, steps in chains), strict=True)
        return [[v.status.value for v in verdicts_of_steps(own, s, recipe.chains)] for own, s in found]


def _truth_file(run: Path) -> Path:
    """The exact first error of every chain of a run, in the form of people's answers."""
    shards = RunFolder.reader(run).shards("labels")
    rows = [row for path in shards for row in read_records(path, LabelledChain)]
    judged = [(row.chain.id, exact_first_error(row.problem, row.chain.steps)) for row in rows]
    lines = [
        json.dumps({"chain_id": chain, "answer": truth[0], "reviewer": "exact judge"})
        for chain, truth in judged
        if truth is not None
    ]
    target = run / "truth.jsonl"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


HEAD = (
    "| labels by | labels right | coverage | rollout tokens | trainings | verifier F1 | hybrid F1 |\n"
    "|---|---|---|---|---|---|---|"
)


def row(name: str, found: Mapping[str, Any]) -> str:
    """One method as a line of the table; of several trainings the mean, and each."""
    shares = [f"{100 * found[key]['value']:.1f}" for key in ("labels_right", "coverage")]
    cells = [_cell([one[kind]["f1"] for one in found["trained"]]) for kind in ("verifier", "hybrid")]
    return " | ".join(
        ["| " + name, *shares, f"{found['rollout_tokens']:,}", str(len(found["trained"])), *cells]
    ) + (" |")


def _cell(measured: Sequence[Mapping[str, float]]) -> str:
    values = [100 * one["value"] for one in measured]
    if len(values) > 1:
        return f"{mean(values):.1f} ({', '.join(f'{value:.1f}' for value in values)})"
    return f"{values[0]:.1f} [{100 * measured[0]['low']:.1f}, {100 * measured[0]['high']:.1f}]"


def table(found: Mapping[str, Figures]) -> str:
    """Markdown: one method a line."""
    return "\n".join([HEAD, *(row(name, figures) for name, figures in found.items())])


def gap_lines(sets: Mapping[int, Mapping[str, Figures]], method: str) -> list[str]:
    """How far verifiers on a method's labels stay behind those on exact truth, in points of F1: each set of
    chains, and mean and standard error over them."""
    lines = []
    for kind in ("verifier", "hybrid"):
        gaps = {
            chains: 100 * (_mean_f1(found[TRUTH], kind) - _mean_f1(found[method], kind))
            for chains, found in sorted(sets.items())
            if {TRUTH, method} <= found.keys()
        }
        shown = ", ".join(f"set {chains}: {gap:.1f}" for chains, gap in gaps.items())
        if len(gaps) > 1:
            error = stdev(gaps.values()) / len(gaps) ** 0.5
            shown += f"; mean {mean(gaps.values()):.1f}, standard error {error:.1f}"
        lines.append(f"{kind}, {method} behind {TRUTH}: {shown or 'not measured'}")
    return lines


def _mean_f1(found: Figures, kind: str) -> float:
    return mean(one[kind]["f1"]["value"] for one in found["trained"])
