"""The code checker on HumanEval and MBPP: references, mutants of them, speed and overhead.

    python benchmarks/code_checker.py --data FOLDER [--mutants 1200] [--programs 300] [--only PART]

FOLDER holds `humaneval.jsonl.gz` and `mbpp.jsonl.gz`. Parts: `references` (each must pass its own tests),
`mutants` (each reference changed in one place by one of several operators; how many fail, by operator;
some mutants compute the same as the reference, so 100% cannot be reached), `speed` (small programs a second,
and milliseconds for one above a fork of a warm interpreter without any sandbox, measured by turns).
"""

import argparse
import ast
import copy
import gzip
import itertools
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import record

from checkers.code import CodeVerdict, Limits, active_layers, check_code
from checkers.verdict import Status

LIMITS = Limits(seconds=5)
MUTANT_LIMITS = Limits(seconds=2)
WARM_UP = 5


@dataclass(frozen=True)
class Problem:
    """One problem with its reference solution."""

    name: str
    program: str
    tests: tuple[str, ...]
    entry_point: str | None = None
    setup: str = ""


def human_eval(folder: Path) -> list[Problem]:
    """Its 164 problems; the prompt is trusted (some tests call helpers that it defines)."""
    return [
        Problem(
            row["task_id"],
            row["prompt"] + row["canonical_solution"],
            (row["test"],),
            row["entry_point"],
            row["prompt"],
        )
        for row in _rows(folder / "humaneval.jsonl.gz")
    ]


def mbpp(folder: Path) -> list[Problem]:
    """Its 974 problems, with the challenge tests where there are any."""
    return [
        Problem(
            f"MBPP/{row['task_id']}",
            row["code"],
            (*row["test_list"], *row["challenge_test_list"]),
            setup=row["test_setup_code"],
        )
        for row in _rows(folder / "mbpp.jsonl.gz")
    ]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def judge(problem: Problem, program: str, limits: Limits) -> CodeVerdict:
    """The verdict on `program` as a solution of `problem`."""
    return check_code(
        program, problem.tests, limits=limits, entry_point=problem.entry_point, setup=problem.setup
    )


def references(problems: list[Problem], threads: int) -> dict[str, Any]:
    """How many references pass, and every one that does not, with its reason."""
    with ThreadPoolExecutor(threads) as pool:
        verdicts = list(pool.map(lambda p: judge(p, p.program, LIMITS), problems))
    exceptions = {
        p.name: f"{v.status}: {v.reason}" for p, v in zip(problems, verdicts) if v.status != "correct"
    }
    for name, reason in exceptions.items():
        print(f"  {name}: {reason}")
    print(f"references     {len(problems) - len(exceptions)} of {len(problems)} pass")
    return {"problems": len(problems), "pass": len(problems) - len(exceptions), "exceptions": exceptions}


# Mutants: each operator changes a node's own fields, and says whether it applies.

_SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def _swap_arithmetic(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp | ast.AugAssign) or type(node.op) not in _SWAPS:
        return False
    node.op = _SWAPS[type(node.op)]()
    return True


def _swap_comparison(node: ast.AST) -> bool:
    if not isinstance(node, ast.Compare) or type(node.ops[0]) not in _SWAPS:
        return False
    node.ops = [_SWAPS[type(node.ops[0])](), *node.ops[1:]]
    return True


def _swap_logic(node: ast.AST) -> bool:
    if not isinstance(node, ast.BoolOp):
        return False
    node.op = _SWAPS[type(node.op)]()
    return True


def _shift_number(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) is not int:
        return False
    node.value += 1
    return True


def _negate_condition(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return True


def _return_nothing(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    node.value = None
    return True


def _drop_statement(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    kinds = ast.Assign | ast.AugAssign | ast.Expr
    if not isinstance(body, list) or isinstance(node, ast.Module):
        return False
    at = next((i for i, line in enumerate(body) if isinstance(line, kinds) and not _is_docstring(line)), None)
    if at is None:
        return False
    setattr(node, "body", [*body[:at], ast.Pass(), *body[at + 1 :]])  # noqa: B010
    return True


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


OPERATORS: dict[str, Callable[[ast.AST], bool]] = {
    "arithmetic": _swap_arithmetic,
    "comparison": _swap_comparison,
    "logic": _swap_logic,
    "number": _shift_number,
    "condition": _negate_condition,
    "return": _return_nothing,
    "statement": _drop_statement,
}


def mutant(problem: Problem, chance: random.Random) -> tuple[str, str] | None:
    """One (operator, program): the reference with one change, drawn evenly over the operators that apply."""
    tree = ast.parse(problem.program)
    nodes = [node for node in ast.walk(tree) if not isinstance(node, ast.Module)]
    for name in chance.sample(list(OPERATORS), len(OPERATORS)):
        places = [node for node in nodes if OPERATORS[name](copy.copy(node))]
        if places:
            OPERATORS[name](chance.choice(places))
            return name, ast.unparse(ast.fix_missing_locations(tree))
    return None


def measure_mutants(problems: list[Problem], count: int, threads: int) -> dict[str, Any]:
    """How many of `count` mutants fail, by operator; drawn evenly over the problems, with a fixed seed."""
    chance = random.Random(0)
    order = itertools.cycle(chance.sample(problems, len(problems)))
    drawn = [(p, *found) for p in itertools.islice(order, count) if (found := mutant(p, chance))]
    with ThreadPoolExecutor(threads) as pool:
        verdicts = list(pool.map(lambda row: judge(row[0], row[2], MUTANT_LIMITS), drawn))
    made = Counter(row[1] for row in drawn)
    failed = Counter(row[1] for row, v in zip(drawn, verdicts) if v.status is Status.INCORRECT)
    unsure = Counter(v.reason for v in verdicts if v.status is Status.UNDECIDED)
    for name in OPERATORS:
        print(
            f"  {name:<12}{failed[name]:>6} of {made[name]:>5} fail ({failed[name] / max(made[name], 1):.1%})"
        )
    print(f"mutants        {failed.total()} of {made.total()} fail ({failed.total() / made.total():.1%})")
    print(f"               {unsure.total()} undecided {dict(unsure.most_common(3)) or ''}")
    return {
        "made": dict(made),
        "fail": dict(failed),
        "undecided": dict(unsure),
        "rate": failed.total() / made.total(),
    }


# Speed

_BARE = """
import importlib, os, struct, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
while size := sys.stdin.buffer.read(4):
    source = sys.stdin.buffer.read(struct.unpack("<I", size)[0])
    child = os.fork()
    if child == 0:
        code = 1
        try:
            exec(compile(source, "<program>", "exec"), {"__name__": "solution"})
            code = 0
        finally:
            os._exit(code)
    os.write(1, b"%d" % (os.waitpid(child, 0)[1] != 0))
"""


class BareFork:
    """A warm interpreter without any sandbox that runs program and tests together in a fork of itself."""

    def __init__(self) -> None:
        from checkers.sandbox.zygote import WARM

        command = [sys.executable, "-s", "-S", "-P", "-c", _BARE, ",".join(WARM)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)

    def passes(self, source: str) -> bool:
        """Whether `source` raises nothing."""
        data = source.encode()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(len(data).to_bytes(4, "little") + data)
        return self._process.stdout.read(1) == b"0"

    def close(self) -> None:
        """End the interpreter."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def measure_speed(problems: list[Problem], count: int, threads: int) -> dict[str, Any]:
    """Milliseconds a program, ours and bare by turns; then programs a second with `threads` callers."""
    small = [p for p in problems if not p.setup and p.entry_point is None][:count]
    bare = BareFork()
    times: dict[str, list[float]] = {"bare fork": [], "check_code": []}
    for problem in small:
        source = "\n".join([problem.program, *problem.tests])
        started = time.perf_counter()
        bare.passes(source)
        between = time.perf_counter()
        judge(problem, problem.program, LIMITS)
        times["bare fork"].append(1e3 * (between - started))
        times["check_code"].append(1e3 * (time.perf_counter() - between))
    bare.close()
    medians = {name: statistics.median(each[WARM_UP:]) for name, each in times.items()}
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda p: judge(p, p.program, LIMITS), small))
    rate = len(small) / (time.perf_counter() - started)
    above = medians["check_code"] - medians["bare fork"]
    for name, median in medians.items():
        print(f"  {name:<12}{median:>8.2f} ms (median of {len(small) - WARM_UP})")
    print(f"above the bare fork {above:.2f} ms; {rate:.0f} programs/s with {threads} callers")
    return {"milliseconds": medians, "above": above, "programs_per_second": rate, "callers": threads}


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with humaneval.jsonl.gz and mbpp.jsonl.gz"
    )
    parser.add_argument("--mutants", type=int, default=1200)
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["references", "mutants", "speed"])
    options = parser.parse_args()
    problems = [*human_eval(options.data), *mbpp(options.data)]
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "references": lambda: references(problems, options.threads),
        "mutants": lambda: measure_mutants(problems, options.mutants, options.threads),
        "speed": lambda: measure_speed(problems, options.programs, options.threads),
    }
    layers = {layer.name: layer.on for layer in active_layers()}
    print("layers         " + ", ".join(f"{name}{'' if on else ' (off)'}" for name, on in layers.items()))
    figures = {name: run() for name, run in parts.items() if options.only in (None, name)}
    if options.only is None:
        command = f"python benchmarks/code_checker.py --data FOLDER --mutants {options.mutants}"
        command += f" --programs {options.programs} --threads {options.threads}"
        print(record("code_checker", command, {"layers": layers} | figures))


if __name__ == "__main__":
    main()
