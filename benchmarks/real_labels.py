"""Verifiers and baselines on labels that people made: trained on `train`, reported on `dev`.

Every scorer of a step sees the same chains; thresholds (and whatever else is fitted) come from a tenth of
the training problems that nothing was trained on (a training stops early by the same ones). First-error F1,
AUROC, Brier and ECE with 95% intervals over problems, and the differences to the verifier within each
resample; by source too, and for the test chains whose question has no near-duplicate in training (some
sources vary one story, or ask two things of it). Every scorer scores every step: one that the checker
leaves undecided counts as correct, one past the verifier's sight as wrong; both are counted.

    python benchmarks/real_labels.py --data FOLDER/step_labels                      # the baselines
    python benchmarks/real_labels.py --data FOLDER/step_labels --base MODEL [KEY=VALUE ...]
        trains first: overrides of `distill train`, such as verifier.epochs=2 verifier.max_length=1024
    --out FOLDER keeps rows and training (`distill export FOLDER/out`); --verifier FOLDER takes a trained one,
    which is refused where its training saw chains to fit or test on; --chains, --test-chains: a subset;
    --trained FOLDER takes what `distill train` made before its export, merged, as precise as in training;
    --without SOURCE: leave a source out of training and report on it alone (a domain never seen)
"""

import argparse
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from record import record
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import checkers
from distill.config import EvaluationSettings, VerifierSettings
from distill.dataset.build import split_by_problem
from distill.dataset.imports import SourceSettings, load_source
from distill.dataset.text import jaccard, ngrams, normalise, words
from distill.errors import DistillError
from distill.evaluation.evaluate import evaluate
from distill.records import LabelledChain, Outcome, ScoredChain
from distill.shipping import open_trained
from distill.training import read_settings
from distill.training import train as train_on
from distill.verifier import (
    Example,
    Verifier,
    checker_scores,
    examples,
    fit_hybrid,
    hybrid_scores,
    read_result,
)
from distill.verifier.calibrate import calibrate, fit_threshold
from distill.verifier.data import ChainFormat
from distill.verifier.forms import merge
from distill.verifier.model import load_tokenizer
from distill.verifier.training_parts import fast_bfloat16

SHOWN = ("f1", "accuracy_erroneous", "accuracy_correct", "auroc", "brier", "ece")
Scores = list[list[float]]
OURS = ("verifier", "checker_and_verifier")
VALIDATION = 0.1
SPLIT = ("seed=", "dataset.validation_fraction=", "validation=", "data=")
"""Overrides that would train on the chains that thresholds are fitted on."""
NEAR = 0.5
"""Jaccard index of the questions' 3-grams of words from which they are near-duplicates."""


def position_prior(train: Sequence[Example], chains: Sequence[Example]) -> Scores:
    """P(a step at this position is correct, all before it being so), two steps' worth of the overall rate
    added: a position that training never saw is no error for that."""
    seen: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    for item in train:
        for step, label in enumerate(item.labels):
            seen[step] += label != -100
            wrong[step] += label == 0
    rate = wrong.total() / max(seen.total(), 1)
    return [[1 - (wrong[i] + 2 * rate) / (seen[i] + 2) for i in range(len(item.steps))] for item in chains]


def bag_of_words(train: Sequence[Example], chains: Sequence[Example]) -> Scores:
    """Logistic regression on the words and word pairs of the step alone."""
    known = [(s, y) for item in train for s, y in zip(item.steps, item.labels) if y != -100]
    vector = TfidfVectorizer(ngram_range=(1, 2), min_df=2, max_features=50_000, token_pattern=r"\S+")
    model = make_pipeline(vector, LogisticRegression(C=1.0, max_iter=300))
    model.fit([step for step, _ in known], [label for _, label in known])
    flat = iter(model.predict_proba([step or " " for item in chains for step in item.steps])[:, 1].tolist())
    return [[next(flat) for _ in item.steps] for item in chains]


def statuses(chains: Sequence[Example]) -> list[list[str]]:
    """What the exact step checker says of every step."""
    with checkers.Pool(workers=1) as pool:
        verdicts = pool.map("steps", [(item.question, list(item.steps)) for item in chains])
    return [[verdict.status.value for verdict in chain] for chain in verdicts]


def train_verifier(rows: Path, base: str, overrides: Sequence[str], out: Path) -> Verifier:
    """`distill train` on the same chains with the same validation problems."""
    given = [f'data=[{{"path": {json.dumps(str(rows))}}}]', f"verifier.base={base}", f"out={out}"]
    given += [f"dataset.validation_fraction={VALIDATION}", *overrides]
    return Verifier.from_pretrained(train_on(read_settings(None, given), print))


def chosen(data: list[LabelledChain], count: int | None) -> list[LabelledChain]:
    """`count` chains spread evenly over the file (None: all)."""
    step = max(1, len(data) // count) if count else 1
    return data[::step][:count]


def whole(items: Sequence[LabelledChain]) -> list[Example]:
    """One example a chain, in order, labels after the first error masked."""
    found = examples(items, True)
    assert len(found) == len(items)
    return found


def scores_of(
    given: argparse.Namespace, train: list[LabelledChain], validation: list[Example], test: list[Example]
) -> tuple[dict[str, Scores], dict[str, float], dict[str, int]]:
    """Scores of the test chains and thresholds, by scorer; everything fitted on `train` and `validation`.
    And how many steps the test chains have, the checker decided, and the verifier did not see."""
    both, cut = [*validation, *test], len(validation)
    truth = [item.first_error for item in validation]
    labels = [item.labels for item in validation]
    checks = statuses(both)
    decided = sum(status != "undecided" for chain in checks[cut:] for status in chain)
    coverage = {"steps": sum(len(item.steps) for item in test), "decided_by_checker": decided}
    fitted = {
        "position_prior": position_prior(whole(train), both),
        "bag_of_words": bag_of_words(whole(train), both),
    }
    found: dict[str, Scores] = {"always_correct": [[1.0] * len(item.steps) for item in test]}
    thresholds = {"always_correct": 0.5, "checker": 0.5}
    found["checker"] = checker_scores(checks[cut:])
    if given.verifier or given.base or given.trained:
        with tempfile.TemporaryDirectory() as scratch:
            verifier = made_verifier(given, train, validation, test, Path(scratch))
            as_in_training = bool(given.trained) and fast_bfloat16(torch.device("cpu"))
            with torch.autocast("cpu", torch.bfloat16, enabled=as_in_training):
                margins = verifier.margins([(item.question, item.steps) for item in both])
        coverage["unseen_by_verifier"] = sum(m == -math.inf for row in margins[cut:] for m in row)
        calibration = calibrate(margins[:cut], validation).calibration
        fitted["verifier"] = [calibration.probabilities(row) for row in margins]
        params = fit_hybrid(fitted["verifier"][:cut], checks[:cut], labels)
        fitted["checker_and_verifier"] = hybrid_scores(params, fitted["verifier"], checks)
    for name, scores in fitted.items():
        thresholds[name] = fit_threshold(scores[:cut], truth)
        found[name] = scores[cut:]
    return found, thresholds, coverage


def made_verifier(
    given: argparse.Namespace,
    train: list[LabelledChain],
    validation: list[Example],
    test: list[Example],
    scratch: Path,
) -> Verifier:
    """The one that was given, or one trained on exactly these chains."""
    if given.verifier:
        require_unseen(given.verifier, [*validation, *test])
        return Verifier.from_pretrained(given.verifier)
    if given.trained:
        require_unseen(given.trained, [*validation, *test])
        return as_trained(given.trained)
    folder = given.out or scratch
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "rows.jsonl"
    kept = [
        {"question": i.problem.question, "steps": list(i.chain.steps), "label": i.first_error} for i in train
    ]
    kept += [{"question": e.question, "steps": list(e.steps), "label": e.first_error} for e in validation]
    rows.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    return train_verifier(rows, given.base, given.overrides, folder / "out")


def as_trained(folder: Path) -> Verifier:
    """The model of a `distill train` folder before any export, merged; uncalibrated."""
    told = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    result = read_result(folder / Path(told["training"]["folder"]).name)
    assert result is not None, f"no finished training in {folder}"
    settings = VerifierSettings.model_validate(told["settings"]["verifier"])
    return Verifier(merge(result), load_tokenizer(result.base), ChainFormat.of(settings))


def require_unseen(folder: Path, chains: Sequence[Example]) -> None:
    """Stops where a verifier was trained on a question of `chains`; says so where that cannot be known."""
    try:
        with open_trained(str(folder), None, print) as trained:
            seen = {normalise(item.question) for item in trained.train}
    except DistillError as error:
        print(f"what {folder} was trained on is not known: {error}")
        return
    shared = sum(normalise(item.question) in seen for item in chains)
    if shared:
        raise SystemExit(
            f"expected a verifier that saw no question to fit or test on, found {shared} chains with one in "
            f"the training of {folder}; give the --chains and --without that it was trained with"
        )


def alike(train: Sequence[LabelledChain], test: Sequence[LabelledChain]) -> set[str]:
    """Ids of the test problems whose question is a near-duplicate of one to train on."""
    known = [ngrams(words(question), 3) for question in {item.problem.question for item in train}]
    asked = {item.problem.id: ngrams(words(item.problem.question), 3) for item in test}
    return {name for name, own in asked.items() if any(jaccard(own, other) >= NEAR for other in known)}


def scored_chains(test: list[LabelledChain], scores: dict[str, Scores]) -> list[ScoredChain]:
    """Test chains with all scores; the source stands for the kind of error."""
    return [
        ScoredChain(
            item.problem.id, item.chain.id, item.chain.steps, "", Outcome.UNDECIDED, item.first_error,
            item.problem.source, item.problem.question,
            {name: tuple(rows[i]) for name, rows in scores.items()},
        )
        for i, item in enumerate(test)
    ]  # fmt: skip


def figures(chains: list[ScoredChain], thresholds: dict[str, float]) -> dict[str, Any]:
    """Every scorer's figures, and the differences of the verifier and of checker and verifier to every other
    scorer (of the checker, where there is no verifier), within each resample."""
    ours = [name for name in OURS if name in thresholds] or ["checker"]
    found: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    for name in ours:
        found = evaluate(chains, thresholds, EvaluationSettings(best_of=[1]), 0, name)
        differences |= found["differences"]
    kept = {n: {k: own[k] for k in (*SHOWN, "threshold", "reliability") if k in own}
            for n, own in found["scorers"].items()}  # fmt: skip
    return {"scorers": kept, "differences": differences, "n_chains": found["n_chains"],
            "n_erroneous": found["n_erroneous"], "n_problems": found["n_problems"]}  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """One line a scorer."""
    lines = [f"{'':22} " + "  ".join(f"{name:21}" for name in SHOWN)]
    for name, own in found["scorers"].items():
        cells = []
        for key in SHOWN:
            value = own.get(key)
            bounds = f" [{value['low']:.3f}, {value['high']:.3f}]" if value and "low" in value else ""
            cells.append((f"{value['value']:.3f}{bounds}" if value else "-").ljust(21))
        lines.append(f"{name:22} " + "  ".join(cells))
    return "\n".join([*lines, *difference_lines(found["differences"])])


def difference_lines(differences: dict[str, Any]) -> list[str]:
    """The paired differences of our scorers to each baseline, then a line a baseline: who beats it, in F1
    with an interval that lies above 0."""
    lines, verdicts = ["paired differences, first-error F1 and AUROC"], []
    for name, own in differences.items():
        ours, baseline = name.split(" - ")
        if ours not in OURS or baseline in OURS:
            continue
        shown = [f"{key} {_signed(own[key])}" for key in ("f1", "auroc") if key in own]
        lines.append(f"{ours:22} - {baseline:16} " + "  ".join(shown))
        if "f1" in own:
            beats = "beats" if own["f1"].get("low", 0.0) > 0 else "does not beat"
            verdicts.append(f"{ours} {beats} {baseline}")
    return [*lines, *verdicts] if len(lines) > 1 else []


def _signed(value: dict[str, float]) -> str:
    bounds = f" [{value['low']:+.3f}, {value['high']:+.3f}]" if "low" in value else ""
    return f"{value['value']:+.3f}{bounds}"


def main() -> None:
    """Print the tables and write benchmarks/results/real_labels.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base")
    parser.add_argument("--verifier", type=Path)
    parser.add_argument("--trained", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--chains", type=int)
    parser.add_argument("--test-chains", type=int)
    parser.add_argument("--without", help="source (its beginning) to leave out of training and to test on")
    parser.add_argument("--name", default="real_labels")
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_args()
    if told := [item for item in given.overrides if item.startswith(SPLIT)]:
        parser.error(f"expected overrides that leave the split alone, found {told}")
    data, _ = load_source(SourceSettings(path=str(given.data), split="train"))
    test, _ = load_source(SourceSettings(path=str(given.data), split="dev"))
    if given.without:
        data = [item for item in data if not item.problem.source.startswith(given.without)]
        test = [item for item in test if item.problem.source.startswith(given.without)]
    data, test = chosen(data, given.chains), chosen(test, given.test_chains)
    train, validation = split_by_problem(data, VALIDATION, 0)
    scores, thresholds, coverage = scores_of(given, train, whole(validation), whole(test))
    chains = scored_chains(test, scores)
    found = figures(chains, thresholds)
    print(
        f"{len(train)} chains to train on, {len(validation)} to fit on, {len(test)} to test; "
        f"{coverage}\n{table(found)}"
    )
    sources = sorted({chain.truth_kind.split("/")[0] for chain in chains})
    by_source = {
        name: figures([chain for chain in chains if chain.truth_kind.split("/")[0] == name], thresholds)
        for name in sources
    }
    near = alike(train, test)
    if fresh := [chain for chain in chains if chain.problem_id not in near]:
        by_source["no near-duplicate in training"] = figures(fresh, thresholds)
    for name, part in by_source.items():
        print(f"\n{name}: {part['n_chains']} chains, {part['n_erroneous']} with an error\n{table(part)}")
    counts = {"train": len(train), "validation": len(validation), "test": len(test), "without": given.without}
    counts |= coverage
    command = " ".join(["python", *(a for a in sys.argv if not a.startswith("/"))])
    print(record(given.name, command, counts | {"base": given.base, "all": found, "by_source": by_source}))


if __name__ == "__main__":
    main()
