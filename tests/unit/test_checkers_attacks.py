"""Hostile answers of mathematics: a verdict in time, memory under the limit, the pool unharmed."""

import contextlib
import itertools
import threading
import time
from pathlib import Path

import pytest

from checkers import Pool, Status

DEADLINE_SECONDS, MEMORY_MB = 1.0, 1024
SLACK_SECONDS = 15.0  # a busy machine and new workers; a hang would take for ever
NEST = 1000
ATTACKS = {
    "tower": "9**9**9**9",
    "braced tower": r"9^{9^{9^{9}}}",
    "factorial": "10000000!",
    "factorial in brackets": "(10000000)!",
    "factorials": "3!!!!!!",
    "binomial": r"\binom{10^9}{5\cdot10^8}",
    "nested fractions": r"\frac{1}{" * NEST + "2" + "}" * NEST,
    "nested fractions that do not end": r"\frac{" * NEST,
    "nested braces": "{" * NEST + "2" + "}" * NEST,
    "nested brackets": "(" * NEST + "2" + ")" * NEST,
    "nested lists": "[" * NEST + "2" + "]" * NEST,
    "nested roots": r"\sqrt{" * 50 + "2" + "}" * 50,
    "nested functions": "f(" * 50 + "x" + ")" * 50,
    "nested absolute values": r"\left|" * 50 + "x" + r"\right|" * 50,
    "open braces": "{" * 100_000,
    "nested boxes": r"\boxed{" * 20_000 + "2",
    "ten million digits": "9" * 10_000_000,
    "boxed digits": rf"\boxed{{{'9' * 200_000}}}",
    "decimals": "0." + "1" * 200_000,
    "exponent": "1e999999999",
    "null bytes": "\x00" * 100_000,
    "null bytes in a number": "1\x008",
    "right to left": "\u202e81\u202c = x",
    "right to left number": "\u202e81\u202c",
    "lookalike digits": "1８",
    "digits of several scripts": "١৮",
    "lookalike letters": "х + 1",  # Cyrillic
    "mathematical digits": "𝟏𝟖",
    "superscripts": "2¹⁸⁰⁰⁰⁰⁰⁰",
    "code": "__import__('os').system('touch {trace}')",
    "code in a box": r"\boxed{__import__('os')._exit(0)}",
    "code in LaTeX": r"\text{__import__('os').system('touch {trace}')}",
    "attributes": "().__class__.__bases__[0].__subclasses__()",
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
WITHOUT_GUARDS = (  # nothing stands between these and computer algebra but the worker's limits
    "tower", "braced tower", "factorial", "binomial", "nested fractions", "nested braces", "nested roots",
    "boxed digits", "null bytes in a number", "code", "lambda", "product",
)  # fmt: skip
_numbers = itertools.count()


def innocent():
    """An item that needs the worker, each time another one, so that no cache answers it."""
    number = next(_numbers)
    return rf"\sum_{{k=1}}^{{3}} (k + {number})", str(6 + 3 * number)


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, deadline_seconds=DEADLINE_SECONDS, memory_mb=MEMORY_MB) as pool:
        pool.map("math", [innocent()])  # the worker is up
        yield pool


def peak_mb(process: int | str, field: str) -> float:
    """A peak of a process in MiB; 0 if it has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def peaks_of_workers(pool):
    """The peak address space of every worker that lives within the block, looked at all the time."""
    seen, done = [0.0], threading.Event()

    def watch():
        while not done.wait(0.01):
            seen.extend(peak_mb(worker.pid, "VmPeak") for worker in list(pool._running))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def attack(pool, function, items):
    """The verdicts on `items`, with everything checked that holds for all attacks."""
    Path("/proc/self/clear_refs").write_text("5")  # forget this process's peak
    before, started = peak_mb("self", "VmHWM"), time.monotonic()
    with peaks_of_workers(pool) as peaks:
        verdicts = pool.map(function, items)
    assert time.monotonic() - started < len(items) * DEADLINE_SECONDS + SLACK_SECONDS
    assert all(verdict.status in Status for verdict in verdicts)
    assert max(peaks) <= MEMORY_MB
    assert peak_mb("self", "VmHWM") - before < MEMORY_MB / 4  # what is judged here is small
    started = time.monotonic()
    assert pool.map("math", [innocent()])[0].status is Status.CORRECT
    assert time.monotonic() - started < DEADLINE_SECONDS + SLACK_SECONDS
    return verdicts


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_ends_in_a_verdict_and_harms_no_other_item(pool, name, tmp_path):
    text = ATTACKS[name].replace("{trace}", str(tmp_path / "trace"))
    changed = text.replace("9", "8", 1).replace("2", "3", 1)
    verdicts = attack(pool, "math", [(text, "x^2 + 1"), (text, "7"), (text, changed), ("7", text)])
    assert [verdict.status for verdict in verdicts[:2]].count(Status.CORRECT) == 0, verdicts
    assert verdicts[3].status is not Status.CORRECT
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("name", WITHOUT_GUARDS)
def test_an_attack_on_the_bare_algebra_is_ended_by_the_worker(pool, name, tmp_path):
    text = ATTACKS[name].replace("{trace}", str(tmp_path / "trace"))
    (verdict,) = attack(pool, "checkers.algebra:compare", [(text, "x^2 + 1")])
    assert verdict.status is not Status.CORRECT
    assert not (tmp_path / "trace").exists()
