"""Jobs depend on what is asked together, never on how long anything takes."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from distill.errors import GeneratorError
from generators.batching import Batcher, Crew, batch_group


class Recorder:
    """A worker that answers -request, remembers its jobs and may be slow or fail."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.jobs: list[list[int]] = []
        self.cancelled: list[list[int]] = []
        self.seconds = seconds
        self.batcher: Batcher[int, int] = Batcher(self.run, ThreadPoolExecutor(1))

    def run(self, job):
        """One look at a time: with a crew, each is a line of `jobs`."""
        first, given = 0, {}
        while True:
            requests = job.news().requests
            job.answer(given)
            if not requests and not given:
                return
            given = {first + i: -request for i, request in enumerate(requests)}
            first += len(requests)
            if requests:
                self.jobs.append(list(requests))
                time.sleep(self.seconds)
                self.cancelled.append(list(job.cancelled))
            if 13 in requests:
                raise ZeroDivisionError("thirteen")


def test_requests_of_one_turn_share_a_job():
    recorder = Recorder()

    async def scenario():
        return await asyncio.gather(*(recorder.batcher.ask(i) for i in range(5)))

    assert asyncio.run(scenario()) == [0, -1, -2, -3, -4]
    assert recorder.jobs == [[0, 1, 2, 3, 4]]


def test_requests_made_through_nested_tasks_share_a_job():
    recorder = Recorder()

    async def nested(depth: int, request: int) -> int:
        if depth == 0:
            return await recorder.batcher.ask(request)
        return await asyncio.create_task(nested(depth - 1, request))

    async def scenario():
        await asyncio.gather(*(nested(i % 2, i) for i in range(4)))

    asyncio.run(scenario())
    assert [sorted(job) for job in recorder.jobs] == [[0, 1, 2, 3]]


def test_rounds_form_the_same_jobs_in_every_run():
    async def chain(recorder, first: int) -> None:
        for i in range(3):
            await recorder.batcher.ask(10 * i + first)

    def jobs(seconds: float):
        recorder = Recorder(seconds)

        async def scenario():
            await asyncio.gather(*(chain(recorder, i) for i in range(3)))

        asyncio.run(scenario())
        return recorder.jobs

    assert jobs(0.0) == jobs(0.02) == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]


def test_groups_never_share_a_job():
    recorder = Recorder()

    async def shard(name: str, requests) -> None:
        batch_group.set(name)
        await asyncio.gather(*(recorder.batcher.ask(i) for i in requests))

    async def scenario():
        await asyncio.gather(shard("a", (1, 2)), shard("b", (3, 4)))

    asyncio.run(scenario())
    assert sorted(recorder.jobs) == [[1, 2], [3, 4]]


def test_cancelled_before_the_job_starts_is_never_run():
    recorder = Recorder()

    async def scenario():
        kept, dropped = (asyncio.create_task(recorder.batcher.ask(i)) for i in (1, 2))
        await asyncio.sleep(0)
        dropped.cancel()
        return await kept

    assert asyncio.run(scenario()) == -1
    assert recorder.jobs == [[1]]


def test_cancelled_while_running_is_told_to_the_worker():
    recorder = Recorder(0.2)

    async def scenario():
        tasks = [asyncio.create_task(recorder.batcher.ask(i)) for i in (5, 6, 7)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, second, third = asyncio.run(scenario())
    assert (first, third) == (-5, -7)
    assert isinstance(second, asyncio.CancelledError)
    assert recorder.cancelled == [[1]]


def test_a_failed_job_fails_its_requests_only():
    recorder = Recorder()

    async def scenario():
        failed = await asyncio.gather(*map(recorder.batcher.ask, (1, 13)), return_exceptions=True)
        return failed, await recorder.batcher.ask(2)

    failed, after = asyncio.run(scenario())
    assert after == -2
    for error in failed:
        assert isinstance(error, GeneratorError)
        assert "ZeroDivisionError: thirteen" in str(error)
        assert isinstance(error.__cause__, ZeroDivisionError)


def test_close_fails_running_and_waiting_requests():
    recorder = Recorder(0.1)

    async def scenario():
        running = asyncio.create_task(recorder.batcher.ask(1))
        await asyncio.sleep(0.03)
        waiting = asyncio.create_task(recorder.batcher.ask(2))
        await asyncio.sleep(0.03)
        await recorder.batcher.close()
        errors = await asyncio.gather(running, waiting, return_exceptions=True)
        with pytest.raises(GeneratorError, match="closed"):
            await recorder.batcher.ask(3)
        return errors

    errors = asyncio.run(scenario())
    assert all(isinstance(error, GeneratorError) and "closed" in str(error) for error in errors)
    assert recorder.jobs == [[1]]


def test_a_second_event_loop_works():
    recorder = Recorder()
    assert [asyncio.run(recorder.batcher.ask(i)) for i in (1, 2)] == [-1, -2]


def test_a_loop_that_ended_while_gathering_leaves_nothing_behind():
    recorder = Recorder()

    async def abandon():
        task = asyncio.ensure_future(recorder.batcher.ask(1))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(abandon())
    assert asyncio.run(recorder.batcher.ask(2)) == -2
    assert recorder.jobs[-1] == [2]


class TestCrew:
    """Members that ask by turns share one job; `Recorder` writes down a line for each look."""

    def looks(self, seconds: float, delays) -> list[list[int]]:
        """What is looked at when member m, after its answers, thinks for `delays[m]` seconds, asks two things
        at once the second time, and leaves after m + 1 rounds."""
        recorder, crew = Recorder(seconds), Crew()

        async def follow(m: int) -> None:
            with crew.member(m):
                for i in range(m + 1):
                    asked = [100 * m + 10 * i + j for j in range(1 + i % 2)]
                    answers = await asyncio.gather(*map(recorder.batcher.ask, asked))
                    assert answers == [-request for request in asked]
                    await asyncio.sleep(delays[m])

        async def scenario():
            await asyncio.gather(*map(follow, range(4)))
            await recorder.batcher.close()

        asyncio.run(asyncio.wait_for(scenario(), 20))
        return recorder.jobs

    def test_what_is_looked_at_together_does_not_depend_on_time(self):
        first = self.looks(0.0, (0.0, 0.0, 0.0, 0.0))
        assert first[0] == [0, 100, 200, 300]
        assert [110, 111, 210, 211, 310, 311] in first
        assert first == self.looks(0.01, (0.03, 0.0, 0.01, 0.02)) == self.looks(0.0, (0.0, 0.02, 0.0, 0.05))

    def test_one_that_leaves_may_come_back_as_another(self):
        def looks(delay: float) -> list[list[int]]:
            recorder, crew = Recorder(), Crew()

            async def work(numbers) -> None:
                for number in numbers:
                    with crew.member(number):
                        await recorder.batcher.ask(number)
                        await asyncio.sleep(delay * number)

            async def scenario():
                waiting = iter(range(7))
                await asyncio.gather(*(work(waiting) for _ in range(3)))

            asyncio.run(asyncio.wait_for(scenario(), 20))
            return recorder.jobs

        assert looks(0.0) == looks(0.005) == [[0, 1, 2], [3, 4, 5], [6]]

    def test_a_cancelled_member_holds_nobody_up(self):
        recorder, crew = Recorder(0.05), Crew()

        async def follow(m: int) -> int:
            with crew.member(m):
                await recorder.batcher.ask(m)
                return await recorder.batcher.ask(10 + m)

        async def scenario():
            tasks = [asyncio.create_task(follow(m)) for m in range(3)]
            await asyncio.sleep(0.02)
            tasks[1].cancel()
            return await asyncio.gather(*tasks, return_exceptions=True)

        first, second, third = asyncio.run(asyncio.wait_for(scenario(), 20))
        assert (first, third) == (-10, -12)
        assert isinstance(second, asyncio.CancelledError)

    def test_a_failure_reaches_every_member(self):
        recorder, crew = Recorder(), Crew()

        async def follow(m: int) -> int:
            with crew.member(m):
                await recorder.batcher.ask(m)
                return await recorder.batcher.ask(13)

        async def scenario():
            return await asyncio.gather(*map(follow, range(3)), return_exceptions=True)

        errors = asyncio.run(asyncio.wait_for(scenario(), 20))
        assert all(isinstance(error, GeneratorError) and "thirteen" in str(error) for error in errors)

    @pytest.mark.parametrize("end", ["close", "disband"])
    def test_an_end_while_a_member_thinks(self, end: str):
        recorder, crew = Recorder(), Crew()

        async def follow(m: int) -> None:
            with crew.member(m):
                await recorder.batcher.ask(m)
                await asyncio.sleep(60 * m)

        async def scenario():
            tasks = [asyncio.create_task(follow(m)) for m in range(2)]
            await asyncio.sleep(0.1)
            if end == "disband":
                crew.disband()
            await recorder.batcher.close()
            for task in tasks:
                task.cancel()

        asyncio.run(asyncio.wait_for(scenario(), 20))
        assert recorder.jobs == [[0, 1]]
