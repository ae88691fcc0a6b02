"""Requests that are made together are answered together, by one worker thread.

A job is the requests of one `batch_group` that arrive until a turn of the event loop brings no more.
Jobs run one at a time in order. The answers of a job are delivered at once, at its end, unless a `Crew`
asks: callers that take turns with the engine. Their job lasts as long as they do: each is answered as soon
as it can be, and what it asks next joins the job, which goes on only while every one of them waits for it.
Either way what shares a job, and which step of it, depends on what was asked for, not on time: a pipeline
forms the same jobs in every run.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitTimeout
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Generic, TypeVar

from distill.errors import DistillError, GeneratorError

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")

LOOK_SECONDS = 1.0
"""How often a job that waits for its crew looks whether their event loop is still there."""

batch_group: ContextVar[str] = ContextVar("batch_group", default="")
"""The work that a request belongs to, such as a shard. Requests of different groups never share a job,
so that a shard's answers do not depend on which other shards are in flight."""

_place: ContextVar["tuple[Crew, int] | None"] = ContextVar("place", default=None)


class Crew:
    """Callers whose requests share one job. Each asks within `member(number)`, and may have several requests
    open; whoever will not ask any more must leave. One that leaves may at once come back as another."""

    def __init__(self) -> None:
        self.open: dict[int, int] = {}
        self.watch: Callable[[], None] = lambda: None

    @contextmanager
    def member(self, number: int) -> Iterator[None]:
        """Requests of this block, and of tasks begun in it, are those of member `number`, who then leaves."""
        self.open[number] = 0
        token = _place.set((self, number))
        try:
            yield
        finally:
            _place.reset(token)
            self.open.pop(number, None)
            self.watch()

    def disband(self) -> None:
        """Everybody leaves: nothing waits for them any more."""
        self.open.clear()
        self.watch()

    def count(self, number: int, change: int) -> None:
        """A request of `number` was made (+1) or answered (-1)."""
        if number in self.open:
            self.open[number] += change

    @property
    def waits(self) -> bool:
        """Whether every member has an open request."""
        return all(self.open.values())


@dataclass(eq=False)
class _Ticket(Generic[RequestT, AnswerT]):
    request: RequestT
    answer: asyncio.Future[AnswerT]
    place: tuple[Crew, int] | None
    number: int = -1

    @property
    def member(self) -> int:
        return self.place[1] if self.place else 0


@dataclass(frozen=True, slots=True)
class News(Generic[RequestT]):
    """What a job learns when it looks up: new requests (numbered from 0 in this order over the whole job),
    and how many callers may still ask."""

    requests: Sequence[RequestT]
    members: int


class Job(Generic[RequestT, AnswerT]):
    """The requests that are worked on together, as the worker thread sees them.

    `cancelled` fills, while it works, with the numbers of requests that nobody waits for any more; what
    it answers to them is ignored.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, crew: Crew | None) -> None:
        self.loop, self.crew = loop, crew
        self.cancelled: deque[int] = deque()
        self._fresh: list[_Ticket[RequestT, AnswerT]] = []
        self._taken: list[_Ticket[RequestT, AnswerT]] = []
        self._kept: dict[int, AnswerT] = {}
        self._wanted: Future[News[RequestT]] | None = None
        self._over = False

    # ---- called by the worker thread

    def news(self) -> News[RequestT]:
        """Requests that are new since the last call. With a crew, this waits until every member has an open
        request, so that nothing of what follows from the answers so far is missed. Without one there is news
        but once."""
        if self.crew is None and self._taken:
            return News((), 0)
        wanted: Future[News[RequestT]] = Future()
        if not self._tell(self._want, wanted):
            return News((), 0)
        while True:
            try:
                return wanted.result(LOOK_SECONDS)
            except WaitTimeout:
                if self.loop.is_closed():
                    return News((), 0)

    def answer(self, answers: dict[int, AnswerT]) -> None:
        """Deliver `answers`, by number: now to a crew, else at the end of the job."""
        if self.crew is None:
            self._kept |= answers
        elif answers:
            self._tell(self._deliver, answers)

    def _tell(self, what: Callable[..., None], *args: object) -> bool:
        """Call `what` on the event loop; False when that is gone."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(what, *args)
            return True
        return False

    # ---- called on the event loop

    def add(self, ticket: _Ticket[RequestT, AnswerT]) -> None:
        """One more request."""
        self._fresh.append(ticket)
        self.look()

    def withdraw(self, ticket: _Ticket[RequestT, AnswerT]) -> None:
        """Nobody waits for this request any more."""
        if ticket.number < 0:
            self._fresh.remove(ticket)
        else:
            self.cancelled.append(ticket.number)
        self.look()

    def drop(self) -> None:
        """Make the worker end: nothing is wanted any more."""
        self._over = True
        self._hand_out()
        self.cancelled.extend(range(len(self._taken)))

    def finish(self) -> None:
        """Deliver what was kept to the end."""
        self._deliver(self._kept)

    def fail(self, reason: str, cause: BaseException | None = None) -> None:
        """Raise at everybody who still waits."""
        waiting = [ticket for ticket in (*self._taken, *self._fresh) if not ticket.answer.done()]
        for ticket in waiting:
            error = GeneratorError(
                f"the engine failed on a job of {len(self._taken) or len(self._fresh)} requests: {reason}"
            )
            error.__cause__ = cause
            ticket.answer.set_exception(error)

    def _want(self, wanted: "Future[News[RequestT]]") -> None:
        self._wanted = wanted
        if self._over or self.crew is None:
            self._hand_out()
        else:
            self.look()

    def look(self) -> None:
        """Go on in the next turn but one, if the crew still waits then and no request has come since."""
        if self._wanted is not None and self.crew is not None and self.crew.waits:
            self.loop.call_soon(self._settle, len(self._fresh))

    def _settle(self, seen: int) -> None:
        if self._wanted is None or self.crew is None or not self.crew.waits:
            return
        if len(self._fresh) > seen:
            self.loop.call_soon(self._settle, len(self._fresh))
        else:
            self._hand_out()

    def _hand_out(self) -> None:
        """Number what is new, in the order of members: theirs is not always that of time."""
        if self._wanted is None:
            return
        fresh = sorted(self._fresh, key=lambda ticket: ticket.member)
        for ticket in fresh:
            ticket.number = len(self._taken)
            self._taken.append(ticket)
        self._fresh = []
        members = len(self.crew.open) if self.crew is not None else 0
        wanted, self._wanted = self._wanted, None
        wanted.set_result(News([ticket.request for ticket in fresh], members))

    def _deliver(self, answers: dict[int, AnswerT]) -> None:
        for number, answer in answers.items():
            if not self._taken[number].answer.done():
                self._taken[number].answer.set_result(answer)


Run = Callable[[Job[RequestT, AnswerT]], None]


class Batcher(Generic[RequestT, AnswerT]):
    """Gathers calls of `ask` into jobs and gives each to `run` on its thread.

    `run(job)` takes requests by `job.news()` until that brings nothing and nothing is left to do, and
    answers each by `job.answer`.
    """

    def __init__(self, run: Run[RequestT, AnswerT], executor: ThreadPoolExecutor) -> None:
        self._run, self._executor = run, executor
        self._open: dict[tuple[int, str, int], Job[RequestT, AnswerT]] = {}
        self._running: list[Job[RequestT, AnswerT]] = []
        self._closed = False

    async def ask(self, request: RequestT) -> AnswerT:
        """The answer to `request`. Cancelling the caller withdraws the request.

        Raises:
            GeneratorError: `run` failed, or the batcher is closed.
        """
        if self._closed:
            raise GeneratorError("expected an open engine, found a closed one. Load it again.")
        loop, place = asyncio.get_running_loop(), _place.get()
        ticket: _Ticket[RequestT, AnswerT] = _Ticket(request, loop.create_future(), place)
        if place:
            place[0].count(place[1], 1)
            ticket.answer.add_done_callback(lambda _: place[0].count(place[1], -1))
        job = self._job(loop, place[0] if place else None)
        job.add(ticket)
        try:
            return await ticket.answer
        except asyncio.CancelledError:
            job.withdraw(ticket)
            raise

    def _job(self, loop: asyncio.AbstractEventLoop, crew: Crew | None) -> Job[RequestT, AnswerT]:
        """The job that takes requests now: one that gathers, or a crew's that runs."""
        key = (id(loop), batch_group.get(), id(crew))
        job = self._open.get(key)
        if job is None or job.loop.is_closed():
            job = self._open[key] = Job(loop, crew)
            if crew is not None:
                crew.watch = job.look
            loop.call_soon(self._settle, key, job, 0)
        return job

    def _settle(self, key: tuple[int, str, int], job: Job[RequestT, AnswerT], seen: int) -> None:
        """Start `job` when the last turn brought no request; else wait one more turn."""
        if len(job._fresh) > seen:
            job.loop.call_soon(self._settle, key, job, len(job._fresh))
            return
        if job.crew is None or not job._fresh:
            del self._open[key]
        self._start(key, job)

    def _start(self, key: tuple[int, str, int], job: Job[RequestT, AnswerT]) -> None:
        if not job._fresh:
            return
        if self._closed:
            job.fail("the engine was closed")
            return
        self._running.append(job)
        work = self._executor.submit(self._run, job)
        work.add_done_callback(lambda done: job._tell(self._end, key, job, done))

    def _end(self, key: tuple[int, str, int], job: Job[RequestT, AnswerT], done: Future[None]) -> None:
        self._running.remove(job)
        if self._open.get(key) is job:
            del self._open[key]
        if self._closed or done.cancelled():
            job.fail("the engine was closed before it answered")
        elif (error := done.exception()) is not None:
            text = str(error) if isinstance(error, DistillError) else f"{type(error).__name__}: {error}"
            job.fail(text, error)
        else:
            job.finish()

    async def close(self) -> None:
        """Withdraw all requests, wait for the worker thread to end. Safe to call twice."""
        self._closed = True
        for job in self._running:
            job.drop()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self._executor.shutdown(wait=True, cancel_futures=True))
