"""One table says which checker judges which domain; a batch of several domains keeps its order."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import checkers
from checkers.verdict import Status
from distill.artifacts import RunFolder
from distill.config import LabellingSettings, Recipe
from distill.domains import (
    answer_check,
    claim_of,
    common_domain,
    contradicted,
    judged,
    premises_of,
    proves,
    step_check,
)
from distill.errors import DataError
from distill.labelling.evidence import check_events, outcome_event
from distill.labelling.labels import derive_labels
from distill.labelling.policies import make_policy
from distill.memory import MemoryWatch
from distill.progress import ProgressView
from distill.records import Chain, Outcome, Problem
from distill.stages.problems import load_labelled_problems
from distill.stages.run import Run
from distill.steps import strip_step
from distill.verifier import ChainFormat, Example

LOGIC = Problem(
    "l",
    "Bob is red. Red people are cold. Is Bob cold?",
    "True",
    "logic",
    payload=json.dumps({"premises": ["Bob is red.", "Red people are cold."], "conclusion": "Bob is cold."}),
)
GIBBERISH = json.dumps({"premises": ["Ideas sleep."], "conclusion": "Bob is cold."})
CODE = Problem("c", "Double x.", json.dumps({"tests": ["assert f(2) == 4"], "entry_point": "f"}), "code")
BEGUN = Problem(
    "b",
    "def f(x):\n",
    CODE.reference,
    "code",
    payload=json.dumps({"begin": "def f(x):\n", "entry_point": "f"}),
)
PLAIN = Problem("p", "Double x.", "assert f(2) == 4", "code")
MATH = Problem("m", "3 * 4?", "12")


def test_answers_of_three_domains_in_one_batch() -> None:
    asked = [
        answer_check(LOGIC, "Bob is red, so Bob is cold.\nAnswer: True\n"),
        answer_check(MATH, "3 * 4 = 12\nAnswer: 13\n"),
        answer_check(CODE, "# double\ndef f(x):\n    return 2 * x\n"),
        answer_check(LOGIC, "Answer: Unknown\n"),
        answer_check(CODE, "Plan.\n```python\ndef f(x):\n    return x\n```\n"),
        answer_check(PLAIN, "def f(x): return x + x"),
        answer_check(BEGUN, "    return 2 * x\n"),
        answer_check(BEGUN, "```python\ndef f(x):\n    return x\n```\n"),
    ]
    with checkers.Pool(workers=1) as pool:
        found = [verdict.status for verdict in judged(pool, asked)]
    right, wrong = Status.CORRECT, Status.INCORRECT
    assert found == [right, wrong, right, wrong, wrong, right, right, wrong]


def test_right_programs_among_other_blocks() -> None:
    fenced = "```python\ndef f(x):\n    return 2 * x\n```\n"
    asked = [
        answer_check(CODE, f"{fenced}f(2) is\n```\n4\n```\n"),
        answer_check(CODE, f"{fenced}Use it so:\n```python\nprint(f(2))\n```\n"),
        answer_check(PLAIN, f"{fenced}Use it so:\n```python\nprint(f(2))\n```\n"),
        answer_check(CODE, "def f(x):\n    return 2 * x\n\nThat doubles it.\n"),
        answer_check(BEGUN, "```python\n    return 2 * x\n```\n"),
        answer_check(BEGUN, "    return 2 * x\n\nThat doubles it.\n"),
    ]
    with checkers.Pool(workers=1) as pool:
        found = [verdict.status for verdict in judged(pool, asked)]
    assert found == [Status.CORRECT] * len(asked)


def test_steps_of_two_domains_in_one_batch() -> None:
    asked = [
        step_check("math", "q", ["3 * 4 = 13"]),
        step_check("logic-world", LOGIC.question, ["Bob is cold.", "Bob is kind."]),
        step_check("arith-world", "q", ["3 * 4 = 12"]),
    ]
    with checkers.Pool(workers=1) as pool:
        found = [[verdict.status.value for verdict in chain] for chain in judged(pool, asked)]
    assert found == [["incorrect"], ["correct", "incorrect"], ["correct"]]


def test_the_premises_are_what_stands_before_the_question() -> None:
    assert premises_of("Bob is red. Red people are cold. Is Bob cold?") == [
        "Bob is red.",
        "Red people are cold.",
    ]
    assert premises_of("Bob is red. True or false: Bob is cold.") == ["Bob is red."]
    assert premises_of("Bob is red. Bob is cold. True, False or Unknown?") == ["Bob is red."]
    assert premises_of("Bob is red. Is this true, false, or unknown? Bob is cold.") == ["Bob is red."]


def test_indentation_is_kept_where_it_means_something() -> None:
    assert strip_step("    return s\n") == "    return s"
    assert strip_step(" and so on.\n") == "and so on."
    assert strip_step("\n\n  x = 1\n") == "  x = 1"
    pieces = ChainFormat(keep_indent=True).pieces("q", ["def f(x):\n", "    return x\n"])
    assert pieces == ["q\n", "def f(x):\n", "    return x\n"]


def test_chains_of_several_domains_name_theirs() -> None:
    one, other = Example("q", ("a",), (1,), domain="logic"), Example("q", ("a",), (1,), domain="code")
    assert (common_domain([one, one]), common_domain([one, other])) == ("logic", "math")


def test_what_entailment_finds_correct_needs_no_rollout() -> None:
    steps = ("Bob is cold.\n", "Bob is kind.\n", "Answer: False\n")
    chain = Chain("c", LOGIC.id, steps, Outcome.INCORRECT)
    with checkers.Pool(workers=1) as pool:
        (verdicts,) = judged(pool, [step_check("logic", LOGIC.question, steps)])
    settings = LabellingSettings()
    for proved, asked, first in ((True, 0, 1), (False, 1, None)):
        statuses = [Outcome(verdict.status.value) for verdict in verdicts]
        policy = make_policy(settings, [chain], [statuses], proved)
        assert len(next(policy, [])) == asked
        events = [outcome_event(chain), *check_events(chain, verdicts, proved)]
        ((_, found),) = derive_labels([chain], events, settings)
        assert found == first
    assert (proves("logic-world"), proves("math"), proves("code")) == (True, False, False)


def test_the_claim_is_what_is_asked_of() -> None:
    assert claim_of("Bob is red. True or false: Bob is cold.") == "Bob is cold."
    assert claim_of("Bob is red. Bob is cold. True, False or Unknown?") == "Bob is cold."
    assert claim_of("Bob is red. Is this true, false, or unknown? Bob is cold.") == "Bob is cold."
    assert claim_of("Bob is red. Is Bob cold?") == ""


def test_an_answer_line_is_judged_by_entailment() -> None:
    question = "Bob is red. Red people are cold. Bob is not cold. True, False or Unknown?"
    asked = [
        step_check("logic", question, ["Bob is cold.", answer])
        for answer in ("Answer: False", "Answer: True")
    ]
    with checkers.Pool(workers=1) as pool:
        found = [[verdict.status.value for verdict in chain] for chain in judged(pool, asked)]
    assert found == [["correct", "correct"], ["correct", "incorrect"]]


def test_a_stated_answer_that_does_not_follow_is_found() -> None:
    false, unread = replace(LOGIC, reference="False"), replace(LOGIC, reference="False", payload=GIBBERISH)
    assert contradicted([LOGIC, false, unread, MATH]) == [false]


@pytest.mark.parametrize("wrong", [0, 1, 3])
def test_a_file_of_a_closed_world_is_refused(wrong: int, tmp_path: Path) -> None:
    """Three of 100 say False where nothing follows, as ProofWriter's CWA does; one alone is a mistake."""
    rows = [
        {"context": f"P{i} is red. Red people are cold.", "question": f"P{i} is kind.", "answer": "Unknown"}
        for i in range(100)
    ]
    for row in rows[:wrong]:
        row["answer"] = "False"
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked = {"source": "file", "path": str(tmp_path / "rows.jsonl"), "domain": "logic", "count": 100}
    recipe = Recipe.model_validate({"name": "r", "problems": {**asked, "heldout": 0}})
    with RunFolder.driver(tmp_path / "run") as folder, ProgressView() as view:
        run = Run(recipe, folder, view, {"problems": "A"}, MemoryWatch(), stage="problems")
        if wrong < 3:
            assert load_labelled_problems(run) == {"in": 100, "out": 100}
        else:
            with pytest.raises(DataError, match=r"found 3 of 100 logic problems.*closed world"):
                load_labelled_problems(run)
