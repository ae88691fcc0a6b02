"""Checkers of a user's own, by entry point: the page's example, and everything that can be wrong with one."""

import os
import re
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from checkers import Pool, PoolError, Status, plugins

PAGE = (Path(__file__).parents[2] / "docs" / "checkers.md").read_text(encoding="utf-8")
MODULE = """
import os, time
from checkers.verdict import Verdict, correct, incorrect, undecided
not_a_function = 5
def fine(text): return correct(text)
def slow(seconds): time.sleep(seconds); return correct("done")
def crash(text): os._exit(3)
def fail(text): raise KeyError("broken")
def lie(text): return True
def recurse(text): return recurse(text)
def eat(text): return correct(str(len(bytearray(1 << 34))))
class Family:
    @staticmethod
    def member(text): return correct("of " + text)
"""


def block(language):
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a distribution where `sys.path` finds it, as pip would: modules and a `dist-info` beside them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(distribution, points, **modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{plugins.GROUP}]", *lines]))

    yield run
    plugins._installed.cache_clear()


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1, deadline_seconds=1.0, memory_mb=512) as pool:
        yield pool


def test_the_plugin_of_the_page_works_as_the_page_says(install, pool):
    points = tomllib.loads(block("toml"))["project"]["entry-points"][plugins.GROUP]
    install("units", points, my_units=block("python my_units.py"))
    items = [("150 cm", "1.5 m"), ("2 m", "3 m"), ("far", "1 m")]
    verdicts = pool.map("length", items)
    assert [str(verdict.status) for verdict in verdicts] == ["correct", "incorrect", "undecided"]
    assert verdicts[1].compared == ("2 m", "3 m")
    assert pool.map("my_units:check_length", items) == verdicts
    assert "my_units" not in sys.modules  # imported in the worker only


def test_a_plugin_is_found_by_a_fresh_interpreter_and_not_at_import(install, tmp_path):
    """By PYTHONPATH, in a script without a `__main__` guard."""
    install("loud", {"loud": "loud:check"}, loud="raise SystemExit('imported')")
    install("quiet", {"quiet": "quiet:fine"}, quiet=MODULE)
    (tmp_path / "script.py").write_text(
        "import checkers, sys\n"
        "pool = checkers.Pool()\n"
        "print(pool.map('quiet', [('hello',)])[0].reason)\n"
        "assert not {'quiet', 'loud'} & set(sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "script.py")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.stderr) == ("hello\n", "")


def test_it_is_found_if_installed_after_the_first_look(install, pool):
    with pytest.raises(PoolError, match="expected one of code, code_steps, deduction, logic, math, steps or"):
        pool.map("late", [("text",)])
    install("late", {"late": "late_module:Family.member"}, late_module=MODULE)
    assert pool.map("late", [("a family",)])[0].reason == "of a family"


@pytest.mark.parametrize(
    ("function", "argument", "reason"),
    [
        ("slow", 30, "no verdict within 1 s"),
        ("crash", "", "died"),
        ("fail", "", "KeyError"),
        ("lie", "", "the checker returned bool, expected checkers.Verdict"),
        ("recurse", "", "nested too deeply"),
        ("eat", "", "out of memory"),
    ],
)
def test_a_bad_item_is_undecided_and_harms_no_other(install, pool, function, argument, reason):
    install("own", {"own": f"own_module:{function}", "good": "own_module:fine"}, own_module=MODULE)
    (verdict,) = pool.map("own", [(argument,)])
    assert verdict.status is Status.UNDECIDED
    assert reason in verdict.reason
    assert [verdict.reason for verdict in pool.map("good", [("a",), ("b",)])] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def check(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("other = 5", "AttributeError: module 'bad_module' has no attribute 'check'"),
        ("check = 5", "expected a function, found int"),
        ("import os; os._exit(3)", "died"),
        ("import time; time.sleep(60)", "the import did not end within 1 s"),
        ("hoard = bytearray(1 << 34)", "MemoryError"),
    ],
)
def test_what_cannot_be_imported_is_an_error_and_harms_no_other(install, pool, text, reason, monkeypatch):
    monkeypatch.setattr("checkers.worker._LOAD_SECONDS", 1.0 if "sleep" in text else 60.0)
    install(
        "bad", {"bad": "bad_module:check", "good": "good_module:fine"}, bad_module=text, good_module=MODULE
    )
    with pytest.raises(PoolError, match="'bad_module:check' cannot be loaded in a worker: ") as error:
        pool.map("bad", [(f"item {i}",) for i in range(100)])  # more than a batch: the import is tried once
    assert reason in str(error.value)
    assert pool.map("good", [("hello",)])[0].reason == "hello"


def test_items_of_others_go_on_while_an_import_fails(install, pool):
    install(
        "two",
        {"bad": "bad_two:check", "good": "good_two:slow"},
        bad_two="import time; time.sleep(0.3); 1 / 0",
        good_two=MODULE,
    )
    results = []
    good = threading.Thread(target=lambda: results.extend(pool.map("good", [(0.01,)] * 40)))
    good.start()
    time.sleep(0.05)
    with pytest.raises(PoolError, match="ZeroDivisionError"):
        pool.map("bad", [("text",)] * 40)
    good.join()
    assert [verdict.status for verdict in results] == [Status.CORRECT] * 40


@pytest.mark.parametrize("name", ["math", "steps", "logic", "deduction", "code"])
def test_no_plugin_takes_the_name_of_a_built_in(install, pool, name):
    install("thief", {name: "thief_module:fine"}, thief_module=MODULE)
    with pytest.raises(
        PoolError, match=rf"{name} = thief_module:fine of thief 1.0 has the name of a built-in"
    ):
        pool.map(name, [("1", "1")])
    other = "logic" if name == "math" else "math"
    assert pool.map(other, []) == []


def test_two_plugins_of_one_name_are_an_error_that_names_both(install, pool):
    install("one", {"same": "one_module:fine"}, one_module=MODULE)
    install("other", {"same": "other_module:fine"}, other_module=MODULE)
    with pytest.raises(
        PoolError, match=r"2 checkers are called 'same': .*one 1.0.*other 1.0|other 1.0.*one 1.0"
    ):
        pool.map("same", [("text",)])
    assert pool.map("other_module:fine", [("text",)])[0].reason == "text"


@pytest.mark.parametrize(
    "target", ["module_alone", "module:", ":function", "module:function [extra]", "a b:c"]
)
def test_an_entry_point_that_names_no_function_is_an_error(install, pool, target):
    install("odd", {"odd": target})
    with pytest.raises(PoolError, match=r"of odd 1\.0 is not of the form 'module:function'"):
        pool.map("odd", [("text",)])


@pytest.mark.parametrize("name", ["", "nobody", "module:", "os.system('true'):x", "../module:f"])
def test_what_is_no_name_is_an_error_that_lists_the_names(install, pool, name):
    install("own", {"own": "own_module:fine"})
    with pytest.raises(
        PoolError, match="expected one of code, code_steps, deduction, logic, math, own, steps or 'module"
    ):
        pool.map(name, [("text",)])


def test_a_function_of_the_main_script_is_an_error_that_says_what_to_do(pool):
    with pytest.raises(PoolError, match="put the function into a file of its own"):
        pool.map("__main__:check", [("text",)])
    with pytest.raises(PoolError, match="AttributeError"):
        pool.map(f"{__name__}:no_such_function", [("text",)])
