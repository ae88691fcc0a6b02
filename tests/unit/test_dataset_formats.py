"""Formats: round trips, strictness about polarity and type, and what cannot be expressed."""

import pytest
from dataset_samples import labelled
from hypothesis import given
from hypothesis import strategies as st

from distill.dataset.formats import (
    export,
    from_math_shepherd,
    from_processbench,
    from_trl,
    to_math_shepherd,
    to_processbench,
    to_trl,
)
from distill.errors import DataError
from distill.records import LabelledChain, Outcome, StepStatus

TEXT = st.text(st.sampled_from("aк и\n\t+-№:1St ep\r\u2028"), max_size=12)


@st.composite
def chains(draw: st.DrawFn, determined: bool = True) -> LabelledChain:
    n = draw(st.integers(1, 6))
    bad_from = draw(st.integers(0, n))
    open_from = bad_from if determined else draw(st.integers(0, bad_from))
    marks = "+" * open_from + "?" * (bad_from - open_from) + "-" * (n - bad_from)
    steps = draw(st.lists(TEXT, min_size=n, max_size=n))
    outcome = draw(st.sampled_from([Outcome.CORRECT, Outcome.INCORRECT]))
    return labelled(draw(TEXT), marks, steps, outcome)


def core(item: LabelledChain) -> tuple[object, ...]:
    """What every format carries: stripped texts and hard labels."""
    steps = tuple(step.strip() for step in item.chain.steps)
    return item.problem.question.strip(), steps, tuple(label.hard for label in item.labels), item.first_error


def unnumbered(item: LabelledChain) -> tuple[object, ...]:
    question, steps, *rest = core(item)
    texts = []
    for i, step in enumerate(steps):
        while step.startswith(f"Step {i + 1}: "):
            step = step.removeprefix(f"Step {i + 1}: ")
        texts.append(step)
    return question, tuple(texts), *rest


@given(chains())
def test_trl_round_trip(item: LabelledChain) -> None:
    row = to_trl(item)
    assert core(from_trl(row)) == core(item)
    assert to_trl(from_trl(row)) == row


@given(chains())
def test_processbench_round_trip(item: LabelledChain) -> None:
    row = to_processbench(item)
    back = from_processbench(row)
    assert core(back) == core(item)
    assert (back.chain.id, back.chain.outcome) == (item.chain.id, item.chain.outcome)
    assert to_processbench(back) == row


@given(chains())
def test_math_shepherd_round_trip(item: LabelledChain) -> None:
    rows = export([item], "math_shepherd").rows
    for row in rows:
        back = from_math_shepherd(row)
        assert unnumbered(back) == unnumbered(item)
        assert to_math_shepherd(back) == row


@given(chains(determined=False))
def test_undetermined_steps_cut_the_chain_and_are_counted(item: LabelledChain) -> None:
    kept = next((i for i, label in enumerate(item.labels) if label.hard is None), len(item.labels))
    found = export([item], "trl_stepwise")
    if kept == 0:
        assert (found.rows, found.skipped_chains) == ([], {"first_step_undetermined": 1})
        assert found.cut_steps == 0
    else:
        assert len(found.rows[0]["completions"]) == len(found.rows[0]["labels"]) == kept
        assert found.cut_steps == len(item.labels) - kept
    whole = export([item], "processbench")
    assert (len(whole.rows), len(whole.skipped_chains)) == ((0, 1) if item.first_error is None else (1, 0))


def test_rows_as_the_field_writes_them() -> None:
    item = labelled("How many?", "+-", ["2 + 2 = 4\n", "4 * 3 = 13\n"])
    assert to_trl(item) == {
        "prompt": "How many?",
        "completions": ["2 + 2 = 4", "4 * 3 = 13"],
        "labels": [True, False],
    }
    assert to_math_shepherd(item) == {
        "input": "How many? Step 1: 2 + 2 = 4 ки\nStep 2: 4 * 3 = 13 ки",
        "label": "How many? Step 1: 2 + 2 = 4 +\nStep 2: 4 * 3 = 13 -",
        "task": "tests",
    }
    assert to_processbench(item) == {
        "id": item.chain.id,
        "generator": "scripted",
        "problem": "How many?",
        "steps": ["2 + 2 = 4", "4 * 3 = 13"],
        "final_answer_correct": False,
        "label": 1,
    }
    assert to_processbench(labelled("q", "++", outcome=Outcome.CORRECT))["label"] == -1


def test_steps_that_are_numbered_already_are_not_numbered_again() -> None:
    row = to_math_shepherd(labelled("Q", "++", ["Step 1: a", "Step 2: b"]))
    assert row["input"] == "Q Step 1: a ки\nStep 2: b ки"


@pytest.mark.parametrize("bad", [0.9, 1, 0, "true", None])
def test_trl_labels_must_be_bool(bad: object) -> None:
    row = {"prompt": "q", "completions": ["a", "b"], "labels": [True, bad]}
    with pytest.raises(DataError, match="expected one bool a completion"):
        from_trl(row)


@pytest.mark.parametrize("bad", [0.9, 1.0, True, "0", None])
def test_processbench_label_must_be_an_int(bad: object) -> None:
    row = to_processbench(labelled("q", "+-")) | {"label": bad}
    with pytest.raises(DataError, match="label: expected int"):
        from_processbench(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": 2}, r"in -1\.\.1, found 2"),
        ({"label": -2}, r"found -2"),
        ({"final_answer_correct": 1}, "final_answer_correct: expected bool, found int"),
        ({"steps": "a b"}, "steps: expected list"),
        ({"steps": ["a", 3]}, "list of texts"),
        ({"problem": None}, "problem: expected str"),
    ],
)
def test_processbench_faults(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_processbench(to_processbench(labelled("q", "+-")) | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "Q Step 1: a +\nStep 2: b 1"}, "step 2: expected"),
        ({"label": "Q Step 1: a +\nStep 2: c -"}, "step 2: expected"),
        ({"label": "Q Step 1: a +\nStep 2: b -\nStep 3: c +"}, "step 2: expected|end after step 2"),
        ({"input": "Q Step 1: a ки\nStep 2: b"}, "each end in ' ки'"),
        ({"input": "Q a ки\nb ки"}, "'Step 1: '"),
        ({"label": [1.0, 0.0]}, "label: expected str"),
    ],
)
def test_math_shepherd_faults(change: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_math_shepherd(to_math_shepherd(labelled("Q", "+-", ["a", "b"])) | change)


@pytest.mark.parametrize("column", ["prompt", "completions", "labels"])
def test_a_missing_column_is_named(column: str) -> None:
    row = to_trl(labelled("q", "+"))
    del row[column]
    with pytest.raises(DataError, match=f"expected a column '{column}'"):
        from_trl(row)


def test_what_cannot_be_expressed_raises_alone_and_is_counted_in_bulk() -> None:
    tagged = labelled("q", "+", ["это ки"])
    with pytest.raises(DataError, match="text_holds_tag"):
        to_math_shepherd(tagged)
    with pytest.raises(DataError, match="first_error_undetermined"):
        to_processbench(labelled("q", "+?"))
    with pytest.raises(DataError, match="first_step_undetermined"):
        to_trl(labelled("q", "?"))
    capped = labelled("q", "+-", outcome=Outcome.UNDECIDED)
    found = export([tagged, labelled("q", "?-"), capped], "math_shepherd")
    assert (len(found.rows), found.skipped_chains) == (1, {"text_holds_tag": 1, "first_step_undetermined": 1})
    assert export([capped], "processbench").skipped_chains == {"outcome_undecided": 1}
    with pytest.raises(DataError, match="expected a format out of"):
        export([], "prm800k")


def test_a_question_that_could_be_taken_for_a_step_is_left_out() -> None:
    """ "Is Step 1:" and " Step 1: a" overlap: read back, the question would end at "Is"."""
    for question in ("Is Step 1:", "Is Step 1: right?"):
        assert export([labelled(question, "+", ["a"])], "math_shepherd").rows == []
    doubled = labelled("Q", "+", ["a Step 1: b"])
    assert core(from_math_shepherd(to_math_shepherd(doubled))) == core(doubled)


def test_russian_text_without_the_tag_is_expressed() -> None:
    item = labelled("Какие числа?", "+", ["руки и яблоки"])
    assert core(from_math_shepherd(to_math_shepherd(item))) == core(item)


def test_imported_labels_keep_no_counts() -> None:
    item = from_trl({"prompt": "q", "completions": ["a", "b"], "labels": [True, False]})
    assert [label.status for label in item.labels] == [StepStatus.GOOD, StepStatus.BAD]
    assert (item.first_error, item.labels[0].successes, item.method) == (1, 0, "imported")
