"""The example in the docstring of each public name runs and gives what it says; so does the page's."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import checkers

PAGE = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text(encoding="utf-8")
GIVEN = {"program": "def add(a, b): return a + b", "tests": ["assert add(1, 2) == 3"]}


def indented(docstring):
    """The example of a docstring: its lines that are indented by four."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def run(text):
    """Execute `text`; the value of an expression with a comment after it must be what the comment says."""
    names = {name: getattr(checkers, name) for name in checkers.__all__} | GIVEN
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        code = ast.unparse(statement)
        if not isinstance(statement, ast.Expr):
            exec(code, names)
            continue
        value = eval(code, names)
        said = re.search(r"  +# (.*)$", lines[statement.end_lineno - 1])
        if said and (expected := literal(said[1])) is not None:
            assert value == expected, f"{code} is {value!r}"


def literal(comment):
    """What a comment states as a value; None for prose."""
    if comment in set(checkers.Status):
        return comment
    try:
        return ast.literal_eval(comment)
    except (SyntaxError, ValueError):
        return None


@pytest.mark.parametrize("name", checkers.__all__)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = indented(getattr(checkers, name).__doc__)
    assert text, f"{name}: expected an example, indented by four, in its docstring"
    run(text)


def test_the_examples_of_the_package_run():
    run("\n".join(line for line in indented(checkers.__doc__).splitlines() if line))


@pytest.mark.parametrize("text", re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
def test_the_examples_of_the_page_run(text):
    run(text)


def test_a_wrong_example_would_be_found():
    with pytest.raises(AssertionError):
        run('check_math("5", "6").status  # correct')
    with pytest.raises(AssertionError):
        run('check_steps("", ["3 * 4 = 13"])[0].compared  # ("13", "14")')
    with pytest.raises(NameError):
        run("check_everything(1)")
