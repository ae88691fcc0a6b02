"""Figures, summary.json and the report: everything that a run says of itself."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distill.artifacts import write_bytes
from distill.config import Recipe
from distill.evaluation import evaluate as evaluate_scored
from distill.first_error import predict_first_error
from distill.labelling.quality import describe_all
from distill.loading import dump_recipe
from distill.records import SCHEMA_VERSION, LabelledChain, ScoredChain, Usage
from distill.report import render_report
from distill.stages.labels import offer_review
from distill.stages.money import money
from distill.stages.run import Run
from distill.steps import strip_step

DEFAULT_SCORER = "hybrid"
BASELINES = ("step_logprob", "checker", "checker_logprob")
TEACHER_STAGES = {"chains": "chains", "evidence": "rollouts", "heldout_chains": "heldout_chains"}
TRAINING_FIGURES = ("curve", "curve_full", "truncated_steps", "cut_chains")
SHOWN_CHAINS = 120
LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "ray",
    "sympy",
    "math-verify",
    "vllm",
)


def evaluate(run: Run) -> dict[str, Any]:
    """Every figure of every scorer on the held-out chains, with its interval."""
    scored = run.read("export", ScoredChain)
    if not scored:
        return {"in": 0, "out": 0, "evaluation": {}}
    thresholds = run.stats("export")["thresholds"]
    recipe = run.recipe
    with run.view.stage("evaluation", 1):
        found = evaluate_scored(scored, thresholds, recipe.evaluation, recipe.seed, DEFAULT_SCORER)
    return {"in": len(scored), "out": len(scored), "evaluation": found}


def report(run: Run) -> dict[str, Any]:
    """`summary.json`, `report.html` and `recipe.yaml` in the run folder, and `review.jsonl` where the one
    there is of other labels."""
    with run.view.stage("report", 1):
        labelled = run.read("labels", LabelledChain)
        offer_review(run, labelled)
        _write_report(run, summarise(run), labelled)
    return {"in": 1, "out": 1}


def _write_report(run: Run, summary: dict[str, Any], labelled: list[LabelledChain]) -> None:
    path = run.folder.path
    write_bytes(path / "recipe.yaml", dump_recipe(run.recipe).encode())
    text = json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False, default=str)
    write_bytes(path / "summary.json", (text + "\n").encode())
    write_bytes(path / "report.html", render_report(summary, _shown_chains(run, labelled)).encode())


def summarise(run: Run) -> dict[str, Any]:
    """Every figure of the run; a figure that was not measured is absent."""
    stats = {name: run.stats(name) for name in run.fingerprints if name != "report"}
    use = {shown: stats[name]["generated_tokens"] for name, shown in TEACHER_STAGES.items()}
    usage = sum((_usage(stats[name]) for name in TEACHER_STAGES), Usage())
    seconds = sum(entry["seconds"] for entry in stats.values())  # Ray's start is not among them
    evaluation = stats["evaluation"]["evaluation"]
    scorers = evaluation.get("scorers", {})
    accuracy = stats["labels"].get("accuracy", {})
    summary = {
        "schema_version": SCHEMA_VERSION,
        "recipe": _recipe(run),
        "versions": {name: found for name in LIBRARIES if (found := _version(name))},
        "hardware": hardware(),
        "wall_seconds": seconds,
        "peak_rss_gib": max(
            [run.memory.peak_gib, *(entry.get("peak_rss_gib", 0.0) for entry in stats.values())]
        ),
        "teacher_tokens": sum(use.values()),
        "teacher_token_use": use,
        "money": money(run.recipe.price, usage, seconds) if run.recipe.price else None,
        "stages": [_stage_row(name, entry) for name, entry in stats.items()],
        "set_aside": [problem for entry in stats.values() for problem in entry.get("set_aside", [])],
        **pass_rate(stats["chains"]["outcomes"], given=bool(run.recipe.chains.path)),
        "label_first_error_accuracy": accuracy.get("first_error_accuracy"),
        "labels": accuracy
        | {"first_error_positions": stats["labels"]["first_error_positions"]}
        | {"status": stats["labels"]["outcomes"], "rollout_tokens": stats["labels"]["rollout_tokens"]},
        "dataset": stats["dataset"]["report"],
        "training": {key: stats["verifier"][key] for key in TRAINING_FIGURES},
        "verifier": stats["export"]["verifier"] | _verifier_figures(scorers),
        "hybrid": _figures(scorers.get("hybrid")),
        "baselines": {name: _figures(scorers.get(name)) for name in BASELINES if name in scorers},
        "best_of_n": evaluation.get("best_of_n", {}),
        "evaluation": evaluation,
    }
    return {key: value for key, value in summary.items() if value is not None}


def pass_rate(outcomes: dict[str, int], given: bool) -> dict[str, Any]:
    """Share of right chains among those whose answer is decided (None where none is), how many are not, and
    whether the chains were `given` in a file: they say nothing of the teacher then."""
    right, wrong = outcomes.get("correct", 0), outcomes.get("incorrect", 0)
    return {
        "pass_rate": right / (right + wrong) if right + wrong else None,
        "undecided_chains": outcomes.get("undecided", 0),
        "given_chains": given,
    }


def _usage(stats: dict[str, Any]) -> Usage:
    return Usage(*(stats.get(kind, 0) for kind in ("prompt_tokens", "cached_tokens", "generated_tokens")))


def _recipe(run: Run) -> dict[str, Any]:
    recipe: Recipe = run.recipe
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "yaml": dump_recipe(recipe),
        "fingerprint": run.fingerprints["report"],
    }


def _verifier_figures(scorers: dict[str, Any]) -> dict[str, Any]:
    names = {"f1_4bit": "verifier_4bit", "f1_full": "verifier_full"}
    found = {
        key: scorers[name]["f1"]["value"] for key, name in names.items() if "f1" in scorers.get(name, {})
    }
    shipped = scorers.get("verifier_4bit", {})
    return found | {key: shipped[key] for key in ("auroc", "brier", "ece") if key in shipped}


def _figures(scorer: dict[str, Any] | None) -> dict[str, Any]:
    """One scorer's figures with `f1` as a plain number and its interval beside it."""
    if not scorer or "f1" not in scorer:  # no exact truth, or held-out chains of one kind only
        return scorer or {}
    return scorer | {
        "f1": scorer["f1"]["value"],
        "f1_interval": [scorer["f1"].get("low"), scorer["f1"].get("high")],
    }


def _stage_row(name: str, stats: dict[str, Any]) -> dict[str, Any]:
    shown = ("seconds", "in", "out", "outcomes", "shards", "shards_before", "retries", "faults")
    row: dict[str, Any] = {key: stats[key] for key in shown if key in stats}
    tokens = {"tokens": stats["generated_tokens"]} if "generated_tokens" in stats else {}
    return {"name": name, **row, **tokens}


def _shown_chains(run: Run, labelled: list[LabelledChain]) -> list[dict[str, Any]]:
    """Held-out chains with scores and labelled chains with evidence, wrong ones first, for the browser."""
    scored = run.read("export", ScoredChain)
    threshold = run.stats("export")["thresholds"].get(DEFAULT_SCORER, 0.5)
    half = SHOWN_CHAINS // 2
    scored.sort(key=lambda chain: (chain.truth in (-1, None), chain.chain_id))
    labelled = sorted(labelled, key=lambda row: (row.first_error == -1, row.chain.id))
    return [_scored_row(chain, threshold) for chain in _spread(scored, half)] + [
        _labelled_row(row) for row in _spread(labelled, half)
    ]


def _spread(rows: list[Any], count: int) -> list[Any]:
    """`count` rows: three quarters from the front (the wrong ones), the rest from the end."""
    front = count * 3 // 4
    return rows if len(rows) <= count else rows[:front] + rows[front - count :]


def _scored_row(chain: ScoredChain, threshold: float) -> dict[str, Any]:
    scores = chain.scores[DEFAULT_SCORER]
    return {
        "question": chain.question,
        "steps": [strip_step(step) for step in chain.steps],
        "scores": list(scores),
        "truth": chain.truth,
        "predicted": predict_first_error(scores, threshold),
        "outcome": str(chain.outcome),
        "answer": chain.answer,
    }


def _labelled_row(row: LabelledChain) -> dict[str, Any]:
    return {
        "question": row.problem.question,
        "steps": [strip_step(step) for step in row.chain.steps],
        "scores": [label.soft for label in row.labels],
        "labels": [str(label.status) for label in row.labels],
        "evidence": describe_all(row),
        "predicted": row.first_error,
        "outcome": str(row.chain.outcome),
        "answer": row.chain.answer,
        "reference": row.problem.reference,
    }


def hardware() -> dict[str, Any]:
    """Cores, memory and accelerators of the machine that the driver runs on."""
    import psutil
    import torch

    memory = psutil.virtual_memory().total / 2**30
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"cores": psutil.cpu_count(), "memory_gib": round(memory, 1), "gpus": gpus, "cpu": _cpu_name()}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
