"""The stages at which the teacher works: chains, evidence, and the chains of held-out problems."""

from collections import Counter
from typing import Any

from distill.config import GeneratorSettings
from distill.stages.run import Run, engine_resources
from distill.stages.worker import ShardTask, ShardWorker


def write_chains(run: Run) -> dict[str, Any]:
    """`chains.per_problem` solutions of every problem, or those that the user brings in a file."""
    chains = run.recipe.chains
    method = "read_chains" if chains.path else "write_chains"
    return _spread(run, "chains", method, run.recipe.teacher, ("problems",), chains.per_problem)


def write_heldout_chains(run: Run) -> dict[str, Any]:
    """`chains.heldout_per_problem` solutions of every held-out problem."""
    n = run.recipe.chains.heldout_per_problem
    return _spread(run, "heldout_chains", "write_chains", run.recipe.teacher, ("heldout_problems",), n)


def gather_evidence(run: Run) -> dict[str, Any]:
    """Rollouts and exact step checks, as the labelling policy asks for them."""
    completer = run.recipe.completer or run.recipe.teacher
    budget = run.recipe.labelling.budget_tokens
    return _spread(run, "evidence", "gather_evidence", completer, ("problems", "chains"), budget=budget)


def _spread(
    run: Run,
    stage: str,
    method: str,
    engine: GeneratorSettings,
    inputs: tuple[str, ...],
    per_problem: int = 0,
    budget: int = 0,
) -> dict[str, Any]:
    """Run a worker's method over every shard that is not there yet; `budget` is shared out by rows."""
    fingerprint = run.fingerprints[stage]
    count = len(run.folder.shards(inputs[0]))
    finished = run.folder.finished_shards(stage, fingerprint)
    rows = [run.folder.rows(inputs[-1], index) for index in range(count)]
    tasks = [
        ShardTask(
            stage,
            index,
            tuple(str(run.folder.shard_path(name, index)) for name in inputs),
            fingerprint,
            per_problem,
            max(1, budget * rows[index] // max(1, sum(rows))) if budget else 0,
        )
        for index in range(count)
        if index not in finished
    ]
    stats: list[dict[str, Any]] = list(finished.values())
    total = sum(rows)
    base = float(sum(entry["in"] for entry in stats))
    retries = 0
    with run.view.stage(stage, total, base) as shown:
        if tasks:
            retries = run.cluster.run_shards(
                ShardWorker,
                (run.recipe, engine, str(run.folder.path)),
                method,
                tasks,
                engine.replicas,
                engine_resources(engine, run.recipe),
                on_done=stats.append,
                on_progress=shown.from_board,
            )
    return add_stats(stats) | {"shards": count, "retries": retries}


def add_stats(stats: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals over shards (zeros without any); outcomes are added up key by key."""
    total: Counter[str] = Counter(dict.fromkeys(("in", "out", "generated_tokens", "prompt_tokens"), 0))
    outcomes: Counter[str] = Counter()
    for entry in stats:
        outcomes.update(entry.get("outcomes", {}))
        total.update({k: v for k, v in entry.items() if isinstance(v, int | float)})
    return {**total, "outcomes": dict(outcomes)}
