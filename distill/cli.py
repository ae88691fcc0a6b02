"""The `distill` command. Every sub-command's --help has an example."""

import json
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from distill.errors import DistillError


class _Stopped(BaseException):
    """Ctrl-C, past click, which would turn it into "Aborted." and exit code 1."""


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Run a command; all that it started is shut down when `_Stopped` is raised."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _Stopped from None


app = typer.Typer(
    name="distill",
    cls=_Commands,
    help="Turn problems into cheap step labels, and step labels into a 4-bit verifier.",
    epilog="Example: distill run quickstart",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

RecipeArgument = Annotated[str, typer.Argument(help="A recipe file, or the name of a shipped recipe.")]
OverridesArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Overrides such as labelling.rollouts=16.", metavar="[KEY=VALUE]..."),
]


def _stop(number: int, frame: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would cut the shutting down short
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: our own errors end in one message and exit code 2, Ctrl-C in 130."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as it is for a shell's background job
        signal.signal(signal.SIGINT, _stop)
    try:
        app()
    except DistillError as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(2)
    except (_Stopped, KeyboardInterrupt):
        kept = " What is finished is kept: give the same command to go on."
        Console(stderr=True).print(f"\nstopped.{kept if sys.argv[1:2] and sys.argv[1] in RESUMING else ''}")
        _leave(130)


def _leave(code: int) -> None:
    """End this process and all below it, without Python's own farewell: Ray's, after it was interrupted
    while it connected, may crash or wait."""
    from psutil import Error, Process

    for child in Process().children(recursive=True):
        with suppress(Error):
            child.kill()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


SET_ASIDE_EXIT = 3
RESUMING = ("run", "pilot", "train", "pretrain")
"""Commands that go on where they were stopped."""


class ExportFormat(StrEnum):
    """What `distill export` writes."""

    W4A16 = "w4a16"
    NF4 = "nf4"
    ADAPTER = "adapter"


@app.command(epilog="Example: distill run quickstart seed=1")
def run(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    cluster: Annotated[
        str, typer.Option(help="Where Ray runs: local, auto (the cluster of this node) or ray://HOST:PORT.")
    ] = "",
) -> None:
    """Run a recipe from problems to a 4-bit verifier and a report. The same command resumes.

    Exit code 0: complete. 3: complete, but for problems that failed again and again and were set aside; the
    report names them. 2: an error, told in one message. 130: stopped by Ctrl-C.
    """
    from distill.loading import load_recipe
    from distill.pipeline import execute
    from distill.progress import ProgressView
    from distill.stages.summary import print_summary

    view = ProgressView()
    where = [f"cluster.address={cluster}"] if cluster else []
    folder = execute(load_recipe(recipe, [*(overrides or []), *where]), view)
    if print_summary(folder.path, Console()):
        raise typer.Exit(SET_ASIDE_EXIT)


@app.command(epilog="Example: distill plan quickstart verifier.epochs=2")
def plan(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Show the stages: what is there already, what would be redone."""
    from distill.artifacts import RunFolder
    from distill.loading import load_recipe
    from distill.pipeline import plan as plan_stages
    from distill.storage import locate

    loaded = load_recipe(recipe, overrides or [])
    path = locate(loaded.runs) / loaded.name
    folder = RunFolder.reader(path) if path.exists() else None
    table = Table(title=f"{loaded.name} in {path}")
    for column in ("stage", "made from", "state", "shards there", "fingerprint"):
        table.add_column(column)
    for entry in plan_stages(loaded, folder):
        made_from = ", ".join(entry.stage.after)
        table.add_row(entry.stage.name, made_from, entry.state, str(entry.finished_shards), entry.fingerprint)
    Console().print(table)


@app.command(epilog="Example: distill pilot quickstart problems.count=100000 price.per_hour=24")
def pilot(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    sample: Annotated[int, typer.Option(help="Problems to try.", min=2)] = 24,
) -> None:
    """Label a small sample for real, then tell what the full run would take in time and money."""
    from distill.loading import load_recipe
    from distill.pilot import pilot as run_pilot
    from distill.progress import ProgressView

    Console().print(run_pilot(load_recipe(recipe, overrides or []), sample, ProgressView()))


@app.command(epilog="Example: distill validate recipes/quickstart.yaml")
def validate(recipe: RecipeArgument, overrides: OverridesArgument = None) -> None:
    """Check a recipe: every fault at once, each with its line. Prints the resolved recipe."""
    from distill.loading import dump_recipe, load_recipe

    typer.echo(dump_recipe(load_recipe(recipe, overrides or [])))


@app.command(epilog="Example: distill schema > recipe.schema.json")
def schema(
    markdown: Annotated[bool, typer.Option("--markdown", help="A reference to read instead.")] = False,
) -> None:
    """Print the JSON Schema of recipes, so that editors complete and check them."""
    from distill.loading import recipe_schema
    from distill.reference import recipe_reference

    typer.echo(recipe_reference() if markdown else json.dumps(recipe_schema(), indent=2), nl=not markdown)


@app.command(epilog="Example: distill score runs/quickstart/export/verifier chains.jsonl > scored.jsonl")
def score(
    verifier: Annotated[str, typer.Argument(help="A verifier folder, or its URL.")],
    file: Annotated[
        str, typer.Argument(help="JSONL with question, steps and perhaps domain; - for standard input.")
    ] = "-",
    checks: Annotated[bool, typer.Option(help="Combine with exact step checks.")] = True,
) -> None:
    """Score every step of every chain: P(step correct), and the first step that looks wrong. A row's `domain`
    (math, logic, code) says which exact checks are combined; without one it is what the verifier learnt."""
    from distill.scoring import score_lines
    from distill.storage import local_copy, locate

    lines = _utf8(sys.stdin if file == "-" else _open(file), file)
    with local_copy(locate(verifier)) as folder:
        for row in score_lines(folder, lines, checks):
            typer.echo(json.dumps(row, ensure_ascii=False))


def _open(file: str) -> Any:
    from distill.errors import DataError

    try:
        return open(file, encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error


def _utf8(lines: Iterable[str], file: str) -> Iterator[str]:
    from distill.errors import DataError

    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error.reason}): save it as UTF-8") from error


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What writes to `path`: a folder that cannot be made or written (told before the work), and a full
    disk, are told in one message."""
    from distill.files import explain_disk, temporary_name

    with explain_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = temporary_name(path / "probe" if path.is_dir() else path)
        probe.touch()
        probe.unlink()
    with explain_disk(path, only_full=True):
        yield


@app.command(
    epilog="Example: distill train --data chains.jsonl --base HuggingFaceTB/SmolLM2-135M --out verifier",
)
def train(
    config: Annotated[
        Path | None, typer.Argument(help="YAML settings; flags and overrides go over it.")
    ] = None,
    overrides: OverridesArgument = None,
    data: Annotated[list[str] | None, typer.Option(help="Labelled chains: PATH or hub name; repeat.")] = None,
    base: Annotated[str | None, typer.Option(help="Base model: a folder or hub name.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for checkpoints and the verifier.")] = None,
) -> None:
    """Train a 4-bit verifier on labelled chains of any known format. The same command resumes."""
    from distill.training import read_settings
    from distill.training import train as train_on

    given = list(overrides or [])
    if config is not None and "=" in str(config) and not config.exists():
        config, given = None, [str(config), *given]
    given += [f"data={json.dumps([{'path': path} for path in data])}"] if data else []
    given += [f"verifier.base={json.dumps(base)}"] if base else []
    given += [f"out={json.dumps(str(out))}"] if out else []
    settings = read_settings(config, given)
    with _writing(settings.out):
        typer.echo(train_on(settings, typer.echo))


@app.command(epilog="Example: distill export runs/quickstart shipped --format w4a16")
def export(
    source: Annotated[str, typer.Argument(help="A run, the folder of a `distill train`, or its verifier.")],
    folder: Annotated[Path, typer.Argument(help="Where the export goes; must not exist.")],
    made_as: Annotated[
        ExportFormat, typer.Option("--format", help="w4a16 for vLLM, nf4 for bitsandbytes, adapter for peft.")
    ] = ExportFormat.W4A16,
    check_data: Annotated[
        str | None, typer.Option(help="Labelled chains to measure on; left out, the run's held-out ones.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split of those, where there are several.")] = None,
) -> None:
    """Export a trained verifier; it is loaded and scored afresh, and refused where it lost a point of F1."""
    from distill.shipping import export_verifier

    with _writing(folder):
        export_verifier(source, folder, made_as.value, check_data, typer.echo, split)
    typer.echo(folder)


@app.command(
    "eval", epilog="Example: distill eval verifier --benchmark processbench --data FOLDER --json out.json"
)
def evaluate(
    verifier: Annotated[Path, typer.Argument(help="A verifier folder.")],
    benchmark: Annotated[
        str, typer.Option(help="processbench, prmbench, best-of-n, steps or adversarial.")
    ] = "processbench",
    data: Annotated[str, typer.Option(help="A file, a folder, or a dataset on the hub.")] = "",
    split: Annotated[str | None, typer.Option(help="Split of the data, where it has several.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
    fit: Annotated[
        str | None, typer.Option(help="Labelled chains to fit temperature and threshold on.")
    ] = None,
    fit_split: Annotated[str | None, typer.Option(help="Split of what is fitted on.")] = None,
    limit: Annotated[int | None, typer.Option(help="Rows of each subset at most.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
) -> None:
    """Measure a verifier on a benchmark; every figure with its 95% interval. Nothing is fitted on `data`."""
    from distill.proving import prove

    with _writing(json_file) if json_file else nullcontext():
        prove(verifier, benchmark, data, json_file, fit, limit, seed, typer.echo, split, fit_split)


@app.command(epilog="Example: distill inspect runs/quickstart --chains 3")
def inspect(
    run_folder: Annotated[str, typer.Argument(help="A run folder, or its URL.")],
    chains: Annotated[int, typer.Option(help="Labelled chains to show.", min=0)] = 2,
) -> None:
    """Show what a run folder holds: stages, counts, and a few labelled chains."""
    from distill.inspect import inspect_run

    inspect_run(run_folder, chains, Console())


@app.command(epilog="Example: distill relabel runs/quickstart labelling.adaptive.false_negative=0.1")
def relabel(
    run_folder: Annotated[str, typer.Argument(help="A run folder with finished labels, or its URL.")],
    overrides: OverridesArgument = None,
) -> None:
    """Derive labels under other settings from the evidence that is there: no teacher token is spent."""
    from distill.relabel import relabel as derive_anew

    found = derive_anew(run_folder, overrides or [])
    table = Table(title=f"{found['changed']:,} of {found['chains']:,} first errors changed: {found['path']}")
    for column in ("", "before", "after"):
        table.add_column(column)
    before, after = found["before"], found["after"]
    for status in ("good", "bad", "undetermined"):
        table.add_row(f"steps {status}", *(f"{s['outcomes'].get(status, 0):,}" for s in (before, after)))
    for key in ("first_error", "coverage"):
        if after["accuracy"]:
            table.add_row(key, *(f"{s['accuracy'][key]['value'] or 0:.1%}" for s in (before, after)))
    Console().print(table)


review_app = typer.Typer(no_args_is_help=True, help="People's answers about uncertain labels.")
app.add_typer(review_app, name="review")


@review_app.command("import", epilog="Example: distill review import runs/quickstart answered.jsonl")
def import_review(
    run_folder: Annotated[str, typer.Argument(help="The run that `review.jsonl` came from, or its URL.")],
    file: Annotated[Path, typer.Argument(help="`review.jsonl` with `answer` and `reviewer` filled in.")],
) -> None:
    """Merge people's answers, with who gave them and when, into `reviews.jsonl` of the run."""
    from distill.relabel import import_reviews

    target, count = import_reviews(run_folder, file)
    typer.echo(f"{count} answers merged into {target}")
    typer.echo(f"to use them: distill run RECIPE labelling.reviews={target}")


@app.command(epilog="Example: distill pretrain recipes/tiny_teacher.yaml build/arith-teacher")
def pretrain(
    recipe: Annotated[Path, typer.Argument(help="A pretraining recipe.")],
    folder: Annotated[Path, typer.Argument(help="Where the model goes; the same command resumes.")],
) -> None:
    """Train a tiny teacher or verifier base from scratch on the exact world."""
    from distill.config import PretrainSettings
    from distill.loading import load_settings
    from generators.tiny.pretrain import pretrain as train

    settings = load_settings(recipe, PretrainSettings)
    with _writing(folder):
        typer.echo(json.dumps(train(settings, folder, typer.echo)))


@app.command(epilog="Example: distill doctor")
def doctor() -> None:
    """Check this machine: packages, GPU, Ray, bitsandbytes, and who owns our package names."""
    from distill.doctor import examine

    table = Table(title="distill doctor")
    for column in ("", "what", "found"):
        table.add_column(column)
    findings = examine()
    for finding in findings:
        table.add_row({True: "ok", False: "FAIL", None: "-"}[finding.ok], finding.what, finding.found)
    Console().print(table)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
