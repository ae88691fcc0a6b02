"""The pool: order, deadlines, memory, crashes, threads, asyncio. Workers are really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from unittest import mock

import pytest

from checkers import CallCase, Pool, PoolError, Status, Verdict, check_math, forkserver
from checkers.verdict import correct

HERE = __name__  # workers import this module and run the functions below by name


def say(text):
    """A well-behaved checker of a user's own."""
    return correct(text)


def crash():
    os._exit(3)


def leave():
    sys.exit(3)


def fail():
    raise KeyError("broken")


def hang():
    while True:
        pass


def sleep_deaf(seconds):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)


def eat_memory():
    return correct(str(len(bytearray(1 << 34))))


def eat_memory_slowly():
    hoard = []
    while True:
        hoard.append(bytes(1 << 24))


def leave_child(path):
    child = subprocess.Popen(["sleep", "60"])
    with open(path, "w") as file:
        file.write(str(child.pid))
    hang()


def say_nothing():
    pass


def say_half():
    return [correct("one"), "two"]


def say_maybe():
    return Verdict("maybe", "")


def flood():
    """Takes the socket and writes without an end, as a hostile item could."""
    (ours,) = [int(fd) for fd in os.listdir("/proc/self/fd") if is_socket(fd)][-1:]
    while True:
        os.write(ours, b"x" * (1 << 20))


def is_socket(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    except FileNotFoundError:
        return False


def check_without_alarms(answer, reference):
    """As check_math, in a process where no signal may be asked for."""

    with (
        mock.patch("signal.alarm", side_effect=AssertionError("an alarm was set")),
        mock.patch("signal.setitimer", side_effect=AssertionError("a timer was set")),
        mock.patch("signal.signal", side_effect=AssertionError("a handler was set")),
    ):
        return check_math(answer, reference)


def my_pid():
    return correct(str(os.getpid()))


def call(name):
    return f"{HERE}:{name}"


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, deadline_seconds=0.6, memory_mb=512) as pool:
        yield pool


HARD = (r"\frac{x}{2} + 1", r"\frac{x+2}{2}")


def test_mixed_batch_in_order(pool):
    items = [("The answer is 1.", "1"), HARD, ("2", "3"), ("x + 1", "x + 2"), ("", "5"), ("5", "")]
    verdicts = pool.map("math", items)
    assert [str(verdict.status) for verdict in verdicts] == [
        "correct", "correct", "incorrect", "incorrect", "incorrect", "undecided",
    ]  # fmt: skip


def test_empty_batch(pool):
    assert pool.map("math", []) == []


def test_steps_give_lists(pool):
    (verdicts,) = pool.map("steps", [("", ["1 + 1 = 2", "2 * 2 = 5"])])
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT, Status.INCORRECT]


def test_long_steps_go_to_a_worker_with_the_same_result(pool, monkeypatch):
    monkeypatch.setattr("checkers.pool._LARGEST_STEPS_HERE", 20)
    (verdicts,) = pool.map("steps", [("", ["He has 3 * 4 = 12 eggs.", "2 * 2 = 5"])])
    assert [str(verdict.status) for verdict in verdicts] == ["correct", "incorrect"]


def test_logic_and_deductions(pool):
    (verdict,) = pool.map("logic", [("Bob is red. Red people are cold.", "Bob is cold")])
    (verdicts,) = pool.map("deduction", [("Bob is red.", ["Bob is red.", "Bob is kind."])])
    assert verdict.status is Status.CORRECT
    assert len(verdicts) == 2


def test_programs_are_judged_in_their_sandbox():
    twice = "def twice(x): return 2 * x"
    items = [
        (twice, ["assert twice(2) == 4"]),
        (twice, [CallCase("twice", (3,), 7)]),
        (twice, ["def check(candidate): assert candidate(2) == 4"], {"entry_point": "twice"}),
        ("while True: pass", ["assert True, twice(2)"]),
    ]
    with Pool(workers=2, deadline_seconds=6.0) as pool:
        verdicts = pool.map("code", items)
        assert [str(verdict.status) for verdict in verdicts] == [
            "correct",
            "incorrect",
            "correct",
            "incorrect",
        ]
        assert [len(verdict.tests) for verdict in verdicts] == [1] * 4
        with pytest.raises(TypeError):
            pool.map("code", [(twice, ["assert True"], {"no_such_option": 1})])
        with pytest.raises(ValueError, match="unpack"):
            pool.map("code", [(twice,)])
        assert pool.map("code", items[:1])[0].status is Status.CORRECT


@pytest.mark.parametrize(
    ("culprit", "arguments", "reason"),
    [
        ("crash", (), "died"),
        ("leave", (), "SystemExit"),
        ("fail", (), "KeyError"),
        ("hang", (), "within 0.6 s"),
        ("sleep_deaf", (30,), "within 0.6 s"),
        ("eat_memory", (), "memory"),
        ("eat_memory_slowly", (), "memory"),
        ("say_nothing", (), "returned NoneType, expected checkers.Verdict"),
        ("say_half", (), "returned str"),
        ("say_maybe", (), "ValueError"),
        ("flood", (), "more than 64 MB"),
    ],
)
def test_one_bad_item_harms_no_other(pool, culprit, arguments, reason):
    start = time.monotonic()
    (bad,) = pool.map(call(culprit), [arguments])
    assert bad.status is Status.UNDECIDED
    assert reason in bad.reason
    texts = [f"text {i}" for i in range(40)]
    assert [verdict.reason for verdict in pool.map(call("say"), [(text,) for text in texts])] == texts
    assert time.monotonic() - start < 3


def test_a_bad_item_inside_a_batch_harms_no_other():
    items = [(1,) if index == 5 else (0,) for index in range(20)]
    with Pool(workers=2, deadline_seconds=1.0) as pool:
        verdicts = pool.map(call("die_if"), items)
    assert [verdict.status is Status.CORRECT for verdict in verdicts] == [not item[0] for item in items]


def die_if(doomed):
    if doomed:
        os._exit(1)
    return correct("alive")


def test_a_killed_worker_takes_its_children_along(pool, tmp_path):
    path = tmp_path / "pid"
    pool.map(call("leave_child"), [(str(path),)])
    child = int(path.read_text())
    for _ in range(100):
        if not _alive(child):
            return
        time.sleep(0.02)
    pytest.fail(f"process {child} outlived its worker")


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_worker_killed_from_outside_while_idle(pool):
    (verdict,) = pool.map(call("my_pid"), [()])
    os.kill(int(verdict.reason), signal.SIGKILL)
    time.sleep(0.05)
    assert pool.map(call("say"), [("still here",)])[0].reason == "still here"


def test_fork_server_killed_from_outside(pool):
    os.kill(forkserver.shared.get().pid, signal.SIGKILL)
    time.sleep(0.05)
    assert pool.map(call("say"), [("still here",)])[0].reason == "still here"


def test_many_threads_share_a_pool(pool):
    results = {}

    def ask(number):
        items = [(f"x + {number} + {i}", f"{number + i} + x") for i in range(8)]
        results[number] = pool.map("math", items)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 6
    assert all(verdict.status is Status.CORRECT for verdicts in results.values() for verdict in verdicts)


def test_asyncio_keeps_its_loop(pool):
    async def main():
        ticks = 0
        task = asyncio.ensure_future(pool.amap(call("hang"), [()]))
        while not task.done():
            await asyncio.sleep(0.02)
            ticks += 1
        return ticks, await task

    ticks, (verdict,) = asyncio.run(main())
    assert ticks > 20
    assert verdict.status is Status.UNDECIDED


def test_asyncio_by_a_thread(pool):
    (verdict,) = asyncio.run(asyncio.to_thread(pool.map, "math", [HARD]))
    assert verdict.status is Status.CORRECT


def test_no_alarm_is_set(pool):
    assert pool.map(call("check_without_alarms"), [HARD])[0].status is Status.CORRECT


@pytest.mark.parametrize("item", [({1, 2},), (b"bytes",), (object(),), "text", ([[]],)])
def test_what_is_no_tuple_of_plain_data_is_refused_at_once(pool, item):
    if item == ([[]],):
        item[0].append(item[0])  # endless
    with pytest.raises(TypeError, match="expected"):
        pool.map(call("say"), [("fine",), item])
    assert pool.map(call("say"), [("fine",)])[0].reason == "fine"


def test_asyncio_cancellation_leaves_the_pool_usable(pool):
    async def main():
        task = asyncio.ensure_future(pool.amap(call("sleep_deaf"), [(0.2,)] * 3))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await pool.amap("math", [HARD])

    assert asyncio.run(main())[0].status is Status.CORRECT


def test_closing_a_busy_pool_ends_at_once():
    pool = Pool(deadline_seconds=60)
    results = []
    thread = threading.Thread(target=lambda: results.extend(pool.map(call("hang"), [(), ()])))
    thread.start()
    while not pool._running:  # the call is at work, however busy the machine is
        assert thread.is_alive()
        time.sleep(0.01)
    start = time.monotonic()
    pool.close()
    thread.join()
    assert time.monotonic() - start < 2
    assert [verdict.status for verdict in results] == [Status.UNDECIDED] * 2
    with pytest.raises(PoolError):
        pool.map("math", [("1", "1")])


def test_impossible_settings_are_refused():
    for wrong in ({"workers": 0}, {"deadline_seconds": 0}, {"memory_mb": 1}):
        with pytest.raises(ValueError, match="expected"):
            Pool(**wrong)


def test_easy_verdicts_need_no_worker():
    items = [(f"Ana has {i} eggs.\nThe rest is 3.\nAnswer: {i}", str(i)) for i in range(10_000)]
    with Pool(workers=1) as fresh:
        verdicts = fresh.map("math", items)
        assert not fresh._threads
    assert all(verdict.status is Status.CORRECT for verdict in verdicts)
