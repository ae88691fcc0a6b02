"""Problems from files of programming tasks, in the shapes of HumanEval, MBPP and contests.

- HumanEval: `prompt` (the beginning of the program), `entry_point`, `test` (a `check(candidate)`).
- MBPP: `text` or `prompt`, `test_list` of asserts, perhaps `test_setup_code` or `test_imports`.
- Contests: `problem` (or `description`, `question`) and `tests`, `input_output`, `public_tests`,
  `private_tests` or `generated_tests` (all that are there, together): `inputs` and `outputs` (or `input` and
  `output`) of standard input and output. With `fn_name` beside them, calls of that function (or of that
  method of a class `Solution`): an input is the list of its arguments, or their JSON in lines. Where every
  output is a list of one value, that value is expected, as in APPS.

`reference` is JSON, `{"tests": [...], "entry_point": "f", "setup": "..."}`, the last two only where there is
one: a pool's "code" item is (program, tests, the rest as options). `payload` is JSON too: `shape`,
`entry_point`, and `begin`, what stands before a program that only goes on (HumanEval's prompt; else empty).
"""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from distill.errors import DataError
from distill.records import Problem, content_id
from generators.tables import Written

_CONTEST_TEXTS = ("problem", "description", "question")
_HELPERS = frozenset(
    ["set", "sorted", "list", "tuple", "abs", "len", "round", "str", "int", "float", "isclose", "dict"]
)
_CONTEST_TESTS = ("tests", "input_output", "public_tests", "private_tests", "generated_tests")
# What the sites of call-based tasks have imported already; added to programs that use it.
_GIVEN = """import bisect, collections, functools, heapq, itertools, math, random, re, string
from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict, defaultdict, deque
from functools import cache, lru_cache, reduce
from heapq import heapify, heappop, heappush
from math import gcd, inf
from typing import Any, Deque, Dict, List, Optional, Set, Tuple
"""


def code_problem(row: Mapping[str, Any], source: str = "") -> Problem | None:
    """The problem that a row of a known shape holds; None for one whose tests are empty.

    Raises: DataError for any other row.
    """
    if "entry_point" in row and "test" in row and "prompt" in row:
        return _human_eval(row, source)
    if "test_list" in row:
        return _mbpp(row, source)
    text = next((str(row[name]) for name in _CONTEST_TEXTS if row.get(name)), "")
    if text and any(name in row for name in _CONTEST_TESTS):
        return _contest(text, row, source)
    raise DataError(
        "expected a programming task with the columns prompt, entry_point and test; or text and test_list; "
        f"or problem and tests; found {', '.join(map(str, row)) or 'no columns'}. Rename the file's columns."
    )


def _human_eval(row: Mapping[str, Any], source: str) -> Problem | None:
    if not str(row["test"] or "").strip():
        return None
    name = str(row["entry_point"])
    head = re.split(rf"^def {re.escape(name)}\b", str(row["prompt"]), maxsplit=1, flags=re.MULTILINE)[0]
    helpers = (
        {"setup": head} if re.search(r"^def ", head, re.MULTILINE) else {}
    )  # which the test may call too
    reference = {"tests": [str(row["test"])], "entry_point": name, **helpers}
    payload = {"shape": "human_eval", "entry_point": name, "begin": str(row["prompt"])}
    return _problem(row, str(row["prompt"]), reference, payload, source)


def _mbpp(row: Mapping[str, Any], source: str) -> Problem | None:
    text = str(row.get("text") or row.get("prompt") or "")
    tests = [str(test) for test in _parsed(row["test_list"]) or []]
    imports = row.get("test_imports") or []
    setup = str(row.get("test_setup_code") or "") or "\n".join(map(str, imports))
    if not text:
        raise DataError("expected a text in the column text or prompt of an MBPP-like row, found none")
    if not tests:
        return None
    name = _called(tests)
    reference = {"tests": tests} | ({"setup": setup} if setup.strip() else {})
    # The text alone does not say how the function is called: the first test does.
    question = f"{text}\nYour code should pass this test:\n{tests[0]}"
    return _problem(row, question, reference, {"shape": "mbpp", "entry_point": name, "begin": ""}, source)


def _contest(text: str, row: Mapping[str, Any], source: str) -> Problem | None:
    tests = [_parsed(row[name]) for name in _CONTEST_TESTS if row.get(name) is not None]
    found = [part for part in tests if part]
    cases = {json.dumps(case): case for part in found for case in _cases(part, text)}  # each once
    name = next((str(part["fn_name"]) for part in found if part.get("fn_name")), "")
    payload = {"shape": "contest", "entry_point": name, "begin": _GIVEN if name else ""}
    reference = {"tests": list(cases.values())} | ({"entry_point": name} if name else {})
    return _problem(row, text, reference, payload, source) if cases else None


def _cases(tests: Any, text: str) -> list[dict[str, Any]]:
    """The inputs and outputs of one column as tests of `checkers.check_code`. Raises: DataError."""
    given, wanted = (
        list(tests.get(f"{name}s", tests.get(name)) or ()) if isinstance(tests, dict) else []
        for name in ("input", "output")
    )
    if not isinstance(tests, dict) or len(given) != len(wanted):
        raise DataError(
            f"expected tests with as many inputs as outputs, found {len(given)} inputs and {len(wanted)} "
            f"outputs in the task {text.strip()[:60]!r}"
        )
    if not tests.get("fn_name"):
        return [{"stdin": _joined(one), "stdout": _joined(other)} for one, other in zip(given, wanted)]
    wrapped = all(isinstance(value, list) and len(value) == 1 for value in wanted)
    return [_call(one, other[0] if wrapped else other) for one, other in zip(given, wanted)]


def _call(given: Any, expected: Any) -> dict[str, Any]:
    """A call; arguments in lines have their result as JSON too."""
    if not isinstance(given, str):
        args = given if isinstance(given, list) else [given]
        return {"args": _numbers(args), "expected": _numbers(expected)}
    expected = _parsed(expected) if isinstance(expected, str) else expected
    return {"args": [_parsed(line) for line in given.splitlines() if line.strip()], "expected": expected}


def _numbers(value: Any) -> Any:
    """The same value, numbers of a JSON file as numbers."""
    if isinstance(value, Written):
        return json.loads(value)
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return {key: _numbers(part) for key, part in value.items()} if isinstance(value, dict) else value


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
    if not isinstance(cell, str) or not cell.strip():
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
