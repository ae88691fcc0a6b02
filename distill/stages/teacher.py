"""The stages at which the teacher works: chains, evidence, and the chains of held-out problems."""

from collections import Counter
from typing import Any

from distill.cluster import set_aside_limit
from distill.config import GeneratorSettings
from distill.stages.run import Run, engine_resources
from distill.stages.shards import ShardOutcomes
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
    shares = _shares(run, inputs[-1], count, budget)
    tasks = [
        ShardTask(
            stage,
            index,
            tuple(str(run.folder.shard_path(name, index)) for name in inputs),
            fingerprint,
            per_problem,
            shares[index],
        )
        for index in range(count)
        if index not in finished
    ]
    ended = ShardOutcomes(run.folder, inputs[0], list(finished.values()))
    made_from = run.folder.manifest(inputs[-1])
    total = made_from.rows if made_from else 0
    with run.view.stage(stage, total, ended.units) as shown:
        if tasks:
            run.cluster.run_shards(
                ShardWorker,
                (run.recipe, engine, str(run.folder.path)),
                method,
                tasks,
                engine.replicas,
                engine_resources(engine),
                ended,
                _may_set_aside(run, inputs[0]),
                proven=bool(finished),
                on_progress=lambda state: shown.from_board(state, ended.units, ended.tokens),
            )
    kept = {"shards_before": len(finished)} if finished and tasks else {}
    return add_stats(ended.stats) | {"shards": count} | kept


def _shares(run: Run, made_from: str, count: int, budget: int) -> list[int]:
    """The budget of each shard, by its records; fixed before the work, so that none depends on another."""
    if not budget:
        return [0] * count
    rows = [run.folder.rows(made_from, index) for index in range(count)]
    return [max(1, budget * each // max(1, sum(rows))) for each in rows]


def _may_set_aside(run: Run, problems: str) -> int:
    there = run.folder.manifest(problems)
    return set_aside_limit(there.rows if there else 0, run.recipe.cluster.set_aside_fraction)


def add_stats(stats: list[dict[str, Any]]) -> dict[str, Any]:
    """Totals over shards (zeros without any): outcomes key by key, and a list of what was set aside."""
    total: Counter[str] = Counter(dict.fromkeys(("in", "out", "generated_tokens", "prompt_tokens"), 0))
    outcomes: Counter[str] = Counter()
    for entry in stats:
        outcomes.update(entry.get("outcomes", {}))
        total.update({k: v for k, v in entry.items() if isinstance(v, int | float)})
    set_aside = [problem for entry in stats for problem in entry.get("set_aside", [])]
    return {**total, "outcomes": dict(outcomes)} | ({"set_aside": set_aside} if set_aside else {})
