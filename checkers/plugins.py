"""Checkers of your own: found by their name among entry points, imported in the worker and never here.

One file and two lines of its pyproject.toml make a checker that `Pool.map("units", items)` finds:

    [project.entry-points."prm_distill.checkers"]
    units = "my_units:check_units"

It is a function of plain data (what JSON holds) that returns a Verdict. Without packaging, `module:function`
is as good a name, if the module can be imported. A name is looked up in the calling process, by reading
metadata alone; the worker imports the module when the first item needs it.
"""

import importlib
import re
import sys
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from importlib import metadata
from typing import Any

GROUP = "prm_distill.checkers"
_TARGET = re.compile(r"\w+(?:\.\w+)*:\w+(?:\.\w+)*")


class PluginError(RuntimeError):
    """No checker, or more than one, has this name, or what it names is no checker."""


def find(name: str, built_in: Collection[str]) -> str:
    """What to load for `name`: itself for a built-in and for `module:function`, else its entry point's.

    Imports nothing. Raises: PluginError for a name that nobody has, that two distributions claim, or that an
    entry point would take from a built-in checker.
    """
    found = _installed(tuple(sys.path))
    if not found.get(name) and name not in built_in and not _TARGET.fullmatch(name):
        _installed.cache_clear()  # perhaps it was installed just now
        found = _installed(tuple(sys.path))
    points = found.get(name, [])
    if name in built_in:
        if points:
            raise PluginError(f"{_described(points)} has the name of a built-in checker; give it another one")
        return name
    target = _one(name, points) if points else name
    if not _TARGET.fullmatch(target):
        raise PluginError(_unknown(name, points, [*built_in, *found]))
    if target.startswith("__main__:"):
        raise PluginError(f"a worker cannot import {target!r}: put the function into a file of its own")
    return target


def load(target: str, search_path: Sequence[str]) -> Callable[..., Any]:
    """The function that `module:function` names, looked for as in the calling process. Runs in a worker.

    Raises: TypeError for what cannot be called, and whatever the import raises.
    """
    sys.path[:] = search_path
    importlib.invalidate_caches()
    module, _, name = target.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"expected a function, found {type(found).__name__}")
    return found


@lru_cache(maxsize=1)
def _installed(search_path: tuple[str, ...]) -> dict[str, list[metadata.EntryPoint]]:
    """The entry points of our group by name. `search_path` says for which `sys.path` this holds."""
    found: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def _one(name: str, points: Sequence[metadata.EntryPoint]) -> str:
    targets = {point.value for point in points}
    if len(targets) > 1:
        raise PluginError(
            f"{len(targets)} checkers are called {name!r}: {_described(points)}; uninstall one, or say "
            "'module:function'"
        )
    return targets.pop()


def _unknown(name: str, points: Sequence[metadata.EntryPoint], known: Collection[str]) -> str:
    if points:
        return f"{_described(points)} is not of the form 'module:function'"
    return f"expected one of {', '.join(sorted(known))} or 'module:function', found {name!r}"


def _described(points: Sequence[metadata.EntryPoint]) -> str:
    """`the entry point units = my_units:check_units of my-units 1.0`, joined by `and`."""
    owners = [f"{point.dist.name} {point.dist.version}" if point.dist else "?" for point in points]
    return " and ".join(
        f"the entry point {point.name} = {point.value} of {owner}" for point, owner in zip(points, owners)
    )
