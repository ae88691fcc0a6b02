"""Batches of items judged in processes that can be killed: a deadline and a memory limit for each item.

    with Pool(workers=2, deadline_seconds=5) as pool:
        verdicts = pool.map("math", [("The answer is 18.", "18"), ...])
        verdicts = await pool.amap("steps", [(problem, steps), ...])
        verdicts = pool.map("units", [...])      # a checker of your own: see checkers.plugins

Results come in the order of the items. An item that outlives its deadline, runs out of memory or kills
its worker is undecided; its worker is replaced and the others never notice. No signals are used, so a
pool works in any thread, under asyncio and in a Ray actor, and many threads may share one.

What needs no algebra (most answers; every step of ordinary length) is judged in the calling process,
where it cannot hang, because its work is bounded. Programs are judged in their sandbox. Nothing is started
until an item needs a worker.
"""

import asyncio
import json
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from checkers import forkserver, plugins
from checkers.code import CodeVerdict, Limits, check_code
from checkers.code_steps import check_code_steps
from checkers.math import easy_math
from checkers.steps import check_steps
from checkers.verdict import Status, Verdict, undecided
from checkers.worker import FUNCTIONS, NotLoadedError, Result, Worker, WorkerDiedError

_Seen = dict[tuple[str, ...], "Future[Result]"]
# Or a plug-in, "module:function".
FunctionName = Literal["math", "steps", "logic", "deduction", "code", "code_steps"] | str

_PROGRAMS = ("code", "code_steps")  # judged in the sandbox
_BUILT_IN = (*FUNCTIONS, *_PROGRAMS)
_BATCH = 32
_LARGEST_STEPS_HERE = 20_000  # characters judged in the calling process
_RECYCLE_AFTER = 5_000  # items, so that sympy's caches do not eat an innocent item's memory
_CACHE_SIZE = 1 << 14
_LARGEST_CACHED = 2_000  # characters
_BREATH = 256  # items between two turns of the event loop
_ATTEMPTS = 3
_LONGEST_SHOWN = 200


class PoolError(RuntimeError):
    """The pool is closed, its workers cannot be started, or a checker of that name cannot be found or loaded.

    What goes wrong with one item is a verdict, not an error.

        try:
            Pool().map("chemistry", [("H2O", "water")])
        except PoolError as error:
            print(error)  # expected one of code, code_steps, ... or 'module:function', ...
    """


@dataclass(frozen=True, slots=True)
class _Task:
    function: str
    item: tuple[Any, ...]
    line: str  # what the worker is sent
    future: Future[Result] = field(default_factory=Future)


class Pool:
    """Killable workers behind `map` and `amap`. Close it, or use it as a context manager.

    `deadline_seconds` is wall-clock time for each item; `memory_mb` bounds the address space of a worker, of
    which about 100 MB are sympy itself. Many threads and tasks may share a pool;
    another process makes its own.

        pool = Pool(workers=2, deadline_seconds=5, memory_mb=1024)
        verdicts = pool.map("math", [("The answer is 18.", "18"), ("So x = 3.", "4")])
        [str(verdict.status) for verdict in verdicts]  # ["correct", "incorrect"]
        pool.close()
    """

    def __init__(self, workers: int = 1, deadline_seconds: float = 5.0, memory_mb: int = 2048) -> None:
        if workers < 1 or deadline_seconds <= 0 or memory_mb < 256:
            raise ValueError(
                "expected workers >= 1, deadline_seconds > 0 and memory_mb >= 256, found "
                f"{workers}, {deadline_seconds} and {memory_mb}"
            )
        self.workers, self.deadline_seconds, self.memory_mb = workers, deadline_seconds, memory_mb
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._running: set[Worker] = set()
        self._closed = False
        self._cache: OrderedDict[tuple[str, ...], Verdict] = OrderedDict()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, function_name: FunctionName, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One result for each item (a tuple of arguments), in order; blocks.

        A result is a list of verdicts, one a step, for "steps", "code_steps" and "deduction", and a
        Verdict for the others.
        Items of "code" are (program, tests) or (program, tests, {"entry_point": "f"}), with the keywords of
        `check_code`; unless they say otherwise, the pool's deadline and memory hold for a program. Items of
        "code_steps" are (question, steps) or (question, steps, entry_point).

        Raises: PoolError; SandboxError for "code"; TypeError for an item that is no tuple of plain data.
        """
        function, seen = _target(function_name), _Seen()
        pending = [self._begin(function, item, seen) for item in items]
        return [self._finish(function, item, result) for item, result in zip(items, pending)]

    async def amap(self, function_name: FunctionName, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """As `map`, without blocking the event loop."""
        pending, seen, function = [], _Seen(), _target(function_name)
        for count, item in enumerate(items):
            pending.append(self._begin(function, item, seen))
            if count % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        waits = [asyncio.wrap_future(result) for result in pending if isinstance(result, Future)]
        await asyncio.gather(*waits)
        return [self._finish(function, item, result) for item, result in zip(items, pending)]

    def close(self) -> None:
        """Kill the workers. What is still waiting is undecided; a program in its sandbox is waited for."""
        with self._changed:
            self._closed = True
            abandoned, threads = list(self._waiting), list(self._threads)
            self._waiting.clear()
            for worker in self._running:
                worker.kill()
            self._changed.notify_all()
        for task in abandoned:
            _settle(task, _failure(task, "the pool was closed"))
        for thread in threads:
            thread.join()

    # The caller's side

    def _begin(self, function: str, item: tuple[Any, ...], seen: "_Seen") -> "Result | Future[Result]":
        """The result at once where that cannot hang or is known, else a future of it."""
        if self._closed:
            raise PoolError("the pool is closed; make a new one")
        if (result := _at_once(function, item)) is not None:
            return result
        key = _cache_key(function, item)
        if key is None:
            return self._submit(_task(function, item))
        with self._changed:
            known = self._cache.get(key)
        if known is None and key not in seen:
            seen[key] = self._submit(_task(function, item))
        return known or seen[key]

    def _finish(self, function: str, item: tuple[Any, ...], pending: "Result | Future[Result]") -> Result:
        if not isinstance(pending, Future):
            return pending
        result = pending.result()
        key = _cache_key(function, item)
        if key and isinstance(result, Verdict) and result.status is not Status.UNDECIDED:
            with self._changed:  # undecided may come of a deadline: it is asked again
                self._cache[key] = result
                if len(self._cache) > _CACHE_SIZE:
                    self._cache.popitem(last=False)
        return result

    def _submit(self, task: _Task) -> "Future[Result]":
        with self._changed:
            if self._closed:
                raise PoolError("the pool is closed; make a new one")
            self._waiting.append(task)
            if len(self._threads) < self.workers:
                name = f"checkers-{len(self._threads)}"
                thread = threading.Thread(target=self._drive, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()
        return task.future

    # A worker's side: one thread for each

    def _drive(self) -> None:
        """Feed one worker after another with batches until the pool closes."""
        worker: Worker | None = None
        while batch := self._take():
            if batch[0].function in _PROGRAMS:
                self._run_program(batch[0])
                continue
            try:
                worker = worker or self._start()
                self._run(worker, batch)
                if worker.items < _RECYCLE_AFTER:
                    continue
            except NotLoadedError as error:
                if self._closed:  # `close` killed it while it loaded
                    self._after_death(batch, None)
                else:
                    self._refuse(batch, PoolError(str(error)))
            except WorkerDiedError as death:
                self._after_death(batch, death.reason)
            except Exception as error:  # the pool itself failed: its callers must hear of it
                for task in batch:
                    _settle(task, error)
            self._discard(worker)
            worker = None
        self._discard(worker)

    def _take(self) -> list[_Task]:
        """The next tasks of one function, an even share of what waits; [] when the pool is closed."""
        batch: list[_Task] = []
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return []
            function = self._waiting[0].function
            share = 1 if function in _PROGRAMS else min(_BATCH, -(-len(self._waiting) // self.workers))
            while self._waiting and self._waiting[0].function == function and len(batch) < share:
                batch.append(self._waiting.popleft())
        return batch

    def _start(self) -> Worker:
        server = forkserver.shared.get()
        for attempt in range(_ATTEMPTS):
            try:
                worker = Worker(server, self.memory_mb)
                break
            except forkserver.ForkServerError as error:
                if attempt == _ATTEMPTS - 1:
                    raise PoolError(f"cannot start a checker's worker: {error}") from error
                server = forkserver.shared.replace(server)
        with self._changed:
            self._running.add(worker)
            if self._closed:  # `close` came before it was among those to kill
                worker.kill()
        return worker

    def _discard(self, worker: Worker | None) -> None:
        if worker is not None:
            with self._changed:
                self._running.discard(worker)
            worker.close()

    def _run(self, worker: Worker, batch: list[_Task]) -> None:
        """Settle the tasks of `batch`, removing each as it is settled.

        Raises: WorkerDiedError, NotLoadedError.
        """
        worker.load(batch[0].function)
        for result in worker.judge([task.line for task in batch], self.deadline_seconds):
            _settle(batch.pop(0), result)

    def _run_program(self, task: _Task) -> None:
        """Judge a program: its sandbox is of processes too, with the same limits and its own kills."""
        limits = Limits(seconds=self.deadline_seconds, memory_mb=self.memory_mb)
        try:
            if task.function == "code_steps":
                _settle(task, check_code_steps(*task.item, limits=limits))
                return
            program, tests, options = (*task.item, {})[:3]
            _settle(task, check_code(program, tests, **{"limits": limits} | options))
        except Exception as error:  # a missing layer, or arguments that check_code does not take
            _settle(task, error)

    def _refuse(self, batch: list[_Task], error: PoolError) -> None:
        """Fail all that wants the function of `batch`, which no worker can load."""
        function = batch[0].function
        with self._changed:
            refused = batch + [task for task in self._waiting if task.function == function]
            self._waiting = deque(task for task in self._waiting if task.function != function)
        for task in refused:
            _settle(task, error)

    def _after_death(self, batch: list[_Task], reason: str | None) -> None:
        """Blame the item that was being judged; the rest of the batch goes back to the front."""
        if batch and reason is not None:
            task = batch.pop(0)
            _settle(task, _failure(task, reason))
        with self._changed:
            if not self._closed:
                self._waiting.extendleft(reversed(batch))
                batch = []
            self._changed.notify_all()
        for task in batch:
            _settle(task, _failure(task, "the pool was closed"))


def _target(function_name: str) -> str:
    """What a worker loads for this name. Raises: PoolError."""
    try:
        return plugins.find(function_name, _BUILT_IN)
    except plugins.PluginError as error:
        raise PoolError(str(error)) from None


def _task(function: str, item: tuple[Any, ...]) -> _Task:
    """Raises: TypeError for an item that does not travel to a worker."""
    if function in _PROGRAMS:  # is judged by our own process, whose sandbox reads the tests
        return _Task(function, item, "")
    if not isinstance(item, tuple | list):
        raise TypeError(f"expected an item as a tuple of arguments, found {type(item).__name__}")
    try:
        return _Task(function, item, json.dumps([function, item]))
    except (TypeError, ValueError, RecursionError) as error:
        shown = repr(item)[:_LONGEST_SHOWN]
        raise TypeError(f"expected arguments of plain data (as in JSON), found {shown}: {error}") from None


def _at_once(function: str, item: tuple[Any, ...]) -> Result | None:
    """The result of an item whose work is bounded; None for one that needs a worker."""
    if function == "math":
        return easy_math(*item)
    if function == "steps" and _size(item) <= _LARGEST_STEPS_HERE:
        return check_steps(*item)
    return None


def _settle(task: _Task, result: Result | Exception) -> None:
    """Deliver a result, unless the caller has cancelled it."""
    if not task.future.set_running_or_notify_cancel():
        return
    if isinstance(result, Exception):
        task.future.set_exception(result)
    else:
        task.future.set_result(result)


def _failure(task: _Task, reason: str) -> Result:
    """Undecided, in the shape that the function gives: one verdict, or one a step."""
    if task.function == "code":
        return CodeVerdict(Status.UNDECIDED, reason)
    many = task.function in ("steps", "deduction", "code_steps")
    return [undecided(reason)] * len(task.item[1]) if many else undecided(reason)


def _size(item: tuple[Any, ...]) -> int:
    """The characters of an item's texts."""
    return sum(sum(map(len, part)) if isinstance(part, list | tuple) else len(part) for part in item)


def _cache_key(function: str, item: tuple[Any, ...]) -> tuple[str, ...] | None:
    """The key of an item whose verdict is worth keeping, else None."""
    return item if function == "math" and _size(item) <= _LARGEST_CACHED else None
