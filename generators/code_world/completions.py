"""How an unfinished loop may go on: a finite list of blocks, made of the task's own operations."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product

from generators.code_world.operations import Applied, filled

MOST = 2_000  # completions that are tried for one line


@dataclass(frozen=True, slots=True)
class Scene:
    """What the lines so far offer: expressions that hold one element, and prepared variables."""

    elements: tuple[str, ...]
    lists: tuple[str, ...]
    numbers: tuple[str, ...]


def completions(operations: Sequence[Applied], scene: Scene) -> Iterator[list[ast.stmt]]:
    """Blocks that may stand next, the simplest first."""
    maps = [filled(a.operation.element[0], a.k) for a in operations if a.operation.role == "map"]
    tests = [filled(a.operation.element[0], a.k) for a in operations if a.operation.role == "filter"]
    values = list(scene.elements)
    made = [*values, *_mapped(values, maps), *_mapped(_mapped(values, maps), maps)]
    guards: list[tuple[str, ...]] = [()]
    guards += [(_put(test, value),) for test in tests for value in values]
    guards += [(f"{value} not in {name}",) for value in values for name in scene.lists]
    guards += [(a, b) for (a,), (b,) in product(guards[1:], guards[1:]) if a != b]
    actions = [f"{name}.append({value})" for name in scene.lists for value in made]
    actions += [f"{name} {op} {value}" for name in scene.numbers for op in ("+=", "*=") for value in made]
    actions += [f"{name} += 1" for name in scene.numbers]
    actions += [
        f"{name} += {value}; {other}.append({name})"
        for name in scene.numbers
        for other in scene.lists
        for value in values
    ]
    actions += [f"{other}.append({name})" for name in scene.numbers for other in scene.lists]
    for guard, action in islice(product(guards, actions), MOST):
        yield _block(guard, action)


def _mapped(values: Sequence[str], maps: Sequence[str]) -> list[str]:
    return [f"({_put(each, value)})" for each in maps for value in values]


@lru_cache(maxsize=4096)
def _put(template: str, value: str) -> str:
    """A template with `value` for its element."""
    tree = ast.parse(template, mode="eval")
    inner = ast.parse(value, mode="eval").body

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return inner if node.id == "x" else node

    return ast.unparse(Put().visit(tree))


@lru_cache(maxsize=16384)
def _parsed(action: str) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse(action).body)


@lru_cache(maxsize=4096)
def _test(guard: str) -> ast.expr:
    return ast.parse(guard, mode="eval").body


def _block(guards: Sequence[str], action: str) -> list[ast.stmt]:
    block = list(_parsed(action))
    for guard in reversed(guards):
        block = [ast.If(test=_test(guard), body=block, orelse=[])]
    return block
