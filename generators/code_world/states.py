"""What is left to do for a value: the sets of operations that take it to the result, in some order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from generators.code_world.build import Task, decode, probes, small, states
from generators.code_world.interpreter import LARGEST
from generators.code_world.operations import Applied, Value

_MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Goal:
    """A task's results on the probes on which it is defined, and what leads there."""

    task: Task
    inputs: tuple[Value, ...]
    results: tuple[Value, ...]
    _known: dict[tuple[int, str], frozenset[int]] = field(default_factory=dict)

    def is_result(self, values: Sequence[Value]) -> bool:
        """Whether these are the results, of the same types."""
        return key_of(values) == key_of(self.results)

    def left(self, values: Sequence[Value], done: int = 0) -> frozenset[int]:
        """The sets of operations (a bit each, none in `done`) that lead from the values on all probes to the
        results, in some order; none if nothing does."""
        return self._left(done, tuple(values)) if self._left(done, (values[0],)) else frozenset()

    def may_lead(self, value: Value) -> bool:
        """Whether anything leads on from the value on the first probe: cheap, and rules most out."""
        return bool(self._left(0, (value,)))

    def _left(self, done: int, values: tuple[Value, ...]) -> frozenset[int]:
        key = (done, key_of(values))
        if key in self._known:
            return self._known[key]
        found = {0} if key[1] == key_of(self.results[: len(values)]) else set()
        for place, applied in enumerate(self.task.operations):
            bit = 1 << place
            after = () if done & bit else applied_to(applied, values)
            if after and (len(values) == 1 or self._left(done | bit, after[:1])):
                found |= {bit | rest for rest in self._left(done | bit, after)}
        if len(self._known) > _MOST_REMEMBERED:
            self._known.clear()
        self._known[key] = frozenset(found)
        return self._known[key]


def applied_to(applied: Applied, values: Sequence[Value]) -> tuple[Value, ...]:
    """The values after an operation; () where it is undefined on one of them, or one is too large."""
    wanted = list if applied.operation.takes == "list" else int
    if any(type(value) is not wanted for value in values):
        return ()
    try:
        after = tuple(applied.run(value) for value in values)
        return after if small(after, LARGEST) else ()
    except (ValueError, IndexError):
        return ()


def key_of(values: Sequence[Value]) -> str:
    """Equal for equal values of equal types."""
    return repr(list(values))


@lru_cache(maxsize=1024)
def goal_of(payload: str) -> Goal:
    """The goal of the task that a payload holds."""
    task = decode(payload)
    inputs = [given for given in probes(task.takes) if states(task.operations, given) is not None]
    rows = [states(task.operations, given) or [] for given in inputs]
    return Goal(task, tuple(inputs), tuple(row[-1] for row in rows))
