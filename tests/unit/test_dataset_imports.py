"""Imports: every format recognised, strict about polarity and type, and nothing lost without a count."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_samples import labelled

from distill.artifacts import write_records
from distill.dataset.build import BuiltDataset
from distill.dataset.imports import SourceSettings, load_source, load_sources, repeated
from distill.dataset.readers import from_own, from_prm800k, step_labels
from distill.dataset.save import row_of, save
from distill.errors import DataError
from distill.records import LabelledChain, Outcome, StepStatus
from distill.verifier import examples

STEPWISE = {"prompt": "Q?", "completions": ["a", "b"], "labels": [True, False]}
SHEPHERD = {"input": "Q? Step 1: a ки\nStep 2: b ки", "label": "Q? Step 1: a +\nStep 2: b -", "task": "GSM8K"}
RLHFLOW = {
    "conversations": [
        {"role": "user", "content": "Q? Step 1: a"},
        {"role": "assistant", "content": "+"},
        {"role": "user", "content": "Step 2: b"},
        {"role": "assistant", "content": "-"},
    ]
}
FIRST_ERROR = {"problem": "Q?", "steps": ["a", "b"], "label": 1, "source": "set/part"}
OWN = {"question": "Q?", "steps": ["a", "b"], "labels": [True, False]}


def completion(text: str, rating: int | None, flagged: bool = False) -> dict[str, Any]:
    return {"text": text, "rating": rating, "flagged": flagged}


PRM800K = {
    "question": {"problem": "Q?", "ground_truth_answer": "7"},
    "label": {
        "steps": [
            {
                "completions": [completion("x", -1), completion("a", 1)],
                "chosen_completion": 1,
                "human_completion": None,
            },
            {
                "completions": [completion("b", -1), completion("c", 0), completion("d", 1, True)],
                "chosen_completion": 0,
            },
        ]
    },
}


def write(folder: Path, *rows: dict[str, Any], name: str = "rows.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(folder / name)


def core(item: LabelledChain) -> tuple[object, ...]:
    return (
        item.problem.question,
        item.chain.steps,
        tuple(label.hard for label in item.labels),
        item.first_error,
    )


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (STEPWISE, "stepwise"),
        (SHEPHERD, "math_shepherd"),
        (RLHFLOW, "rlhflow"),
        (FIRST_ERROR, "first_error"),
        (OWN, "own"),
        (PRM800K, "prm800k"),
    ],
)
def test_every_format_is_recognised_and_says_the_same(tmp_path: Path, row: dict[str, Any], name: str) -> None:
    chains, report = load_source(SourceSettings(path=write(tmp_path, row)))
    assert core(chains[0]) == ("Q?", ("a", "b"), (1, 0), 1)
    assert report.format == name
    assert (report.rows, report.chains) == (1, len(chains))


def test_prm800k_alternatives_follow_the_rated_steps_that_people_went_on_from(tmp_path: Path) -> None:
    chains, report = load_source(SourceSettings(path=write(tmp_path, PRM800K)))
    found = {item.chain.steps: tuple(label.hard for label in item.labels) for item in chains[1:]}
    assert found == {("x",): (0,), ("a", "c"): (1, None), ("a", "d"): (1, None)}
    assert report.steps == {"good": 3, "bad": 2, "undetermined": 2}
    assert chains[0].problem.reference == "7"


def test_a_rejected_step_of_prm800k_stays_when_labels_after_the_first_error_are_masked(
    tmp_path: Path,
) -> None:
    """The mask leaves out a bad step after an undetermined one; none stands before this one."""
    steps = [{"completions": [completion(name, 1)], "chosen_completion": 0} for name in "ab"]
    steps += [{"completions": [completion("x", -1), completion("c", 1)], "chosen_completion": 1}]
    row = {"question": {"problem": "Q?"}, "label": {"steps": steps}}
    chains, _ = load_source(SourceSettings(path=write(tmp_path, row)))
    kept = {item.steps: (item.labels, item.first_error) for item in examples(chains, True)}
    assert kept == {("a", "b", "c"): ((1, 1, 1), -1), ("a", "b", "x"): ((1, 1, 0), 2)}


def test_a_chain_without_a_chosen_completion_ends_there(tmp_path: Path) -> None:
    steps = [
        {"completions": [completion("a", 1)], "chosen_completion": 0},
        {"completions": [completion("b", -1)], "chosen_completion": None, "human_completion": None},
    ]
    row = {"question": {"problem": "Q?"}, "label": {"steps": steps}}
    chains, _ = load_source(SourceSettings(path=write(tmp_path, row)))
    assert [core(item)[1:3] for item in chains] == [(("a",), (1,)), (("a", "b"), (1, 0))]


def test_soft_labels_stay_soft(tmp_path: Path) -> None:
    row = STEPWISE | {"labels": [0.9, 0.2]}
    [item], report = load_source(SourceSettings(path=write(tmp_path, row)))
    assert [label.soft for label in item.labels] == [0.9, 0.2]
    assert [label.hard for label in item.labels] == [1, 0]
    assert report.soft == 2
    assert step_labels([0.5], None)[0].status is StepStatus.UNDETERMINED


@pytest.mark.parametrize("labels", [[1, 0], [0.9, True], [1.5, 0.1], ["+", "-"], [float("nan"), 1.0], [2, 0]])
def test_labels_of_unclear_meaning_are_refused_with_file_and_row(tmp_path: Path, labels: list[Any]) -> None:
    path = write(tmp_path, STEPWISE, STEPWISE | {"labels": labels})
    with pytest.raises(DataError, match=r"rows\.jsonl, row 2 \(stepwise\): labels: expected bools"):
        load_source(SourceSettings(path=path))


@pytest.mark.parametrize(("positive", "hard"), [("correct", [1, 0]), ("wrong", [0, 1])])
def test_polarity_is_named_for_whole_numbers_and_may_be_flipped(positive: str, hard: list[int]) -> None:
    for values in ([1, 0], [True, False], [1.0, 0.0]):
        assert [label.hard for label in step_labels(values, positive)] == hard


def test_faulty_rows_are_skipped_on_request_and_counted(tmp_path: Path) -> None:
    broken = [FIRST_ERROR | {"label": 0.9}, FIRST_ERROR | {"label": 9}, {"problem": "Q?", "steps": ["a"]}]
    path = write(tmp_path, FIRST_ERROR, *broken)
    chains, report = load_source(SourceSettings(path=path, faulty_rows="skip"))
    assert len(chains) == 1
    assert sum(report.skipped.values()) == 3
    assert report.skipped["label"] == 2


def test_unknown_columns_are_told_with_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: expected the columns .* found \['text'\]"):
        load_source(SourceSettings(path=write(tmp_path, {"text": "a"})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([{"role": "user", "content": "Q a"}, {"role": "assistant", "content": "+"}], "first_step"),
        (
            [{"role": "user", "content": "Q Step 1: a"}, {"role": "assistant", "content": "good"}],
            r"'\+' or '-'",
        ),
        ([{"role": "user", "content": "Q Step 1: a"}], "in turn"),
    ],
)
def test_rlhflow_faults(tmp_path: Path, change: list[dict[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_source(SourceSettings(path=write(tmp_path, {"conversations": change})))


def test_files_of_every_kind_hold_the_same(tmp_path: Path) -> None:
    line = json.dumps(STEPWISE)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "b.json").write_text(f"[{line}]")
    pq.write_table(pa.Table.from_pylist([STEPWISE]), tmp_path / "c.parquet")
    files = ["a.jsonl.gz", "b.json", "c.parquet"]
    chains, reports = load_sources([SourceSettings(path=str(tmp_path / name)) for name in files])
    assert len({core(item) for item in chains}) == 1
    assert [report.chains for report in reports] == [1, 1, 1]
    together, _ = load_source(SourceSettings(path=str(tmp_path)))
    assert len(together) == 3
    (tmp_path / "a.jsonl.gz").write_bytes(b"nonsense")
    with pytest.raises(DataError, match="expected readable rows"):
        load_source(SourceSettings(path=str(tmp_path / "a.jsonl.gz")))


def test_our_own_folder_and_shards_come_back_with_their_evidence(tmp_path: Path) -> None:
    item = labelled("Q?", "++-", outcome=Outcome.INCORRECT)
    said = (replace(item.labels[0], review="Ada"), item.labels[1], replace(item.labels[2], refutation="4"))
    item = replace(item, labels=said)
    save(BuiltDataset([item], [labelled("R?", "+")], {}), tmp_path / "hub", {"name": "test"})
    (tmp_path / "run").mkdir()
    write_records(tmp_path / "run" / "shard-00000.parquet", [item])
    for path, kind in ((tmp_path / "hub", "own"), (tmp_path / "run", "shards")):
        [found], report = load_source(SourceSettings(path=str(path)))
        assert report.format == kind
        assert found.labels == item.labels
        assert found.chain.outcome is Outcome.INCORRECT
    [other], _ = load_source(SourceSettings(path=str(tmp_path / "hub"), split="validation"))
    assert other.problem.question == "R?"


def test_a_weight_takes_a_fixed_share_or_repeats(tmp_path: Path) -> None:
    rows = [STEPWISE | {"prompt": f"Q{i}?"} for i in range(200)]
    path = write(tmp_path, *rows)
    half, report = load_source(SourceSettings(path=path, weight=0.5))
    assert 70 < len(half) < 130
    assert (report.chains, report.taken) == (200, len(half))
    once, report = load_source(SourceSettings(path=path, weight=2.5))
    assert (len(once), report.taken) == (200, 400 + len(half))
    assert len(repeated(once[:50], [once, half], [2.5, 0.5])) == 100 + len(set(once[:50]) & set(half))
    assert repeated(half, [half, once], [0.5, 3]) == half


def test_minus_100_is_undetermined_beside_named_whole_numbers() -> None:
    labels = [1, 0, -100]
    assert [label.hard for label in step_labels(labels, "correct")] == [1, 0, None]
    assert [label.hard for label in step_labels(labels, "wrong")] == [0, 1, None]
    with pytest.raises(DataError, match="say what 1 means"):
        step_labels(labels, None)
    with pytest.raises(DataError, match="convert them"):
        step_labels([1, 2], "correct")


def test_our_own_rows_keep_the_domain_whose_checks_judge_them() -> None:
    item = labelled("q", "+-")
    item = replace(item, problem=replace(item.problem, domain="logic"))
    assert from_own(row_of(item)).problem.domain == "logic"
    old = {name: value for name, value in row_of(item).items() if name != "domain"}
    assert from_own(old).problem.domain == "math"


@pytest.mark.parametrize(("ended", "outcome"), [("solution", 1), ("give_up", None), ("found_error", None)])
def test_only_a_solution_of_prm800k_has_a_right_answer(ended: str, outcome: int | None) -> None:
    """Good steps of an unfinished chain are no right answer to the outcome loss."""
    steps = [
        {"completions": [completion("a", 1), completion("b", 1), completion("x", -1)], "chosen_completion": 0}
    ]
    row = {"question": {"problem": "Q?"}, "label": {"steps": steps, "finish_reason": ended}}
    found = {item.steps: item.outcome for item in examples(from_prm800k(row), True)}
    assert found == {("a",): outcome, ("b",): None, ("x",): 0}
