"""The process that forks sandboxes: spares, deaths, and callers that are threads or processes themselves."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from sandbox_processes import children, is_dead, settles

from checkers.code import Limits, check_code
from checkers.sandbox import host
from checkers.sandbox.host import Sandbox
from checkers.sandbox.zygote import MOST_SPARES


@pytest.fixture
def spared(monkeypatch):
    """A sandbox of its own with its spares waiting, and their processes."""
    with Sandbox() as sandbox:
        if "mount" not in sandbox.kinds:
            pytest.skip("spares need a mount namespace")
        monkeypatch.setattr(host.shared, "held", sandbox)
        for _ in range(2):
            assert check_code("def f(): return 1", ["assert f() == 1"]).status == "correct"
        assert settles(lambda: len(children(sandbox)) == 2 * MOST_SPARES)
        yield sandbox, children(sandbox)


def test_spares_are_used_once_and_replaced(spared):
    sandbox, before = spared
    for _ in range(MOST_SPARES):
        assert check_code("def f(): return 1", ["assert f() == 1"]).status == "correct"
    assert settles(
        lambda: len(children(sandbox)) == 2 * MOST_SPARES and not set(children(sandbox)) & set(before)
    )


@pytest.mark.parametrize("which", [[0], [1], [0, 1, 2, 3]])
def test_a_dead_spare_is_not_used(spared, which):
    sandbox, before = spared
    dead = [before[i] for i in which]
    for process in dead:
        process.kill()
    assert settles(lambda: all(map(is_dead, dead)))
    assert check_code("def f(): return 1", ["assert f() == 1"]).reason == "passes 1 test"
    assert settles(lambda: len(children(sandbox)) == 2 * MOST_SPARES)


def test_a_spare_that_dies_as_it_is_used_is_nobodys_wrong_answer(spared):
    _, before = spared
    for process in before:
        process.kill()
    for _ in range(MOST_SPARES):
        assert check_code("def f(): return 1", ["assert f() == 1"]).status != "incorrect"


def test_spares_keep_the_limits_that_were_asked_for(spared):
    sandbox, _ = spared
    program = "def f(): return len(bytearray(200 << 20)) >> 20"
    for small in (True, False, True, True, True, False, False, False):
        limits = Limits(memory_mb=128) if small else Limits()
        verdict = check_code(program, ["assert f() == 200"], limits=limits)
        assert verdict.status == ("incorrect" if small else "correct")
        assert "MemoryError" in verdict.reason or not small
    assert settles(lambda: len(children(sandbox)) == 2 * MOST_SPARES)


def test_no_spare_outlives_its_sandbox(spared):
    sandbox, before = spared
    descriptors = len(os.listdir("/proc/self/fd"))
    sandbox.close()
    _, alive = psutil.wait_procs(before, timeout=5)
    assert all(map(is_dead, alive))
    assert len(os.listdir("/proc/self/fd")) < descriptors


def test_threads_tasks_and_forked_or_spawned_processes():
    script = """
import asyncio, multiprocessing
from checkers.code import check_code

def one(i=1):
    return check_code(f"def f(): return {i}", [f"assert f() == {i}"]).status == "correct"

async def several():
    return all(await asyncio.gather(*(asyncio.to_thread(one, i) for i in range(6))))

if __name__ == "__main__":
    good = [asyncio.run(several())]
    for kind in ("fork", "spawn"):
        with multiprocessing.get_context(kind).Pool(2) as pool:
            good += pool.map(one, range(4))
    print(all(good), one())
"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "caller.py"
        path.write_text(script)
        run = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=100, check=False)
    assert run.stdout == "True True\n", run.stderr


def test_a_dead_zygote_is_replaced(monkeypatch):
    monkeypatch.setattr(host.shared, "held", None)
    assert check_code("def f(): return 1", ["assert f() == 1"]).status == "correct"
    psutil.Process(host.shared.get().pid).kill()
    assert check_code("def f(): return 1", ["assert f() == 1"]).status == "correct"
    host.shared.get().close()


def test_the_tree_dies_with_the_caller():
    script = """
import os, threading
from checkers.code import check_code, Limits
from checkers.sandbox import host
check_code("def f(): return 1", ["assert f() == 1"])
hang = lambda: check_code("while True: pass", ["assert f()"], limits=Limits(60))
threading.Thread(target=hang).start()
print(host.shared.get().pid, flush=True)
import time
time.sleep(60)
"""
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    zygote = psutil.Process(int(caller.stdout.readline()))
    time.sleep(0.3)
    tree = [zygote, *zygote.children(recursive=True)]
    assert len(tree) >= 3
    caller.kill()
    caller.wait()
    caller.stdout.close()
    _, alive = psutil.wait_procs(tree, timeout=5)
    assert all(map(is_dead, alive))
