"""Train the verifier in 4-bit (and in full precision, to know what 4-bit costs), export it, score.

Each part is one Ray task: a process of its own that has the machine while it lives.
"""

from typing import Any

from distill.artifacts import RunFolder
from distill.cluster import Reporter, Resources
from distill.config import Recipe
from distill.dataset import BuiltDataset
from distill.errors import DataError
from distill.records import Chain, LabelledChain, Problem, ScoredChain
from distill.stages.dataset import read_dataset
from distill.stages.run import Run
from distill.storage import Place, local_copy, locate, working_copy
from generators.sources import normalised
from generators.truth import exact_first_error


def train(run: Run) -> dict[str, Any]:
    """QLoRA training, and the full-precision one on the same labels when the recipe compares."""
    built = read_dataset(run.folder)
    _require_both_kinds(built)
    precisions = (("nf4", True), ("full", False))[: 1 + run.recipe.verifier.compare_full_precision]
    with run.folder.stage_folder("verifier", run.fingerprints["verifier"], resume=True) as work:
        results = [_train_one(run, built, quantise, work / name) for name, quantise in precisions]
    return {
        "in": len(built.train) + len(built.validation),
        "out": len(results),
        "curve": results[0].curve,
        "curve_full": results[1].curve if len(results) > 1 else [],
        "truncated_steps": results[0].truncated_steps,
        "cut_chains": results[0].cut_chains,
        "train_seconds": [result.seconds for result in results],
        "best_step": [result.best_step for result in results],
        "validation_f1": [result.best_f1 for result in results],
        "trainable_parameters": results[0].trainable_parameters,
        "recipe": run.recipe.model_dump(mode="json"),  # for `distill export`, whatever is run here later
    }


def _require_both_kinds(built: BuiltDataset) -> None:
    """Raises DataError before hours of training where nothing could be fitted on the validation part."""
    kinds = {str(label.status) for row in built.validation for label in row.labels if label.hard is not None}
    if kinds != {"good", "bad"}:
        found = f"only {kinds.pop()}" if kinds else "no labelled"
        raise DataError(
            f"expected good and bad steps in the validation part, to fit thresholds on, found {found} steps "
            f"in its {len(built.validation):,} chains (training part: {len(built.train):,}). Label more "
            "problems (problems.count), write more chains (chains.per_problem), raise "
            "dataset.validation_fraction, or choose a teacher that is right more, or less, often. "
            "The dataset is written; `distill inspect` shows the labels."
        )


def _train_one(run: Run, built: BuiltDataset, quantise: bool, folder: Place) -> Any:
    with run.view.stage(f"verifier ({folder.name})", 1.0) as shown:
        return run.cluster.run_task(
            _train_task,
            run.recipe,
            built.train,
            built.validation,
            quantise,
            str(folder),
            resources=_resources(run.recipe),
            on_progress=lambda board: _show(shown, board),
        )


def export(run: Run) -> dict[str, Any]:
    """The 4-bit folder that drifts least, and the scores of every scorer on the held-out chains."""
    built = read_dataset(run.folder)
    heldout = read_heldout(run.folder)
    _require_apart(built, heldout)
    made = run.folder.stage_folder("export", run.fingerprints["export"])
    with run.view.stage("export and score", 1.0) as shown, made as work:
        scored, thresholds, figures = run.cluster.run_task(
            _export_task,
            run.recipe,
            built.validation,
            heldout,
            str(run.folder.stage_path("verifier")),
            str(work / "verifier"),
            provenance(run.recipe, run.fingerprints["verifier"], built.train),
            resources=_resources(run.recipe),
            on_progress=lambda board: _show(shown, board),
        )
    run.write_shards("export", scored, 4096)
    return {"in": len(heldout), "out": len(scored), "thresholds": thresholds, "verifier": figures}


def _require_apart(built: BuiltDataset, heldout: list[ScoredChain]) -> None:
    """Raises DataError where a held-out question was trained on: figures on it would flatter."""
    seen = {normalised(row.problem.question) for row in [*built.train, *built.validation]}
    shared = {chain.question for chain in heldout if normalised(chain.question) in seen}
    if shared:
        raise DataError(
            f"expected held-out problems that were never labelled, found {len(shared):,} that were, such as "
            f"{min(shared)[:80]!r}. The source of the problems changed while the run was made: give the "
            "recipe another `name`, and with it a run folder of its own."
        )


def _train_task(
    recipe: Recipe,
    training: list[LabelledChain],
    validation: list[LabelledChain],
    quantise: bool,
    folder: str,
    report: Reporter,
) -> Any:
    from distill.verifier import augmented_examples, examples, train_verifier, training_examples

    shown = augmented_examples(
        training_examples(training, recipe.verifier), recipe.verifier.augmentation, recipe.seed
    )

    with working_copy(locate(folder)) as (work, save):

        def progress(step: int, total: int, figures: dict[str, Any]) -> None:
            parts = (
                f"{key} {value:.3f}" for key, value in figures.items() if key in ("head", "loss", "eval_f1")
            )
            report("train", step, total, note=" ".join(parts))
            save()  # the checkpoints so far: another node can go on from them

        return train_verifier(
            shown,
            examples(validation, recipe.verifier.mask_after_first_error),
            recipe.verifier,
            quantise,
            work,
            recipe.seed,
            progress,
        )


def _export_task(
    recipe: Recipe,
    validation: list[LabelledChain],
    heldout: list[ScoredChain],
    trained: str,
    folder: str,
    provenance: dict[str, Any],
    report: Reporter,
) -> tuple[list[ScoredChain], dict[str, float], dict[str, Any]]:
    from distill.stages.scorers import export_and_score

    with local_copy(locate(trained)) as source, working_copy(locate(folder)) as (work, _):
        return export_and_score(recipe, validation, heldout, source, work, provenance, report)


def read_heldout(folder: RunFolder) -> list[ScoredChain]:
    """Held-out chains with exact truth where there is one, not scored yet."""
    problems = {problem.id: problem for problem in folder.read("heldout_problems", Problem)}
    chains = [chain for chain in folder.read("heldout_chains", Chain) if chain.steps]
    return [_unscored(problems[chain.problem_id], chain) for chain in chains]


def _unscored(problem: Problem, chain: Chain) -> ScoredChain:
    truth = exact_first_error(problem, chain.steps)
    return ScoredChain(
        problem_id=problem.id,
        chain_id=chain.id,
        steps=chain.steps,
        answer=chain.answer,
        outcome=chain.outcome,
        truth=truth[0] if truth else None,
        truth_kind=truth[1] if truth else "",
        question=problem.question,
        domain=problem.domain,
    )


def provenance(recipe: Recipe, fingerprint: str, training: list[LabelledChain]) -> dict[str, Any]:
    """Where a run's verifier comes from, for its card."""
    return {
        "recipe": recipe.name,
        "fingerprint": fingerprint,
        "teacher": training[0].chain.generator if training else "",
        "labelling": recipe.labelling.method,
        "training_chains": len(training),
    }


def _resources(recipe: Recipe) -> Resources:
    return Resources(1.0, recipe.verifier.gpus)


def _show(shown: Any, board: dict[str, tuple[float, float, int, str]]) -> None:
    for done, total, tokens, note in board.values():
        shown.update(done, tokens, note, total=total)
