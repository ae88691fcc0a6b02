"""`distill pilot`: label a small sample for real, then say what the full run would take.

Teacher tokens scale with the number of problems, and time with tokens. Time, and money by the hour, are at
most: the sample's start-up is scaled too, and a sample of one shard keeps one engine busy. Training and
evaluation are not tried.
"""

from typing import Any

from rich.table import Table

from distill.artifacts import RunFolder
from distill.config import PriceSettings, Recipe
from distill.pipeline import execute
from distill.progress import ProgressView
from distill.records import Usage
from distill.stages.money import money

LAST_STAGE = "labels"
STAGES_READ = ("chains", "evidence", LAST_STAGE)


def pilot(recipe: Recipe, sample: int, view: ProgressView) -> Table:
    """Run `sample` problems (at most those asked for) through labelling in a run folder of their own; a table
    of what to expect."""
    folder = execute(_small(recipe, min(sample, recipe.problems.count)), view, last=LAST_STAGE)
    return _table(recipe, estimate(recipe, folder))


def _small(recipe: Recipe, sample: int) -> Recipe:
    """The recipe of the sample, with the sample's share of the token budget."""
    budget = recipe.labelling.budget_tokens
    share = max(1, budget * sample // recipe.problems.count) if budget else 0
    return recipe.model_copy(
        update={
            "name": f"{recipe.name}-pilot",
            "problems": recipe.problems.model_copy(update={"count": sample, "heldout": 0}),
            "labelling": recipe.labelling.model_copy(update={"budget_tokens": share}),
        }
    )


def estimate(recipe: Recipe, folder: RunFolder) -> dict[str, float]:
    """Measured rates of the sample and what follows for the full run (fractions, tokens, seconds)."""
    found = {name: manifest.stats for name in STAGES_READ if (manifest := folder.manifest(name))}
    chains, evidence, labels = (found[name] for name in STAGES_READ)
    tried = max(chains["in"], 1)  # a file of chains may hold fewer problems than were asked for
    seconds = chains["seconds"] + evidence["seconds"]
    tokens = chains["generated_tokens"] + evidence["generated_tokens"]
    decided = chains["outcomes"].get("correct", 0) + chains["outcomes"].get("incorrect", 0)
    heldout = recipe.problems.heldout * recipe.chains.heldout_per_problem

    def full(kind: str) -> float:
        """Tokens of a kind in the full run, held-out chains included."""
        of_sample = chains[kind] + evidence[kind]
        return of_sample / tried * recipe.problems.count + heldout * chains[kind] / max(chains["out"], 1)

    return {
        "problems": tried,
        "pass_rate": chains["outcomes"].get("correct", 0) / max(decided, 1),
        "steps_per_chain": sum(labels["outcomes"].values()) / max(labels["out"], 1),
        "tokens_per_chain": chains["generated_tokens"] / max(chains["out"], 1),
        "rollout_tokens_per_label": evidence["generated_tokens"] / max(sum(labels["outcomes"].values()), 1),
        "tokens_per_second": tokens / max(seconds, 1e-9),
        "full_tokens": full("generated_tokens"),
        "full_prompt_tokens": full("prompt_tokens"),
        "full_cached_tokens": full("cached_tokens"),
        "full_seconds": full("generated_tokens") / max(tokens, 1) * seconds,
    }


def _full_money(price: PriceSettings, figures: dict[str, float]) -> float:
    """Price of the full run's teacher."""
    kinds = ("full_prompt_tokens", "full_cached_tokens", "full_tokens")
    return money(price, Usage(*(round(figures[kind]) for kind in kinds)), figures["full_seconds"])


def _table(recipe: Recipe, figures: dict[str, float]) -> Table:
    tried, asked = figures["problems"], recipe.problems.count
    table = Table(title=f"pilot of {recipe.name}: {tried} problems tried, {asked:,} asked for")
    table.add_column("what")
    table.add_column("figure", justify="right")
    rows: list[tuple[str, Any]] = [
        ("pass rate of the teacher", f"{figures['pass_rate']:.3f}"),
        ("steps a chain", f"{figures['steps_per_chain']:.1f}"),
        ("tokens a chain", f"{figures['tokens_per_chain']:.0f}"),
        ("rollout tokens a step label", f"{figures['rollout_tokens_per_label']:.1f}"),
        ("teacher tokens a second (start-up included)", f"{figures['tokens_per_second']:,.0f}"),
        ("full run: teacher tokens", f"{figures['full_tokens']:,.0f}"),
        ("full run: time of the teacher, at most", f"{figures['full_seconds'] / 60:,.1f} min"),
    ]
    if recipe.price:
        rows.append(("full run: money, at most", f"{_full_money(recipe.price, figures):,.2f}"))
    else:
        rows.append(("full run: money", "give `price` in the recipe"))
    for what, figure in rows:
        table.add_row(what, figure)
    return table
