"""The sandbox against hostile programs, with and without namespaces, and its layers one by one.

The programs lie in `hostile_programs/`. Nothing here runs unless the layers were seen to bite first.
"""

import os
import platform
import re
import select
import shutil
import socket
import tempfile
import threading
import time
import tomllib
from pathlib import Path

import pytest
from sandbox_processes import children, settles

from checkers.code import CallCase, Limits, SandboxError, StdinCase, active_layers, check_code
from checkers.sandbox import host, namespaces, values
from checkers.sandbox.host import Sandbox
from checkers.sandbox.layers import REQUIRED
from checkers.sandbox.zygote import MOST_SPARES

PROGRAMS = [
    {"topic": path.stem, **entry}
    for path in sorted((Path(__file__).parent / "hostile_programs").glob("*.toml"))
    for entry in tomllib.loads(path.read_text())["program"]
]
SECRET = "correct-horse-battery-staple"
HALVES = (7319, 5264)
EXPECTED = HALVES[0] * 10_000 + HALVES[1]
TESTS = [
    f"assert solve() == {EXPECTED}",
    f"assert abs(solve() - {EXPECTED}) < 1 and len([solve()]) == 1",
    f"assert math.isclose(solve(), {EXPECTED})",
    f"assert isinstance(solve(), int) and not solve() != {EXPECTED}",
    CallCase("solve", (), EXPECTED),
]
QUICK = Limits(seconds=2, output_mb=8, scratch_mb=8)
ENDLESS = Limits(seconds=0.4, output_mb=8, scratch_mb=8)  # for programs that use up any time
FILLING = Limits(seconds=10, output_mb=8, scratch_mb=8)  # memory fills slowly on a busy machine
OVERHEAD_SECONDS = 12  # on a busy machine; the referee itself gives up after 3 times the limit and 5 s
PRELUDE = """
import ctypes, errno, os, platform
def attempt(function, *arguments, **keywords):
    try:
        return f"got through: {function(*arguments, **keywords)!r}"[:300]
    except BaseException as error:
        return f"refused: {type(error).__name__} {error}"[:300]
def call(x86_64, aarch64, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    number = x86_64 if platform.machine() == "x86_64" else aarch64
    plain = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    done = library.syscall(ctypes.c_long(number), *plain) >= 0
    return "got through" if done else errno.errorcode[ctypes.get_errno()]
"""


@pytest.fixture(scope="module", params=["namespaces", "no namespaces"])
def sandbox(request):
    """A sandbox as on this machine, and one as in a pod that forbids namespaces."""
    without = [] if request.param == "namespaces" else list(namespaces.KINDS)
    with Sandbox(without) as sandbox:
        sandbox.demand()
        yield sandbox


@pytest.fixture
def judged(sandbox, monkeypatch):
    """check_code in that sandbox."""
    monkeypatch.setattr(host.shared, "held", sandbox)
    return check_code


class Outside:
    """A home folder with a secret in it, and sockets that somebody listens on."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="home-"))
        (self.home / "secret").write_text(SECRET)
        (self.home / "private_module.py").write_text(f"token = {SECRET!r}")
        self.heard = []
        self.tcp, self.udp = socket.create_server(("127.0.0.1", 0)), socket.socket(type=socket.SOCK_DGRAM)
        self.port = self.tcp.getsockname()[1]
        self.udp.bind(("127.0.0.1", self.port))
        self.unix, self.abstract, self.datagram = (
            socket.socket(socket.AF_UNIX, kind)
            for kind in (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM)
        )
        self.path = str(self.home / "socket")
        self.unix.bind(self.path)
        self.abstract.bind("\0" + self.path)
        self.datagram.bind(self.path + ".datagram")
        self.unix.listen()
        self.abstract.listen()
        self.before = self.state()

    def state(self):
        """Everything that a program could have changed."""
        files = {
            p.name: (p.stat().st_mode, p.stat().st_mtime_ns, p.stat().st_uid) for p in self.home.iterdir()
        }
        shared = Path("/proc/sysvipc/shm").read_text() if Path("/proc/sysvipc/shm").exists() else ""
        return files, (self.home / "secret").read_text(), shared

    def visitors(self):
        """Which sockets somebody has written or connected to."""
        every = [self.tcp, self.udp, self.unix, self.abstract, self.datagram]
        return select.select(every, [], [], 0)[0]

    def close(self):
        for each in (self.tcp, self.udp, self.unix, self.abstract, self.datagram):
            each.close()
        shutil.rmtree(self.home)


@pytest.fixture(scope="module")
def outside():
    outside = Outside()
    yield outside
    outside.close()


def fill_in(code, outside):
    """A hostile program with its targets in it."""
    for name, value in {
        "HOME": outside.home, "PORT": outside.port, "SOCKET": outside.path, "CALLER": os.getpid(),
        "EXPECTED_HALF": HALVES[0], "EXPECTED_OTHER_HALF": HALVES[1],
    }.items():  # fmt: skip
        code = code.replace(f"@{name}@", str(value))
    return PRELUDE + code


def text_of(verdict):
    return " | ".join(f"{v.status}: {v.reason} {v.compared or ''}" for v in (verdict, *verdict.tests))


@pytest.mark.parametrize("entry", PROGRAMS, ids=lambda e: f"{e['topic']}: {e['name']}")
def test_hostile_program(entry, judged, outside):
    if entry.get("machine", platform.machine()) != platform.machine():
        pytest.skip(f"machine code for {entry['machine']}")
    started = time.monotonic()
    limits = FILLING if "MemoryError" in entry["shows"] else QUICK
    if "no answer" in entry["shows"]:
        limits = ENDLESS
    verdict = judged(fill_in(entry["code"], outside), TESTS, limits=limits)
    assert time.monotonic() - started < limits.seconds + OVERHEAD_SECONDS
    text = text_of(verdict)
    assert verdict.status != "correct"
    assert all(test.status != "correct" for test in verdict.tests)
    assert "got through" not in text
    assert SECRET not in text
    assert outside.state() == outside.before
    assert not outside.visitors()
    if "too busy" not in text:
        assert re.search(entry["shows"], text), text


def test_nothing_is_left_on_the_host(sandbox, monkeypatch, outside):
    monkeypatch.setattr(host.shared, "held", sandbox)
    temporary = set(os.listdir(tempfile.gettempdir()))
    for name in ("swallow everything", "many files", "threads", "close the channel and stay", "daemon"):
        code = next(e["code"] for e in PROGRAMS if e["name"] == name)
        check_code(fill_in(code, outside), TESTS, limits=Limits(seconds=0.3, scratch_mb=4))
    most = 2 * MOST_SPARES if "mount" in sandbox.kinds else 0
    assert settles(lambda: len(children(sandbox)) <= most)

    def left() -> set[str]:  # another test process may have its own there for a moment
        now = set(os.listdir(tempfile.gettempdir()))
        return {name for name in now - temporary if name.startswith("checkers-")}

    assert settles(lambda: not left())


def test_there_are_enough_programs_and_each_says_its_aim():
    assert len(PROGRAMS) >= 50
    assert len({e["name"] for e in PROGRAMS}) == len(PROGRAMS)
    assert all(e["aim"] and e["shows"] for e in PROGRAMS)


CONTROLS = ["read a secret at home", "list the home folder", "read /sys", "import from the host",
            "read its own memory map", "change times"]  # fmt: skip


def test_attacks_succeed_without_the_layers(monkeypatch, outside):
    """The same programs in a sandbox without layers do get through: the tests above are not empty."""
    victim = Outside()
    with Sandbox([*REQUIRED, *namespaces.KINDS]) as bare:
        monkeypatch.setattr(host.shared, "held", bare)
        for name in CONTROLS:
            code = next(e["code"] for e in PROGRAMS if e["name"] == name)
            verdict = check_code(fill_in(code, victim), TESTS[:1], limits=QUICK, sandbox="weak")
            assert "got through" in text_of(verdict), name
    victim.close()


def test_weak_only_by_name(monkeypatch):
    with Sandbox(["landlock"]) as weak:
        monkeypatch.setattr(host.shared, "held", weak)
        with pytest.raises(SandboxError, match=r"landlock.*sandbox: weak"):
            check_code("def f(): return 1", ["assert f() == 1"])
        assert check_code("def f(): return 1", ["assert f() == 1"], sandbox="weak").status == "correct"
        with pytest.raises(ValueError, match="strict"):
            check_code("def f(): return 1", ["assert f() == 1"], sandbox="none")


@pytest.mark.parametrize("layer", REQUIRED)
def test_each_required_layer_is_missed(layer):
    with Sandbox([layer]) as sandbox:
        assert layer in sandbox.missing
        assert {x.name: x.on for x in sandbox.layers()}[layer] is False
        with pytest.raises(SandboxError, match=layer):
            sandbox.demand()


def test_layers_of_this_machine():
    layers = {layer.name: layer for layer in active_layers()}
    assert [name for name, layer in layers.items() if layer.required] == list(REQUIRED)
    assert all(layer.on for layer in layers.values() if layer.required)


def test_stdin_programs_are_held_too(judged, outside):
    for program, shows in (
        ("while True: print('x' * 1000)", "wrote more than|raised OSError|did not end"),
        ("import os\nos._exit(3)", "exit code 3"),
        ("import os\nos.write(3, b'forged')\nwhile True: pass", "sent|did not end"),
        ("import ctypes\nctypes.string_at(0)", "signal 11"),
        (f"print(open('{outside.home}/secret').read())", "PermissionError|FileNotFoundError"),
        ("import os\nfor fd in range(3, 64):\n  os.write(fd, b'x')", "raised|sent|something else"),
        ("import time\ntime.sleep(60)", "did not end"),
        ("import sys\nsys.exit(1)", "SystemExit"),
    ):
        verdict = judged(
            program, [StdinCase("", SECRET)], limits=Limits(seconds=1, output_mb=2, scratch_mb=2)
        )
        assert verdict.status == "incorrect" or "too busy" in verdict.reason
        assert re.search(shows, verdict.reason) or "too busy" in verdict.reason, (program, verdict)


def test_one_program_leaves_nothing_for_the_next(judged):
    leave = """
import builtins, random
open('note', 'w').write('x')
builtins.note = 1
random.seed(7)
def f(): return 1
"""
    look = """
import builtins, os, random
def f(): return os.listdir('.'), hasattr(builtins, 'note'), random.random()
"""
    assert judged(leave, ["assert f() == 1"]).status == "correct"
    first = judged(look, ["assert f()[:2] == ([], False)", "assert f() is None"]).tests
    judged(leave, ["assert f() == 1"])
    second = judged(look, ["assert f()[:2] == ([], False)", "assert f() is None"]).tests
    assert first[0].status == "correct"
    assert first == second


def test_slow_tests_are_nobodys_wrong_answer(judged):
    """A value whose comparison takes for ever in the trusted process: undecided, and in time."""
    collide = "def f(): return {i * (2**61 - 1) for i in range(1, 9)}"
    hang = "assert f()\nwhile True: pass"
    started = time.monotonic()
    verdict = judged(collide, [hang], limits=Limits(seconds=0.3))
    assert verdict.status == "undecided"
    assert time.monotonic() - started < OVERHEAD_SECONDS


def test_many_threads_share_one_sandbox(judged):
    results = {}

    def work(i):
        results[i] = [judged(f"def f(): return {i}", [f"assert f() == {j}"]).status for j in (i, i + 1)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {i: ["correct", "incorrect"] for i in range(8)}


def test_descriptors_of_the_caller_do_not_leak(judged):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        judged("def f(): return 1", ["assert f() == 1"])
        judged("print(1)", [StdinCase("", "1")])
    assert len(os.listdir("/proc/self/fd")) == before
    count = "import os\ndef f(): return [n for n in range(64) if _open(n)]\n"
    count += "def _open(n):\n  try: return bool(os.fstat(n))\n  except OSError: return False"
    assert judged(count, ["assert f() == [0, 1, 2, 3]"]).status == "correct"


def test_limits_say_what_is_wrong_with_them():
    for bad in ({"seconds": 0}, {"seconds": float("inf")}, {"memory_mb": 1}, {"threads": 0}, {"files": 3}):
        with pytest.raises(ValueError, match=f"Limits.{next(iter(bad))}"):
            Limits(**bad)


NONSENSE = [
    *(["list", ["nonsense"]], ["dict", 1], ["set", ["list"]], {}, [], [[]], ["Decimal", "x"]),
    *(["range", 1, 2, 0], ["bytes", "zz"], ["int", "no"], ["type", "object"], ["object", [1, "x"]]),
    *(["timedelta", "1"], ["complex", None, 1], ["float", [1]], ["Fraction", 1, 0]),
]


@pytest.mark.parametrize("form", NONSENSE, ids=str)
def test_descriptions_that_describe_nothing(form):
    with pytest.raises(values.NotPlainError):
        values.decode(form)
