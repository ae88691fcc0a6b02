"""Rules of a recipe that span several keys, or that a type alone does not state."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from distill.config import GeneratorSettings, ProblemSettings, Recipe
from distill.errors import RecipeError
from distill.loading import load_recipe


def recipe(**parts: Any) -> Recipe:
    return Recipe.model_validate({"name": "x", **parts})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("teacher: {temperature: .nan}", "teacher.temperature: expected a finite number, found .nan"),
        ("teacher: {temperature: .inf}", "teacher.temperature: expected a finite number, found .inf"),
        ("price: {per_hour: .inf}", "price.per_hour: expected a finite number, found .inf"),
        ("teacher: {prompt: 'Q: '}", "teacher.prompt: expected '{question}' somewhere in the template"),
        ("completer: {prompt: '{q}'}", "completer.prompt: expected '{question}' somewhere in the template"),
        ("verifier: {prompt: ''}", "verifier.prompt: expected '{question}' somewhere in the template"),
        ("chains: {heldout_per_problem: 4}", "evaluation.best_of asks for 8 chains"),
        ("problems: {path: r.yaml}", "`path` is for source file or hub, found source 'world'"),
        ("problems: {columns: {question: q}}", "`columns` is for source file or hub, found source 'world'"),
        ("problems: {split: test}", "`split` is for source hub, found source 'world'"),
        ("problems: {source: file, path: r.yaml, split: test}", "`split` is for source hub, found"),
        ("problems: {source: file, path: r.yaml, worlds: [code]}", "`worlds` is for source world"),
        (
            "problems: {source: file, path: r.yaml, domain: code, columns: {question: q}}",
            "`columns` is not for domain 'code'",
        ),
        ("problems: {domain: logic}", "problems.domain is for data of your own, found 'logic'"),
    ],
)
def test_faults_are_told_with_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(f"name: x\n{text}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml")
    assert told in str(caught.value)
    assert "has 1 fault:" in str(caught.value)


def test_a_domain_without_data_is_that_of_given_chains() -> None:
    assert recipe(problems={"domain": "logic"}, chains={"path": "chains.jsonl"})


def test_best_of_is_free_where_nothing_is_held_out() -> None:
    assert recipe(problems={"heldout": 0}, chains={"heldout_per_problem": 1})
    assert recipe(chains={"heldout_per_problem": 2}, evaluation={"best_of": [1, 2]})
    with pytest.raises(ValidationError, match=r"best_of asks for 16 chains .* writes 8"):
        recipe(evaluation={"best_of": [16, 1]})


def test_columns_given_in_part_keep_the_defaults_of_the_others() -> None:
    data = {"source": "file", "path": "problems.jsonl"}
    part = ProblemSettings.model_validate(data | {"columns": {"question": "problem"}})
    assert part.columns == {"question": "problem", "reference": "answer"}
    whole = {"question": "q", "reference": "r", "id": "i"}
    assert ProblemSettings.model_validate(data | {"columns": whole}).columns == whole
    assert ProblemSettings().columns == {"question": "question", "reference": "answer"}


def test_vllm_is_not_asked_for_bitsandbytes() -> None:
    with pytest.raises(ValidationError, match="stored quantised"):
        GeneratorSettings(backend="vllm", quantise="nf4")
