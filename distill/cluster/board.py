"""A small Ray actor on which workers write how far they are, and which the driver reads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

State = tuple[float, float, int, str]
"""Done, total, tokens, note."""


class Reporter(Protocol):
    """What a worker is given to tell how far it is; cheap to call, never blocks."""

    def __call__(self, key: str, done: float, total: float, tokens: int = 0, note: str = "") -> None:
        """State of `key`: `done` of `total`, tokens so far, one short note."""


class Board:
    """Latest state of every key, and how often each was written."""

    def __init__(self) -> None:
        self._state: dict[str, State] = {}
        self._news: Counter[str] = Counter()

    def put(self, key: str, state: State) -> None:
        """Write the state of `key`."""
        self._state[key] = state
        self._news[key] += 1

    def read(self, keys: Sequence[str] | None = None) -> dict[str, tuple[State, int]]:
        """State and number of writes of `keys` (None: of all); what is not asked for is forgotten, so that
        the board does not grow with the run."""
        if keys is not None:
            self._state = {key: self._state[key] for key in keys if key in self._state}
            self._news = Counter({key: self._news[key] for key in self._state})
        return {key: (state, self._news[key]) for key, state in self._state.items()}

    def clear(self) -> None:
        """Forget everything."""
        self._state.clear()
        self._news.clear()


def start_board() -> Any:
    """A board beside the driver, where no lost node takes it along."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    remote: Any = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Board)
    return remote.options(scheduling_strategy=here).remote()


@dataclass(frozen=True, slots=True)
class BoardReporter:
    """Sends to the board without waiting for it."""

    board: Any

    def __call__(self, key: str, done: float, total: float, tokens: int = 0, note: str = "") -> None:
        self.board.put.remote(key, (done, total, tokens, note))
