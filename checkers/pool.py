"""Batches of items judged in processes that can be killed: a deadline and a memory limit for each item.

    with Pool(workers=2, deadline_seconds=5) as pool:
        verdicts = pool.map("math", [("The answer is 18.", "18"), ...])
        verdicts = await pool.amap("steps", [(problem, steps), ...])

Results come in the order of the items. An item that outlives its deadline, runs out of memory or kills
its worker is undecided; its worker is replaced and the others never notice. No signals are used, so a
pool works in any thread, under asyncio and in a Ray actor, and many threads may share one.

What needs no algebra (most answers; every step of ordinary length) is judged in the calling process,
where it cannot hang, because its work is bounded. Nothing is started until an item needs a worker.
"""

import asyncio
import contextlib
import json
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from checkers import forkserver
from checkers.math import easy_math
from checkers.steps import check_steps
from checkers.verdict import Status, Verdict, undecided

Result = Verdict | list[Verdict]
_Seen = dict[tuple[str, ...], "Future[Result]"]
FunctionName = Literal["math", "steps", "logic", "deduction"] | str  # or "package.module:function"

_BATCH = 32
_LARGEST_STEPS_HERE = 20_000  # characters judged in the calling process
_RECYCLE_AFTER = 5_000  # items, so that sympy's caches do not eat an innocent item's memory
_CACHE_SIZE = 1 << 14
_LARGEST_CACHED = 2_000  # characters
_BREATH = 256  # items between two turns of the event loop
_ATTEMPTS = 3


class PoolError(RuntimeError):
    """The pool is closed, or its workers cannot be started. (A bad item is a verdict, not an error.)"""


@dataclass(frozen=True, slots=True)
class _Task:
    function: str
    item: tuple[Any, ...]
    future: Future[Result] = field(default_factory=Future)


class _WorkerDiedError(Exception):
    """The worker is gone or must go. `reason` blames the item it was on, None blames nobody."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


class Pool:
    """Killable workers behind `map` and `amap`. Close it, or use it as a context manager.

    `memory_mb` bounds the address space of a worker, of which about 100 MB are sympy itself.
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
        self._running: set[_Worker] = set()
        self._closed = False
        self._cache: OrderedDict[tuple[str, ...], Verdict] = OrderedDict()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def map(self, function_name: FunctionName, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """One result for each item (a tuple of arguments), in order; blocks.

        A result is a Verdict for "math" and "logic", and a list of them, one a step, for the others.
        Raises: PoolError.
        """
        seen: _Seen = {}
        pending = [self._begin(function_name, item, seen) for item in items]
        return [self._finish(function_name, item, result) for item, result in zip(items, pending)]

    async def amap(self, function_name: FunctionName, items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """As `map`, without blocking the event loop."""
        pending, seen = [], _Seen()
        for count, item in enumerate(items):
            pending.append(self._begin(function_name, item, seen))
            if count % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
        waits = [asyncio.wrap_future(result) for result in pending if isinstance(result, Future)]
        await asyncio.gather(*waits)
        return [self._finish(function_name, item, result) for item, result in zip(items, pending)]

    def close(self) -> None:
        """Kill the workers. What is still waiting is undecided."""
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
            return self._submit(_Task(function, item))
        with self._changed:
            known = self._cache.get(key)
        if known is None and key not in seen:
            seen[key] = self._submit(_Task(function, item))
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
        worker: _Worker | None = None
        while batch := self._take():
            try:
                worker = worker or self._start()
                self._run(worker, batch)
                if worker.items < _RECYCLE_AFTER:
                    continue
            except _WorkerDiedError as death:
                self._after_death(batch, death.reason)
            except Exception as error:  # the pool itself failed: its callers must hear of it
                for task in batch:
                    _settle(task, error)
            self._discard(worker)
            worker = None
        self._discard(worker)

    def _take(self) -> list[_Task]:
        """The next tasks, an even share of what waits; [] when the pool is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            share = min(_BATCH, -(-len(self._waiting) // self.workers))
            return [] if self._closed else [self._waiting.popleft() for _ in range(share)]

    def _start(self) -> "_Worker":
        server = forkserver.shared.get()
        for attempt in range(_ATTEMPTS):
            try:
                worker = _Worker(server, self.memory_mb)
                break
            except forkserver.ForkServerError as error:
                if attempt == _ATTEMPTS - 1:
                    raise PoolError(f"cannot start a checker's worker: {error}") from error
                server = forkserver.shared.replace(server)
        with self._changed:
            self._running.add(worker)
        return worker

    def _discard(self, worker: "_Worker | None") -> None:
        if worker is not None:
            with self._changed:
                self._running.discard(worker)
            worker.close()

    def _run(self, worker: "_Worker", batch: list[_Task]) -> None:
        """Settle the tasks of `batch`, removing each as it is settled. Raises: _WorkerDiedError."""
        for result in worker.judge(batch, self.deadline_seconds):
            _settle(batch.pop(0), result)

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


class _Worker:
    """One worker process and our end of its socket. Used by one thread; `kill` by any."""

    def __init__(self, server: forkserver.ForkServer, memory_mb: int) -> None:
        self._server = server
        self.pid, self._socket = server.spawn(memory_mb)
        self._buffer = bytearray()
        self.items = 0

    def judge(self, tasks: Sequence[_Task], deadline_seconds: float) -> Iterator[Result]:
        """The results of `tasks`, each within the deadline. Raises: _WorkerDiedError."""
        request = json.dumps([[task.function, task.item] for task in tasks])
        try:
            self._socket.settimeout(None)
            self._socket.sendall(request.encode() + b"\n")
        except OSError:
            raise _WorkerDiedError(None if self.items else "the worker process died at its start") from None
        for _ in range(len(tasks)):
            retire, result = _decode(self._line(deadline_seconds))
            self.items += 1
            yield result
            if retire:
                raise _WorkerDiedError(None)

    def _line(self, deadline_seconds: float) -> bytes:
        end = time.monotonic() + deadline_seconds
        while (cut := self._buffer.find(b"\n")) < 0:
            try:
                self._socket.settimeout(max(end - time.monotonic(), 1e-3))
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise _WorkerDiedError(f"no verdict within {deadline_seconds:g} s") from None
            except OSError:
                data = b""
            if not data:
                raise _WorkerDiedError("the worker process died on this item")
            self._buffer += data
        line = bytes(self._buffer[:cut])
        del self._buffer[: cut + 1]
        return line

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(forkserver.ForkServerError):  # its workers died with it
            self._server.kill(self.pid)

    def close(self) -> None:
        """End the process and release the socket."""
        self.kill()
        self._socket.close()


def _decode(line: bytes) -> tuple[bool, Result]:
    retire, many, rows = json.loads(line)
    verdicts = [Verdict(Status(row[0]), row[1], tuple(row[2]) if row[2] else None) for row in rows]
    return retire, verdicts if many else verdicts[0]


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
    many = task.function in ("steps", "deduction")
    return [undecided(reason)] * len(task.item[1]) if many else undecided(reason)


def _size(item: tuple[Any, ...]) -> int:
    """The characters of an item's texts."""
    return sum(sum(map(len, part)) if isinstance(part, list | tuple) else len(part) for part in item)


def _cache_key(function: str, item: tuple[Any, ...]) -> tuple[str, ...] | None:
    """The key of an item whose verdict is worth keeping, else None."""
    return item if function == "math" and _size(item) <= _LARGEST_CACHED else None
