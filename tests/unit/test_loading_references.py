"""What the shipped recipes rely on in data from a hub: its columns, and how it writes references."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import checkers
from distill.config import ProblemSettings
from distill.domains import answer_check, judged
from distill.loading import shipped_recipes
from generators.sources import load_problems

GSM8K = {
    "question": "Weng earns $12 an hour. She worked 50 minutes. How much did she earn?",
    "answer": "She earns 12/60 = $<<12/60=0.2>>0.2 a minute.\nShe earned 0.2 x 50 = $10.\n#### 10",
}
MATH = {
    "problem": "What is $\\frac{1}{2} + \\frac{1}{3}$?",
    "level": "Level 1",
    "type": "Prealgebra",
    "solution": "We have $\\frac{3}{6} + \\frac{2}{6} = \\boxed{\\frac{5}{6}}$.",
}
MBPP = {
    "task_id": 2,
    "text": "Write a function to find the shared elements from the given two lists.",
    "code": "def shared(a, b):\n  return tuple(set(a) & set(b))",
    "test_list": ["assert set(shared((3, 4, 5), (5, 4))) == {4, 5}", "assert shared((1,), (2,)) == ()"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
DATA = {
    "openai/gsm8k:main": (GSM8K, "So she earned \\boxed{10}.", "\\boxed{7}"),
    "DigitalLearningGmbH/MATH-lighteval": (MATH, "\\boxed{5/6}", "\\boxed{7}"),
    "google-research-datasets/mbpp": (
        MBPP,
        "```python\ndef shared(a, b):\n    return tuple(x for x in a if x in b)\n```",
        "```python\ndef shared(a, b):\n    return a\n```",
    ),
}
REAL = [name for name in shipped_recipes() if name.startswith(("gsm8k_", "math_", "mbpp_"))]


@pytest.mark.parametrize("name", REAL)
def test_columns_and_references_are_read_as_the_data_writes_them(name: str, tmp_path: Path) -> None:
    given = YAML(typ="safe").load(shipped_recipes()[name].read_text(encoding="utf-8"))["problems"]
    row, answer, mistake = DATA[given["path"]]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    changed = {"source": "file", "path": str(tmp_path / "rows.jsonl"), "count": 1, "heldout": 0}
    (problem,) = load_problems(ProblemSettings(**given | changed), 0, "label")
    assert problem.question.startswith(row.get("question") or row.get("problem") or row["text"])
    with checkers.Pool(workers=1) as pool:
        right, wrong = judged(pool, [answer_check(problem, text) for text in (answer, mistake)])
    assert (right.status.value, wrong.status.value) == ("correct", "incorrect")
