"""The code checker on HumanEval and MBPP: references, mutants of them, speed and overhead.

    python benchmarks/code_checker.py --data FOLDER [--mutants 1200] [--programs 300] [--only PART]

FOLDER holds `humaneval.jsonl.gz` and `mbpp.jsonl.gz`. Parts: `references` (each must pass its own tests),
`mutants` (each reference changed in one place by one of several operators; how many fail, by operator;
some mutants compute the same as the reference, so 100% cannot be reached), `speed`.

`speed` prints small programs (MBPP's) a second with `--threads` callers, and the milliseconds that one takes
above a *bare fork*: a process of the same interpreter, with the same flags and environment and the same
modules loaded and frozen, that forks once for each program, runs program and tests together in the fork
without any sandbox, and waits for it. The two take turns in one run, the first one changing. "In a row":
batches of BATCH programs, so that what the sandbox prepares or tears down behind the caller's back is paid
for within them. "Alone": one program at a time, all being quiet before it. Differences are taken turn by
turn; medians are printed.
"""

import argparse
import ast
import copy
import gzip
import itertools
import json
import os
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
from checkers.sandbox.warm import WARM
from checkers.verdict import Status

LIMITS = Limits(seconds=5)
MUTANT_LIMITS = Limits(seconds=2)
WARM_UP = 5
BATCH, QUIET_SECONDS = 20, 0.03


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
import gc, importlib, os, struct, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)
gc.collect()
gc.freeze()
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
_BARE_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "MALLOC_ARENA_MAX": "1", "LD_BIND_NOW": "1"}


class BareFork:
    """A warm interpreter without any sandbox that runs program and tests together in a fork of itself."""

    def __init__(self) -> None:
        command = [sys.executable, "-s", "-S", "-P", "-B", "-c", _BARE, ",".join(WARM)]
        environment = os.environ | _BARE_ENVIRONMENT
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
            env=environment,
        )  # fmt: skip

    def passes(self, problem: Problem) -> bool:
        """Whether its reference and tests raise nothing."""
        data = "\n".join([problem.program, *problem.tests]).encode()
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(len(data).to_bytes(4, "little") + data)
        return self._process.stdout.read(1) == b"0"

    def close(self) -> None:
        """End the interpreter."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def passes(problem: Problem) -> bool:
    """Whether check_code finds the reference correct."""
    return judge(problem, problem.program, LIMITS).status is Status.CORRECT


def by_turns(problems: list[Problem], size: int) -> dict[str, float]:
    """Median milliseconds a program, by batches of `size`: bare fork, check_code, the difference."""
    bare = BareFork()
    sides = {"bare": bare.passes, "check_code": passes}
    for problem in problems[:WARM_UP]:
        assert all(side(problem) for side in sides.values())
    times: dict[str, list[float]] = {name: [] for name in sides}
    for start in range(0, len(problems), size):
        batch = problems[start : start + size]
        for name in sorted(sides, reverse=start // size % 2 == 1):
            time.sleep(QUIET_SECONDS)
            started = time.perf_counter()
            for problem in batch:
                sides[name](problem)
            times[name].append(1e3 * (time.perf_counter() - started) / len(batch))
    bare.close()
    times["above"] = [ours - theirs for ours, theirs in zip(times["check_code"], times["bare"])]
    return {name: statistics.median(each) for name, each in times.items()}


def measure_speed(problems: list[Problem], count: int, threads: int) -> dict[str, Any]:
    """Milliseconds a program, ours and bare by turns; then programs a second with `threads` callers."""
    small = [p for p in problems if not p.setup and p.entry_point is None][:count]
    turns = {"in a row": by_turns(small, BATCH), "alone": by_turns(small[: count // 3], 1)}
    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        passed = sum(pool.map(passes, small))
    rate = len(small) / (time.perf_counter() - started)
    for name, each in turns.items():
        row = f"check_code {each['check_code']:.2f} ms, bare fork {each['bare']:.2f} ms"
        print(f"  {name:<12} {row}, above it {each['above']:.2f} ms")
    print(
        f"speed          {rate:.0f} small programs/s with {threads} callers ({passed} of {len(small)} pass)"
    )
    return {"milliseconds": turns, "programs_per_second": rate, "callers": threads}


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
