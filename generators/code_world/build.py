"""Drawing a task: operations, the text that tells them, examples and tests."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from distill.records import Problem, content_id
from generators.code_world.operations import OPERATIONS, Applied, Kind, Value
from generators.code_world.probes import FEWEST, LISTS, NUMBERS

Split = Literal["pretrain", "distil", "test"]

WORLD_VERSION = "code-v1"
ENTRY_POINT = "f"
SPLITS: dict[str, tuple[int, ...]] = {"pretrain": tuple(range(8)), "distil": (8,), "test": (9,)}
LARGEST = 10_000  # of any number on the way, on a probe
LARGEST_SHOWN = 100  # in an example
MOST_DRAWS = 20_000
_GLANCE = 8  # the first probes, which tell most
_FEWEST_RESULTS = 4  # or a constant would pass many tests
_LENGTHS = (1, 2, 2, 3, 3, 3, 4, 4, 4, 5)
_P_NUMBER = 0.25  # tasks whose argument is a number
_BY_KIND: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, operation in OPERATIONS.items() if operation.takes == kind)
    for kind in ("list", "number")
}
_P_REDUCE = 0.75  # tasks on a list that end in a reducer
_REDUCERS = tuple(n for n, o in OPERATIONS.items() if (o.takes, o.gives) == ("list", "number"))
_LIST_ONLY = tuple(n for n in _BY_KIND["list"] if n not in _REDUCERS)


@dataclass(frozen=True, slots=True)
class Task:
    """A decoded payload: what is to be done, on which kind of argument, and a program that does it."""

    takes: Kind
    operations: tuple[Applied, ...]
    examples: tuple[tuple[Value, Value], ...]
    program: str

    @property
    def parameter(self) -> str:
        """The name of the argument in the text."""
        return "xs" if self.takes == "list" else "n"


@lru_cache(maxsize=4096)
def decode(payload: str) -> Task:
    """The task that `payload` holds."""
    row = json.loads(payload)
    operations = tuple(Applied(name, k) for name, k in row["operations"])
    examples = tuple((given, result) for given, result in row["examples"])
    return Task(row["takes"], operations, examples, row["program"])


def split_of(question: str) -> str:
    """The one split that may hold `question`: a hash of its text modulo 10."""
    bucket = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8]) % 10
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def sample_problem(seed: int, split: Split, *, min_steps: int = 1, max_steps: int = 5) -> Problem:
    """The task of `seed` in `split`, of min_steps to max_steps operations.

    Raises: ValueError for an unknown split or lengths that no task has.
    """
    lengths = [length for length in _LENGTHS if min_steps <= length <= max_steps]
    if split not in SPLITS or not lengths:
        raise ValueError(
            f"expected a split of {set(SPLITS)} and lengths within 1 to 5, "
            f"found {split!r} and {min_steps} to {max_steps}"
        )
    rng = random.Random(f"{WORLD_VERSION}:{split}:{seed}")
    operations: tuple[Applied, ...] = ()
    for draw in range(MOST_DRAWS):
        if draw % 40 == 0 or not operations:  # other examples make another question of the same task
            takes: Kind = "number" if rng.random() < _P_NUMBER else "list"
            operations = _draw_operations(rng, takes, lengths[int(rng.random() * len(lengths))])
            tests = _tests(takes, operations)
            if not tests:
                operations = ()
                continue
        examples = _examples(rng, takes, operations)
        question = _question(takes, operations, examples) if examples else ""
        if examples and split_of(question) == split:
            return _problem(split, question, Task(takes, operations, examples, ""), tests)
    raise ValueError(f"no task of {min_steps} to {max_steps} operations; widen the range")


def states(operations: Sequence[Applied], given: Value) -> list[Value] | None:
    """The value before, between and after the operations; None where one is undefined."""
    found = [given]
    for applied in operations:
        try:
            found.append(applied.run(found[-1]))
        except (ValueError, IndexError):
            return None
    return found


def probes(takes: Kind) -> list[Value]:
    """The probes for a kind of argument, new lists each time."""
    return [list(given) for given in LISTS] if takes == "list" else list(NUMBERS)


def _draw_operations(rng: random.Random, takes: Kind, length: int) -> tuple[Applied, ...]:
    found: list[Applied] = []
    kind = takes
    for place in range(length):
        names = _BY_KIND[kind]
        if kind == "list":
            last = place == length - 1
            names = _REDUCERS if last and rng.random() < _P_REDUCE else _LIST_ONLY if not last else names
            if not last and place > 0 and rng.random() < 0.1:
                names = _REDUCERS
        elif place == 0 and length > 1 and rng.random() < 0.5:
            names = ("upto",)
        elif place > 0:
            names = tuple(name for name in names if name != "upto")
        name = names[int(rng.random() * len(names))]
        numbers = OPERATIONS[name].numbers
        found.append(Applied(name, numbers[int(rng.random() * len(numbers))]))
        kind = OPERATIONS[name].gives
    return tuple(found)


def _tests(takes: Kind, operations: Sequence[Applied]) -> list[dict[str, object]]:
    """Calls and results on the probes; none if the operations make no good task (docs/world_code.md)."""
    given = probes(takes)
    rows = _rows(operations, given[:_GLANCE])
    if rows is None or not _matter(operations, rows):  # cheap, and rules most bad tasks out
        return []
    rows = _rows(operations, given)
    if rows is None or len(rows) < FEWEST or len({repr(row[-1]) for row in rows}) < _FEWEST_RESULTS:
        return []
    return [{"args": [row[0]], "expected": row[-1]} for row in rows]


def _rows(operations: Sequence[Applied], given: Sequence[Value]) -> list[list[Value]] | None:
    """The states on each input where all are defined; None if a number is too large."""
    rows = [found for value in given if (found := states(operations, value)) is not None]
    return rows if all(small(row, LARGEST) for row in rows) else None


def _matter(operations: Sequence[Applied], rows: Sequence[Sequence[Value]]) -> bool:
    """Whether each operation changes something, and its omission the result, where it can be left out."""
    columns = {repr(column) for column in zip(*rows, strict=True)}
    if not rows or len(columns) <= len(operations):
        return False
    for place, applied in enumerate(operations):
        if applied.operation.takes != applied.operation.gives:
            continue
        rest = operations[place + 1 :]
        short = [states(rest, row[place]) for row in rows]
        if all(found is not None and found[-1] == row[-1] for found, row in zip(short, rows, strict=True)):
            return False
    return True


def small(values: Sequence[Value], largest: int) -> bool:
    """Whether no number is above `largest`."""
    return all(
        -largest <= (min(value, default=0) if type(value) is list else value)
        and (max(value, default=0) if type(value) is list else value) <= largest
        for value in values
    )


def _examples(
    rng: random.Random, takes: Kind, operations: Sequence[Applied]
) -> tuple[tuple[Value, Value], ...]:
    found: list[tuple[Value, Value]] = []
    wanted = 1 if rng.random() < 0.5 else 2
    for _ in range(6):
        low = -4 if rng.random() < 0.3 else 1
        given = (
            [rng.randint(low, 9) for _ in range(rng.randint(3, 5))] if takes == "list" else rng.randint(2, 9)
        )
        values = states(operations, given)
        if values is None or values[-1] == [] or not small(values[-1:], LARGEST_SHOWN):
            continue
        if all(given != other for other, _ in found):
            found.append((given, values[-1]))
        if len(found) == wanted:
            break
    return tuple(found)


def _question(takes: Kind, operations: Sequence[Applied], examples: Sequence[tuple[Value, Value]]) -> str:
    sentences = [applied.phrase for applied in operations]
    if operations[-1].name in _REDUCERS:
        sentences[-1] = sentences[-1].replace("take the", "return the")
    else:
        sentences.append("return the list" if operations[-1].operation.gives == "list" else "return it")
    told = " ".join(f"{sentence.capitalize()}." for sentence in sentences)
    shown = " ".join(f"{ENTRY_POINT}({given}) is {result}." for given, result in examples)
    return f"Write {ENTRY_POINT}({'xs' if takes == 'list' else 'n'}). {told} {shown}"


def _problem(split: str, question: str, task: Task, tests: list[dict[str, object]]) -> Problem:
    from generators.code_world.solve import usual_program

    payload = {
        "takes": task.takes,
        "operations": [(applied.name, applied.k) for applied in task.operations],
        "examples": task.examples,
        "entry_point": ENTRY_POINT,
        "program": usual_program(task),
    }
    return Problem(
        id=content_id("world", WORLD_VERSION, question),
        question=question,
        reference=json.dumps({"tests": tests, "entry_point": ENTRY_POINT}, separators=(",", ":")),
        domain="code-world",
        source=f"world:{WORLD_VERSION}:{split}",
        payload=json.dumps(payload, separators=(",", ":")),
    )
