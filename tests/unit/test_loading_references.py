"""What the shipped recipes rely on in data from a hub: its columns, and how it writes references."""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import checkers
from distill.config import ProblemSettings
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
DATA = {
    "openai/gsm8k:main": (GSM8K, "So she earned \\boxed{10}."),
    "DigitalLearningGmbH/MATH-lighteval": (MATH, "\\boxed{5/6}"),
}
REAL = [name for name in shipped_recipes() if name.startswith(("gsm8k_", "math_"))]


@pytest.mark.parametrize("name", REAL)
def test_columns_and_references_are_read_as_the_data_writes_them(name: str, tmp_path: Path) -> None:
    given = YAML(typ="safe").load(shipped_recipes()[name].read_text(encoding="utf-8"))["problems"]
    row, answer = DATA[given["path"]]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    changed = {"source": "file", "path": str(tmp_path / "rows.jsonl"), "count": 1, "heldout": 0}
    (problem,) = load_problems(ProblemSettings(**given | changed), 0, "label")
    assert problem.question == row.get("question", row.get("problem"))
    with checkers.Pool(workers=1) as pool:
        right, wrong = pool.map("math", [(text, problem.reference) for text in (answer, "\\boxed{7}")])
    assert (right.status.value, wrong.status.value) == ("correct", "incorrect")
