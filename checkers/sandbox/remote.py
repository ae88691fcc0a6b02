"""The referee's side of a candidate: its functions and objects as proxies that are called by value."""

import builtins
import time
from typing import Any

from checkers.sandbox import values
from checkers.sandbox.channel import Channel, ChannelClosedError, ChannelGarbageError

_LONGEST_KIND = 60


class ProgramError(Exception):
    """The program raised, or answered what is no value. Tests may catch it as an Exception."""


class ProgramGoneError(BaseException):
    """The program ended, hung or broke the protocol: no further test can be run against it.

    Not an Exception, so that no `except Exception` in a test turns it into a pass.
    """


class UnsendableError(BaseException):
    """A test wants what calls by value cannot give: the test's limit, not the program's fault."""


_CHANGING = (list, dict, set, bytearray)


class Session:
    """A conversation with one candidate that may take `seconds` of its time altogether."""

    def __init__(self, channel: Channel, seconds: float) -> None:
        self._channel, self._left, self.seconds = channel, seconds, seconds
        self.calls = 0
        self.gone = ""  # why no further test can be run
        self.sent: list[Any] = []  # arguments that may change, of which the program got copies
        self.heard: list[str] = []  # what the program gave, in one spelling
        self.overran = False

    def ask(self, name: str, *arguments: Any) -> Any:
        """The value that a request yields. Raises: ProgramGoneError, or what the program raised."""
        if self.gone:
            raise ProgramGoneError(self.gone)
        self.calls += 1
        reply = self._exchange([name, *arguments])
        try:
            if reply[0] == "value":
                value = values.decode(reply[1], self._resolve)
                if not isinstance(value, Remote):
                    self.heard.append(values.spelling(value))
                return value
            self.heard.append(" ".join(map(str, reply[:2])))
            if reply[0] == "raised":
                raise _exception(*reply[1:])
            raise ProgramError(str(reply[1]))
        except (values.NotPlainError, LookupError, TypeError) as error:
            if reply[:1] == ["raised"]:
                raise
            raise ProgramError(f"the program answered what is no value: {error}") from None

    def call(self, target: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Call an object of the program's by value."""
        self.sent += [value for value in (*arguments, *keywords.values()) if isinstance(value, _CHANGING)]
        return self.ask("call", target, self.form(arguments), self.form(keywords))

    def form(self, value: Any) -> Any:
        """`value` as it travels. Raises: UnsendableError."""
        try:
            return values.encode(value, _refer)
        except values.NotPlainError as error:
            raise UnsendableError(f"a test passes what cannot be passed by value: {error}") from None

    def _exchange(self, request: list[Any]) -> list[Any]:
        started = time.monotonic()
        try:
            self._channel.send(request, started + self._left)
            reply = self._channel.receive(started + self._left)
        except TimeoutError:
            self.overran = True
            self._lose(f"no answer within {self.seconds:g} s")
        except ChannelClosedError:
            self._lose("the program ended itself or crashed")
        except ChannelGarbageError as error:
            self._lose(f"the program sent {error}")
        self._left -= time.monotonic() - started
        if not isinstance(reply, list) or not reply:
            self._lose("the program sent no answer to what was asked")
        return reply

    def _lose(self, why: str) -> None:
        self.gone = why
        self.heard.append(why)
        raise ProgramGoneError(why)

    def _resolve(self, reference: Any) -> "Remote":
        number, kind = reference
        if not isinstance(number, int) or not isinstance(kind, str):
            raise values.NotPlainError("a reference is a number and a name")
        return Remote(self, number, kind[:_LONGEST_KIND])


def _refer(value: Any) -> int:
    if isinstance(value, Remote):
        return object.__getattribute__(value, "_number")
    raise values.NotPlainError(f"expected plain data, found {type(value).__name__}")


def _exception(kind: Any, message: Any, base: Any) -> Exception:
    """The built-in exception that the program's was, or came of, so that tests can catch it."""
    kind = str(kind)[:_LONGEST_KIND]
    found = getattr(builtins, str(base), None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            error: Exception = found(str(message))
        except TypeError:  # UnicodeDecodeError and its like want more than a message
            error = ProgramError(f"{kind}: {message}")
    else:
        error = ProgramError(f"{kind}: {message}")
    error.__notes__ = [f"the program raised {kind}"]
    return error


class Remote:
    """An object that stays in the sandbox. Equal to itself only, whatever its own `__eq__` says."""

    __slots__ = ("_kind", "_number", "_session")

    def __init__(self, session: Session, number: int, kind: str) -> None:
        for name, value in (("_session", session), ("_number", number), ("_kind", kind)):
            object.__setattr__(self, name, value)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._session.call(self._number, arguments, keywords)

    def __getattr__(self, name: str) -> Any:
        return self._session.ask("attribute", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._session.ask("set", self._number, name, self._session.form(value))

    def __getitem__(self, key: Any) -> Any:
        return self._session.ask("item", self._number, self._session.form(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._session.ask("put", self._number, self._session.form(key), self._session.form(value))

    def __iter__(self) -> Any:
        return iter(self._session.ask("list", self._number))

    def __len__(self) -> int:
        return int(self._session.ask("length", self._number))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Remote) and self._number != other._number:
            raise UnsendableError("a test compares two objects of the program, which only it could judge")
        return self is other or isinstance(other, Remote)

    def __hash__(self) -> int:
        return hash(self._number)

    def __bool__(self) -> bool:
        self._session.calls += 1  # a test that asks for the truth of an object does judge the program
        raise ProgramError(f"the program answered an object ({self._kind}) where plain data was expected")

    def __instancecheck__(self, other: object) -> bool:
        raise UnsendableError("a test asks for the class of a value, which only the program could tell")

    def __str__(self) -> str:
        raise UnsendableError("a test writes an object of the program as text, which only it could do")

    def __repr__(self) -> str:
        return f"<{self._kind} object of the program>"
