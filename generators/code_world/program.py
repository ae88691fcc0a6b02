"""A program read line by line: is what was read so far the beginning of a right one?"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from generators.code_world.completions import Scene, completions
from generators.code_world.interpreter import Environment, Fault, copy_environment, evaluate, run
from generators.code_world.language import Line, LineError, call_name, read_line
from generators.code_world.states import Goal, key_of

MOST_BLOCKS = 3  # a loop and two conditions in it


class ProgramError(Exception):
    """A wrong line; `kind` is one of the judge's."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(slots=True)
class _Block:
    """An open loop or condition: the depth of its header, that of its lines (-1: not known yet)."""

    header: ast.For | ast.If
    indent: int
    inner: int = -1
    body: list[ast.stmt] = field(default_factory=list)


class Program:
    """The function so far: the variables on each probe, and which of them carries the value."""

    def __init__(self, goal: Goal, line: str, entry_point: str) -> None:
        """Begin with its `def` line. Raises: ProgramError."""
        found = _read(line)
        head = found.statement
        if not isinstance(head, ast.FunctionDef) or head.name != entry_point:
            raise ProgramError("malformed")
        if found.indent:
            raise ProgramError("syntax")
        if not found.opens:
            raise ProgramError("malformed")
        self.goal = goal
        self.carrier = head.args.args[0].arg
        self.environments: list[Environment] = [
            {self.carrier: list(given) if type(given) is list else given} for given in goal.inputs
        ]
        self.left, self.value = goal.left(goal.inputs), key_of(goal.inputs)
        self.prepared: set[str] = set()
        self.returned = False
        self._indent = -1
        self._open: list[_Block] = []

    def read(self, line: str) -> None:
        """The next line. Raises: ProgramError if no right program begins so."""
        found = _read(line)
        self._place(found)
        statement = found.statement
        if isinstance(statement, ast.FunctionDef):
            raise ProgramError("malformed")
        if isinstance(statement, ast.Return):
            self._return(statement)
        elif isinstance(statement, ast.For | ast.If):
            self._compound(statement, found)
        elif self._open:
            self._open[-1].body.append(statement)
            self._check_loop()
        else:
            self._simple(statement)

    # Blocks

    def _place(self, line: Line) -> None:
        """Close the blocks that end before this line. Raises: ProgramError for a wrong indentation."""
        if self._indent < 0:
            if line.indent == 0:
                raise ProgramError("syntax")
            self._indent = line.indent
        if self._open and self._open[-1].inner < 0:
            if line.indent <= self._open[-1].indent:
                raise ProgramError("syntax")
            self._open[-1].inner = line.indent
        levels = [self._indent, *(block.inner for block in self._open)]
        if line.indent not in levels:
            raise ProgramError("syntax" if line.indent else "malformed")
        keep = levels.index(line.indent)
        if self._open and not keep:
            loop = self._folded([])
            self._open = []
            self._end_loop(loop)
        while len(self._open) > keep:
            block = self._open.pop()
            block.header.body = block.body
            self._open[-1].body.append(block.header)

    def _compound(self, statement: ast.For | ast.If, line: Line) -> None:
        if isinstance(statement, ast.For) == bool(self._open) or len(self._open) >= MOST_BLOCKS:
            raise ProgramError("malformed")  # a loop within another; a condition outside of one
        if line.opens:
            self._open.append(_Block(statement, line.indent))
        elif self._open:
            self._open[-1].body.append(statement)
        if self._open:
            self._check_loop()
        else:
            self._end_loop(statement)

    def _folded(self, more: Sequence[ast.stmt]) -> ast.For:
        """The open loop as a statement, with `more` in its innermost block."""
        body: list[ast.stmt] = list(more)
        for block in reversed(self._open):
            lines = [*block.body, *body] or [ast.Pass()]
            head = block.header
            if isinstance(head, ast.For):
                return ast.For(target=head.target, iter=head.iter, body=lines, orelse=[])
            body = [ast.If(test=head.test, body=lines, orelse=[])]
        raise ValueError("no loop is open")

    # Meaning

    def _simple(self, statement: ast.stmt) -> None:
        name = _changed(statement)[0]
        constant = isinstance(statement, ast.Assign) and not _names(statement.value)
        self._run(statement)
        if self._advance([name]):
            return
        if not constant or name == self.carrier:
            raise ProgramError("value")
        self.prepared.add(name)

    def _return(self, statement: ast.Return) -> None:
        if self._open:
            raise ProgramError("malformed")
        assert statement.value is not None
        try:
            values = [evaluate(statement.value, names) for names in self.environments]
        except Fault as fault:
            raise ProgramError(fault.kind) from None
        if not self.goal.is_result(values):
            raise ProgramError("early" if self.goal.left(values) else "value")
        self.returned = True

    def _run(self, statement: ast.stmt) -> None:
        try:
            for names in self.environments:
                run(statement, names)
        except Fault as fault:
            raise ProgramError(fault.kind) from None

    def _remaining(self, environments: Sequence[Environment], name: str) -> frozenset[int]:
        """What is left to do if this variable carries the value; none if it may not."""
        values = [names.get(name) for names in environments]
        if key_of(values) == self.value:
            return self.left
        return frozenset(
            rest
            for rest in self.goal.left(values)
            if any(rest != before and rest & before == rest for before in self.left)
        )

    def _advance(self, changed: Sequence[str]) -> bool:
        """Let the first of `changed` that may carry the value do so; False if none may."""
        for name in changed:
            if remaining := self._remaining(self.environments, name):
                self.left, self.carrier = remaining, name
                self.value = key_of([names[name] for names in self.environments])
                self.prepared -= set(changed)
                return True
        return False

    def _end_loop(self, loop: ast.stmt) -> None:
        """Run a whole loop for good. Raises: ProgramError if it leaves no right value."""
        self._run(loop)
        if not self._advance(_changed(loop)):
            raise ProgramError("value")

    def _check_loop(self) -> None:
        """Raises: ProgramError if no completion of the open loop leaves a right value."""
        try:
            trial = [copy_environment(names) for names in self.environments]
            loop = self._folded([])
            for names in trial:
                run(loop, names)
        except Fault as fault:
            raise ProgramError(fault.kind) from None
        if any(self._remaining(trial, name) for name in _changed(loop)):
            return
        if not any(self._reaches(self._folded(more)) for more in self._completions()):
            raise ProgramError("value")

    def _completions(self) -> Iterator[list[ast.stmt]]:
        """Candidates for the rest of the loop (docs/world_code.md)."""
        loop = self._folded([])
        changed = [name for name in _changed(loop) if name not in self.prepared and name != self.carrier]
        targets = [node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)]
        elements = tuple(dict.fromkeys([*targets, *changed]))
        kinds = {name: type(self.environments[0][name]) for name in sorted(self.prepared)}
        lists = tuple(name for name, kind in kinds.items() if kind is list)
        numbers = tuple(name for name, kind in kinds.items() if kind is int)
        indexed = isinstance(loop.iter, ast.Call) and call_name(loop.iter.func) == "range"
        if indexed:
            elements = (f"{self.carrier}[{targets[0]}]", *elements)
        return completions(self.goal.task.operations, Scene(elements[:3], lists[:2], numbers[:2]))

    def _reaches(self, loop: ast.For) -> bool:
        """Whether this whole loop leaves a right value; the first probe rules most of them out."""
        done: list[Environment] = []
        changed = _changed(loop)
        try:
            for count, names in enumerate(self.environments):
                done.append(copy_environment(names))
                run(loop, done[-1])
                if count == 0 and not any(self.goal.may_lead(done[0].get(name)) for name in changed):
                    return False
        except Fault:
            return False
        return any(self._remaining(done, name) for name in changed)


def _read(line: str) -> Line:
    try:
        return read_line(line)
    except LineError as error:
        raise ProgramError(error.kind) from None


def _changed(statement: ast.stmt) -> list[str]:
    """The names that a statement sets or changes, in order, without a loop's own variable."""
    found: dict[str, None] = {}
    for node in ast.walk(statement):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name)):
                found[name] = None
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
                found[name] = None
    return list(found)


def _names(expression: ast.expr) -> bool:
    """Whether an expression reads a variable (`x` of a comprehension counts; calls do not)."""
    called = {id(node.func) for node in ast.walk(expression) if isinstance(node, ast.Call)}
    return any(isinstance(node, ast.Name) and id(node) not in called for node in ast.walk(expression))
