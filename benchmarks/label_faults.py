"""What a verifier loses by each kind of fault in its labels, put right one kind at a time.

    python benchmarks/label_faults.py

The quickstart's problems and `adaptive` labels, and its training in NF4, measured as it was trained on its
held-out chains. The exact judge puts labels right, those of one kind of fault at a time, in the training part
and in the validation part (which thresholds are fitted on); chains whose labels leave the first error open
stay as they are, except where `all` is put right.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from labelling_verifier import RUN, measured
from record import record

from distill.loading import load_recipe
from distill.pipeline import execute
from distill.progress import ProgressView
from distill.records import LabelledChain
from distill.stages.dataset import read_dataset
from distill.stages.verifier import read_heldout
from distill.verifier import Example, examples
from distill.verifier.data import IGNORED
from generators.truth import exact_first_error

KINDS: dict[str, Callable[[int | None, int], bool]] = {
    "none": lambda labelled, truth: False,
    "first errors that are misplaced or are none": lambda labelled, truth: labelled not in (None, -1),
    "wrong chains that are called right": lambda labelled, truth: labelled == -1 != truth,
    "all": lambda labelled, truth: True,
}
"""(first error by the labels, by the judge) -> whether the judge's labels take their place."""


def put_right(items: Sequence[LabelledChain], wanted: Callable[[int | None, int], bool]) -> list[Example]:
    """Examples with the judge's labels where `wanted`, masked after the first error."""
    found = []
    for item in items:
        truth = exact_first_error(item.problem, item.chain.steps)
        assert truth is not None
        made = examples([item], True)
        if made and wanted(made[0].first_error, truth[0]):
            made = [replace(made[0], labels=_labels(truth[0], len(item.chain.steps)))]
        found += made
    return found


def _labels(first_error: int, steps: int) -> tuple[int, ...]:
    if first_error == -1:
        return (1,) * steps
    return (*(1,) * first_error, 0, *(IGNORED,) * (steps - first_error - 1))


def main() -> None:
    """Print a line a kind and write benchmarks/results/label_faults.json."""
    recipe = load_recipe("quickstart", [f"name={RUN}", "verifier.compare_full_precision=false"])
    folder = execute(recipe, ProgressView(), last="dataset")
    built, heldout = read_dataset(folder), read_heldout(folder)
    found: dict[str, Any] = {}
    as_labelled = put_right(built.train, KINDS["none"])
    for name, wanted in KINDS.items():
        shown, known = put_right(built.train, wanted), put_right(built.validation, wanted)
        changed = sum(a != b for a, b in zip(shown, as_labelled, strict=True))
        found[name] = {"changed": changed, **measured(shown, known, heldout, recipe, 0)}
        shares = "  ".join(
            "{} F1 {value:.1%} [{low:.1%}, {high:.1%}]".format(kind, **found[name][kind]["f1"])
            for kind in ("verifier", "hybrid")
        )
        print(f"put right: {name:42} {changed:4} of {len(shown):,} chains  {shares}", flush=True)
    print(record("label_faults", "python benchmarks/label_faults.py", found))


if __name__ == "__main__":
    main()
