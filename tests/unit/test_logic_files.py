"""Deduction problems from files of the shapes in which ProofWriter and ProntoQA are distributed."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from checkers.logic import check_logic
from checkers.verdict import Status
from distill.config import ProblemSettings
from distill.errors import DataError
from generators.logic_files import conclusion_of, logic_problem
from generators.sources import load_problems

THREE = ["A) True", "B) False", "C) Unknown"]
ASK_THREE = "Based on the above information, is the following statement true, false, or unknown? "
ASK_TWO = "Is the following statement true or false? "


def row(number: int, question: str, answer: str, options=THREE, context: str = "") -> dict:
    rules = "Red people are cold. If someone is cold then they are not big."
    return {
        "id": f"P{number}",
        "context": context or f"Bob is red. The cat sees Bob{number}. {rules}",
        "question": question,
        "options": options,
        "answer": answer,
    }


ROWS = [
    row(0, ASK_THREE + "Bob is cold.", "A"),
    row(1, ASK_THREE + "Bob is big.", "B"),
    row(2, ASK_THREE + "Bob is kind.", "C"),
    row(3, ASK_TWO + "Bob is not big.", "A", THREE[:2]),
    row(4, ASK_TWO + "Max is sour.", "B", THREE[:2], "Each impus is not sour. Max is an impus."),
]
REFERENCES = {"P0": "True", "P1": "False", "P2": "Unknown", "P3": "True", "P4": "False"}


def write(folder, name: str) -> str:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    elif name.endswith(".csv"):
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ROWS[0])
            writer.writeheader()
            writer.writerows(ROWS)
    elif ".jsonl" in name:
        path.write_text("".join(json.dumps(values) + "\n" for values in ROWS))
    else:
        path.write_bytes(gzip.compress(json.dumps(ROWS).encode()))
    return str(path)


def settings(path: str, **kwargs) -> ProblemSettings:
    columns = {"id": "id"} | kwargs.pop("columns", {})
    return ProblemSettings(
        source="file", path=path, domain="logic", columns=columns, **({"count": 5, "heldout": 0} | kwargs)
    )


@pytest.mark.parametrize("name", ["a.json.gz", "a.jsonl", "a.csv", "a.parquet"])
def test_a_file_becomes_problems_that_the_checker_can_be_asked_about(tmp_path, name):
    here = settings(write(tmp_path, name))
    problems = load_problems(here, 0, "label")
    assert {problem.id: problem.reference for problem in problems} == REFERENCES
    for problem in problems:
        asked = ROWS[int(problem.id[1:])]
        payload = json.loads(problem.payload)
        assert problem.question == f"{asked['context']}\n{asked['question']}"
        assert " ".join(payload["premises"]) == asked["context"]
        assert payload["conclusion"] == asked["question"].partition("? ")[2]
        assert (problem.domain, problem.source) == ("logic", f"file:{here.path}")
        verdict = check_logic(payload["premises"], payload["conclusion"], answer=problem.reference)
        assert verdict.status is Status.CORRECT


def test_the_columns_of_question_answer_and_id_can_have_other_names(tmp_path):
    rows = [
        {"context": "Bob is red.", "claim": "Bob is red.", "label": "True"},
        {"context": "Bob is red.", "claim": "Bob is big.", "label": "Uncertain"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(values) + "\n" for values in rows))
    here = ProblemSettings(
        source="file",
        path=str(tmp_path / "a.jsonl"),
        domain="logic",
        columns={"question": "claim", "reference": "label"},
        count=2,
        heldout=0,
    )
    found = load_problems(here, 0, "label")
    assert {problem.reference for problem in found} == {"True", "Unknown"}
    assert len({problem.id for problem in found}) == 2


@pytest.mark.parametrize(
    ("answer", "options", "reference"),
    [
        ("A", THREE, "True"),
        (" C ", THREE, "Unknown"),
        ("B)", THREE, "False"),
        ("(B)", THREE, "False"),
        ("B) False", THREE, "False"),
        ("A", ["A. False", "B. True"], "False"),
        ("B", "A) True B) False C) Unknown", "False"),
        ("B", "['A) True', 'B) False']", "False"),
        ("A", ["False", "True"], "False"),
        ("true", None, "True"),
        (False, None, "False"),
        ("Uncertain", None, "Unknown"),
        ("No.", None, "False"),
    ],
)
def test_answers_are_put_to_true_false_or_unknown(answer, options, reference):
    assert logic_problem(row(0, "Bob is cold.", answer, options)).reference == reference


@pytest.mark.parametrize(
    ("question", "conclusion"),
    [
        (ASK_THREE + "The cat is not round.", "The cat is not round."),
        (ASK_TWO + "Max is sour.", "Max is sour."),
        ("True or false: Max is sour.", "Max is sour."),
        ("Ana is kind. True, False or Unknown?", "Ana is kind."),
        ("Max is not sour. True or False?", "Max is not sour."),
        ("Bob is cold.", "Bob is cold."),
    ],
)
def test_the_statement_is_taken_out_of_the_question(question, conclusion):
    assert conclusion_of(question) == conclusion


def test_a_context_may_be_a_list_of_sentences():
    problem = logic_problem(
        row(0, "Bob is cold.", "A") | {"context": ["Bob is red.", "Red people are cold. "]}
    )
    assert json.loads(problem.payload)["premises"] == ["Bob is red.", "Red people are cold."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "D"}, r"row 2 of .*True, False or Unknown.*'D'"),
        ({"answer": "blue"}, r"row 2 of .*found 'blue'"),
        ({"context": " "}, r"row 2 of .*facts and rules in 'context'"),
        ({"question": ""}, r"expected a question"),
        ({"options": None}, r"row 2 of .*found 'B'"),
    ],
)
def test_faults_are_told_with_their_row(tmp_path, change, message):
    path = tmp_path / "a.json"
    path.write_text(json.dumps([ROWS[0], ROWS[1] | change, *ROWS[2:]]))
    with pytest.raises(DataError, match=message):
        load_problems(settings(str(path)), 0, "label")


def test_a_file_without_context_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "question": "Bob is red. Bob is cold?", "answer": "True"}\n')
    with pytest.raises(DataError, match=r"context \(for facts and rules\).*found id, question, answer"):
        load_problems(settings(str(path)), 0, "label")
