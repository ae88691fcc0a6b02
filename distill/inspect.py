"""`distill inspect`: what a run folder holds, without running anything."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distill.artifacts import RunFolder
from distill.labelling.quality import describe_all
from distill.pipeline import STAGES
from distill.records import LabelledChain


def inspect_run(path: str, chains: int, console: Console) -> None:
    """Print every stage with its counts, and `chains` labelled chains, ones with an error first."""
    folder = RunFolder.reader(path)
    table = Table(title=path)
    for column in ("stage", "state", "in", "out", "outcomes", "seconds"):
        table.add_column(column)
    for stage in STAGES:
        manifest = folder.manifest(stage.name)
        stats = manifest.stats if manifest else {}
        outcomes = ", ".join(f"{key} {value:,}" for key, value in stats.get("outcomes", {}).items())
        state = "done" if manifest else f"{len(folder.shards(stage.name))} shards"
        counts = [f"{stats[key]:,}" if key in stats else "" for key in ("in", "out")]
        table.add_row(stage.name, state, *counts, outcomes, f"{stats.get('seconds', 0):.1f}")
    console.print(table)
    rows = folder.read("labels", LabelledChain)
    rows.sort(key=lambda row: (row.first_error == -1, row.chain.id))
    for row in rows[:chains]:
        _show(row, console)


def _show(row: LabelledChain, console: Console) -> None:
    console.print(f"\n[bold]{escape(row.problem.question)}[/bold]  (answer {escape(row.problem.reference)})")
    colours = {"good": "green", "bad": "red", "undetermined": "yellow"}
    for step, label, why in zip(row.chain.steps, row.labels, describe_all(row), strict=True):
        colour = colours[str(label.status)]
        console.print(f"  [{colour}]{escape(step.strip())}[/{colour}]  [dim]{escape(why)}[/dim]")
