"""Labelled chains out of anyone's data: the format recognised from the columns, several sources at once
with weights, and everything that is lost on the way counted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from distill.config import Settings
from distill.dataset.formats import Row, from_math_shepherd, from_processbench
from distill.dataset.readers import from_own, from_prm800k, from_rlhflow, from_stepwise
from distill.dataset.rows import Row as Found
from distill.dataset.rows import read_rows
from distill.errors import DataError
from distill.parquet import read_footer, read_records
from distill.records import SURPRISAL, LabelledChain, StepStatus, content_id

Format = Literal["stepwise", "math_shepherd", "rlhflow", "prm800k", "first_error", "own"]
COLUMNS: dict[Format, tuple[frozenset[str], ...]] = {
    "stepwise": (frozenset({"prompt", "completions", "labels"}),),
    "own": (frozenset({"question", "steps", "labels"}),),
    "math_shepherd": (frozenset({"input", "label"}),),
    "rlhflow": (frozenset({"conversations"}),),
    "first_error": (frozenset({"problem", "steps", "label"}), frozenset({"question", "steps", "label"})),
    "prm800k": (frozenset({"question", "label"}),),
}
"""What each format is recognised by, in this order (a row of PRM800K has fewer columns than others)."""


class SourceSettings(Settings):
    """One source of labelled chains."""

    path: str
    """A file, a folder, a run's `dataset` or `labels` folder, or a dataset on the hub (NAME:CONFIG)."""
    split: str | None = "train"
    """Split of a hub dataset, or of a folder whose files are named after splits. None: there is but one."""
    format: Format | None = None
    """Left out, the columns tell. `first_error` is ProcessBench's style."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How often each chain counts in an epoch: 0.5 takes a fixed half of the chains, 2 trains on each twice
    (`repeated`, once repeats are cleaned away and validation is split off)."""
    positive: Literal["correct", "wrong"] | None = None
    """What true, 1 and 1.0 mean in `stepwise` and `own` labels. Numbers 0 and 1 need it."""
    first_step: str = "Step 1:"
    """What the first step of an RLHFlow row begins with."""
    faulty_rows: Literal["refuse", "skip"] = "refuse"
    """`skip` leaves out rows that cannot be read, and counts them by reason."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Rows to read at most."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What came out of one source. `steps` counts labels by status, `soft` those that are probabilities
    strictly between 0 and 1; `skipped` counts rows by reason; `taken` counts chains times their weight."""

    path: str
    format: str
    rows: int = 0
    chains: int = 0
    taken: int = 0
    steps: dict[str, int] = field(default_factory=dict)
    soft: int = 0
    skipped: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the record of a training."""
        return asdict(self)


def load_sources(sources: Sequence[SourceSettings]) -> tuple[list[LabelledChain], list[SourceReport]]:
    """The chains of all sources (of a weight below 1 that share), and what became of each source's rows.

    Raises:
        DataError: a source cannot be read or recognised, or gave no chain; the message names file and row.
    """
    loaded = [load_source(source) for source in sources]
    return [chain for chains, _ in loaded for chain in chains], [report for _, report in loaded]


def load_source(source: SourceSettings) -> tuple[list[LabelledChain], SourceReport]:
    """The chains of one source; see `load_sources`."""
    skipped: Counter[str] = Counter()
    if shards := _shards(source.path):
        kind, rows = "shards", 0
        chains = [chain for shard in shards for chain in read_records(shard, LabelledChain)][: source.limit]
    else:
        kind, rows, chains = _read(source, skipped)
    chains = [chain for chain in chains if chain.chain.steps]
    if not chains:
        raise DataError(f"{source.path}: expected labelled chains, found none ({dict(skipped) or 'no rows'})")
    taken = weighted(chains, min(source.weight, 1.0))
    labels = [label for item in chains for label in item.labels]
    steps = Counter(str(label.status) for label in labels)
    report = SourceReport(
        source.path,
        kind,
        rows or len(chains),
        len(chains),
        len(weighted(chains, source.weight)),
        {str(status): steps[str(status)] for status in StepStatus},
        sum(0 < label.soft < 1 and _own(label) for label in labels),
        dict(skipped),
    )
    return taken, report


def _own(label: Any) -> bool:
    """Whether a label carries evidence of its own (and not the interval of total ignorance)."""
    return (label.low, label.high) != (0.0, 1.0)


def weighted(chains: Sequence[LabelledChain], weight: float) -> list[LabelledChain]:
    """Each chain `int(weight)` times, and once more for a share `weight % 1` of them that a hash of the
    content chooses: the same chains on every machine and in every order."""
    times, share = int(weight), weight % 1
    return [item for item in chains for _ in range(times + (_place(item) < share))]


def repeated(
    chains: Sequence[LabelledChain], loaded: Sequence[Sequence[LabelledChain]], weights: Sequence[float]
) -> list[LabelledChain]:
    """`chains`, each as often as the weight of the first of the `loaded` sources that it came from."""
    weight_of: dict[LabelledChain, float] = {}
    for source, weight in zip(loaded, weights, strict=True):
        for item in source:
            weight_of.setdefault(item, weight)
    return [again for item in chains for again in weighted([item], max(weight_of[item], 1.0))]


def _place(item: LabelledChain) -> float:
    key = content_id("weight", item.problem.question, list(item.chain.steps))
    return int(key, 16) / 2**64


def _shards(path: str) -> list[Path]:
    """Shards of labelled chains that a run wrote; empty for anything else."""
    folder = Path(path).expanduser()
    files = sorted(folder.glob("shard-*.parquet")) if folder.is_dir() else []
    return [file for file in files if read_footer(file).record in (LabelledChain.__name__, "")]


def _read(source: SourceSettings, skipped: Counter[str]) -> tuple[str, int, list[LabelledChain]]:
    kind: Format | None = source.format
    chains: list[LabelledChain] = []
    rows = 0
    for row in _limited(read_rows(source.path, source.split), source.limit):
        rows += 1
        kind = kind or recognise(row)
        try:
            chains += _converters(source)[kind](row.values)
        except DataError as error:
            if source.faulty_rows == "refuse":
                raise DataError(
                    f"{row.where} ({kind}): {error}. `faulty_rows: skip` leaves such rows out, counted."
                ) from error
            skipped[str(error).split(":")[0]] += 1
    return kind or "none", rows, [_imported(chain, kind) for chain in chains]


def _imported(chain: LabelledChain, kind: Format | None) -> LabelledChain:
    return chain if chain.method == SURPRISAL else replace(chain, method=f"imported:{kind}")


def recognise(row: Found) -> Format:
    """The format that a row's columns are those of.

    Raises:
        DataError: none.
    """
    for name, choices in COLUMNS.items():
        if any(columns <= row.values.keys() for columns in choices):
            return name
    known = "; ".join(f"{name}: {', '.join(sorted(choices[0]))}" for name, choices in COLUMNS.items())
    raise DataError(
        f"{row.where}: expected the columns of a known format ({known}), found {sorted(row.values)}; "
        "rename columns to one of these"
    )


def _converters(source: SourceSettings) -> dict[Format, Callable[[Row], list[LabelledChain]]]:
    return {
        "stepwise": lambda row: [from_stepwise(row, source.positive)],
        "math_shepherd": lambda row: [from_math_shepherd(row)],
        "rlhflow": lambda row: [from_rlhflow(row, source.first_step)],
        "prm800k": from_prm800k,
        "first_error": lambda row: [from_processbench(row)],
        "own": lambda row: [from_own(row, source.positive)],
    }


def _limited(rows: Iterator[Found], limit: int | None) -> Iterator[Found]:
    for index, row in enumerate(rows):
        if limit is not None and index >= limit:
            return
        yield row
