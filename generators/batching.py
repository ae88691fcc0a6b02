"""Requests that are made together are answered together, by one worker thread.

A job is the requests of one `batch_group` that arrive until a turn of the event loop brings no more.
Jobs run one at a time in order, and all answers of a job are delivered at once. So what shares a job
depends on what was asked for, not on time: a pipeline that asks in rounds forms the same jobs in
every run.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from distill.errors import DistillError, GeneratorError

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
Run = Callable[[Sequence[RequestT], deque[int]], Sequence[AnswerT]]

batch_group: ContextVar[str] = ContextVar("batch_group", default="")
"""The work that a request belongs to, such as a shard. Requests of different groups never share a job,
so that a shard's answers do not depend on which other shards are in flight."""


@dataclass
class _Ticket(Generic[RequestT, AnswerT]):
    request: RequestT
    answer: asyncio.Future[AnswerT]
    number: int = 0


@dataclass
class _Job(Generic[RequestT, AnswerT]):
    loop: asyncio.AbstractEventLoop
    tickets: list[_Ticket[RequestT, AnswerT]] = field(default_factory=list)
    cancelled: deque[int] = field(default_factory=deque)


class Batcher(Generic[RequestT, AnswerT]):
    """Gathers calls of `ask` into jobs and gives each to `run` on its thread.

    `run(requests, cancelled)` answers in the order of `requests`. While it works, the numbers of
    requests that nobody waits for any more are appended to `cancelled`; their answers are ignored.
    """

    def __init__(self, run: Run[RequestT, AnswerT], executor: ThreadPoolExecutor) -> None:
        self._run, self._executor = run, executor
        self._gathering: dict[tuple[int, str], _Job[RequestT, AnswerT]] = {}
        self._running: list[_Job[RequestT, AnswerT]] = []
        self._closed = False

    async def ask(self, request: RequestT) -> AnswerT:
        """The answer to `request`. Cancelling the caller withdraws the request.

        Raises:
            GeneratorError: `run` failed, or the batcher is closed.
        """
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        loop = asyncio.get_running_loop()
        ticket: _Ticket[RequestT, AnswerT] = _Ticket(request, loop.create_future())
        job = self._gather(loop, ticket)
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            job.cancelled.append(ticket.number)
            raise

    def _gather(
        self, loop: asyncio.AbstractEventLoop, ticket: _Ticket[RequestT, AnswerT]
    ) -> _Job[RequestT, AnswerT]:
        key = (id(loop), batch_group.get())
        job = self._gathering.get(key)
        if job is None or job.loop.is_closed():
            job = self._gathering[key] = _Job(loop)
            loop.call_soon(self._settle, key, job, 0)
        job.tickets.append(ticket)
        return job

    def _settle(self, key: tuple[int, str], job: _Job[RequestT, AnswerT], seen: int) -> None:
        """Start `job` when the last turn brought no request; else wait one more turn."""
        if len(job.tickets) > seen:
            job.loop.call_soon(self._settle, key, job, len(job.tickets))
            return
        del self._gathering[key]
        self._start(job)

    def _start(self, job: _Job[RequestT, AnswerT]) -> None:
        job.tickets = [ticket for ticket in job.tickets if not ticket.answer.done()]
        job.cancelled.clear()
        for number, ticket in enumerate(job.tickets):
            ticket.number = number
        if not job.tickets:
            return
        if self._closed:
            self._fail(job, "the engine was closed")
            return
        self._running.append(job)
        work = self._executor.submit(self._run, [ticket.request for ticket in job.tickets], job.cancelled)
        work.add_done_callback(lambda done: self._hand_over(job, done))

    def _hand_over(self, job: _Job[RequestT, AnswerT], done: Future[Sequence[AnswerT]]) -> None:
        """Go back from the worker thread to the loop, which may be gone."""
        with suppress(RuntimeError):
            job.loop.call_soon_threadsafe(self._deliver, job, done)

    def _deliver(self, job: _Job[RequestT, AnswerT], done: Future[Sequence[AnswerT]]) -> None:
        self._running.remove(job)
        if self._closed or done.cancelled():
            self._fail(job, "the engine was closed before it answered")
        elif (error := done.exception()) is not None:
            text = str(error) if isinstance(error, DistillError) else f"{type(error).__name__}: {error}"
            self._fail(job, text, error)
        else:
            for ticket, answer in zip(job.tickets, done.result(), strict=True):
                if not ticket.answer.done():
                    ticket.answer.set_result(answer)

    def _fail(self, job: _Job[RequestT, AnswerT], reason: str, cause: BaseException | None = None) -> None:
        for ticket in job.tickets:
            if not ticket.answer.done():
                error = GeneratorError(f"the engine failed on a job of {len(job.tickets)} requests: {reason}")
                error.__cause__ = cause
                ticket.answer.set_exception(error)

    async def close(self) -> None:
        """Withdraw all requests, wait for the worker thread to end. Safe to call twice."""
        self._closed = True
        for job in self._running:
            job.cancelled.extend(range(len(job.tickets)))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self._executor.shutdown(wait=True, cancel_futures=True))
