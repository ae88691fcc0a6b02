"""Problems from files of programming tasks, in the shapes of HumanEval, MBPP and contests.

- HumanEval: `prompt` (the beginning of the program), `entry_point`, `test` (a `check(candidate)`).
- MBPP: `text` or `prompt`, `test_list` of asserts, perhaps `test_setup_code` or `test_imports`.
- Contests: `problem` (or `description`, `question`) and `tests` or `input_output`: `inputs` and `outputs` of
  standard input and output.

`reference` is JSON, `{"tests": [...], "entry_point": "f", "setup": "..."}`, the last two only where there is
one: a pool's "code" item is (program, tests, the rest as options). `payload` is JSON too: `shape`,
`entry_point`, and `begin`, what stands before a program that only goes on (HumanEval's prompt; else empty).
"""

import ast
import json
from collections.abc import Mapping
from typing import Any

from distill.errors import DataError
from distill.records import Problem, content_id

_CONTEST_TEXTS = ("problem", "description", "question")
_HELPERS = frozenset(
    ["set", "sorted", "list", "tuple", "abs", "len", "round", "str", "int", "float", "isclose", "dict"]
)
_CONTEST_TESTS = ("tests", "input_output", "public_tests")


def code_problem(row: Mapping[str, Any], source: str = "") -> Problem:
    """The problem that a row of a known shape holds. Raises: DataError for any other row."""
    if "entry_point" in row and "test" in row and "prompt" in row:
        return _human_eval(row, source)
    if "test_list" in row:
        return _mbpp(row, source)
    text = next((str(row[name]) for name in _CONTEST_TEXTS if row.get(name)), "")
    tests = next((row[name] for name in _CONTEST_TESTS if row.get(name)), None)
    if text and tests:
        return _contest(text, tests, row, source)
    raise DataError(
        "expected a programming task with the columns prompt, entry_point and test; or text and test_list; "
        f"or problem and tests; found {', '.join(map(str, row)) or 'no columns'}. Rename the file's columns."
    )


def _human_eval(row: Mapping[str, Any], source: str) -> Problem:
    name = str(row["entry_point"])
    reference = {"tests": [str(row["test"])], "entry_point": name}
    payload = {"shape": "human_eval", "entry_point": name, "begin": str(row["prompt"])}
    return _problem(row, str(row["prompt"]), reference, payload, source)


def _mbpp(row: Mapping[str, Any], source: str) -> Problem:
    text = str(row.get("text") or row.get("prompt") or "")
    tests = [str(test) for test in _parsed(row["test_list"])]
    imports = row.get("test_imports") or []
    setup = str(row.get("test_setup_code") or "") or "\n".join(map(str, imports))
    if not text or not tests:
        raise DataError(
            f"expected a text and tests in an MBPP-like row, found {text!r} and {len(tests)} tests"
        )
    name = _called(tests)
    reference = {"tests": tests} | ({"setup": setup} if setup.strip() else {})
    # The text alone does not say how the function is called: the first test does.
    question = f"{text}\nYour code should pass this test:\n{tests[0]}"
    return _problem(row, question, reference, {"shape": "mbpp", "entry_point": name, "begin": ""}, source)


def _contest(text: str, tests: Any, row: Mapping[str, Any], source: str) -> Problem:
    found = _parsed(tests)
    inputs = found.get("inputs", found.get("input")) if isinstance(found, dict) else None
    outputs = found.get("outputs", found.get("output")) if isinstance(found, dict) else None
    if not inputs or not outputs or len(inputs) != len(outputs):
        raise DataError(
            "expected tests with as many inputs as outputs, found "
            f"{len(inputs or ())} inputs and {len(outputs or ())} outputs in the task {text.strip()[:60]!r}"
        )
    pairs = zip(inputs, outputs, strict=True)
    cases = [{"stdin": _joined(given), "stdout": _joined(wanted)} for given, wanted in pairs]
    payload = {"shape": "contest", "entry_point": "", "begin": ""}
    return _problem(row, text, {"tests": cases}, payload, source)


def _problem(
    row: Mapping[str, Any],
    question: str,
    reference: Mapping[str, Any],
    payload: Mapping[str, Any],
    source: str,
) -> Problem:
    own = row.get("id") or row.get("task_id") or ""
    text = json.dumps(reference)
    return Problem(
        id=str(own) or content_id("problem", "code", question, text),
        question=question,
        reference=text,
        domain="code",
        source=source,
        payload=json.dumps(payload),
    )


def _parsed(cell: Any) -> Any:
    """A cell that may be JSON or Python's repr of it, as CSV and Parquet files have them."""
    if not isinstance(cell, str):
        return list(cell) if hasattr(cell, "tolist") else cell
    for read in (json.loads, ast.literal_eval):
        try:
            return read(cell)
        except (ValueError, SyntaxError, RecursionError):
            continue
    raise DataError(f"expected tests as JSON, found {cell[:80]!r}")


def _joined(lines: Any) -> str:
    """Standard input or output: text, or a list of lines."""
    return "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines)


def _called(tests: list[str]) -> str:
    """The function that the first test calls: the first name that is no built-in of a comparison."""
    try:
        tree = ast.parse(tests[0])
    except (SyntaxError, ValueError):
        return ""
    functions = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [function.id for function in functions if isinstance(function, ast.Name)]
    return next((name for name in names if name not in _HELPERS), "")
