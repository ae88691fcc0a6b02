"""The pool: order, deadlines, memory, crashes, threads, asyncio, attacks. Workers are really killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from checkers import Pool, PoolError, Status, forkserver
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


def test_long_steps_go_to_a_worker_with_the_same_result(pool):
    steps = ["He has 3 * 4 = 12 eggs. " * 100, "2 * 2 = 5"] * 20
    (verdicts,) = pool.map("steps", [("", steps)])
    assert [str(verdict.status) for verdict in verdicts] == ["correct", "incorrect"] * 20


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
        ("no_such_function", (), "AttributeError"),
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
    time.sleep(0.3)
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


def test_ten_thousand_easy_verdicts_take_well_under_a_second(pool):
    items = [(f"Ana has {i} eggs.\nThe rest is 3.\nAnswer: {i}", str(i)) for i in range(10_000)]
    start = time.perf_counter()
    verdicts = pool.map("math", items)
    seconds = time.perf_counter() - start
    assert all(verdict.status is Status.CORRECT for verdict in verdicts)
    assert seconds < 1.0  # measured: 0.1 s on a shared 2-core machine


NEST = 1000
ATTACKS = {
    "tower": "9**9**9**9",
    "braced tower": r"9^{9^{9^{9}}}",
    "factorial": "10000000!",
    "factorial in brackets": "(10000000)!",
    "factorials": "3!!!!!!",
    "binomial": r"\binom{10^9}{5\cdot10^8}",
    "nested fractions": r"\frac{1}{" * NEST + "2" + "}" * NEST,
    "nested braces": "{" * NEST + "2" + "}" * NEST,
    "nested brackets": "(" * NEST + "2" + ")" * NEST,
    "open braces": "{" * 100_000,
    "nested boxes": r"\boxed{" * 20_000 + "2",
    "digits": "9" * 10_000_000,
    "boxed digits": rf"\boxed{{{'9' * 200_000}}}",
    "decimals": "0." + "1" * 200_000,
    "exponent": "1e999999999",
    "null bytes": "\x00" * 100_000,
    "right to left": "\u202e81\u202c = x",
    "code": "__import__('os').system('touch /tmp/checkers-was-here')",
    "code in a box": r"\boxed{__import__('os')._exit(0)}",
    "lambda": "(lambda f: f(f))(lambda f: f(f))",
    "stars": "*" * 100_000 + "x",
    "hashes": "#" * 100_000 + "x",
    "spaces": "answer" + " " * 100_000 + "x",
    "answers": "the answer to " * 20_000,
    "dollars": "$" * 100_000,
    "separators": "1,111," * 30_000,
    "sine": r"\sin 80^\circ (4 \cos 80^\circ - 1)",
    "sum": r"\sum_{k=1}^{10^{12}} \frac{1}{k^2}",
    "integral": r"\int_0^1 e^{e^{e^{x^{x}}}} dx",
    "product": "(x+1)^{999}(y+2)^{999}(z-3)^{999}",
    "big power": "2^{99999}",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_end_in_a_verdict(pool, attack):
    text = ATTACKS[attack]
    start = time.monotonic()
    verdicts = pool.map("math", [(text, "x^2 + 1"), (text, "7")])
    assert time.monotonic() - start < 3.0
    assert all(verdict.status is not Status.CORRECT for verdict in verdicts), verdicts
    assert pool.map("math", [HARD])[0].status is Status.CORRECT
    assert not os.path.exists("/tmp/checkers-was-here")
