"""A pool inside real Ray actors, with and without asyncio: no signals, no fork of the actor."""

import sys

import pytest

from checkers import Pool, Status

ray = pytest.importorskip("ray")

HARD = [(r"\sum_{k=1}^{3} k", "6"), (r"\sum_{k=1}^{3} k", "7"), ("The answer is 18.", "18")]
ENDLESS = "checkers.algebra:compare", [("10000000!", "7")]  # past the guards: only a kill ends it
EXPECTED = [Status.CORRECT, Status.INCORRECT, Status.CORRECT]


class Judge:
    """Called from the actor's own thread, or one of several."""

    def __init__(self):
        self.pool = Pool(workers=1, deadline_seconds=2.0, memory_mb=1024)

    def judge(self, function, items):
        return self.pool.map(function, items)


class AsyncJudge(Judge):
    """The same on the actor's event loop."""

    async def judge(self, function, items):
        return await self.pool.amap(function, items)


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # actors cannot import this file
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize(
    ("kind", "concurrency"), [(Judge, 1), (Judge, 3), (AsyncJudge, 3)], ids=["plain", "threads", "asyncio"]
)
def test_an_actor_judges_and_goes_on_after_a_kill(kind, concurrency):
    actor = ray.remote(kind).options(num_cpus=0.1, max_concurrency=concurrency).remote()
    calls = [actor.judge.remote("math", HARD), actor.judge.remote(*ENDLESS), actor.judge.remote("math", HARD)]
    first, (endless,), last = ray.get(calls, timeout=120)
    assert [verdict.status for verdict in first] == [verdict.status for verdict in last] == EXPECTED
    assert endless.status is Status.UNDECIDED
    assert "no verdict within 2 s" in endless.reason
    ray.kill(actor)
