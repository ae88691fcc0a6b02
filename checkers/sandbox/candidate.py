"""What runs inside the sandbox: load a program, then answer requests about it with plain data.

Nothing that this side says is believed to be more than a value: the program shares its process and may
have taken it over. It is called through six requests, each answered `["value", form]`,
`["raised", class, message, built-in base]` or `["stuck", why]`:

    ["load", source]  ["name", name]  ["call", target, args, kwargs]
    ["attribute", target, name]  ["set", target, name, value]  ["item", target, key]
    ["put", target, key, value]  ["list", target]  ["length", target]

A target is the number of an object that an earlier answer referred to.
"""

import atexit
import builtins
import itertools
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from checkers.sandbox import values
from checkers.sandbox.channel import Channel, ChannelClosedError

_MOST_ITEMS = 1_000_000
_LONGEST_MESSAGE = 300
MODULE = "solution"
READY = ["ready"]  # what a sealed process says before it has met its program


class Candidate:
    """A loaded program and the objects of it that the referee knows by number."""

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._module = types.ModuleType(MODULE)

    def answer(self, request: list[Any]) -> list[Any]:
        """The reply to one request; whatever the program raises is part of it."""
        try:
            name, *arguments = request
            value = getattr(self, f"_{name}")(*arguments)
            return ["value", values.encode(value, self._refer)]
        except values.NotPlainError as error:
            return ["stuck", f"the value cannot be passed on: {error}"]
        except BaseException as error:  # SystemExit too: a program must not end the conversation
            return _raised(error)

    def _load(self, source: str) -> None:
        sys.modules[MODULE] = self._module
        exec(compile(source, "<program>", "exec"), self._module.__dict__)

    def _name(self, name: str) -> Any:
        return self._module.__dict__[name]

    def _call(self, target: int, arguments: Any, keywords: Any) -> Any:
        return self._objects[target](*self._read(arguments), **self._read(keywords))

    def _attribute(self, target: int, name: str) -> Any:
        return getattr(self._objects[target], name)

    def _set(self, target: int, name: str, value: Any) -> None:
        setattr(self._objects[target], name, self._read(value))

    def _item(self, target: int, key: Any) -> Any:
        return self._objects[target][self._read(key)]

    def _put(self, target: int, key: Any, value: Any) -> None:
        self._objects[target][self._read(key)] = self._read(value)

    def _list(self, target: int) -> Any:
        return list(itertools.islice(self._objects[target], _MOST_ITEMS))

    def _length(self, target: int) -> int:
        return len(self._objects[target])

    def _read(self, form: Any) -> Any:
        return values.decode(form, self._objects.__getitem__)

    def _refer(self, value: Any) -> list[Any]:
        """The number of an object (the same for the same object) and its class's name."""
        number = self._numbers.setdefault(id(value), len(self._objects))
        if number == len(self._objects):
            self._objects.append(value)  # kept, so that its id stays its own
        return [number, type(value).__name__]


def _raised(error: BaseException) -> list[Any]:
    kinds = type(error).__mro__
    base = next((k.__name__ for k in kinds if getattr(builtins, k.__name__, None) is k), "Exception")
    try:
        message = str(error)[:_LONGEST_MESSAGE]
    except BaseException:
        message = "(its message cannot be written)"
    return ["raised", type(error).__name__, message, base]


def serve(channel: Channel) -> None:
    """Answer a greeting, then requests until the referee hangs up.

    A spare that died while it waited does not greet, and is not taken for a program that ended itself.
    """
    candidate = Candidate()
    try:
        channel.receive()
        channel.send(READY)
        while True:
            reply = candidate.answer(channel.receive())
            try:
                channel.send(reply)
            except (MemoryError, ValueError, RecursionError, TypeError):
                channel.send(["stuck", "the value cannot be passed on: too large"])
    except ChannelClosedError:
        pass


def run_script(channel: Channel) -> None:
    """Run the one program that comes in as the main program of this process, and say how it ended."""
    channel.send(READY)
    source, output = channel.receive(), sys.stdout
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    ended = _run(lambda: exec(compile(source, "<program>", "exec"), main.__dict__))
    for step in (_join_threads, atexit._run_exitfuncs, lambda: sys.stdout.flush(), output.flush):
        ended = ended or _run(step)
    channel.send(ended)


def _join_threads() -> None:
    """Wait for what the program started, as the interpreter does at its end."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()


def _run(step: Callable[[], object]) -> list[Any] | None:
    """How `step` failed, None when it did not (leaving with status 0 is no failure)."""
    try:
        step()
    except SystemExit as leaving:
        if leaving.code not in (None, 0):
            return _raised(leaving)
    except BaseException as error:
        return _raised(error)
    return None


def reopen_standard_streams() -> None:
    """Text streams over this process's own descriptors 0, 1 and 2."""
    for name, descriptor, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        stream = open(descriptor, mode, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


_HANDLERS: dict[str, Callable[[Channel], None]] = {"calls": serve, "script": run_script}


def main(channel: Channel, role: str) -> None:
    """The life of a candidate once it is sealed: "calls" to be called by value, "script" to run once."""
    reopen_standard_streams()
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # as `site` does, which the zygote goes without
    sys.argv[:] = ["program.py"]
    _HANDLERS[role](channel)
